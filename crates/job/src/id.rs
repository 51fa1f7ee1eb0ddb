//! Ids of jobs: the time of birth, then 64 random bits, so that they sort by age and two never meet.
//!
//! **Invariant:** an [`Id`] has one form of 36 digits, letters and a dash: no path separator, no dot, no other spelling of
//! the same job. It is always a file name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A job's id, such as `20260131T235959123Z-0123456789abcdef`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// Text that is no id. It is not quoted: it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a job id such as 20260131T235959123Z-0123456789abcdef")]
pub struct NotAnId;

impl Id {
    /// The id of a job that is born at `at`, with 8 bytes of the system's random source.
    pub fn new(at: Time, random: [u8; 8]) -> Self {
        Self(format!("{}-{:016x}", at.compact(), u64::from_be_bytes(random)))
    }

    /// The id as it is written: a file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the job was born.
    pub fn born_at(&self) -> Time {
        time_of(&self.0).expect("every id was made of a time, or parsed by `FromStr`")
    }
}

/// The time in front of the dash of something that has the length of an id.
fn time_of(text: &str) -> Option<Time> {
    let (time, _) = text.split_once('-')?;
    let digits: Vec<&str> =
        [0..4, 4..6, 6..8, 9..11, 11..13, 13..15, 15..18].into_iter().map(|at| time.get(at)).collect::<Option<_>>()?;
    let [year, month, day, hour, minute, second, millis] = digits[..] else { return None };
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{millis}Z").parse().ok()
}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let time = time_of(text).ok_or(NotAnId)?;
        let (_, random) = text.split_once('-').ok_or(NotAnId)?;
        let bits = u64::from_str_radix(random, 16).map_err(|_| NotAnId)?;
        let id = Self::new(time, bits.to_be_bytes());
        // What is written again as it was read has no second spelling.
        if id.0 == text { Ok(id) } else { Err(NotAnId) }
    }
}

impl TryFrom<String> for Id {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{8}T[0-9]{9}Z-[0-9a-f]{16}$" })
    }
}
