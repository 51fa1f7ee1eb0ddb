//! Units of systemd that have failed.

use doctor::Check;
use host::Cmd;
use outcome::Failure;

use crate::{Scene, told, unseen};

pub(crate) const NAME: &str = "failed-units";

/// Where a timer runs this program, it is failed while the host is not healthy: that is no news of the host.
const OWN: &str = "openclaw-doctor.service";

pub(crate) fn units(scene: &Scene<'_>) -> Result<Check, Failure> {
    let cmd =
        Cmd::new("systemctl").args(["list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "--full"]);
    let cmd = cmd.env("LC_ALL", "C");
    let text = told(scene.host, &cmd)?;
    let names = names(&text).ok_or_else(|| unseen(&cmd, "a line of it is not understood"))?;
    let names: Vec<_> = names.into_iter().filter(|name| *name != OWN).collect();
    if names.is_empty() {
        return Ok(Check::pass(NAME, "no unit has failed"));
    }
    let next = format!("see why: systemctl status {}", names[0]);
    Ok(Check::fail(NAME, "unit-failed", format!("failed: {}", names.join(", ")), next))
}

/// Of lines with a unit, how it was loaded, twice its state, and a text.
fn names(text: &str) -> Option<Vec<&str>> {
    let name = |line| {
        let mut words = str::split_whitespace(line);
        let name = words.next()?;
        (words.nth(1)? == "failed" && name.contains('.')).then_some(name)
    };
    text.lines().map(name).collect()
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::looked;

    fn listed(code: i32, text: &str) -> String {
        looked(&Fake::new().answer("systemctl list-units --state=failed", code, text), NAME)
    }

    #[test]
    fn units_that_have_failed_are_named() {
        assert_snapshot!(listed(0, ""), @"
        PASS: failed-units: no unit has failed
              class: ok
        ");
        assert_snapshot!(listed(0, "backup.service loaded failed failed Back it up\ndata.mount        loaded failed failed /data\n"), @"
        FAIL: failed-units: failed: backup.service, data.mount
              next: see why: systemctl status backup.service
              class: unit-failed
        ");
        assert_snapshot!(listed(0, "openclaw-doctor.service loaded failed failed Look\n"), @"
        PASS: failed-units: no unit has failed
              class: ok
        ");
        assert_snapshot!(listed(0, "openclaw-doctor.service loaded failed failed Look\ngone.service not-found failed failed gone.service\n"), @"
        FAIL: failed-units: failed: gone.service
              next: see why: systemctl status gone.service
              class: unit-failed
        ");
    }

    #[test]
    fn v05_what_cannot_be_read_is_no_pass() {
        assert_snapshot!(listed(1, ""), @"
        FAIL: failed-units: `systemctl list-units --state=failed --plain --no-legend --no-pager --full` does not tell: exit 1
              next: run it by hand, and mend what it says
              class: unseen
        ");
        for odd in [
            "● backup.service loaded failed failed Back it up",
            "0 loaded units listed.",
            "backup.service loaded active running x",
            "a b failed",
            "x",
        ] {
            let said = listed(0, odd);
            assert!(said.ends_with("class: unseen"), "{odd}: {said}");
        }
    }
}
