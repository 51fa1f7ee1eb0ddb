//! Plans as people read them, as they are checked and as they run.

mod applied;
mod checked;
mod shown;

use plan::{Effect, Plan, Step};

/// Writes a configuration, has it checked and restarts what reads it.
fn sample() -> Plan {
    Plan {
        steps: vec![
            Step::new("config", Effect::write("/etc/server.conf", 0o644, "a\nb\n"), "listen in one place"),
            Step::new(
                "valid",
                Effect::run(["/usr/sbin/server", "--check"])
                    .saying(&["listen "], &["listen 10.0.0.1", "listen 10.0.0.2"]),
                "before it is used",
            ),
            Step::new("restart", Effect::run(["systemctl", "restart", "server.service"]), "read it"),
        ],
        rollback: vec![
            Step::new("config", Effect::remove("/etc/server.conf"), "it was not there"),
            Step::new("restart", Effect::run(["systemctl", "restart", "server.service"]), "read it"),
        ],
    }
}
