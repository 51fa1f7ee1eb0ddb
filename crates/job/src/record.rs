//! `job.json`: what was asked for and who works on it, so that a job whose runner died is known as such.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::status::Status;
use crate::strict::{self, Invalid};
use crate::time::Time;

/// The number in a record's `schema`.
pub const SCHEMA: u32 = 1;
/// The longest record, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The file `job.json` of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Always 1.
    pub schema: u32,
    /// The job, and the name of its directory.
    pub job_id: Id,
    /// What was asked for.
    pub request: Request,
    /// The process that works on it; none while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<Worker>,
    /// Where it stands.
    pub state: Status,
    /// When the runner took it; none while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

/// What a job was asked for with: names as they were given, before anything was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The allowlisted job.
    pub job_type: String,
    /// The allowlisted repository.
    pub repo_name: String,
    /// The full id of the commit.
    pub sha: String,
    /// The parameters.
    pub params: BTreeMap<String, String>,
}

/// A process, told from every other that had or will have its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the boot: field 22 of `/proc/PID/stat`.
    pub started: u64,
    /// The boot it was started in: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// [`Invalid`] unless the file is exactly one JSON document of this schema that does not contradict itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let record: Self = strict::parse(bytes, MAX_BYTES)?;
        record.check()?;
        Ok(record)
    }

    /// The file's text: indented JSON with a final newline.
    ///
    /// # Errors
    /// [`Invalid`] for a record that [`Record::parse`] would refuse.
    pub fn to_json(&self) -> Result<String, Invalid> {
        self.check()?;
        strict::to_json(self, MAX_BYTES)
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.schema != SCHEMA {
            return Err(Invalid::Schema { is: self.schema, want: SCHEMA });
        }
        if self.runner.is_some() != self.started_at.is_some() {
            return Err(Invalid::Contradiction("a runner and a start belong together"));
        }
        match (self.state, &self.runner) {
            (Status::Queued, Some(_)) => Err(Invalid::Contradiction("it is queued and has a runner")),
            (Status::Running, None) => Err(Invalid::Contradiction("it is running and has no runner")),
            _ => Ok(()),
        }
    }
}
