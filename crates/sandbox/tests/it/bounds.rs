//! Attacks on memory, processes, disk and processor.

use std::time::Duration;

use sandbox::{End, Enforcer, Level, Limit};

use crate::fixture::{Fixture, artifact};

#[test]
fn j23_a_fork_bomb_is_bounded() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.processes = 30;
    let program = r#"
n = 0
try:
    while True:
        if os.fork() == 0:
            signal.pause()
        n += 1
except OSError as e:
    open("/artifacts/n", "w").write(f"{n} {errno.errorcode[e.errno]}")
"#;
    let prelude = include_str!("prelude.py");
    let ran = fixture.try_run(["/usr/bin/python3", "-c", &format!("{prelude}\n{program}")]).unwrap();
    assert_eq!(artifact(&ran.report.artifacts, "n"), "29 EAGAIN");
    let grouped = ran.report.evidence.limits.processes == Enforcer::Cgroup && ran.report.usage.refused_processes > 0;
    let end = if grouped { End::OverLimit(Limit::Processes) } else { End::Exited(0) };
    assert_eq!(ran.report.end, end);
}

#[test]
fn j23_memory_is_bounded_in_one_process() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.memory_bytes = 128 << 20;
    let said = fixture
        .python("try:\n    x = bytearray(300 << 20)\n    print('got it')\nexcept MemoryError:\n    print('refused')\n");
    assert_eq!(said, "refused\n");
}

#[test]
fn j23_memory_is_bounded_in_all_processes_where_there_is_a_group() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.memory_bytes = 64 << 20;
    let program = r"
import mmap
# The end of one is the end: it can only be the kernel that ended it.
signal.signal(signal.SIGCHLD, lambda *_: os._exit(0))
full, told = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        x = mmap.mmap(-1, 40 << 20)
        for at in range(0, 40 << 20, 4096):
            x[at] = 1
        os.write(told, b'x')
        signal.pause()
for _ in range(4):
    os.read(full, 1)
";
    let prelude = include_str!("prelude.py");
    let ran = fixture.try_run(["/usr/bin/python3", "-c", &format!("{prelude}\n{program}")]).unwrap();
    match ran.report.evidence.limits.memory {
        Enforcer::Cgroup => {
            assert_eq!(ran.report.end, End::OverLimit(Limit::Memory));
            assert!(ran.report.usage.peak_memory_bytes <= (64 + 4 + 4) << 20);
        }
        _ => assert_eq!(ran.report.end, End::Exited(0)),
    }
}

#[test]
fn j23_disk_is_bounded_in_bytes_and_files() {
    let said = Fixture::new().python(
        r#"
def fill(dir):
    with open(dir + "/big", "wb", buffering=0) as f:
        n = 0
        try:
            while True:
                n += f.write(b"x" * 65536)
        except OSError as e:
            print(n // (1 << 20), errno.errorcode[e.errno])
    os.unlink(dir + "/big")
def many(dir):
    n = 0
    try:
        while True:
            open(f"{dir}/{n}", "w").close()
            n += 1
    except OSError as e:
        print(n, errno.errorcode[e.errno])
for dir in ["/tmp", "/artifacts"]:
    fill(dir)
    many(dir)
t("shm", lambda: open("/dev/shm/x", "w"))
"#,
    );
    assert_eq!(said, "4 ENOSPC\n100 ENOSPC\n4 ENOSPC\n100 ENOSPC\nshm ENOSPC\n");
}

#[test]
fn j23_a_file_is_bounded() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.file_bytes = 1 << 20;
    let ran = fixture.try_run(["dd", "if=/dev/zero", "of=/tmp/x", "bs=64k", "count=64"]).unwrap();
    assert_eq!(ran.report.end, End::OverLimit(Limit::FileSize));
}

#[test]
fn j23_open_files_are_bounded() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.open_files = 20;
    let said = fixture.python("fds = []\ntry:\n    while True:\n        fds.append(os.open('/', os.O_RDONLY))\nexcept OSError as e:\n    print(errno.errorcode[e.errno], len(fds) < 20)");
    assert_eq!(said, "EMFILE True\n");
}

#[test]
fn j23_processor_time_is_bounded() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.cpu = Duration::from_secs(1);
    let ran = fixture.sh("while :; do :; done");
    assert_eq!(ran.report.end, End::OverLimit(Limit::Cpu));
    // The limit counts ticks, the usage does not: on a busy machine the two differ.
    assert!(ran.report.usage.cpu > Duration::ZERO);
}

#[test]
fn j23_processor_time_of_many_processes_is_bounded_where_there_is_a_group() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.cpu = Duration::from_secs(1);
    let ran = fixture.sh("for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait");
    let grouped = ran.report.evidence.limits.cpu == Enforcer::Cgroup;
    assert!(!grouped || ran.report.end == End::OverLimit(Limit::Cpu), "{:?}", ran.report.end);
}

#[test]
fn j23_a_machine_short_of_memory_ends_a_job_first() {
    for level in [Level::L3, Level::L2, Level::L0] {
        let said = Fixture::at(level).python(
            r#"
print(open("/proc/self/oom_score_adj").read(), end="")
def go_back():
    with open("/proc/self/oom_score_adj", "w", buffering=1) as adj:
        adj.write("0\n")
t("back", go_back)
"#,
        );
        let (adj, back) = said.split_once('\n').unwrap();
        assert_eq!(adj, "1000", "{level}");
        assert!(["back EROFS\n", "back EACCES\n"].contains(&back), "{level}: {said}");
    }
}

#[test]
fn a_crash_starts_no_program_of_the_machine() {
    let said = Fixture::new().python(
        r#"
import resource
print(resource.getrlimit(resource.RLIMIT_CORE))
for limits in [(0, 0), (0, 1), (1, 1)]:
    t("set", lambda: resource.setrlimit(resource.RLIMIT_CORE, limits))
    print(resource.getrlimit(resource.RLIMIT_CORE))
t("setrlimit", lambda: sys(160, 4, b"\0" * 16))
t("prlimit64", lambda: sys(302, 0, (1 << 32) | 4, b"\0" * 16, 0))
print(resource.getrlimit(resource.RLIMIT_CORE))
"#,
    );
    assert_eq!(
        said,
        "(1, 1)\nset DONE\n(1, 1)\nset DONE\n(1, 1)\nset DONE\n(1, 1)\nsetrlimit DONE\nprlimit64 DONE\n(1, 1)\n"
    );
}
