//! What a job may take before it is ended: every number has a default and bounds.

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::section::Section;

/// `[jobs.NAME.limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Processor time of the whole job, in seconds; of each process where no control group counts it.
    pub cpu_sec: u64,
    /// Memory of the whole job, in MiB.
    pub memory_mib: u64,
    /// Processes and threads at the same time.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// The largest file, in MiB.
    pub file_mib: u64,
    /// All of `/tmp`, in MiB.
    pub tmp_mib: u64,
    /// Files and directories in `/tmp`.
    pub tmp_files: u64,
    /// All artifacts, in MiB.
    pub artifact_mib: u64,
    /// Files and directories among the artifacts.
    pub artifact_files: u64,
    /// What is kept of stdout, and of stderr, in MiB.
    pub log_mib: u64,
    /// From TERM to KILL at the time-out or a cancel, in seconds.
    pub grace_sec: u64,
}

/// What one limit may be.
struct Bounds {
    key: &'static str,
    default: u64,
    range: RangeInclusive<u64>,
}

const fn bounds(key: &'static str, default: u64, least: u64, most: u64) -> Bounds {
    Bounds { key, default, range: least..=most }
}

const CPU_SEC: Bounds = bounds("cpu_sec", 3_600, 1, 604_800);
const MEMORY_MIB: Bounds = bounds("memory_mib", 2_048, 16, 1 << 20);
const PROCESSES: Bounds = bounds("processes", 512, 1, 32_768);
const OPEN_FILES: Bounds = bounds("open_files", 1_024, 16, 1 << 20);
const FILE_MIB: Bounds = bounds("file_mib", 1_024, 1, 65_536);
const TMP_MIB: Bounds = bounds("tmp_mib", 1_024, 1, 65_536);
const TMP_FILES: Bounds = bounds("tmp_files", 100_000, 16, 1 << 22);
const ARTIFACT_MIB: Bounds = bounds("artifact_mib", 256, 1, 16_384);
const ARTIFACT_FILES: Bounds = bounds("artifact_files", 10_000, 1, 1_000_000);
const LOG_MIB: Bounds = bounds("log_mib", 16, 1, 1_024);
const GRACE_SEC: Bounds = bounds("grace_sec", 10, 0, 300);

impl Limits {
    pub(crate) fn read(section: Option<Section<'_, '_>>) -> Self {
        let Some(mut section) = section else { return Self::default() };
        let mut take = |bounds: Bounds| section.number(bounds.key, &bounds.range, Some(bounds.default));
        let limits = Self::each(&mut take);
        section.finish();
        limits
    }

    fn each(number: &mut dyn FnMut(Bounds) -> u64) -> Self {
        Self {
            cpu_sec: number(CPU_SEC),
            memory_mib: number(MEMORY_MIB),
            processes: number(PROCESSES),
            open_files: number(OPEN_FILES),
            file_mib: number(FILE_MIB),
            tmp_mib: number(TMP_MIB),
            tmp_files: number(TMP_FILES),
            artifact_mib: number(ARTIFACT_MIB),
            artifact_files: number(ARTIFACT_FILES),
            log_mib: number(LOG_MIB),
            grace_sec: number(GRACE_SEC),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::each(&mut |bounds| bounds.default)
    }
}
