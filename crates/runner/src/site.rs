//! Where a runner finds what is allowed and keeps what it makes.

use std::env::split_paths;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use allowlist::Policy;
use host::{Host, HostError, config_dir, state_dir, trusted};
use outcome::Failure;

use crate::desk::private_dirs;

/// The jobs that are allowed where nobody wrote a file of them.
pub const BUILT_IN_JOBS: &str = include_str!("../../../configs/job_allowlist.toml");
/// The name of the file of allowed jobs.
pub const JOBS: &str = "job_allowlist.toml";
/// The name of the file of allowed repositories.
pub const REPOS: &str = "repo_allowlist.toml";
/// The directory of the machine's own configuration.
const MACHINE: &str = "/etc/ai-ops-runner";
/// Of both the user's configuration and state directory.
const OWN: &str = "ai-ops-runner";

/// The two directories of a runner, as absolute paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Of the allowlists.
    pub configs: PathBuf,
    /// Of mirrors, trees and jobs.
    pub state: PathBuf,
}

impl Site {
    /// The directories that were named; else for the state `STATE_DIRECTORY`, as systemd sets it, or the user's own, and
    /// for the configuration the user's own or, where that has no allowlist, `/etc/ai-ops-runner`.
    ///
    /// # Errors
    /// Not ready, class `no-home`, without an environment that says where the user's directories are; those of the
    /// machine.
    pub fn find(host: &dyn Host, configs: Option<PathBuf>, state: Option<PathBuf>) -> Result<Self, Failure> {
        let no_home = |option: &str| {
            let reason = "neither HOME nor an XDG directory is set";
            Failure::not_ready("no-home", reason, format!("set HOME, or name the directory: {option} DIR"))
        };
        // A unit may have several; the first is its own.
        let unit =
            host.env("STATE_DIRECTORY").and_then(|all| split_paths(&all).next()).filter(|path| path.is_absolute());
        let state = state.or(unit).or_else(|| Some(state_dir(host)?.join(OWN))).ok_or_else(|| no_home("--state"))?;
        let configs = match configs {
            Some(configs) => configs,
            None => {
                own_or_machine(host, config_dir(host).map(|dir| dir.join(OWN)))?.ok_or_else(|| no_home("--configs"))?
            }
        };
        let absolute = |path: PathBuf| std::path::absolute(&path).map_err(HostError::io(path));
        Ok(Self { configs: absolute(configs)?, state: absolute(state)? })
    }

    /// The directory of the state without links and `..`, which is made where it is not there. Whoever else could write to
    /// it could put trees, links and proofs there.
    ///
    /// # Errors
    /// Not ready, class `state-unsafe`, when anyone but root and this user could; those of the machine.
    pub fn own_state(&self, host: &dyn Host) -> Result<PathBuf, Failure> {
        private_dirs(&self.state)?;
        let state = self.state.canonicalize().map_err(HostError::io(&self.state))?;
        let found = fs::metadata(&state).map_err(HostError::io(&state))?;
        let why = if found.uid() != 0 && found.uid() != host.uid() {
            "belongs to another user"
        } else if found.mode() & 0o022 != 0 {
            "can be written by others"
        } else {
            return Ok(state);
        };
        let next = "chmod go-w it where it is yours, or name another directory: --state DIR";
        Err(Failure::not_ready("state-unsafe", format!("{} {why}", state.display()), next))
    }

    /// What is allowed here.
    ///
    /// # Errors
    /// Not ready: class `no-repos` without an allowlist of repositories, `config-unsafe` for one that others can write,
    /// `bad-allowlist` with everything that is wrong in it.
    pub fn policy(&self, host: &dyn Host) -> Result<Policy, Failure> {
        self.parse(&self.lists(host)?)
    }

    /// The bytes of both allowlists.
    ///
    /// # Errors
    /// As [`Site::policy`].
    pub(crate) fn lists(&self, host: &dyn Host) -> Result<Lists, Failure> {
        let jobs = trusted(host, &self.configs.join(JOBS))?.unwrap_or_else(|| BUILT_IN_JOBS.into());
        let path = self.configs.join(REPOS);
        let repos = trusted(host, &path)?.ok_or_else(|| {
            let reason = format!("{} is not there: no repository is allowed", path.display());
            Failure::not_ready("no-repos", reason, "allow one: runner allow DIR-OR-URL")
        })?;
        Ok(Lists { jobs, repos })
    }

    /// What they say.
    ///
    /// # Errors
    /// Not ready, class `bad-allowlist`, with everything that is wrong in them.
    pub(crate) fn parse(&self, Lists { jobs, repos }: &Lists) -> Result<Policy, Failure> {
        Policy::parse(jobs, repos).map_err(|problems| bad_allowlist(&self.configs, &problems.to_string()))
    }
}

/// Both allowlists, as they are written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    jobs: Vec<u8>,
    repos: Vec<u8>,
}

pub(crate) fn bad_allowlist(configs: &Path, problems: &str) -> Failure {
    let reason = format!("the allowlists in {} cannot be used:\n{problems}", configs.display());
    Failure::not_ready("bad-allowlist", reason, "mend what is named, then try again")
}

fn own_or_machine(host: &dyn Host, own: Option<PathBuf>) -> Result<Option<PathBuf>, HostError> {
    if let Some(own) = &own
        && host.stat(&own.join(REPOS))?.is_some()
    {
        return Ok(Some(own.clone()));
    }
    let machine = PathBuf::from(MACHINE);
    if host.stat(&machine.join(REPOS))?.is_some() { Ok(Some(machine)) } else { Ok(own) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use host::{Fake, Kind};
    use insta::assert_snapshot;

    use super::*;

    const REPOS_AT_HOME: &str = "/home/me/.config/ai-ops-runner/repo_allowlist.toml";

    fn me() -> Fake {
        Fake::new().user(1000).variable("HOME", "/home/me")
    }

    fn check(host: &Fake, configs: Option<&str>, state: Option<&str>) -> String {
        match Site::find(host, configs.map(PathBuf::from), state.map(PathBuf::from)) {
            Ok(site) => format!("{} {}", site.configs.display(), site.state.display()),
            Err(failure) => failure.text(),
        }
    }

    #[test]
    fn what_is_named_wins_over_what_is_found() {
        let unit = me().variable("STATE_DIRECTORY", "/var/lib/ai-ops-runner");
        let machine = unit.file("/etc/ai-ops-runner/repo_allowlist.toml", "schema = 1", 0o644, 0);
        assert_eq!(check(&me(), None, None), "/home/me/.config/ai-ops-runner /home/me/.local/state/ai-ops-runner");
        assert_eq!(check(&machine, None, None), "/etc/ai-ops-runner /var/lib/ai-ops-runner");
        assert_eq!(check(&machine, Some("/a"), Some("/b")), "/a /b");
        let several = me().variable("STATE_DIRECTORY", "/var/lib/ai-ops-runner:/var/lib/other");
        assert_eq!(check(&several, None, None), "/home/me/.config/ai-ops-runner /var/lib/ai-ops-runner");
        let both = machine.file(REPOS_AT_HOME, "schema = 1", 0o644, 1000);
        assert_eq!(check(&both, None, None), "/home/me/.config/ai-ops-runner /var/lib/ai-ops-runner");
        assert_snapshot!(check(&Fake::new(), None, Some("/b")), @r"
        no-home: neither HOME nor an XDG directory is set
        next: set HOME, or name the directory: --configs DIR
        ");
    }

    #[test]
    fn a_state_directory_that_others_can_write_to_is_not_used() {
        let dir = tempfile::TempDir::new().unwrap();
        let check = |name: &str| {
            let site = Site { configs: dir.path().to_owned(), state: dir.path().join(name) };
            site.own_state(&host::Local::new()).map(drop).map_err(|failure| failure.text())
        };
        let set = |mode| fs::set_permissions(dir.path().join("state"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(check("state"), Ok(()));
        assert_eq!(fs::metadata(dir.path().join("state")).unwrap().mode() & 0o777, 0o700);
        std::os::unix::fs::symlink("state", dir.path().join("link")).unwrap();
        for mode in [0o770, 0o1777, 0o702] {
            set(mode);
            for name in ["state", "link"] {
                let refused = check(name).unwrap_err();
                assert!(refused.starts_with("state-unsafe: ") && refused.contains("can be written"), "{refused}");
            }
        }
        set(0o755);
        assert_eq!(check("link"), Ok(()));
        if rustix::process::geteuid().is_root() {
            let site = Site { configs: dir.path().to_owned(), state: dir.path().join("state") };
            let nobody = Fake::new().user(65534);
            assert!(site.own_state(&nobody).is_ok(), "it is root's");
            std::os::unix::fs::chown(dir.path().join("state"), Some(65534), None).unwrap();
            assert!(check("state").unwrap_err().contains("another user"));
            assert!(site.own_state(&nobody).is_ok(), "it is theirs");
        }
    }

    #[test]
    fn an_allowlist_that_others_can_write_decides_nothing() {
        let check = |host: Fake| {
            let site = Site::find(&host, None, None).unwrap();
            site.policy(&host)
                .map_or_else(|failure| failure.text(), |policy| format!("{} repositories", policy.repos().len()))
        };
        let repos = |mode, uid| me().file(REPOS_AT_HOME, "schema = 1\n[repos]\n", mode, uid);
        assert_eq!(check(repos(0o644, 1000)), "0 repositories");
        assert_eq!(check(repos(0o600, 0)), "0 repositories");
        for (mode, uid, why) in
            [(0o664, 1000, "can be written"), (0o646, 0, "can be written"), (0o600, 1001, "another user")]
        {
            assert!(check(repos(mode, uid)).starts_with("config-unsafe: ") && check(repos(mode, uid)).contains(why));
        }
        assert!(check(me().special(REPOS_AT_HOME, Kind::Symlink, 1000)).contains("is no regular file"));
        assert!(check(me()).starts_with("no-repos: "));
        let jobs = me().file("/home/me/.config/ai-ops-runner/job_allowlist.toml", "schema = 1", 0o666, 1000);
        assert!(check(jobs.file(REPOS_AT_HOME, "schema = 1\n", 0o600, 1000)).starts_with("config-unsafe: "));
    }
}
