//! `artifact.json`: what was run, on which content, under which isolation, how it ended and what it left.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::conclude::{MUTATION_DETECTED, NO_EXIT_CODE};
use crate::digest::Sha256;
use crate::id::Id;
use crate::size_cap::SizeCapMeta;
use crate::status::Status;
use crate::strict::{self, Invalid};
use crate::time::Time;

/// The number in an artifact's `schema`.
pub const SCHEMA: u32 = 1;
/// The longest `artifact.json`, in bytes: 100,000 outputs, named twice, with room to spare.
pub const MAX_BYTES: usize = 128 << 20;

/// The file `artifact.json` of a job that has ended. What is optional is left out where there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Always 1.
    pub schema: u32,
    /// The job, and the name of its directory.
    pub job_id: Id,
    /// The allowlisted repository.
    pub repo_name: String,
    /// Its canonical URL in the allowlist.
    pub remote_url: String,
    /// The full id of the commit.
    pub sha: String,
    /// The allowlisted job.
    pub job_type: String,
    /// What was run.
    pub argv: Vec<String>,
    /// The time limit, in seconds.
    pub timeout_sec: u64,
    /// When the runner took the job.
    pub started_at: Time,
    /// When everything about it was known.
    pub finished_at: Time,
    /// Between the two, by a clock that never jumps, in milliseconds.
    pub duration_ms: u64,
    /// The job's own; 128 and the signal's number where one ended it; -1 where it did not come to an end of its own.
    pub exit_code: i32,
    /// How it ended.
    pub status: Status,
    /// Why it did not succeed: a stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Why it did not succeed, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do next, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The machine.
    pub hostname: String,
    /// Ties the lines of a job in logs together.
    pub trace_id: String,
    /// SHA-256 of what was asked for; equal for equal requests.
    pub input_hash: Sha256,
    /// SHA-256 of the allowlists in force.
    pub allowlist_hash: Sha256,
    /// The job's output, relative to the directory of this file.
    pub stdout_path: String,
    /// The job's error output.
    pub stderr_path: String,
    /// The parameters.
    pub params: BTreeMap<String, String>,
    /// The paths of `collected.files`.
    pub outputs: Vec<String>,
    /// Whether the job could write the tree, and whether the tree is what it was.
    pub invariants: Invariants,
    /// The isolation that was achieved; none where nothing was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What the job was bounded by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The facts that `level` rests on, as the sandbox observed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Map<String, Value>>,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The content it ran on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<Tree>,
    /// How much it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
    /// What it left and what of that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected: Option<Collected>,
    /// Stable words: `SIZE_CAP_EXCEEDED`, `OUTPUT_REFUSED`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// True where a review became packets; else left out, as the next three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_cap_exceeded: Option<bool>,
    /// The archive of the packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_packets_archive: Option<String>,
    /// The directory of the packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_packets_dir: Option<String>,
    /// All that the job said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_cap_fallback: Option<SizeCapMeta>,
}

/// What must hold of every job. What was not observed does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invariants {
    /// A write to the tree was tried from inside and refused.
    pub read_only_ok: bool,
    /// After the job the tree is that of the commit.
    pub clean_tree_ok: bool,
    /// `MUTATION_DETECTED`, or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was not observed and why, or how much changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// What differs, or what the job tried to change; at most the first 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_files: Vec<String>,
}

/// How far the kernel isolated the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the numbers are explained where they are achieved")]
pub enum Level {
    L0,
    L1,
    L2,
    L3,
}

/// What a job is bounded by. Times in milliseconds, sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// By the clock.
    pub wall_ms: u64,
    /// Between TERM and KILL.
    pub grace_ms: u64,
    /// Processor time.
    pub cpu_ms: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// The size of one file.
    pub file_bytes: u64,
    /// All temporary files.
    pub tmp_bytes: u64,
    /// How many temporary files.
    pub tmp_files: u64,
    /// All outputs.
    pub artifact_bytes: u64,
    /// How many outputs.
    pub artifact_files: u64,
    /// What is kept of each log.
    pub log_bytes: u64,
}

/// What a job used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// From the start of the sandbox to its end, in milliseconds.
    pub wall_ms: u64,
    /// Processor time, in milliseconds.
    pub cpu_ms: u64,
    /// The most memory at once.
    pub peak_memory_bytes: u64,
    /// Processes that were killed for want of memory.
    pub oom_kills: u64,
    /// Processes that were not started.
    pub refused_processes: u64,
}

/// The content a job ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The id of the commit's tree.
    pub id: String,
    /// How the checkout was made: `warm`, `near` or `cold`.
    pub made: String,
    /// What the last verification of its content was.
    pub verified: String,
}

/// How much a job said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Standard output.
    pub stdout: LogSize,
    /// Standard error.
    pub stderr: LogSize,
}

/// How much of one stream there was and is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSize {
    /// Bytes that the job wrote.
    pub seen: u64,
    /// Bytes of the log file.
    pub kept: u64,
    /// Something was left out of the middle; the log says how much and where.
    pub truncated: bool,
    /// How often a secret was replaced.
    pub redacted: u64,
}

/// What a job left in its directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// What was kept, sorted by path.
    pub files: Vec<CollectedFile>,
    /// What was not and why; at most the first 1000.
    pub refused: Vec<Refused>,
    /// How many more were refused.
    pub refused_more: u64,
}

/// A file that was kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectedFile {
    /// Relative to the directory of the outputs.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Sha256,
}

/// Something that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its path, escaped for show.
    pub path: String,
    /// Why: a stable word.
    pub reason: String,
}

impl Artifact {
    /// Reads an artifact.
    ///
    /// # Errors
    /// [`Invalid`] unless the file is exactly one JSON document of this schema that does not contradict itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let artifact: Self = strict::parse(bytes, MAX_BYTES)?;
        artifact.check()?;
        Ok(artifact)
    }

    /// The file's text: indented JSON with a final newline.
    ///
    /// # Errors
    /// [`Invalid`] for an artifact that [`Artifact::parse`] would refuse.
    pub fn to_json(&self) -> Result<String, Invalid> {
        self.check()?;
        strict::to_json(self, MAX_BYTES)
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// The first [`Invalid`] that holds.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.schema != SCHEMA {
            return Err(Invalid::Schema { is: self.schema, want: SCHEMA });
        }
        let checks = [self.check_status(), self.invariants.check(), self.check_outputs(), self.check_size_cap()];
        checks.into_iter().collect()
    }

    /// The JSON Schema of the file, shipped as `docs/schemas/artifact.schema.json`.
    pub fn json_schema() -> Value {
        strict::json_schema::<Self>()
    }

    fn check_status(&self) -> Result<(), Invalid> {
        let why = [&self.class, &self.reason, &self.next].map(Option::is_some);
        let ended_by_itself = self.exit_code != NO_EXIT_CODE;
        let mutated = self.invariants.reason.is_some();
        let contradiction = match self.status {
            Status::Queued | Status::Running => Some("it has not ended"),
            Status::Success if self.exit_code != 0 => Some("a success has exit code 0"),
            Status::Success if why != [false; 3] => Some("a success needs no reason"),
            Status::Success if !(self.invariants.read_only_ok && self.invariants.clean_tree_ok) => {
                Some("a success needs a read-only and clean tree")
            }
            Status::Success => None,
            _ if why != [true; 3] => Some("what did not succeed has a class, a reason and a next"),
            Status::Error | Status::Timeout | Status::Cancelled if ended_by_itself => {
                Some("what did not come to an end of its own has exit code -1")
            }
            Status::Error | Status::Timeout | Status::Cancelled if mutated => Some("a changed tree is a failure"),
            Status::Failure if !ended_by_itself && !mutated => Some("a failure has an exit code"),
            _ => None,
        };
        contradiction.map_or(Ok(()), |why| Err(Invalid::Contradiction(why)))
    }

    fn check_outputs(&self) -> Result<(), Invalid> {
        let kept = self.collected.iter().flat_map(|collected| &collected.files).map(|file| &file.path);
        if kept.eq(&self.outputs) { Ok(()) } else { Err(Invalid::Contradiction("the outputs are the collected files")) }
    }

    fn check_size_cap(&self) -> Result<(), Invalid> {
        let Some(meta) = &self.size_cap_fallback else {
            let named = [&self.review_packets_archive, &self.review_packets_dir].map(Option::is_some);
            let free = self.size_cap_exceeded.is_none() && named == [false; 2];
            return if free { Ok(()) } else { Err(Invalid::Contradiction("a size cap without its fallback")) };
        };
        meta.check()?;
        let same = self.status == Status::Success
            && self.size_cap_exceeded == Some(true)
            && self.review_packets_archive.as_ref() == Some(&meta.review_packets_archive)
            && self.review_packets_dir.as_ref() == Some(&meta.review_packets_dir)
            && meta.warnings.iter().all(|warning| self.warnings.contains(warning));
        if !same {
            return Err(Invalid::Contradiction("the size cap is told in two ways"));
        }
        match &self.collected {
            Some(collected) if meta.missing_in(collected).is_none() => Ok(()),
            _ => Err(Invalid::Contradiction("the fallback names a file that was not collected")),
        }
    }
}

impl Invariants {
    fn check(&self) -> Result<(), Invalid> {
        let mutated = self.reason.is_some();
        if self.reason.as_ref().is_some_and(|reason| reason != MUTATION_DETECTED) {
            return Err(Invalid::Contradiction("the one reason is MUTATION_DETECTED"));
        }
        if mutated && self.clean_tree_ok {
            return Err(Invalid::Contradiction("the tree is clean and changed"));
        }
        if !mutated && !self.changed_files.is_empty() {
            return Err(Invalid::Contradiction("files changed and nobody says so"));
        }
        Ok(())
    }
}
