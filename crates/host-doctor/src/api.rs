//! The runner's API: whether it is there, and whether a job that is submitted now would be run.

use std::path::{Path, PathBuf};

use doctor::Check;
use host::{Host, Kind};
use outcome::Failure;
use runner_client::{Base, Client};
use runner_wire::Ready;

use crate::{STATE, Scene};

pub(crate) const HEALTHZ: &str = "healthz";
pub(crate) const READYZ: &str = "readyz";

/// The API of the service of this host, below its state directory.
const SOCKET: &str = "api.sock";

pub(crate) fn healthz(scene: &Scene<'_>) -> Result<Check, Failure> {
    let client = client(scene)?;
    Ok(if client.health()?.ok {
        Check::pass(HEALTHZ, client.base().to_string())
    } else {
        let message = format!("{} says that it is not well", client.base());
        Check::fail(HEALTHZ, "not-well", message, "see what the service logs: journalctl --unit runner-api")
    })
}

pub(crate) fn readyz(scene: &Scene<'_>) -> Result<Check, Failure> {
    Ok(ready(&client(scene)?.ready()?))
}

fn ready(ready: &Ready) -> Check {
    let told = |good: bool| {
        let checks = ready.checks.iter().filter(|check| check.ok == good);
        checks.map(|check| format!("{}: {}", check.name, check.detail)).collect::<Vec<_>>().join(", ")
    };
    if ready.ok && ready.checks.iter().all(|check| check.ok) {
        return Check::pass(READYZ, told(true));
    }
    let next = "mend what it names; see also: journalctl --unit runner-api";
    Check::fail(READYZ, "not-ready", format!("no job would be run now: {}", told(false)), next)
}

/// Asks for nothing that needs a token, and sends none.
fn client(scene: &Scene<'_>) -> Result<Client, Failure> {
    let base = Base::find(scene.site.api.as_deref(), socket(scene.host))?;
    Ok(Client::new(base, None)?.cancelled_by(scene.cancel.clone()))
}

/// Who may not look into the state directory could not connect to it either.
fn socket(host: &dyn Host) -> Option<PathBuf> {
    let path = Path::new(STATE).join(SOCKET);
    let stat = host.stat(&path).ok()??;
    (stat.kind == Kind::Other).then_some(path)
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::shown;

    fn told(json: &str) -> String {
        shown(&ready(&serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn what_is_not_ready_is_named() {
        assert_snapshot!(told(r#"{"ok":true,"checks":[{"name":"store","ok":true,"detail":"1 ms"},{"name":"disk","ok":true,"detail":"9 MiB"}]}"#), @"
        PASS: readyz: store: 1 ms, disk: 9 MiB
              class: ok
        ");
        let no_worker = r#"{"ok":false,"checks":[{"name":"store","ok":true,"detail":"1 ms"},{"name":"worker","ok":false,"detail":"none\nPASS"}]}"#;
        assert_snapshot!(told(no_worker), @r"
        FAIL: readyz: no job would be run now: worker: none\u{a}PASS
              next: mend what it names; see also: journalctl --unit runner-api
              class: not-ready
        ");
        assert_snapshot!(told(&no_worker.replacen("false", "true", 1)), @r"
        FAIL: readyz: no job would be run now: worker: none\u{a}PASS
              next: mend what it names; see also: journalctl --unit runner-api
              class: not-ready
        ");
        assert_snapshot!(told(r#"{"ok":false,"checks":[]}"#), @"
        FAIL: readyz: no job would be run now: 
              next: mend what it names; see also: journalctl --unit runner-api
              class: not-ready
        ");
    }

    #[test]
    fn the_socket_of_the_service_is_found() {
        let there = |kind| socket(&Fake::new().special("/var/lib/ai-ops-runner/api.sock", kind, 999));
        assert_eq!(there(Kind::Other).unwrap().to_str(), Some("/var/lib/ai-ops-runner/api.sock"));
        assert_eq!((there(Kind::File), there(Kind::Symlink), socket(&Fake::new())), (None, None, None));
    }
}
