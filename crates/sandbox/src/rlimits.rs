//! Limits of the kernel on each process of a job.
//!
//! **Invariant:** a job's hard limits never exceed the runner's own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Step as _, Stuck};
use crate::spec::Limits;

/// The size of a core dump at which the kernel makes none. At 0 it makes no file, but where `core_pattern` names a
/// program it still starts that one, as root in the machine's namespaces: "1 as a special value" in `fs/coredump.c`.
const NO_CORE: u64 = 1;

/// The limits as the kernel takes them: soft and hard are one, but for processor time, where the soft one gives the
/// job a signal a second before the end.
pub(crate) fn table(limits: &Limits, processes: u64) -> [(Resource, u64, u64); 12] {
    let cpu = limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0);
    let both = |resource, limit| (resource, limit, limit);
    [
        (Resource::Cpu, cpu, cpu + 1),
        // Not the address space: node and the JVM reserve far more than they use.
        both(Resource::Data, limits.memory_bytes),
        both(Resource::Nproc, processes),
        both(Resource::Nofile, limits.open_files),
        both(Resource::Fsize, limits.file_bytes),
        both(Resource::Core, NO_CORE),
        both(Resource::Memlock, 64 << 10),
        both(Resource::Msgqueue, 0),
        both(Resource::Sigpending, 1024),
        both(Resource::Locks, 1024),
        both(Resource::Rtprio, 0),
        both(Resource::Nice, 0),
    ]
}

/// Sets them on this process and what it starts.
pub(crate) fn set(limits: &Limits, processes: u64) -> Result<(), Stuck> {
    for (resource, soft, hard) in table(limits, processes) {
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
        setrlimit(resource, limit).step("set the resource limits")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn j23_every_process_is_bounded() {
        let told: String = table(&crate::testing::limits(), 66)
            .map(|(resource, soft, hard)| format!("{resource:?} {soft} {hard}\n"))
            .concat();
        assert_snapshot!(told, @r"
        Cpu 30 31
        Data 1073741824 1073741824
        Nproc 66 66
        Nofile 256 256
        Fsize 1048576 1048576
        Core 1 1
        Memlock 65536 65536
        Msgqueue 0 0
        Sigpending 1024 1024
        Locks 1024 1024
        Rtprio 0 0
        Nice 0 0
        ");
    }
}
