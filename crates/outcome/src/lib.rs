//! How a program ends: one documented set of exit codes, and failures that say what, why and what to do next.
//!
//! **Invariant:** every failure a person or a program sees carries a class, a reason and a next action.

use std::borrow::Cow;
use std::process::ExitCode;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Exit codes shared by every program. Documented in `docs/exit-codes.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done.
    Done,
    /// Refused, blocked, or a check failed.
    Refused,
    /// The arguments are wrong.
    Usage,
    /// A tool, key, configuration or permission is missing.
    NotReady,
    /// Reviewer, network, disk or time-out: try again.
    Infrastructure,
    /// Another run holds the lock.
    Busy,
    /// The size cap was exceeded.
    SizeCap,
    /// A bug in this program.
    Bug,
}

impl Exit {
    /// All exit codes, in ascending order.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Refused,
        Self::Usage,
        Self::NotReady,
        Self::Infrastructure,
        Self::Busy,
        Self::SizeCap,
        Self::Bug,
    ];

    /// The number the process exits with. 70 is `EX_SOFTWARE` of `sysexits.h`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::NotReady => 3,
            Self::Infrastructure => 4,
            Self::Busy => 5,
            Self::SizeCap => 6,
            Self::Bug => 70,
        }
    }

    /// The word for it in JSON (`status`).
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Usage => "usage",
            Self::NotReady => "not_ready",
            Self::Infrastructure => "infrastructure",
            Self::Busy => "busy",
            Self::SizeCap => "size_cap",
            Self::Bug => "bug",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a program could not do what it was asked, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A stable kebab-case word that programs can match on.
    pub class: Cow<'static, str>,
    /// What failed and why, for a person.
    pub reason: String,
    /// What to do next, for a person.
    pub next: String,
    /// The single reasons, where there are several; [`Failure::reason`] tells them too.
    pub refusals: Vec<Refusal>,
}

/// One of several reasons of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// A stable kebab-case word that programs can match on.
    pub class: &'static str,
    /// What it is about and why, for a person.
    pub reason: String,
    /// What to do next, for a person.
    pub next: String,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $exit:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(class: impl Into<Cow<'static, str>>, reason: impl Into<String>, next: impl Into<String>) -> Self {
            Self { exit: Exit::$exit, class: class.into(), reason: reason.into(), next: next.into(), refusals: vec![] }
        }
    )*};
}

impl Failure {
    constructors! {
        /// Refused, blocked, or a check failed: exit 1.
        refused => Refused,
        /// Wrong arguments: exit 2.
        usage => Usage,
        /// Something that must be there is missing: exit 3.
        not_ready => NotReady,
        /// Reviewer, network, disk or time-out: exit 4.
        infrastructure => Infrastructure,
        /// Another run holds the lock: exit 5.
        busy => Busy,
        /// Over the size cap: exit 6.
        size_cap => SizeCap,
        /// A bug here: exit 70.
        bug => Bug,
    }

    /// Its class, for what has room only for those that are known beforehand; `unseen` for one that was made up.
    #[must_use]
    pub const fn known_class(&self) -> &'static str {
        match self.class {
            Cow::Borrowed(class) => class,
            Cow::Owned(_) => "unseen",
        }
    }

    /// The text for stderr: what failed and why, then `next:` and what to do.
    ///
    /// Control characters other than newline are escaped, so that nothing quoted from a repository or a model
    /// can drive the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        printable(&format!("{}: {}\nnext: {}", self.class, self.reason, self.next))
    }
}

/// The object that `--json` prints: `{"schema":1,"status","class","reason","next"}`, and `refusals` where there are some.
impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let some = !self.refusals.is_empty();
        let mut failure = serializer.serialize_struct("Failure", 5 + usize::from(some))?;
        failure.serialize_field("schema", &1)?;
        failure.serialize_field("status", self.exit.status())?;
        failure.serialize_field("class", &self.class)?;
        failure.serialize_field("reason", &self.reason)?;
        failure.serialize_field("next", &self.next)?;
        if some {
            failure.serialize_field("refusals", &self.refusals)?;
        }
        failure.end()
    }
}

/// `text` with everything that could drive a terminal or hide in it escaped as `\u{..}`; newlines and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || !is_hidden(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// Control, bidirectional, zero-width and tag characters: what a terminal obeys or hides instead of showing.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let table: String = Exit::ALL.iter().map(|exit| format!("{} {}\n", exit.code(), exit.status())).collect();
        assert_snapshot!(table, @r"
        0 done
        1 refused
        2 usage
        3 not_ready
        4 infrastructure
        5 busy
        6 size_cap
        70 bug
        ");
    }

    #[test]
    fn a_failure_says_what_why_and_next() {
        let failure = Failure::busy("ship-locked", "another ship runs here (pid 12)", "wait for it, then ship again");
        assert_snapshot!(failure.text(), @r"
        ship-locked: another ship runs here (pid 12)
        next: wait for it, then ship again
        ");
        assert_snapshot!(serde_json::to_string(&failure).unwrap(), @r#"{"schema":1,"status":"busy","class":"ship-locked","reason":"another ship runs here (pid 12)","next":"wait for it, then ship again"}"#);
    }

    #[test]
    fn several_reasons_are_told_one_by_one_as_json() {
        let one = Refusal { class: "no-verdict", reason: "no verdict".into(), next: "ship".into() };
        let failure = Failure { refusals: vec![one], ..Failure::refused("push-blocked", "1 reason", "mend it") };
        assert_snapshot!(serde_json::to_string(&failure).unwrap(), @r#"{"schema":1,"status":"refused","class":"push-blocked","reason":"1 reason","next":"mend it","refusals":[{"class":"no-verdict","reason":"no verdict","next":"ship"}]}"#);
    }

    #[test]
    fn quoted_text_cannot_drive_the_terminal() {
        let failure = Failure::refused("bad-name", "branch \u{1b}[2Jmain\u{202e}\r", "rename it");
        assert_snapshot!(failure.text(), @r"
        bad-name: branch \u{1b}[2Jmain\u{202e}\u{d}
        next: rename it
        ");
    }
}
