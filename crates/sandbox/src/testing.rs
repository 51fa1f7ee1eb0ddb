//! Values for the tests of this crate.

use std::time::Duration;

use crate::Limits;
use crate::evidence::{Enforcer, Enforcers};

pub(crate) fn limits() -> Limits {
    Limits {
        wall: Duration::from_secs(60),
        grace: Duration::from_secs(2),
        cpu: Duration::from_secs(30),
        memory_bytes: 1 << 30,
        processes: 64,
        open_files: 256,
        file_bytes: 1 << 20,
        tmp_bytes: 1 << 24,
        tmp_files: 1000,
        artifact_bytes: 1 << 24,
        artifact_files: 1000,
    }
}

pub(crate) fn enforcers() -> Enforcers {
    Enforcers {
        cpu: Enforcer::Rlimit,
        memory: Enforcer::Rlimit,
        processes: Enforcer::Rlimit,
        files: Enforcer::Rlimit,
        disk: Enforcer::Tmpfs,
    }
}
