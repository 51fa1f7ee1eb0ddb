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
    let before = contents(fixture.tree());
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
    assert_eq!(contents(fixture.tree()), before);
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
