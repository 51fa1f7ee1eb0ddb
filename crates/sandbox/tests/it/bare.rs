//! What holds without namespaces.

use std::net::TcpListener;

use sandbox::Level;

use crate::fixture::{Fixture, artifact, contents};

#[test]
fn without_namespaces_the_tree_and_the_machine_stay_as_they_are() {
    let mut fixture = Fixture::at(Level::L0);
    let outside = fixture.dir.path().join("outside");
    std::fs::write(&outside, "secret").unwrap();
    std::fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    // The sandbox's own write probe makes a directory in the copy and takes it away again, which changes the times of the
    // top alone.
    let below_the_top = |tree: &std::path::Path| {
        let mut all = contents(tree);
        all.remove(tree);
        all
    };
    let before = below_the_top(fixture.tree());
    let said = fixture.python(&format!(
        r#"
outside = "{}"
t("create", lambda: open("new", "w"))
t("write", lambda: open("file", "r+"))
t("truncate", lambda: os.truncate("file", 0))
t("unlink", lambda: os.unlink("file"))
t("rename", lambda: os.rename("file", "other"))
t("link", lambda: os.link("file", "hard"))
t("mkdir", lambda: os.mkdir("dir"))
t("chmod", lambda: os.chmod("file", 0o777))
t("utimes", lambda: os.utime("file", (1, 1)))
t("read outside", lambda: open(outside).read())
t("write outside", lambda: open(outside, "w"))
t("chmod outside", lambda: os.chmod(outside, 0o777))
t("utimes outside", lambda: os.utime(outside, (1, 1)))
t("xattr outside", lambda: os.setxattr(outside, "user.x", b"x"))
t("list tmp", lambda: os.listdir("/tmp"))
t("shadow", lambda: open("/etc/shadow"))
t("inet", lambda: socket.socket(socket.AF_INET))
t("unix", lambda: socket.socket(socket.AF_UNIX))
t("unshare", lambda: sys(272, 0x10000000))
t("kill parent", lambda: os.kill(os.getppid(), 0))
t("kill runner", lambda: os.kill({}, 0))
t("environ", lambda: open("/proc/{}/environ").read())
"#,
        outside.display(),
        std::process::id(),
        std::process::id(),
    ));
    drop(tcp);
    assert_eq!(said.lines().count(), 22);
    assert!(said.lines().all(|line| line.ends_with(" EACCES") || line.ends_with(" EPERM")), "{said}");
    assert_eq!(below_the_top(fixture.tree()), before);
}

#[test]
fn without_namespaces_a_job_has_its_places() {
    let mut fixture = Fixture::at(Level::L0);
    fixture.spec.files = vec![sandbox::File { path: "/git/HEAD".into(), bytes: b"head\n".to_vec(), mode: 0o444 }];
    let ran = fixture.sh("cd ..; d=$(echo */artifacts); cat file ${d%artifacts}git/HEAD 2>/dev/null; pwd; echo x > $d/out; echo y > ${d%artifacts}tmp/home/y && echo home");
    // A directory that is not listed cannot be read: the shell does not find the scratch by its pattern.
    assert!(!ran.stdout.contains("home\n"), "{}", ran.stdout);
    let sandbox = sandbox::Sandbox::assume(crate::fixture::init(), Level::L0);
    let scratch = tempfile::tempdir_in(fixture.dir.path()).unwrap();
    std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fixture.spec.scratch = Some(scratch.path().to_owned());
    let paths = sandbox.paths(fixture.tree(), Some(scratch.path()));
    let script = format!(
        "set -e; pwd > {0}/out; cat {1} >> {0}/out; echo x > {2}/x",
        paths.of("/artifacts").display(),
        paths.of("/git/HEAD").display(),
        paths.of("/tmp/home").display()
    );
    fixture.spec.argv = vec!["sh".into(), "-c".into(), script.into()];
    let report = sandbox.run(&fixture.spec, &|_, _| {}, &fixture.cancel).unwrap();
    assert_eq!(report.end, sandbox::End::Exited(0));
    assert_eq!(artifact(&report.artifacts, "out"), format!("{}\nhead\n", paths.tree().display()));
}

#[test]
fn j11_without_namespaces_no_file_is_changed_by_its_descriptor() {
    let mut fixture = Fixture::at(Level::L0);
    let tool = fixture.dir.path().join("tool");
    std::fs::write(&tool, "tool").unwrap();
    fixture.spec.binds = vec![sandbox::Bind { source: tool.clone(), target: "/tool".into() }];
    let before = contents(fixture.dir.path());
    let said = fixture.python(&format!(
        r#"
for path in ["file", ".", "{}"]:
    fd = os.open(path, os.O_RDONLY)
    t("fchmod", lambda: os.fchmod(fd, 0o4777))
    t("fchown", lambda: os.fchown(fd, -1, os.getgid()))
    t("futimes", lambda: os.utime(fd, (1, 1)))
    t("fsetxattr", lambda: os.setxattr(fd, "user.x", b"x"))
    t("FS_IOC_SETFLAGS", lambda: sys(16, fd, 0x40086602, struct.pack("l", 0x40)))
    t("FS_IOC_FSSETXATTR", lambda: sys(16, fd, 0x401c5820, b"\0" * 28))
t("tty", lambda: print(os.isatty(1), os.get_blocking(1)))
"#,
        tool.display(),
    ));
    let (refused, asked) = said.trim_end().rsplit_once("\nFalse True\n").unwrap();
    assert_eq!((refused.lines().count(), asked), (18, "tty DONE"));
    assert!(refused.lines().all(|line| line.ends_with(" EACCES") || line.ends_with(" EPERM")), "{said}");
    let after = contents(fixture.dir.path());
    assert!(before.iter().filter(|(path, _)| *path != fixture.dir.path()).all(|(path, was)| after[path] == *was));
}

#[test]
fn j09_without_namespaces_nothing_else_of_the_user_is_reached() {
    let said = Fixture::at(Level::L0).python(
        r#"
import resource
for name, number in dict(shmget=29, shmat=30, shmctl=31, semget=64, semop=65, semctl=66, semtimedop=220, msgget=68,
                         msgsnd=69, msgrcv=70, msgctl=71, mq_unlink=241).items():
    t(name, lambda: sys(number, 0, 1, 0o1600, 0))
t("watch", lambda: sys(254, libc.inotify_init1(0), b"/", 0xfff))
t("mq_open", lambda: sys(240, b"queue", 0, 0, 0))
up = os.getppid()
t("limit", lambda: resource.prlimit(up, resource.RLIMIT_CPU, (0, 0)))
t("read limit", lambda: resource.prlimit(up, resource.RLIMIT_CPU))
t("processors", lambda: os.sched_setaffinity(up, {0}))
t("scheduler", lambda: os.sched_setscheduler(up, os.SCHED_BATCH, os.sched_param(0)))
t("niceness", lambda: os.setpriority(os.PRIO_PROCESS, up, 19))
t("io priority", lambda: sys(251, 1, up, 3 << 13))
"#,
    );
    assert_eq!(said.lines().count(), 20);
    assert!(said.lines().all(|line| line.ends_with(" EACCES") || line.ends_with(" EPERM")), "{said}");
}
