//! The service's documents as text for a person and JSON for a program.

use std::fmt;
use std::io::{IsTerminal as _, stdout};

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, presets};
use job::{Ending, Event, Life, Request};
use runner_wire::{JobView, Jobs, Queue, Submitted, Worker, Workers};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::{Map, Value};

/// A document of the service.
#[derive(Serialize)]
pub(crate) struct Told<'a, T> {
    schema: u32,
    #[serde(flatten)]
    what: &'a T,
}

impl<'a, T> Told<'a, T> {
    pub(crate) const fn new(what: &'a T) -> Self {
        Self { schema: 1, what }
    }
}

impl fmt::Display for Told<'_, Submitted> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.job_id.as_str())
    }
}

/// How it ended, or where it stands, in a few lines.
impl fmt::Display for Told<'_, JobView> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JobView { job, waiting, duration_ms, .. } = self.what;
        let Request { job_type, repo_name, sha, .. } = &job.request;
        write!(f, "{job_type} on {repo_name} {}: {}", short(sha), job.life.status.as_str())?;
        if let Some(millis) = duration_ms {
            write!(f, " after {millis} ms")?;
        }
        if let Some(waiting) = waiting {
            write!(f, ": {waiting}")?;
        }
        if let Some(Ending { class: Some(class), reason: Some(reason), next, .. }) = &job.life.ending {
            write!(f, "\n{class}: {reason}")?;
            next.iter().try_for_each(|next| write!(f, "\nnext: {next}"))?;
        } else if let Some(cancel) = &job.life.cancel {
            write!(f, "\n{} wants it stopped: {}", cancel.by, cancel.why)?;
        }
        Ok(())
    }
}

impl fmt::Display for Told<'_, Workers> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.what.workers.iter().map(|worker| {
            let Worker { name, version, seen_at, alive, draining, slots, running, .. } = worker;
            let state = match (alive, draining) {
                (false, _) => "gone",
                (true, true) => "drains",
                (true, false) => "takes jobs",
            };
            [name.clone(), state.into(), format!("{} of {slots}", running.len()), version.clone(), seen_at.to_string()]
        });
        f.write_str(&table(["WORKER", "STATE", "RUNNING", "VERSION", "SEEN"], rows))
    }
}

impl fmt::Display for Told<'_, Queue> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Queue { queued, running, max_running, repos } = self.what;
        let row = |name: &str, queued: u64, running: u64, most: u32| {
            [name.to_owned(), queued.to_string(), format!("{running} of {most}")]
        };
        let all = std::iter::once(row("all", *queued, *running, *max_running));
        let each = repos.iter().map(|repo| row(&repo.repo_name, repo.queued, repo.running, repo.max_running));
        f.write_str(&table(["REPOSITORY", "QUEUED", "RUNNING"], all.chain(each)))
    }
}

/// A page of jobs, on a terminal a line each.
#[derive(Serialize)]
pub(crate) struct Listed<'a>(Told<'a, Jobs>);

impl<'a> Listed<'a> {
    pub(crate) const fn new(jobs: &'a Jobs) -> Self {
        Self(Told::new(jobs))
    }
}

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Jobs { jobs, next } = self.0.what;
        let rows = jobs.iter().map(|JobView { job, waiting, duration_ms, .. }| {
            let Request { job_type, repo_name, sha, .. } = &job.request;
            let time = duration_ms.map_or_else(String::new, |millis| format!("{millis} ms"));
            let class = job.life.ending.as_ref().and_then(|ending| ending.class.clone());
            let why = waiting.clone().or(class).unwrap_or_default();
            let status = job.life.status.as_str().to_owned();
            [job.job_id.to_string(), status, job_type.clone(), repo_name.clone(), short(sha), time, why]
        });
        f.write_str(&table(["JOB", "STATUS", "TYPE", "REPO", "COMMIT", "TIME", "WHY"], rows))?;
        next.iter().try_for_each(|next| write!(f, "\nolder ones: --before {next}"))
    }
}

/// All about a job.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    #[serde(flatten)]
    job: Told<'a, JobView>,
    timeline: &'a [Event],
    #[serde(skip_serializing_if = "Option::is_none")]
    invariants: Option<&'a Map<String, Value>>,
}

impl<'a> Shown<'a> {
    pub(crate) const fn new(
        job: &'a JobView,
        timeline: &'a [Event],
        invariants: Option<&'a Map<String, Value>>,
    ) -> Self {
        Self { job: Told::new(job), timeline, invariants }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = &self.job.what.job;
        let Life { attempt, max_attempts, worker, ending, .. } = &job.life;
        writeln!(f, "{}\n", self.job)?;
        writeln!(f, "job         {}", job.job_id)?;
        writeln!(f, "commit      {}", job.request.sha)?;
        for (key, value) in &job.request.params {
            writeln!(f, "parameter   {key}={value}")?;
        }
        writeln!(f, "asked by    {} with priority {}", job.submitted_by, job.priority)?;
        job.rerun_of.iter().try_for_each(|of| writeln!(f, "once more   {of}"))?;
        if let Some(worker) = worker {
            writeln!(f, "attempt     {attempt} of {max_attempts} on {worker}")?;
        }
        ending.iter().try_for_each(|ending| writeln!(f, "exit code   {}", ending.exit_code))?;
        for (name, value) in self.invariants.into_iter().flatten() {
            writeln!(f, "invariant   {name}: {value}")?;
        }
        writeln!(f, "trace       {}\n", job.trace_id)?;
        self.timeline.iter().try_for_each(|event| writeln!(f, "{}", line(event)))
    }
}

/// A line of a timeline.
pub(crate) fn line(event: &Event) -> String {
    format!("{} {}: {}", event.at, event.kind.as_str(), event.text)
}

fn short(sha: &str) -> String {
    sha.chars().take(12).collect()
}

/// Columns without lines between them. On a terminal no row is longer than it is wide.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(line_of(Row::from(head)));
    if stdout().is_terminal()
        && let Ok(size) = tcgetwinsize(stdout())
    {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(size.ws_col);
        // What a row is about is what other commands are given.
        table.set_constraints([ColumnConstraint::ContentWidth]);
    }
    for row in rows {
        // What is hidden is told as such, so that the columns stay where they are.
        let row = row.map(|cell| outcome::printable(&cell).replace(['\n', '\t'], " "));
        table.add_row(line_of(Row::from(row)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn line_of(mut row: Row) -> Row {
    row.max_height(1);
    row
}
