//! What is known of a checkout: which tree it is, and when and how that was last verified.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use verdict::Oid;

use crate::error::WorktreeError;

/// The version of the file's form.
const SCHEMA: u32 = 1;
/// After a day every file is hashed again.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Another one every time the machine starts (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// By which means all files were last compared with the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// They were written from objects that had just been hashed.
    Built,
    /// Each was read and hashed.
    ShaRecheck,
}

/// How a checkout is known to be what its tree is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// How all content was last compared.
    pub means: Means,
    /// When, in seconds since 1970.
    pub verified_at: u64,
    /// When the times, sizes, modes and names of all files were last compared with those at that time, in seconds since
    /// 1970.
    pub ctime_scan_at: Option<u64>,
}

/// The file `meta.json` of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    schema: u32,
    pub(crate) tree: Oid,
    /// The mirror's name.
    pub(crate) mirror: String,
    pub(crate) files: usize,
    /// Of all files together.
    pub(crate) bytes: u64,
    boot_id: String,
    pub(crate) evidence: Evidence,
}

impl Meta {
    pub(crate) fn new(tree: &Oid, mirror: &str, (files, bytes): (usize, u64), evidence: Evidence) -> Self {
        Self {
            schema: SCHEMA,
            tree: tree.clone(),
            mirror: mirror.to_owned(),
            files,
            bytes,
            boot_id: boot_id(),
            evidence,
        }
    }

    /// What is known of the slot in `dir` for `tree`; `None` where that cannot be read or is about another tree.
    pub(crate) fn read(dir: &Path, tree: &Oid) -> Option<Self> {
        let bytes = std::fs::read(dir.join("meta.json")).ok()?;
        let meta: Self = serde_json::from_slice(&bytes).ok()?;
        (meta.schema == SCHEMA && meta.tree == *tree).then_some(meta)
    }

    /// Writes the file into a directory that has none.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), WorktreeError> {
        let path = dir.join("meta.json");
        std::fs::write(&path, self.json()).map_err(WorktreeError::io(path))
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("words and numbers are JSON")
    }

    /// Whether nothing has happened since the last verification that a verification would be needed for: a start of the
    /// machine, which may have lost writes; a day; a clock that went back.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        let boot = boot_id();
        let age = seconds(now).checked_sub(self.evidence.verified_at);
        !boot.is_empty() && self.boot_id == boot && age.is_some_and(|age| age < AGE.as_secs())
    }
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Empty where the machine has none: then nothing is fresh.
fn boot_id() -> String {
    std::fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}
