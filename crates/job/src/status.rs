//! The states of a job and which may follow which.
//!
//! **Invariant:** nothing follows a final state, so that a late result of a lost worker never replaces one that counts.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It ended well and everything about it was proved.
    Success,
    /// It ended, and not well; or it changed what it was only to read.
    Failure,
    /// It could not be run, or what came of it could not be kept or proved.
    Error,
    /// It was killed at its time limit.
    Timeout,
    /// Somebody stopped it.
    Cancelled,
}

/// A step that no job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {} does not become {}", from.as_str(), to.as_str())]
pub struct Illegal {
    /// What it is.
    pub from: Status,
    /// What it was to become.
    pub to: Status,
}

impl Status {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Success, Self::Failure, Self::Error, Self::Timeout, Self::Cancelled];

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing follows it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// `to`, where it may follow. A running job whose worker was lost is queued again, or an error.
    ///
    /// # Errors
    /// [`Illegal`] for every other step, to the same state too.
    pub const fn step(self, to: Self) -> Result<Self, Illegal> {
        let legal = match self {
            Self::Queued => matches!(to, Self::Running | Self::Cancelled | Self::Error),
            Self::Running => !matches!(to, Self::Running),
            Self::Success | Self::Failure | Self::Error | Self::Timeout | Self::Cancelled => false,
        };
        if legal { Ok(to) } else { Err(Illegal { from: self, to }) }
    }
}

/// Written by hand so that it is a plain `enum` and not a choice of constants.
impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
}
