//! The user's own directories, by the XDG base directory specification.

use std::path::PathBuf;

use crate::Host;

/// Where the user's programs keep data: `XDG_DATA_HOME`, else `.local/share` in `HOME`. A path that is not absolute
/// counts as none, as the specification says; `None` when neither is one.
pub fn data_dir(host: &dyn Host) -> Option<PathBuf> {
    base_dir(host, "XDG_DATA_HOME", ".local/share")
}

/// Where they keep what can be thrown away: `XDG_CACHE_HOME`, else `.cache` in `HOME`. As [`data_dir`].
pub fn cache_dir(host: &dyn Host) -> Option<PathBuf> {
    base_dir(host, "XDG_CACHE_HOME", ".cache")
}

/// Where they are configured: `XDG_CONFIG_HOME`, else `.config` in `HOME`. As [`data_dir`].
pub fn config_dir(host: &dyn Host) -> Option<PathBuf> {
    base_dir(host, "XDG_CONFIG_HOME", ".config")
}

/// Where they keep what should outlive a restart and is worth nothing elsewhere: `XDG_STATE_HOME`, else `.local/state`
/// in `HOME`. As [`data_dir`].
pub fn state_dir(host: &dyn Host) -> Option<PathBuf> {
    base_dir(host, "XDG_STATE_HOME", ".local/state")
}

fn base_dir(host: &dyn Host, variable: &str, at_home: &str) -> Option<PathBuf> {
    let absolute = |name| host.env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(at_home)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fake;

    #[test]
    fn only_an_absolute_path_is_a_base_directory() {
        let check = |xdg: Option<&str>, home: Option<&str>| {
            let set = |fake: Fake, name, value: Option<&str>| match value {
                Some(value) => fake.variable(name, value),
                None => fake,
            };
            let fake = set(set(Fake::new(), "XDG_DATA_HOME", xdg), "HOME", home);
            data_dir(&fake).map(|path| path.display().to_string())
        };
        assert_eq!(check(Some("/data"), Some("/home/me")).as_deref(), Some("/data"));
        for ignored in [None, Some(""), Some("data"), Some("./data")] {
            assert_eq!(check(ignored, Some("/home/me")).as_deref(), Some("/home/me/.local/share"));
            assert_eq!(check(ignored, ignored), None);
        }
        let cached = Fake::new().variable("XDG_DATA_HOME", "/data").variable("HOME", "/home/me");
        let others = [cache_dir(&cached), config_dir(&cached), state_dir(&cached)];
        let others = others.map(|dir| dir.unwrap().display().to_string());
        assert_eq!(others, ["/home/me/.cache", "/home/me/.config", "/home/me/.local/state"]);
    }
}
