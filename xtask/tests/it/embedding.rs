//! `examples/embedding` as a project elsewhere: copied out of this tree, built with this workspace's lock file, run on a
//! repository of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Cmd, Host, Local, Output};
use repo::PolicySource;
use repo::testing::Fixture;

const FILES: [&str; 4] = ["Cargo.toml", ".cargo/config.toml", "xtask/Cargo.toml", "xtask/src/main.rs"];

/// A cold build of every dependency on a machine that is busy with other tests; a warm one takes a second.
const BUILD_TIME: Duration = Duration::from_mins(15);

/// Copies the example below the target directory, where a later run finds what this one built. Returns its program.
fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedding");
    for name in FILES {
        let text = fs::read_to_string(root.join("examples/embedding").join(name)).unwrap();
        let crates = format!("{}/crates", root.display());
        write(&project.join(name), &text.replace("../../crates", &crates));
    }
    // The versions of this workspace, which are on this machine; cargo drops those that the example does not need.
    write(&project.join("Cargo.lock"), &fs::read_to_string(root.join("Cargo.lock")).unwrap());
    let target = project.join("target");
    let cmd = Cmd::new("cargo").args(["build", "--offline", "--quiet", "--package", "xtask"]).dir(&project);
    let cmd = cmd.inherit(&["CARGO_HOME", "HOME", "PATH", "RUSTUP_HOME"]).env("CARGO_TARGET_DIR", &target);
    // Nobody debugs it, and it has to be linked.
    let output = Local::new().run(&cmd.env("CARGO_PROFILE_DEV_DEBUG", "false").timeout(BUILD_TIME)).unwrap();
    assert!(output.success(), "{}: {}", output.status, output.stderr_text());
    target.join("debug/xtask")
}

/// Leaves a file that is right alone, so that cargo sees nothing new.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_project_elsewhere_builds_with_the_crates_and_releases_only_what_was_reviewed() {
    let program = built();
    let f = Fixture::pushed();
    let since = f.id("HEAD");
    f.write("a.txt", "one\n");
    let to = f.commit("work");
    let task = |task: &str| -> Output {
        let cmd = Cmd::new(&program).args([task, "HEAD~1", "HEAD"]).dir(f.work()).inherit(&["PATH"]);
        f.host().run(&cmd).unwrap()
    };

    let bundle = task("bundle").stdout_text();
    assert!(bundle.starts_with("=== REVIEW PACKET ===") && bundle.contains("\n+one\n"), "{bundle}");

    let refused = task("release");
    assert_eq!(refused.status, host::Status::Exited(1));
    assert!(refused.stderr_text().contains("[no-verdict]"), "{}", refused.stderr_text());

    f.approve(&since, &to, PolicySource::default());
    assert_eq!(task("release").stdout_text(), format!("{to} is reviewed: releasing it"));
}
