//! What a run tells while it goes: a line for a person, an object for a program.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use verdict::schema::{Decision, Finding};

/// Something that happened. With `--json` one object a line, but for [`Progress::Working`], which only a terminal shows.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// What is shipped where.
    Range {
        /// The remote's name.
        remote: String,
        /// The full name of its ref.
        target: String,
        /// Where the range begins, zeros where everything is new.
        since: String,
        /// The commit that is shipped.
        to: String,
        /// Where the policy comes from.
        policy: String,
    },
    /// A run that was killed is continued.
    Resumed {
        /// Where it stood.
        at: crate::machine::State,
    },
    /// A step begins.
    Step {
        /// What is done.
        step: &'static str,
        /// Counts from 1.
        round: u32,
    },
    /// A test step passed.
    Tested {
        /// The step's name.
        name: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// A test step failed.
    TestFailed {
        /// Which one and how.
        reason: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A line that a running step wrote: shown for as long as the step runs.
    Working {
        /// The line.
        line: String,
    },
    /// What is asked, before the first question.
    Planned {
        /// To be answered in all.
        total: usize,
        /// Of those, answered before.
        kept: usize,
        /// The estimate of what the questions cost.
        tokens: u64,
    },
    /// A question failed and is asked again.
    Again {
        /// Which one.
        packet: String,
        /// Why it failed.
        reason: String,
    },
    /// An answer of the reviewer came in.
    Packet {
        /// Answered so far.
        done: usize,
        /// To be answered in all.
        total: usize,
    },
    /// A review is done.
    Verdict {
        /// The decision.
        verdict: Decision,
        /// No reviewer was asked.
        simulated: bool,
        /// What has to be mended.
        blockers: Vec<Finding>,
        /// What is worth knowing.
        non_blocking: Vec<Finding>,
        /// Where the record is.
        record: PathBuf,
    },
    /// A heal was accepted.
    Healed {
        /// The commit it became.
        commit: String,
        /// The files it changed, escaped for show.
        paths: Vec<String>,
    },
    /// The remote has it.
    Pushed {
        /// The full name of the remote's ref.
        target: String,
        /// The id it has now, read back.
        id: String,
    },
}

impl Progress {
    pub(crate) fn working(line: &str) -> Self {
        Self::Working { line: line.to_owned() }
    }

    /// What is being worked on from here until something else is told, if this tells.
    pub(crate) fn then(&self) -> Option<String> {
        match self {
            Self::Step { step, .. } => Some((*step).to_owned()),
            Self::Planned { total, kept, .. } => Some(format!("review: {kept} of {total} packets")),
            Self::Packet { done, total } => Some(format!("review: {done} of {total} packets")),
            _ => None,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { remote, target, since, to, policy } => {
                write!(f, "shipping {}..{} to {remote} {target} (policy: {policy})", short(since), short(to))
            }
            Self::Resumed { .. } => f.write_str("an earlier ship was interrupted: going on"),
            Self::Step { step, round: 1 } => write!(f, "{step}"),
            Self::Step { step, round } => write!(f, "{step} (round {round})"),
            Self::Tested { name, duration_ms } => write!(f, "  passed {name} in {}", seconds(*duration_ms)),
            Self::TestFailed { reason, output } => write!(f, "{output}\n  {reason}"),
            Self::Working { line } => f.write_str(line),
            Self::Planned { total, kept, tokens } => {
                let kept = if *kept == 0 { String::new() } else { format!(", {kept} answered before") };
                let packets = if *total == 1 { "packet" } else { "packets" };
                write!(f, "  {total} {packets} to review{kept}, about {tokens} tokens")
            }
            Self::Again { packet, reason } => write!(f, "  asking again about {packet}: {reason}"),
            Self::Packet { done, total } => write!(f, "  reviewed {done} of {total} packets"),
            Self::Verdict { verdict, simulated, blockers, non_blocking, record } => {
                verdict_lines(f, *verdict, *simulated, blockers, non_blocking)?;
                write!(f, "  record: {}", record.display())
            }
            Self::Healed { commit, paths } => write!(f, "  healed in {}: {}", short(commit), paths.join(", ")),
            Self::Pushed { target, id } => write!(f, "  {target} is now {}", short(id)),
        }
    }
}

fn verdict_lines(
    f: &mut fmt::Formatter<'_>,
    verdict: Decision,
    simulated: bool,
    blockers: &[Finding],
    non_blocking: &[Finding],
) -> fmt::Result {
    let word = match verdict {
        Decision::Approved => "APPROVED",
        Decision::Blocked => "BLOCKED",
    };
    writeln!(f, "  {}{word}", if simulated { "SIMULATED VERDICT " } else { "" })?;
    let lines = blockers.iter().map(|finding| ("blocker", finding));
    let mut lines = lines.chain(non_blocking.iter().map(|finding| ("note", finding)));
    lines.try_for_each(|(kind, finding)| writeln!(f, "  {kind}: {}", line_of(finding)))
}

/// A finding in one line: where, what and why.
pub(crate) fn line_of(finding: &Finding) -> String {
    let place = match (&finding.path, finding.line) {
        (Some(path), Some(line)) => format!("{path}:{line}: "),
        (Some(path), None) => format!("{path}: "),
        (None, _) => String::new(),
    };
    let detail = if finding.detail.is_empty() { String::new() } else { format!(": {}", finding.detail) };
    format!("{place}{}{detail}", finding.title)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}
