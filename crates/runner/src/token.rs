//! The token by which a program on this machine is known to the service here.
//!
//! **Invariant:** a file that others can read says nobody's name.
//! **Invariant:** the token of that file goes to sockets alone: on a port anybody of the machine may listen.

use std::path::{Path, PathBuf};

use host::{Host, Kind};
use outcome::Failure;

use crate::site::Site;

/// The file of the first token, below the state directory: what a client on this machine finds by itself.
pub const FILE: &str = "token";
/// The socket of the service, below the state directory: only this user can make it, or connect to it.
pub const SOCKET: &str = "api.sock";
/// The variable that goes before it.
pub const VARIABLE: &str = "RUNNER_TOKEN";
/// Whose the first token is.
pub const OPERATOR: &str = "operator";
/// Before the digits, so that a token is known for one where it should not be.
pub const PREFIX: &str = "aor_";

/// The socket of the service on this machine; `None` where this user has none.
pub fn socket(host: &dyn Host, state: Option<PathBuf>) -> Option<PathBuf> {
    let path = Site::find(host, None, state).ok()?.state.join(SOCKET);
    let stat = host.stat(&path).ok()??;
    let ours = stat.kind == Kind::Other && (stat.uid == host.uid() || stat.uid == 0);
    ours.then_some(path)
}

/// The token for a service: `RUNNER_TOKEN`, else for one at a socket (`at_socket`) that of the state directory.
///
/// # Errors
/// Not ready: class `no-token` when there is none; those of [`read`] and [`Site::find`].
pub fn find(host: &dyn Host, state: Option<PathBuf>, at_socket: bool) -> Result<String, Failure> {
    let set = host.env(VARIABLE).and_then(|text| text.into_string().ok());
    if let Some(secret) = set.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
        return Ok(secret);
    }
    if !at_socket {
        let reason = format!("{VARIABLE} is not set, and the token of the state directory is sent to sockets alone");
        let next = format!(
            "start the service here: runner-api --with-worker; or set {VARIABLE}: runner-api token add NAME --scope submit,read"
        );
        return Err(Failure::not_ready("no-token", reason, next));
    }
    let path = Site::find(host, None, state)?.state.join(FILE);
    read(host, &path)?.ok_or_else(|| {
        let reason = format!("{VARIABLE} is not set, and {} is not there", path.display());
        let next =
            "start the service, which makes it: runner-api --with-worker; or name its state directory: --state DIR";
        Failure::not_ready("no-token", reason, next)
    })
}

/// The secret in a file; `None` where there is none.
///
/// # Errors
/// Not ready, class `token-unsafe`, when others can read it, and `bad-token` when it is none.
pub fn read(host: &dyn Host, path: &Path) -> Result<Option<String>, Failure> {
    let Some(stat) = host.stat(path)? else { return Ok(None) };
    let at = path.display();
    if stat.kind != Kind::File || stat.mode & 0o077 != 0 || (stat.uid != host.uid() && stat.uid != 0) {
        let reason = format!("{at} is no file of yours that only you can read");
        // Whoever read it still has it: it is to be good for nothing.
        let next = format!("start the service with a new one: runner-api token remove {OPERATOR}");
        return Err(Failure::not_ready("token-unsafe", reason, next));
    }
    let bytes = host.read(path)?.unwrap_or_default();
    let secret = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
    let is_token = |secret: &String| {
        let digits = secret.strip_prefix(PREFIX);
        digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    secret.filter(is_token).map(Some).ok_or_else(|| {
        let next = format!("remove it and start the service again for a new one: rm {at}");
        Failure::not_ready("bad-token", format!("{at} holds no token"), next)
    })
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;

    const PATH: &str = "/home/me/.local/state/ai-ops-runner/token";

    fn me() -> Fake {
        Fake::new().user(1000).variable("HOME", "/home/me")
    }

    fn check(host: &Fake, at_socket: bool) -> String {
        find(host, None, at_socket).unwrap_or_else(|failure| failure.text())
    }

    #[test]
    fn the_variable_goes_before_the_file_and_the_file_goes_to_sockets_alone() {
        let secret = format!("{PREFIX}{}", "0a".repeat(32));
        let filed = me().file(PATH, format!("{secret}\n"), 0o600, 1000);
        assert_eq!(check(&filed, true), secret);
        assert!(check(&filed, false).starts_with("no-token: "));
        for at_socket in [true, false] {
            assert_eq!(check(&me().variable(VARIABLE, " aor_other\n"), at_socket), "aor_other");
        }
        assert_eq!(check(&me().file(PATH, secret.clone(), 0o600, 1000).variable(VARIABLE, " "), true), secret);
        assert_snapshot!(check(&me(), true), @"
        no-token: RUNNER_TOKEN is not set, and /home/me/.local/state/ai-ops-runner/token is not there
        next: start the service, which makes it: runner-api --with-worker; or name its state directory: --state DIR
        ");
    }

    #[test]
    fn a_socket_of_another_user_is_not_the_services() {
        let path = Path::new("/home/me/.local/state/ai-ops-runner").join(SOCKET);
        let at = |kind, uid| socket(&me().special(&path, kind, uid), None);
        assert_eq!((at(Kind::Other, 1000), at(Kind::Other, 0)), (Some(path.clone()), Some(path.clone())));
        assert_eq!((at(Kind::Other, 1001), at(Kind::Symlink, 1000), socket(&me(), None)), (None, None, None));
    }

    #[test]
    fn a_file_that_others_can_read_is_no_token() {
        let secret = format!("{PREFIX}{}", "0a".repeat(32));
        for (mode, uid, class) in
            [(0o640, 1000, "token-unsafe: "), (0o604, 1000, "token-unsafe: "), (0o600, 1001, "token-unsafe: ")]
        {
            let said = check(&me().file(PATH, secret.clone(), mode, uid), true);
            assert!(said.starts_with(class) && !said.contains("aor_"), "{said}");
        }
        assert!(check(&me().file(PATH, "aor_0a", 0o600, 1000), true).starts_with("bad-token: "));
        assert!(check(&me().special(PATH, Kind::Symlink, 1000), true).starts_with("token-unsafe: "));
    }
}
