//! The SSH server: whether it is bound to the tailnet, as `sshd-fix` sees it.

use doctor::Check;
use outcome::Failure;
use sshd_fix::Status;

use crate::{Scene, root_alone};

pub(crate) const NAME: &str = "sshd";

pub(crate) fn sshd(scene: &Scene<'_>) -> Result<Check, Failure> {
    root_alone(scene.host)?;
    Ok(judge(&sshd_fix::look(scene.host, &scene.site.program)?))
}

fn judge(status: &Status) -> Check {
    let text = status.to_string();
    // What to do is told apart.
    let message = text.lines().next().unwrap_or_default();
    match status {
        Status::NoSshd | Status::LockedDown { .. } => Check::pass(NAME, message),
        Status::Pending { .. } => {
            let next =
                "log in anew over the tailnet and run: sudo sshd-fix confirm; or put it back: sudo sshd-fix rollback";
            Check::warn(NAME, "sshd-pending", message, next)
        }
        Status::Open { reason: None, .. } => Check::fail(NAME, "sshd-open", message, "sudo sshd-fix plan"),
        Status::Open { reason: Some(reason), .. } => {
            let message = format!("{message}; sshd-fix could not change it now: {reason}");
            Check::fail(NAME, "sshd-open", message, "mend that, then: sudo sshd-fix plan")
        }
    }
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::{looked, shown};

    #[test]
    fn a_public_sshd_fails_with_what_mends_it() {
        let at = vec!["0.0.0.0:22".parse().unwrap(), "[::]:22".parse().unwrap()];
        assert_snapshot!(shown(&judge(&Status::Open { at: at.clone(), reason: None })), @"
        FAIL: sshd: open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22
              next: sudo sshd-fix plan
              class: sshd-open
        ");
        let reason = Some("there is no tailscale on this host\nTailscale is Stopped".to_owned());
        assert_snapshot!(shown(&judge(&Status::Open { at, reason })), @r"
        FAIL: sshd: open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22; sshd-fix could not change it now: there is no tailscale on this host\u{a}Tailscale is Stopped
              next: mend that, then: sudo sshd-fix plan
              class: sshd-open
        ");
    }

    #[test]
    fn a_change_that_waits_is_told_with_the_time_that_is_left() {
        let pending = |left_s| {
            let before = vec!["0.0.0.0:22".parse().unwrap()];
            shown(&judge(&Status::Pending { at: "100.64.0.1:22".parse().unwrap(), before, left_s }))
        };
        assert_snapshot!(pending(Some(42)), @"
        WARN: sshd: pending: sshd listens at 100.64.0.1:22; in 42 s it listens again at 0.0.0.0:22
              next: log in anew over the tailnet and run: sudo sshd-fix confirm; or put it back: sudo sshd-fix rollback
              class: sshd-pending
        ");
        assert_snapshot!(pending(None), @"
        WARN: sshd: pending: sshd listens at 100.64.0.1:22; no time runs, at the next boot it listens again at 0.0.0.0:22
              next: log in anew over the tailnet and run: sudo sshd-fix confirm; or put it back: sudo sshd-fix rollback
              class: sshd-pending
        ");
    }

    #[test]
    fn sshd_on_the_tailnet_alone_or_none_at_all_passes() {
        assert_snapshot!(shown(&judge(&Status::LockedDown { at: "100.64.0.1:22".parse().unwrap() })), @"
        PASS: sshd: locked-down: sshd listens at 100.64.0.1:22 and nowhere else
              class: ok
        ");
        assert_snapshot!(shown(&judge(&Status::NoSshd)), @"
        PASS: sshd: no-sshd: no sshd runs here, and none would at the next boot
              class: ok
        ");
    }

    #[test]
    fn what_was_not_seen_is_no_pass() {
        assert_snapshot!(looked(&Fake::new(), NAME), @"
        FAIL: sshd: only root is told
              next: run it by sudo
              class: not-root
        ");
        assert!(looked(&Fake::new().user(0), NAME).starts_with("FAIL"));
    }
}
