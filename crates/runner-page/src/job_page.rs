//! `/ui/jobs/{id}`: one job, all of it.

use askama::Template;
use job::{Artifact, Collected, Event, Kind, Level, Limits, LogSize, Logs, Status, Time};
use runner_wire::{ArtifactFile, JobView, LogTail, Stream};
use serde_json::{Map, Value};

use crate::filter::encode_path;
use crate::frame::{Frame, Shell};
use crate::part::{Ago, Badge, Icon, Meter};
use crate::{html, path, words};

/// The most lines of one list that are shown; a job may leave 100,000 files.
const MOST: usize = 200;
/// The file that tells what was proved.
const ARTIFACT: &str = "artifact.json";

/// One job.
#[derive(Debug, Clone, Copy)]
pub struct JobPage<'a> {
    /// Who looks, and when.
    pub frame: Frame<'a>,
    /// The job.
    pub view: &'a JobView,
    /// Its timeline, the oldest first.
    pub events: &'a [Event],
    /// Its artifact.json, where there is one that can be shown.
    pub artifact: Option<&'a Artifact>,
    /// The files that it left.
    pub files: &'a [ArtifactFile],
    /// The ends of its logs, for who has no JavaScript, and until the stream begins.
    pub logs: &'a [LogTail],
}

#[derive(Template)]
#[template(path = "job.html", whitespace = "minimize")]
struct Whole<'a> {
    shell: Shell<'a>,
    page: &'a JobPage<'a>,
    /// Each part says that it takes the place of the one that is there.
    swap: bool,
}

#[derive(Template)]
#[template(path = "job_fragment.html", whitespace = "minimize")]
struct Fragment<'a> {
    page: &'a JobPage<'a>,
    swap: bool,
}

/// One of the two things that must hold of every job.
pub(crate) struct Invariant {
    name: &'static str,
    holds: bool,
    says: &'static str,
}

/// What was used of what a job is bounded by.
pub(crate) struct Used {
    name: &'static str,
    taken: String,
    limit: String,
    meter: Meter,
}

impl JobPage<'_> {
    /// The page.
    pub fn render(&self) -> String {
        let request = &self.view.job.request;
        let title = format!("{} on {}", request.job_type, request.repo_name);
        html(&Whole { shell: Shell::new(title, Some(self.frame.viewer), path::JOB), page: self, swap: false })
    }

    /// The parts that change by themselves: all but the log.
    pub fn fragment(&self) -> String {
        html(&Fragment { page: self, swap: true })
    }

    fn status(&self) -> Status {
        self.view.job.life.status
    }

    fn source(&self) -> String {
        path::job_fragment(&self.view.job.job_id)
    }

    fn ago(&self, at: &Time) -> Ago {
        self.frame.ago(*at)
    }

    fn may_cancel(&self) -> bool {
        self.frame.viewer.may_submit && !self.status().is_final() && self.view.job.life.cancel.is_none()
    }

    fn may_rerun(&self) -> bool {
        self.frame.viewer.may_submit && self.status().is_final()
    }

    /// When it is tried again, where that is not yet.
    fn not_before(&self) -> Option<Time> {
        let at = self.view.job.life.not_before;
        (self.status() == Status::Queued && at > self.frame.now).then_some(at)
    }

    /// The end of one log, as text.
    fn tail(&self, stream: Stream) -> String {
        let tail = self.logs.iter().find(|tail| tail.stream == stream);
        tail.map(|tail| tail.lines.iter().flat_map(|line| [line, "\n"]).collect()).unwrap_or_default()
    }

    /// There is an artifact.json, whether it can be shown or not.
    fn left_proof(&self) -> bool {
        self.files.iter().any(|file| file.path == ARTIFACT)
    }

    fn files(&self) -> impl Iterator<Item = (&ArtifactFile, String)> {
        let base = format!("/jobs/{}/artifacts", self.view.job.job_id);
        self.files.iter().take(MOST).map(move |file| (file, format!("{base}/{}", encode_path(&file.path))))
    }
}

/// How many of what was not kept are not shown.
fn refused_more(collected: &Collected) -> u64 {
    let cut = u64::try_from(more(collected.refused.len())).unwrap_or(u64::MAX);
    collected.refused_more.saturating_add(cut)
}

/// How many of a list are not shown.
fn more(of: usize) -> usize {
    of.saturating_sub(MOST)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
const fn shape(kind: &Kind) -> &'static str {
    match kind {
        Kind::Submitted => "submitted",
        Kind::Waiting => "queued",
        Kind::Started => "running",
        Kind::CancelRequested => "cancelled",
        Kind::Retried | Kind::Released => "again",
        Kind::Lost => "error",
        Kind::Ended => "ended",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
const fn heading(kind: &Kind) -> &'static str {
    match kind {
        Kind::Submitted => "Submitted",
        Kind::Waiting => "Waiting",
        Kind::Started => "Started",
        Kind::CancelRequested => "Cancel requested",
        Kind::Retried => "Retried",
        Kind::Lost => "Worker lost",
        Kind::Released => "Handed back",
        Kind::Ended => "Ended",
    }
}

/// What a level means, for a person.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
const fn meaning(level: &Level) -> &'static str {
    match level {
        Level::L3 => "own root directory, tree mounted read-only, every namespace its own",
        Level::L2 => "as L3, with the machine's /proc, read-only",
        Level::L1 => "no namespaces: filter, Landlock and limits, on a mount that is read-only",
        Level::L0 => "no namespaces: filter, Landlock and limits, on a copy that is compared afterwards",
    }
}

fn invariants(artifact: &Artifact) -> [Invariant; 2] {
    let held = &artifact.invariants;
    [
        Invariant {
            name: "Tree is read-only",
            holds: held.read_only_ok,
            says: if held.read_only_ok {
                "a write to the tree was tried from inside and refused"
            } else {
                "it was not seen that a write to the tree is refused"
            },
        },
        Invariant {
            name: "Tree is clean",
            holds: held.clean_tree_ok,
            says: match (held.clean_tree_ok, &held.reason) {
                (true, _) => "after the job the tree is that of the commit",
                (false, Some(_)) => "the job changed the tree, or tried to",
                (false, None) => "it was not seen that the tree is still that of the commit",
            },
        },
    ]
}

fn used(artifact: &Artifact) -> Vec<Used> {
    let (Some(usage), Some(limits)) = (artifact.usage, artifact.limits) else { return Vec::new() };
    let row = |name, show: fn(&u64) -> String, taken, most| Used {
        name,
        taken: show(&taken),
        limit: show(&most),
        meter: Meter { taken, most, label: name },
    };
    vec![
        row("Wall clock", words::span, usage.wall_ms, limits.wall_ms),
        row("Processor time", words::span, usage.cpu_ms, limits.cpu_ms),
        row("Peak memory", words::size, usage.peak_memory_bytes, limits.memory_bytes),
    ]
}

const fn log_sizes(logs: &Logs) -> [(&'static str, LogSize); 2] {
    [("stdout", logs.stdout), ("stderr", logs.stderr)]
}

/// The limits of which no use is measured.
fn other_limits(limits: &Limits) -> [(&'static str, String); 9] {
    [
        ("Grace after TERM", words::span(&limits.grace_ms)),
        ("Processes at once", words::count(&limits.processes)),
        ("Open files of each", words::count(&limits.open_files)),
        ("One file", words::size(&limits.file_bytes)),
        ("Temporary files", words::size(&limits.tmp_bytes)),
        ("Number of temporary files", words::count(&limits.tmp_files)),
        ("Each log", words::size(&limits.log_bytes)),
        ("Outputs", words::size(&limits.artifact_bytes)),
        ("Number of outputs", words::count(&limits.artifact_files)),
    ]
}

/// Facts as a line each: `limits.cpu` is what `limits` says of `cpu`.
fn facts(evidence: &Map<String, Value>) -> Vec<(String, String)> {
    let lines = |(name, value): (&String, &Value)| match value {
        Value::Object(inner) => {
            facts(inner).into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)).collect()
        }
        Value::Bool(true) => vec![(name.clone(), "yes".into())],
        Value::Bool(false) => vec![(name.clone(), "no".into())],
        Value::String(text) => vec![(name.clone(), text.clone())],
        other => vec![(name.clone(), other.to_string())],
    };
    evidence.iter().flat_map(lines).collect()
}
