//! The documents of the runner's HTTP API, as its server writes and its clients read them.
//!
//! What a client sends is read strictly: an unknown key is an error. What the server sends may grow: a client ignores
//! what it does not know.

use std::collections::BTreeMap;
use std::fmt;

use job::{Event, Id, Job, Status, Time};
use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The body of `POST /jobs`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The allowlisted repository.
    pub repo_name: String,
    /// Where the caller believes it to be: compared, never fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_url: Option<String>,
    /// The full id of the commit.
    pub sha: String,
    /// The allowlisted job.
    pub job_type: String,
    /// The same key again, with the same request, is the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The job's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "each_once")]
    pub params: BTreeMap<String, String>,
    /// More is sooner: -100 to 100, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The most attempts where the infrastructure fails: 1 to 10, else 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// Which of two values of a key was meant nobody knows.
fn each_once<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct EachOnce;

    impl<'de> Visitor<'de> for EachOnce {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry::<String, String>()? {
                if map.insert(key, value).is_some() {
                    return Err(A::Error::custom("a key is there twice"));
                }
            }
            Ok(map)
        }
    }

    from.deserialize_map(EachOnce)
}

/// The answer to a submission or a rerun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// The job.
    pub job_id: Id,
    /// Where its artifacts are, relative to the API: `/jobs/ID/artifacts`.
    pub artifact_dir: String,
    /// Where it stands.
    pub status: Status,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Where its artifacts are, relative to the API.
    pub artifact_dir: String,
    /// Why it is queued; none when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// How long it ran, or runs; none before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// A page of jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Where the next page begins; none when there is none: `?before=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Id>,
}

/// A job's timeline, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The lines.
    pub events: Vec<Event>,
}

/// The body of a cancel or a rerun. An empty body is one without a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Why, for the timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One of a job's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// What it wrote to its standard output.
    Stdout,
    /// What it wrote to its standard error.
    Stderr,
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTail {
    /// Which.
    pub stream: Stream,
    /// Its last lines. Bytes that are no UTF-8 are shown as U+FFFD, a line of more than 64 KiB by its end.
    pub lines: Vec<String>,
    /// How many lines it has.
    pub total_lines: u64,
}

/// The data of a `log` event of `GET /jobs/{id}/logs/stream`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPiece {
    /// Which log.
    pub stream: Stream,
    /// Which epoch of the job wrote it: with another the log begins anew.
    pub epoch: u32,
    /// Where it begins in the log, in bytes.
    pub offset: u64,
    /// Where the next piece begins.
    pub end: u64,
    /// What is there. Bytes that are no UTF-8 are shown as U+FFFD.
    pub text: String,
}

/// The data of the `end` event there: the job ended, and all of its logs was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEnd {
    /// How it ended.
    pub status: Status,
    /// What a program that waited for it exits with.
    pub exit: u8,
}

/// A file that a job left, or that the runner wrote about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactFile {
    /// Its path in the job's directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// What a job left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifacts {
    /// The files, by path.
    pub files: Vec<ArtifactFile>,
}

/// A process that runs jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it began.
    pub started_at: Time,
    /// When it was last heard of.
    pub seen_at: Time,
    /// It was heard of lately.
    pub alive: bool,
    /// It takes no more jobs.
    pub draining: bool,
    /// How many jobs it runs at one time.
    pub slots: u32,
    /// What it runs.
    pub running: Vec<Id>,
    /// SHA-256 of its policy.
    pub policy_sha256: String,
}

/// The processes that run jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workers {
    /// By name.
    pub workers: Vec<Worker>,
}

/// What waits and what runs of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoQueue {
    /// The repository.
    pub repo_name: String,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// The most that run at one time.
    pub max_running: u32,
}

/// What waits and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// The most that run at one time, on all workers.
    pub max_running: u32,
    /// Repositories with a job that waits or runs, by name.
    pub repos: Vec<RepoQueue>,
}

/// The answer of `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Always true.
    pub ok: bool,
}

/// What `GET /readyz` found. The service is ready when every check is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// Every check is good.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// `store`, `worker`, `disk` or `policy`.
    pub name: String,
    /// It is good.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What is wrong and why, for a person.
    pub detail: String,
    /// A stable word that programs can match on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What to do next, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
