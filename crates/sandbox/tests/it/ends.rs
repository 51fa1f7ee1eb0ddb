//! How jobs end, and that nothing of them stays.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sandbox::{End, Level, Sandbox, SandboxError};

use crate::fixture::{Fixture, is_unlocked, wait_until_unlocked};

/// Starts what nobody asked for: in sessions of their own, deaf to TERM, with the tree's file locked.
const DAEMONS: &str = r#"
import fcntl, os, signal, sys, time
lock = os.open("file", os.O_RDONLY)
fcntl.flock(lock, fcntl.LOCK_EX)
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        os._exit(0)
    os.wait()
print("started", flush=True)
if sys.argv[2] == "stay":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
"#;

fn daemons(fixture: &mut Fixture, count: u32, then: &str) -> End {
    fixture.spec.limits.processes = 500;
    let ran = fixture.try_run(["/usr/bin/python3", "-c", DAEMONS, &count.to_string(), then]).unwrap();
    assert_eq!(ran.stdout, "started\n", "{}", ran.stderr);
    ran.report.end
}

#[test]
fn j13_nothing_outlives_success() {
    for level in [Level::L3, Level::L2, Level::L0] {
        let mut fixture = Fixture::at(level);
        assert_eq!(daemons(&mut fixture, 3, "end"), End::Exited(0));
        assert!(is_unlocked(&fixture.tree().join("file")), "{level}");
    }
}

/// A program that forks, and again in the child, while the parent ends: by the time a list of processes is made, those on
/// it are gone.
fn comet() -> Vec<u8> {
    let code = b"\xb8\x39\0\0\0\x0f\x05\x85\xc0\x7e\xf5\xb8\x3c\0\0\0\x31\xff\x0f\x05";
    let size = 120 + code.len() as u64;
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    program.extend([0x40_0078, 64, 0].iter().flat_map(|word: &u64| word.to_le_bytes()));
    program.extend([0, 0, 64, 56, 1, 0, 0, 0].iter().flat_map(|half: &u16| half.to_le_bytes()));
    program.extend([1, 5].iter().flat_map(|half: &u32| half.to_le_bytes()));
    program.extend([0, 0x40_0000, 0x40_0000, size, size, 4096].iter().flat_map(|word: &u64| word.to_le_bytes()));
    program.extend(code);
    program
}

#[test]
fn j13_nothing_outlives_success_by_forking_fast() {
    for level in [Level::L3, Level::L0] {
        let mut fixture = Fixture::at(level);
        fixture.spec.limits.processes = 4000;
        fixture.spec.limits.memory_bytes = 2 << 30;
        let path = fixture.tree().join("comet");
        std::fs::write(&path, comet()).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let ran = fixture.sh("for i in $(seq 40); do ./comet & done");
        assert_eq!(ran.report.end, End::Exited(0), "{level}: {}", ran.stderr);
    }
}

#[test]
fn j13_two_hundred_sessions_do_not_outlive_success() {
    let mut fixture = Fixture::new();
    assert_eq!(daemons(&mut fixture, 200, "end"), End::Exited(0));
    assert!(is_unlocked(&fixture.tree().join("file")));
}

#[test]
fn j13_nothing_outlives_a_time_out() {
    for level in [Level::L3, Level::L0] {
        let mut fixture = Fixture::at(level);
        fixture.spec.limits.wall = Duration::from_secs(4);
        assert_eq!(daemons(&mut fixture, 3, "stay"), End::TimedOut);
        assert!(is_unlocked(&fixture.tree().join("file")), "{level}");
    }
}

#[test]
fn j13_nothing_outlives_a_cancel() {
    for level in [Level::L3, Level::L0] {
        let mut fixture = Fixture::at(level);
        fixture.spec.argv = ["/usr/bin/python3", "-c", DAEMONS, "3", "stay"].map(Into::into).to_vec();
        let cancel = fixture.cancel.clone();
        let scratch = tempfile::tempdir_in(fixture.dir.path()).unwrap();
        std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fixture.spec.scratch = Some(scratch.path().to_owned());
        let sandbox = Sandbox::assume(crate::fixture::init(), level);
        // The job has said something: it runs.
        let report = sandbox.run(&fixture.spec, &|_, _| cancel.cancel(), &fixture.cancel).unwrap();
        assert_eq!(report.end, End::Cancelled);
        assert!(is_unlocked(&fixture.tree().join("file")), "{level}");
    }
}

#[test]
fn j13_an_init_that_somebody_stopped_holds_up_nobody() {
    let mut fixture = Fixture::new();
    fixture.spec.argv = ["/usr/bin/python3", "-c", DAEMONS, "3", "stay"].map(Into::into).to_vec();
    fixture.spec.limits.wall = Duration::from_secs(2);
    // Of this thread alone: other tests have inits of their own.
    let children = format!("/proc/self/task/{}/children", rustix::thread::gettid().as_raw_nonzero());
    let stop = |_, _: &[u8]| {
        let init = std::fs::read_to_string(&children).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(init).unwrap(), Signal::STOP).unwrap();
    };
    let report = Sandbox::assume(crate::fixture::init(), Level::L3).run(&fixture.spec, &stop, &fixture.cancel);
    assert_eq!(report.unwrap().end, End::TimedOut);
    assert!(is_unlocked(&fixture.tree().join("file")));
}

#[test]
fn a_job_may_end_well_between_term_and_kill() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.wall = Duration::from_secs(1);
    fixture.spec.limits.grace = Duration::from_secs(30);
    let ran = fixture.sh("trap 'echo tidied; exit 0' TERM; while :; do sleep 0.1; done");
    assert_eq!((ran.report.end, ran.stdout.as_str()), (End::TimedOut, "tidied\n"));
}

#[test]
fn a_cancelled_job_does_not_run_on() {
    let mut fixture = Fixture::new();
    fixture.cancel.cancel();
    assert_eq!(fixture.sh("sleep 1000").report.end, End::Cancelled);
}

#[test]
fn a_job_whose_time_is_over_before_it_starts_is_told_as_such() {
    let mut fixture = Fixture::new();
    fixture.spec.limits.wall = Duration::ZERO;
    fixture.spec.limits.grace = Duration::ZERO;
    assert_eq!(fixture.sh("sleep 1000").report.end, End::TimedOut);
}

#[test]
fn a_closed_stdout_is_no_end() {
    let ran = Fixture::new().sh("echo before; exec >&- 2>&-; sleep 0.2; echo x > /artifacts/x; exit 7");
    assert_eq!((ran.report.end, ran.stdout.as_str()), (End::Exited(7), "before\n"));
}

#[test]
fn signals_and_codes_are_told_apart() {
    assert_eq!(Fixture::new().sh("exit 137").report.end, End::Exited(137));
    assert_eq!(Fixture::new().sh("kill -9 $$").report.end, End::Signaled(9));
    assert_eq!(Fixture::new().sh("kill -13 $$").report.end, End::Signaled(13));
}

#[test]
fn a_program_that_cannot_be_started_is_no_exit_code() {
    let class = |program: &str| {
        let error = Fixture::new().try_run([program]).map(drop).unwrap_err();
        assert!(matches!(error, SandboxError::NotStartable { .. }), "{error}");
        outcome::Failure::from(error).class.into_owned()
    };
    for program in ["no-such-program", "/no/such/program", "./file", "/repo", "/etc/passwd"] {
        assert_eq!(class(program), "job-not-startable");
    }
}

#[test]
fn a_program_that_is_no_init_is_told_as_such() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec.clone();
    spec.argv = vec!["true".into()];
    let error = Sandbox::assume("/bin/true", Level::L3).run(&spec, &|_, _| {}, &fixture.cancel).unwrap_err();
    assert!(matches!(error, SandboxError::Lost { .. }), "{error}");
}

#[test]
fn j13_nothing_outlives_a_killed_runner() {
    for level in ["L3", "L0"] {
        let fixture = Fixture::new();
        let scratch = tempfile::tempdir_in(fixture.dir.path()).unwrap();
        std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut runner = Command::new(crate::fixture::init())
            .args(["run", level])
            .args([fixture.tree(), scratch.path()])
            .args(["/usr/bin/python3", "-c", DAEMONS, "3", "stay"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "started");
        let file: &Path = &fixture.tree().join("file");
        assert!(!is_unlocked(file));
        runner.kill().unwrap();
        runner.wait().unwrap();
        wait_until_unlocked(file);
        // Its control group is swept by the next one.
        Fixture::new().sh("true");
        let prefix = format!("{}-", runner.id());
        assert!(!groups().iter().any(|name| name.starts_with(&prefix)), "{:?}", groups());
    }
}

/// The names of all control groups.
fn groups() -> Vec<String> {
    let mut names = Vec::new();
    let mut left = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
                left.push(entry.path());
            }
        }
    }
    names
}
