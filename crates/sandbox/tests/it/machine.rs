//! What of the machine a job sees.

use std::fs;

use sandbox::{Bind, End, File};

use crate::fixture::{Fixture, artifact, is_root};

#[test]
fn j08_the_environment_is_exactly_the_jobs() {
    let ran = Fixture::new().try_run(["env"]).unwrap();
    assert_eq!(ran.stdout, "PATH=/usr/local/bin:/usr/bin:/bin\nHOME=/tmp/home\nARTIFACT_DIR=/artifacts\n");
    let ran = Fixture::new()
        .sh("tr '\\0' '\\n' < /proc/self/environ; echo; cat /proc/*/environ 2>/dev/null | grep -ac CARGO");
    assert!(ran.stdout.ends_with("\n0\n"), "{}", ran.stdout);
}

#[test]
fn j09_nothing_of_the_machine_is_seen_but_programs() {
    let mut fixture = Fixture::new();
    let outside = fixture.dir.path().join("outside");
    fs::write(&outside, "secret").unwrap();
    let said = fixture.python(&format!(
        r#"
for path in ["/root", "/home", "/etc/shadow", "/etc/machine-id", "/etc/ssh", "/run", "/var/lib", "/var/log", "/sys",
             "/mnt", "/boot", "/dev/kmsg", "/dev/mem", "/dev/tty", "/dev/pts", "/dev/fuse", "{}", "/tmp/..{}"]:
    t(path[:5], lambda: os.stat(path))
print(sorted(os.listdir("/")))
print(sorted(os.listdir("/tmp")), socket.gethostname())
t("root", lambda: open("/x", "w"))
t("usr", lambda: open("/usr/x", "w"))
t("etc", lambda: open("/etc/passwd", "a"))
t("proc", lambda: open("/proc/self/comm", "w"))
t("sysctl", lambda: open("/proc/sys/kernel/core_pattern", "w"))
"#,
        outside.display(),
        outside.display(),
    ));
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[..18].iter().all(|line| line.ends_with(" ENOENT")), "{said}");
    assert!(!lines[18].contains("check") && !lines[18].contains("changes"), "{said}");
    assert_eq!(lines[19], "['home', 'shm'] sandbox");
    assert!(lines[20..].iter().all(|line| line.ends_with("EROFS") || line.ends_with("EACCES")), "{said}");
}

#[test]
fn binds_and_files_are_there_and_read_only() {
    let mut fixture = Fixture::new();
    let tool = fixture.dir.path().join("tool");
    fs::create_dir(&tool).unwrap();
    fs::write(tool.join("x"), "tool\n").unwrap();
    fs::write(fixture.dir.path().join("one"), "one\n").unwrap();
    let bind = |source: std::path::PathBuf, target: &str| Bind { source, target: target.into() };
    fixture.spec.binds = vec![bind(tool.clone(), "/opt/tool"), bind(fixture.dir.path().join("one"), "/opt/one")];
    let file = |path: &str, bytes: &[u8]| File { path: path.into(), bytes: bytes.to_vec(), mode: 0o444 };
    let large = vec![b'x'; 3 << 20];
    fixture.spec.files =
        vec![file("/git/HEAD", b"head\n"), file("/git/objects/info/alternates", b"a\n"), file("/git/index", &large)];
    let ran = fixture.sh(
        "cat /opt/tool/x /opt/one /git/HEAD /git/objects/info/alternates; wc -c < /git/index
         for f in /opt/tool/x /opt/one /git/HEAD; do chmod 777 $f 2>/dev/null; (echo y > $f) 2>/dev/null; (echo z > $f.new) 2>/dev/null; done
         cat /opt/tool/x /opt/one /git/HEAD; ls /git /opt",
    );
    assert_eq!(
        ran.stdout,
        "tool\none\nhead\na\n3145728\ntool\none\nhead\n/git:\nHEAD\nindex\nobjects\n\n/opt:\none\ntool\n"
    );
    assert_eq!(fs::read_dir(&tool).unwrap().count(), 1);
}

#[test]
fn artifacts_outlive_the_job() {
    let ran = Fixture::new().sh("echo out > /artifacts/out; mkdir /artifacts/dir; ln -s /etc/passwd /artifacts/link");
    assert_eq!(ran.report.end, End::Exited(0));
    assert_eq!(artifact(&ran.report.artifacts, "out"), "out\n");
}

#[test]
fn all_output_arrives() {
    let ran = Fixture::new().sh(
        "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo end >&2",
    );
    assert_eq!((ran.stdout.len(), ran.stderr.as_str()), (3000 * 41, "end\n"));
}

#[test]
fn a_bind_that_is_not_there_is_told_as_such() {
    let mut fixture = Fixture::new();
    fixture.spec.binds = vec![Bind { source: "/no/such/toolchain".into(), target: "/opt/x".into() }];
    let failure = outcome::Failure::from(fixture.try_run(["true"]).map(drop).unwrap_err());
    assert_eq!((failure.class.as_ref(), failure.exit.code()), ("bind-missing", 3));
    assert!(failure.reason.starts_with("/no/such/toolchain: "), "{}", failure.reason);
}

#[test]
fn j08_the_init_has_nothing_of_the_runners_environment() {
    let mut fixture = Fixture::new();
    fixture.spec.argv = ["sh", "-c", "echo runs; exec sleep 1000"].map(Into::into).to_vec();
    let environments = std::sync::Mutex::new(Vec::new());
    let look = |_, _: &[u8]| {
        environments.lock().unwrap().extend(inits().map(|init| fs::read(init.join("environ"))));
        fixture.cancel.cancel();
    };
    sandbox::Sandbox::assume(crate::fixture::init(), sandbox::Level::L3)
        .run(&fixture.spec, &look, &fixture.cancel)
        .unwrap();
    let environments = environments.into_inner().unwrap();
    assert!(!environments.is_empty());
    // Nobody but root may look.
    assert!(environments.iter().all(|read| read.as_ref().map_or(!is_root(), Vec::is_empty)));
}

/// The inits that this process started, in `/proc`.
fn inits() -> impl Iterator<Item = std::path::PathBuf> {
    let own = format!("PPid:\t{}", std::process::id());
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.filter(move |process| {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        status.lines().any(|line| line == own)
            && fs::read(process.join("cmdline")).is_ok_and(|line| line == b"sandbox-init\0")
    })
}
