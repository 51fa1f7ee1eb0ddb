//! Host paths a job may see, read-only, at the same place: tools, never state, keys or what the sandbox itself mounts.
//!
//! Only names are judged here. What a symbolic link leads to is for the sandbox, which opens the path.

use crate::show;

/// The longest path, in bytes.
const MAX_BYTES: usize = 256;

/// Neither these, nor anything below them, nor what holds them.
const CLOSED: [(&str, &str); 22] = [
    ("/artifacts", SANDBOX),
    ("/bin", SANDBOX),
    ("/boot", SYSTEM),
    ("/dev", SANDBOX),
    ("/etc", SYSTEM),
    ("/git", SANDBOX),
    ("/git-objects", SANDBOX),
    ("/lib", SANDBOX),
    ("/lib32", SANDBOX),
    ("/lib64", SANDBOX),
    ("/libx32", SANDBOX),
    ("/opt/ai-ops-runner", SANDBOX),
    ("/proc", SANDBOX),
    ("/repo", SANDBOX),
    ("/run", SYSTEM),
    ("/sbin", SANDBOX),
    ("/sys", SYSTEM),
    ("/tmp", SANDBOX),
    ("/var/lib/ai-ops-runner", STATE),
    ("/var/log/ai-ops-runner", STATE),
    ("/var/run", SYSTEM),
    ("/var/spool", SYSTEM),
];
const SANDBOX: &str = "a path of the sandbox itself";
const SYSTEM: &str = "where the host keeps settings, keys, sockets or other users' files";
const STATE: &str = "the runner's own state";

/// Where people keep keys below their homes.
const PRIVATE: [&str; 14] = [
    ".aws",
    ".azure",
    ".claude",
    ".codex",
    ".config",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".ssh",
    ".vault-token",
];

/// Judges the path of a bind.
///
/// # Errors
/// Why it may not be bound, in words.
pub(crate) fn check(path: &str) -> Result<(), String> {
    let shown = show::value(path);
    let normal =
        path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
    if !normal || path.len() > MAX_BYTES || !show::is_line(path) {
        return Err(format!(
            "{shown} is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most {MAX_BYTES} bytes"
        ));
    }
    if let Some((closed, what)) = CLOSED.iter().find(|(closed, _)| overlap(path, closed)) {
        return Err(format!("{shown} may not be bound: {}", relation(path, closed, what)));
    }
    if path == "/usr" {
        return Err(format!("{shown} may not be bound: {SANDBOX}"));
    }
    if is_home(path) {
        return Err(format!("{shown} may not be bound: a whole home; name the directory in it"));
    }
    match path.split('/').find(|part| PRIVATE.contains(part)) {
        Some(part) => Err(format!("{shown} may not be bound: {part} is where people keep keys")),
        None => Ok(()),
    }
}

/// True when `path` is `dir` or lies below it.
pub(crate) fn is_within(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn overlap(a: &str, b: &str) -> bool {
    is_within(a, b) || is_within(b, a)
}

fn relation(path: &str, closed: &str, what: &str) -> String {
    if path == closed {
        what.into()
    } else if is_within(path, closed) {
        format!("{closed} is {what}")
    } else {
        format!("it holds {closed}, {what}")
    }
}

fn is_home(path: &str) -> bool {
    let in_home =
        path.strip_prefix("/home").is_some_and(|rest| rest.matches('/').count() <= 1 && is_within(path, "/home"));
    path == "/root" || in_home
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(paths: &[&str]) -> String {
        paths.iter().map(|path| check(path).err().unwrap_or_else(|| format!("`{path}` fine")) + "\n").collect()
    }

    #[test]
    fn tools_may_be_bound() {
        insta::assert_snapshot!(judged(&["/usr/local/go", "/opt/node", "/nix", "/home/ops/tools/go", "/root/.rustup/toolchains", "/gitea", "/variable"]), @r"
        `/usr/local/go` fine
        `/opt/node` fine
        `/nix` fine
        `/home/ops/tools/go` fine
        `/root/.rustup/toolchains` fine
        `/gitea` fine
        `/variable` fine
        ");
    }

    #[test]
    fn j09_state_keys_and_the_sandbox_are_never_bound() {
        insta::assert_snapshot!(judged(&[
            "/proc", "/proc/1", "/sys/kernel", "/dev/kvm", "/etc/ssl", "/repo/x", "/git", "/git-objects/pack", "/tmp/x",
            "/artifacts", "/opt", "/opt/ai-ops-runner/bin", "/usr", "/var", "/var/lib", "/var/lib/ai-ops-runner/jobs",
            "/run/docker.sock", "/root", "/home", "/home/ops", "/home/ops/.ssh", "/srv/x/.aws/credentials",
        ]), @r"
        `/proc` may not be bound: a path of the sandbox itself
        `/proc/1` may not be bound: /proc is a path of the sandbox itself
        `/sys/kernel` may not be bound: /sys is where the host keeps settings, keys, sockets or other users' files
        `/dev/kvm` may not be bound: /dev is a path of the sandbox itself
        `/etc/ssl` may not be bound: /etc is where the host keeps settings, keys, sockets or other users' files
        `/repo/x` may not be bound: /repo is a path of the sandbox itself
        `/git` may not be bound: a path of the sandbox itself
        `/git-objects/pack` may not be bound: /git-objects is a path of the sandbox itself
        `/tmp/x` may not be bound: /tmp is a path of the sandbox itself
        `/artifacts` may not be bound: a path of the sandbox itself
        `/opt` may not be bound: it holds /opt/ai-ops-runner, a path of the sandbox itself
        `/opt/ai-ops-runner/bin` may not be bound: /opt/ai-ops-runner is a path of the sandbox itself
        `/usr` may not be bound: a path of the sandbox itself
        `/var` may not be bound: it holds /var/lib/ai-ops-runner, the runner's own state
        `/var/lib` may not be bound: it holds /var/lib/ai-ops-runner, the runner's own state
        `/var/lib/ai-ops-runner/jobs` may not be bound: /var/lib/ai-ops-runner is the runner's own state
        `/run/docker.sock` may not be bound: /run is where the host keeps settings, keys, sockets or other users' files
        `/root` may not be bound: a whole home; name the directory in it
        `/home` may not be bound: a whole home; name the directory in it
        `/home/ops` may not be bound: a whole home; name the directory in it
        `/home/ops/.ssh` may not be bound: .ssh is where people keep keys
        `/srv/x/.aws/credentials` may not be bound: .aws is where people keep keys
        ");
    }

    #[test]
    fn j09_what_is_closed_is_closed_with_all_below() {
        let private = PRIVATE.map(|name| format!("/srv/{name}"));
        for path in CLOSED.iter().map(|(path, _)| *path).chain(private.iter().map(String::as_str)) {
            assert!(check(path).is_err() && check(&format!("{path}/x")).is_err(), "{path}");
        }
    }

    #[test]
    fn j09_a_path_is_absolute_and_normal() {
        assert_eq!(check(&format!("/{}", "a".repeat(255))), Ok(()));
        let long = format!("/{}", "a".repeat(256));
        insta::assert_snapshot!(judged(&["", "/", "opt/go", "/opt/", "//opt", "/opt/../etc", "/opt/./go", "/opt/\n", &long]), @r"
        `` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `/` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `opt/go` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `/opt/` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `//opt` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `/opt/../etc` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `/opt/./go` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `/opt/\u{a}` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
        ");
    }
}
