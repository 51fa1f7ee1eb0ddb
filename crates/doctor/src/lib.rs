//! Checks and their report: what every doctor prints.
//!
//! A [`Check`] is a fact that was already looked at; a [`Report`] is what a person or a program reads of several.
//!
//! **Invariant:** a report without a check has not passed: a doctor that looked at nothing found nothing healthy.

use std::fmt;

use outcome::{Exit, Failure, printable};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// How a check came out; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Pass,
    /// Works, and needs attention.
    Warn,
    /// Does not do what it is for.
    Fail,
}

impl Level {
    const fn label(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A stable kebab-case name; `--only` selects by it.
    pub name: &'static str,
    /// How it came out.
    pub level: Level,
    /// A stable kebab-case word for what is wrong, that programs can match on; `ok` for a pass.
    pub class: &'static str,
    /// What was seen.
    pub message: String,
    /// What to do about it; `None` for a pass.
    pub next: Option<String>,
}

impl Check {
    /// All is well.
    pub fn pass(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, level: Level::Pass, class: "ok", message: message.into(), next: None }
    }

    /// Works, and needs attention.
    pub fn warn(name: &'static str, class: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, class, message: message.into(), next: Some(next.into()) }
    }

    /// Does not do what it is for.
    pub fn fail(name: &'static str, class: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, class, message: message.into(), next: Some(next.into()) }
    }
}

/// `PASS: name: message`, and `next:` below it where there is something to do. One line each: control characters and
/// newlines in what was seen are escaped, so that nothing seen can pose as another check.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.level.label(), self.name, one_line(&self.message))?;
        self.next.iter().try_for_each(|next| write!(f, "\n      next: {}", one_line(next)))
    }
}

/// Those of `all` that have one of these names, in their order; all of them if there is no name. For a doctor that takes
/// long to look: what is not wanted need not be looked at.
///
/// # Errors
/// Usage, class `unknown-check`, for a name that none has: a typing error must not pass.
pub fn only<T, S: AsRef<str>>(all: Vec<T>, name: impl Fn(&T) -> &'static str, names: &[S]) -> Result<Vec<T>, Failure> {
    if let Some(unknown) = names.iter().find(|wanted| all.iter().all(|one| name(one) != wanted.as_ref())) {
        let known: Vec<_> = all.iter().map(name).collect();
        return Err(Failure::usage(
            "unknown-check",
            format!("there is no check `{}`", unknown.as_ref()),
            format!("choose among {}", known.join(", ")),
        ));
    }
    let chosen = |one: &T| names.is_empty() || names.iter().any(|wanted| wanted.as_ref() == name(one));
    Ok(all.into_iter().filter(chosen).collect())
}

fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\u{a}")
}

/// What a doctor found, in the order it looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
}

impl Report {
    /// The report of these checks.
    #[must_use]
    pub const fn new(checks: Vec<Check>) -> Self {
        Self { checks }
    }

    /// The report of the checks with these names; of all of them if there is no name.
    ///
    /// # Errors
    /// As [`only`].
    pub fn only<S: AsRef<str>>(self, names: &[S]) -> Result<Self, Failure> {
        Ok(Self { checks: only(self.checks, |check| check.name, names)? })
    }

    /// The checks in the order they were made.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// [`Exit::Done`] if something was checked and nothing failed.
    pub fn exit(&self) -> Exit {
        let failed = self.checks.is_empty() || self.checks.iter().any(|check| check.level == Level::Fail);
        if failed { Exit::Refused } else { Exit::Done }
    }

    fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.level == Level::Pass).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| writeln!(f, "{check}"))?;
        write!(f, "=== Doctor Summary: {}/{} passed ===", self.passed(), self.checks.len())
    }
}

/// `{"schema":1,"status","passed","total","checks":[{"name","level","class","message","next"}]}`.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Report", 5)?;
        report.serialize_field("schema", &1)?;
        report.serialize_field("status", self.exit().status())?;
        report.serialize_field("passed", &self.passed())?;
        report.serialize_field("total", &self.checks.len())?;
        report.serialize_field("checks", &self.checks)?;
        report.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn report() -> Report {
        Report::new(vec![
            Check::pass("pre-push", "the hook is ours"),
            Check::warn("baseline", "no-baseline", "nothing was reviewed yet", "run ship"),
            Check::fail("gate", "gate-missing", "no gate is installed", "run install-hooks"),
        ])
    }

    /// What a person sees, and the exit code.
    fn check(report: &Report) -> String {
        format!("{report}\nexit {}", report.exit().code())
    }

    #[test]
    fn a_report_says_what_was_seen_and_what_to_do() {
        assert_snapshot!(check(&report()), @r"
        PASS: pre-push: the hook is ours
        WARN: baseline: nothing was reviewed yet
              next: run ship
        FAIL: gate: no gate is installed
              next: run install-hooks
        === Doctor Summary: 1/3 passed ===
        exit 1
        ");
    }

    #[test]
    fn programs_read_the_same_as_json() {
        assert_snapshot!(serde_json::to_string_pretty(&report()).unwrap(), @r#"
        {
          "schema": 1,
          "status": "refused",
          "passed": 1,
          "total": 3,
          "checks": [
            {
              "name": "pre-push",
              "level": "pass",
              "class": "ok",
              "message": "the hook is ours",
              "next": null
            },
            {
              "name": "baseline",
              "level": "warn",
              "class": "no-baseline",
              "message": "nothing was reviewed yet",
              "next": "run ship"
            },
            {
              "name": "gate",
              "level": "fail",
              "class": "gate-missing",
              "message": "no gate is installed",
              "next": "run install-hooks"
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_warning_is_no_failure() {
        assert_snapshot!(check(&report().only(&["baseline", "pre-push"]).unwrap()), @r"
        PASS: pre-push: the hook is ours
        WARN: baseline: nothing was reviewed yet
              next: run ship
        === Doctor Summary: 1/2 passed ===
        exit 0
        ");
    }

    #[test]
    fn a_check_nobody_knows_is_wrong_usage() {
        assert_snapshot!(report().only(&["gaet"]).unwrap_err().text(), @r"
        unknown-check: there is no check `gaet`
        next: choose among pre-push, baseline, gate
        ");
    }

    #[test]
    fn nothing_checked_is_not_healthy() {
        assert_snapshot!(check(&Report::new(vec![])), @r"
        === Doctor Summary: 0/0 passed ===
        exit 1
        ");
    }

    #[test]
    fn s07_what_was_seen_cannot_pose_as_a_check_or_drive_the_terminal() {
        let seen = "hooks\u{1b}[2K\nPASS: gate: fine\u{202e}";
        assert_snapshot!(Check::fail("gate", "elsewhere", seen, "move it\r"), @r"
        FAIL: gate: hooks\u{1b}[2K\u{a}PASS: gate: fine\u{202e}
              next: move it\u{d}
        ");
    }
}
