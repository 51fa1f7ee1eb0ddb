//! Attacks by calls that need or give rights, and what must not be refused.

use sandbox::{End, Level};

use crate::fixture::Fixture;

#[test]
fn no_namespace_can_be_made_or_entered() {
    let said = Fixture::new().python(
        r#"
for name, flag in [("mnt", 0x20000), ("cgroup", 0x2000000), ("uts", 0x4000000), ("ipc", 0x8000000),
                   ("user", 0x10000000), ("pid", 0x20000000), ("net", 0x40000000)]:
    t("unshare " + name, lambda: sys(272, flag))
    t("clone " + name, lambda: sys(56, flag | 17, 0, 0, 0, 0))
t("setns", lambda: sys(308, os.open("/proc/self/ns/user", os.O_RDONLY), 0))
t("high bits", lambda: sys(56, (1 << 40) | 0x10000000 | 17, 0, 0, 0, 0))
t("clone3", lambda: sys(435, b"\0" * 88, 88))
"#,
    );
    let (last, others) = said.trim_end().rsplit_once('\n').unwrap();
    assert!(others.starts_with("clone3") || last.lines().all(|line| line.ends_with(" EPERM")), "{said}");
    assert_eq!((last.lines().count(), others), (16, "clone3 ENOSYS"));
}

#[test]
fn powerful_calls_are_refused() {
    let said = Fixture::new().python(
        r#"
calls = dict(ptrace=101, process_vm_readv=310, process_vm_writev=311, kcmp=312, bpf=321, io_uring_setup=425,
    keyctl=250, add_key=248, request_key=249, userfaultfd=323, perf_event_open=298, kexec_load=246, reboot=169,
    swapon=167, swapoff=168, init_module=175, finit_module=313, delete_module=176, quotactl=179, acct=163,
    iopl=172, ioperm=173, fanotify_init=300, vhangup=153, syslog=103, pidfd_getfd=438, settimeofday=164)
for name, number in calls.items():
    t(name, lambda: sys(number, 0, 0, 0, 0, 0))
t("personality", lambda: sys(135, 0x0040000))
t("TIOCSTI", lambda: sys(16, 0, 0x5412, b"x"))
t("TIOCSTI with high bits", lambda: sys(16, 0, (1 << 32) | 0x5412, b"x"))
t("TIOCLINUX", lambda: sys(16, 0, 0x541C, b"x"))
t("mknod c", lambda: os.mknod("/tmp/c", stat.S_IFCHR | 0o600, os.makedev(1, 3)))
t("mknod b", lambda: os.mknod("/tmp/b", stat.S_IFBLK | 0o600, os.makedev(7, 0)))
t("whiteout", lambda: os.mknod("/tmp/w", stat.S_IFCHR | 0o600, 0))
t("chown", lambda: os.chown("/tmp", os.getuid() + 1, -1))
t("setgroups", lambda: os.setgroups([0]))
"#,
    );
    assert_eq!(said.lines().count(), 36);
    // Where nobody else exists, there is no other owner to name.
    let said = said.replace("chown EINVAL", "chown EPERM");
    assert!(said.lines().all(|line| line.ends_with(" EPERM")), "{said}");
}

#[test]
fn what_programs_need_still_works() {
    let said = Fixture::new().python(
        r#"
t("query personality", lambda: sys(135, 0xffffffff))
t("fifo", lambda: os.mkfifo("/tmp/fifo"))
t("chmod", lambda: os.chmod("/tmp/fifo", 0o700))
t("socketpair", lambda: socket.socketpair())
t("shm", lambda: open("/dev/shm/x", "w"))
t("null", lambda: open("/dev/null", "w").write("x"))
t("stdin", lambda: open("/dev/stdin").read())
t("stdout", lambda: open("/dev/stdout", "w").write(""))
t("thread", lambda: __import__("threading").Thread(target=print, args=("ran",)).start())
t("process", lambda: __import__("subprocess").run(["true"], check=True))
t("home", lambda: open(os.path.expanduser("~/x"), "w"))
t("var tmp", lambda: open("/var/tmp/y", "w"))
t("artifact", lambda: open("/artifacts/y", "w"))
t("execute in tmp", lambda: __import__("subprocess").run(["sh", "-c", "cp /bin/true /tmp/mine && /tmp/mine"], check=True))
def loopback():
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname())
t("loopback", loopback)
"#,
    );
    assert!(said.lines().filter(|line| *line != "ran").all(|line| line.ends_with(" DONE")), "{said}");
    assert_eq!(said.lines().count(), 16);
}

#[test]
fn calls_of_x32_kill_the_process() {
    let said = Fixture::new().python(
        r"
pid = os.fork()
if pid == 0:
    libc.syscall(ctypes.c_long(0x40000000 | 39))
    os._exit(0)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGSYS)
",
    );
    assert_eq!(said, "True\n");
}

#[test]
fn calls_of_another_architecture_kill_the_process() {
    let said = Fixture::new().python(
        r#"
import mmap
pid = os.fork()
if pid == 0:
    # mov eax, 20 (getpid); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    at = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(at)()
    os._exit(0)
# A kernel without that architecture kills it all the same, for the interrupt.
print(os.WTERMSIG(os.waitpid(pid, 0)[1]) in (signal.SIGSYS, signal.SIGSEGV))
"#,
    );
    assert_eq!(said, "True\n");
}

#[test]
fn a_setuid_program_gives_no_rights() {
    let ran = Fixture::new().sh("grep -E 'NoNewPrivs|CapEff|CapBnd|Seccomp:' /proc/self/status; grep nosuid /proc/self/mountinfo | wc -l; wc -l < /proc/self/mountinfo");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[..4], ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]);
    assert_eq!(lines[4], lines[5], "every mount is nosuid");
    assert_eq!(ran.report.end, End::Exited(0));
}

#[test]
fn the_init_cannot_be_read_traced_or_killed() {
    let said = Fixture::new().python(
        r#"
for name in ["environ", "mem", "maps", "root", "cwd", "exe", "fd"]:
    path = "/proc/1/" + name
    t(name, lambda: os.readlink(path) if name in ("root", "cwd", "exe") else os.listdir(path) if name == "fd" else open(path).read(1))
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV):
    try:
        os.kill(1, number)
    except PermissionError:
        pass
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) == [1, os.getpid()])
"#,
    );
    assert_eq!(said, "environ EACCES\nmem EACCES\nmaps EACCES\nroot EACCES\ncwd EACCES\nexe EACCES\nfd EACCES\nTrue\n");
}

#[test]
fn j13_the_init_cannot_be_ended_by_a_limit() {
    for level in [Level::L3, Level::L0] {
        let said = Fixture::at(level).python(
            r#"
import resource
t("limit", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0)))
t("own", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)))
"#,
        );
        assert_eq!(said, "limit EPERM\nown DONE\n", "{level}");
    }
}

#[test]
fn no_lease_holds_up_who_opens_a_file() {
    let said = Fixture::new().python(
        r#"
import fcntl
fd = os.open("/tmp/x", os.O_CREAT | os.O_RDWR)
t("lease", lambda: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK))
t("delegation", lambda: fcntl.fcntl(fd, 1040, b"\0" * 8))
t("lock", lambda: fcntl.flock(fd, fcntl.LOCK_EX))
"#,
    );
    assert_eq!(said, "lease EPERM\ndelegation EPERM\nlock DONE\n");
}

#[test]
fn j09_a_script_cannot_name_the_program_of_the_init() {
    for level in [Level::L3, Level::L2, Level::L0] {
        for interpreter in ["/proc/self/exe", "/proc/1/exe", "/proc/thread-self/exe"] {
            let mut fixture = Fixture::at(level);
            let script = fixture.tree().join("script");
            std::fs::write(&script, format!("#!{interpreter}\n")).unwrap();
            std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let error = fixture.try_run(["./script"]).map(|ran| ran.report.end).unwrap_err();
            assert!(matches!(error, sandbox::SandboxError::NotStartable { .. }), "{level} {interpreter}: {error}");
        }
    }
}
