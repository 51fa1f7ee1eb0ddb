//! The clock: whether it is kept right, and whether it can be right at all.

use std::time::{Duration, SystemTime};

use doctor::Check;
use host::Cmd;
use jiff::Timestamp;
use outcome::Failure;
use rustix::fs::stat;

use crate::{Scene, told, unseen, worst};

pub(crate) const NAME: &str = "clock";

/// Touched by systemd while it keeps the clock.
const SYNCHRONIZED: &str = "/var/lib/systemd/timesync/clock";
/// What was written a moment ago by a clock that was set since is no sign of anything.
const TOLERANCE: Duration = Duration::from_hours(1);
const NEXT: &str = "run: timedatectl set-ntp true, and see: timedatectl";

pub(crate) fn clock(scene: &Scene<'_>) -> Result<Check, Failure> {
    let cmd = Cmd::new("timedatectl").args(["show", "--property=NTP", "--property=NTPSynchronized"]).env("LC_ALL", "C");
    let text = told(scene.host, &cmd)?;
    let kept = kept(&text).ok_or_else(|| unseen(&cmd, &format!("it says: {text}")))?;
    // Nothing on the host is younger than now.
    let program = scene.site.program.to_string_lossy();
    let written = [&*program, SYNCHRONIZED].into_iter().filter_map(|path| Some((path.to_owned(), written(path)?)));
    let youngest = written.max_by_key(|(_, at)| *at);
    Ok(worst(NAME, vec![kept, possible(scene.host.now(), youngest)]))
}

/// When a file was last written, where there is one and that can be known.
fn written(path: &str) -> Option<SystemTime> {
    let seconds = u64::try_from(stat(path).ok()?.st_mtime).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn kept(text: &str) -> Option<Check> {
    let of = |name: &str| match text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))? {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    Some(match (of("NTPSynchronized")?, of("NTP")?) {
        (true, _) => Check::pass(NAME, "synchronized"),
        (false, true) => {
            Check::warn(NAME, "clock-unsynchronized", "the clock is not synchronized, no server of time answers", NEXT)
        }
        (false, false) => {
            Check::warn(NAME, "clock-unsynchronized", "the clock is not synchronized, nothing keeps it right", NEXT)
        }
    })
}

fn possible(now: SystemTime, youngest: Option<(String, SystemTime)>) -> Check {
    match youngest {
        Some((path, at)) if now + TOLERANCE < at => {
            let message = format!("the clock says {}, and {path} was written at {}", told_as(now), told_as(at));
            Check::fail(NAME, "clock-behind", message, NEXT)
        }
        _ => Check::pass(NAME, format!("it is {}", told_as(now))),
    }
}

fn told_as(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "no time".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::{looked, shown};

    /// The clock of a host, whose systemd does not keep it on the machine that tests run on.
    fn told(code: i32, text: &str) -> String {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800);
        looked(&Fake::new().clock(late).answer("timedatectl show", code, text), NAME)
    }

    #[test]
    fn a_clock_that_nothing_keeps_right_warns() {
        assert_snapshot!(told(0, "NTP=yes\nNTPSynchronized=yes\n"), @"
        PASS: clock: synchronized; it is 2100-01-01T00:00:00Z
              class: ok
        ");
        assert_snapshot!(told(0, "NTP=yes\nNTPSynchronized=no\n"), @"
        WARN: clock: the clock is not synchronized, no server of time answers
              next: run: timedatectl set-ntp true, and see: timedatectl
              class: clock-unsynchronized
        ");
        assert_snapshot!(told(0, "NTP=no\nNTPSynchronized=no\n"), @"
        WARN: clock: the clock is not synchronized, nothing keeps it right
              next: run: timedatectl set-ntp true, and see: timedatectl
              class: clock-unsynchronized
        ");
        assert!(told(0, "NTP=no\nNTPSynchronized=yes\n").starts_with("PASS"), "chrony and others keep it too");
    }

    #[test]
    fn v05_what_cannot_be_read_is_no_pass() {
        assert_snapshot!(told(1, ""), @"
        FAIL: clock: `timedatectl show --property=NTP --property=NTPSynchronized` does not tell: exit 1
              next: run it by hand, and mend what it says
              class: unseen
        ");
        for odd in ["", "NTPSynchronized=yes", "NTP=yes\nNTPSynchronized=true", "NTP=yes\n NTPSynchronized=yes", "yes"]
        {
            let said = told(0, odd);
            assert!(said.ends_with("class: unseen"), "{odd}: {said}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_what_was_written_fails() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let judge =
            |now, written| shown(&possible(at(now), Some(("/usr/local/bin/openclaw-doctor".into(), at(written)))));
        assert_snapshot!(judge(1_000_000_000, 1_767_225_600), @"
        FAIL: clock: the clock says 2001-09-09T01:46:40Z, and /usr/local/bin/openclaw-doctor was written at 2026-01-01T00:00:00Z
              next: run: timedatectl set-ntp true, and see: timedatectl
              class: clock-behind
        ");
        assert_snapshot!(judge(1_767_222_000, 1_767_225_600), @"
        PASS: clock: it is 2025-12-31T23:00:00Z
              class: ok
        ");
        assert!(judge(1_767_221_999, 1_767_225_600).starts_with("FAIL"));
        assert_snapshot!(shown(&possible(at(0), None)), @"
        PASS: clock: it is 1970-01-01T00:00:00Z
              class: ok
        ");
        let own = std::env::current_exe().unwrap();
        assert!(written(own.to_str().unwrap()) > Some(at(1_600_000_000)) && written("/nothing").is_none());
    }
}
