//! A disk that fills up in the middle of a ship: the run ends with a reason, and the next one ends well.

use std::fs;

use insta::assert_snapshot;

use crate::stage::{Said, Setup, Stage, executable, key, mending, real_git, run};

/// Ships twice from a file system that has room for little, in a mount namespace of its own: the first time git fills
/// it up as soon as it is called with the `argument`. Returns how the two ended.
fn check(argument: &str) -> String {
    let stage = Stage::with_codex(&Setup { test: vec!["git".into(), "version".into()], ..Setup::default() }, mending());
    stage.install();
    let head = stage.change();
    fs::remove_file(stage.path("bin/git")).unwrap();
    let (work, git) = (stage.path("work"), real_git());
    let (work, git) = (work.display(), git.display());
    let fill = format!("[ -e '{work}/../armed' ] && cat /dev/zero >'{work}/.git/filler'");
    let script = format!(
        "#!/bin/sh\nfor word; do [ \"$word\" = {argument} ] && {fill}; done 2>/dev/null\nexec '{git}' \"$@\"\n"
    );
    executable(&stage.path("bin/git"), &script);
    let script = r#"
        cd ..
        cp -a work whole
        mount -t tmpfs -o size=4m small work
        cp -a whole/. work
        cd work
        for run in first second; do
            [ $run = second ] || touch ../armed
            "$0" --json >../$run.out 2>../$run.err && code=0 || code=$?
            rm -f ../armed .git/filler
            { echo $code; git rev-parse HEAD; git status --porcelain; } >../$run
        done"#;
    let unshare = ["--map-root-user", "--mount", "sh", "-euc", script, env!("CARGO_BIN_EXE_ship")];
    let said = run(stage.command("unshare").args(unshare).env("OPENAI_API_KEY", key()));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let read = |name: &str| fs::read_to_string(stage.path(name)).unwrap();
    let ended = |run: &str| {
        let (code, rest) = read(run).split_once('\n').map(|(code, rest)| (code.parse().ok(), rest.to_owned())).unwrap();
        let said = Said { code, stdout: read(&format!("{run}.out")), stderr: read(&format!("{run}.err")) };
        (said.text(&stage), rest)
    };
    let [(first, after_first), (second, after_second)] = ["first", "second"].map(ended);
    assert!([&head, &stage.remote_main()].contains(&&after_first.trim_end().to_owned()), "{first}: {after_first}");
    assert_eq!(after_second, stage.remote_main() + "\n", "{first}\n{second}");
    assert_eq!(
        stage.git(&["-C", "../remote.git", "log", "--format=%s", "main"]),
        "chore: advance review baseline\nmore\nstart"
    );
    format!("{first}\n{second}")
}

#[test]
fn s05_a_disk_that_is_full_before_anything_is_known() {
    assert_snapshot!(check("ls-remote"), @r"
    exit 4 disk-full: STAGE/work/.git/ai-ops-runner/ship/journal.json: No space left on device (os error 28)
    next: free some space, then try again
    exit 0 pushed
    ");
}

#[test]
fn s05_a_disk_that_tests_fill() {
    assert_snapshot!(check("version"), @r"
    exit 4 disk-full: STAGE/work/.git/ai-ops-runner/ship/journal.json: No space left on device (os error 28)
    next: free some space, then try again
    exit 0 pushed
    ");
}

#[test]
fn s05_a_disk_that_is_full_when_the_baseline_advances() {
    assert_snapshot!(check("commit-tree"), @r"
    exit 4 disk-full: `git commit-tree --no-gpg-sign -p ID -F - ID` failed (exit 128), the disk is full: fatal: unable to write loose object file: No space left on device
    next: free some space, then try again
    exit 0 pushed
    ");
}

#[test]
fn s05_a_disk_that_is_full_when_the_push_begins() {
    assert_snapshot!(check("push"), @r"
    exit 4 disk-full: STAGE/work/.git/ai-ops-runner/ship/journal.json: No space left on device (os error 28)
    next: free some space, then try again
    exit 0 nothing_to_do
    ");
}

#[test]
fn s05_a_disk_that_is_full_after_the_push() {
    assert_snapshot!(check("merge"), @r"
    exit 4 disk-full: `git merge --ff-only --quiet --no-stat --no-autostash ID` failed (exit 128), the disk is full: fatal: update_ref failed for ref 'ORIG_HEAD': cannot update ref 'ORIG_HEAD': couldn't write 'STAGE/work/.git/ORIG_HEAD.lock'
    next: free some space, then try again
    exit 0 nothing_to_do
    ");
}
