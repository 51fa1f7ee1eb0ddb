//! Jobs that mean well, and what is told of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use insta::assert_snapshot;
use sha2::{Digest as _, Sha256};

use crate::stage::{As, Stage, told};

#[test]
fn two_commands_run_a_job_on_a_repository_of_ones_own() {
    for by in [As::Me, As::Nobody] {
        let stage = Stage::by(by, "[jobs.hello]\nargv = [\"echo\", \"hello\"]\ntimeout_sec = 60\n");
        let said = stage.job("hello");
        assert_eq!((said.code, said.stdout.as_str()), (Some(0), "hello\n"), "{}", said.stderr);
        let dir = stage.job_dirs().pop().unwrap();
        let bytes = fs::read(dir.join("artifact.json")).unwrap();
        let artifact = job::Artifact::parse(&bytes).unwrap();
        assert_eq!(artifact.status, job::Status::Success);
        assert_eq!(artifact.level, Some(job::Level::L3));
        assert_eq!(artifact.sha, stage.head());
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let written = fs::read_to_string(dir.join("artifact.json.sha256")).unwrap();
        assert_eq!(written, format!("{digest}  artifact.json\n"));
        assert_eq!(fs::read_to_string(dir.join("stdout.log")).unwrap(), "hello\n");
    }
}

#[test]
fn the_job_s_code_is_the_program_s_and_its_streams_stay_apart() {
    let stage = Stage::new(&Stage::script("echo out; echo err >&2; exit 42"));
    let said = stage.job("script");
    assert_eq!((said.code, said.stdout.as_str()), (Some(42), "out\n"));
    assert!(said.stderr.starts_with("err\n"), "{}", said.stderr);
    assert_snapshot!(told(&stage.newest()), @"failure 42 job-failed: the job exited with 42");
}

#[test]
fn what_a_job_leaves_in_its_directory_is_kept_and_told() {
    let stage = Stage::new(&Stage::script("mkdir $ARTIFACT_DIR/sub; echo a > $ARTIFACT_DIR/sub/file"));
    let artifact = stage.artifact("script");
    assert_eq!(artifact["outputs"], serde_json::json!(["sub/file"]));
    assert_eq!(fs::read_to_string(stage.job_dirs()[0].join("sub/file")).unwrap(), "a\n");
}

#[test]
fn git_works_in_the_tree_and_finds_nothing_changed() {
    let script = "git status --porcelain; git log --format=%s; git config core.hooksPath; git rev-parse origin/main; git remote; git diff --stat HEAD";
    let stage = Stage::new(&Stage::script(script));
    stage.write(".githooks/pre-push", "#!/bin/sh\n");
    let head = stage.commit("hooks");
    let said = stage.job("script");
    assert_eq!((said.code, said.stdout), (Some(0), format!("hooks\nstart\n.githooks\n{head}\n")), "{}", said.stderr);
}

#[test]
fn j11_what_a_job_would_change_is_captured_and_fails_it() {
    let script = "echo more >> README.md; rm -r sub; echo new > made; chmod +x kept; exit 0";
    let job = format!("{}tree = \"capture\"\n", Stage::script(script));
    let stage = Stage::new(&job);
    stage.write("sub/gone", "gone\n");
    stage.write("kept", "kept\n");
    stage.commit("files");
    let artifact = stage.artifact("script");
    assert_eq!(artifact["invariants"]["reason"], "MUTATION_DETECTED");
    assert_eq!(artifact["invariants"]["changed_files"], serde_json::json!(["README.md", "kept", "made", "sub"]));
    assert_snapshot!(told(&artifact), @"failure 0 mutation-detected: README.md and 3 more were changed");
    let again = stage.artifact("script");
    assert_eq!(again["invariants"], artifact["invariants"], "the tree is as it was");
}

#[test]
fn a_state_directory_whose_name_is_no_text_is_one_all_the_same() {
    let stage = Stage::new("[jobs.hello]\nargv = [\"echo\", \"hello\"]\ntimeout_sec = 60\n");
    let odd = stage.path("").join(OsStr::from_bytes(b"state-\xff"));
    let mut command = std::process::Command::new(stage.program());
    command.args(["run", "hello", "--json", "--repo", "project", "--sha", &stage.head()]);
    command.arg("--configs").arg(stage.path("configs")).arg("--state").arg(&odd);
    let output = command.env("HOME", stage.path("home")).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["status"], output.status.code()), (&"success".into(), Some(0)), "{told}");
}

#[test]
fn a_state_directory_may_be_named_from_where_one_is() {
    for (by, level) in [(As::Me, "L3"), (As::Confined, "L0")] {
        let job = Stage::script("echo hello");
        let stage = Stage::by(by, &format!("[sandbox]\nmin_level = \"L0\"\n{job}"));
        let run = ["run", "script", "--repo", "project", "--sha", &stage.head(), "--json"];
        let output = stage.command_at(Path::new("../home/../state"), &run).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["status"], &told["level"]), (&"success".into(), &level.into()), "{told}");
        assert!(told["artifact_dir"].as_str().unwrap().starts_with(stage.path("state").to_str().unwrap()), "{told}");
    }
}

#[test]
fn parameters_are_variables_and_nothing_else() {
    let job = format!(
        "{}[jobs.script.params.since_sha]\npattern = \".*\"\n",
        Stage::script("printf '%s\\n' \"$SINCE_SHA\" \"$#\"")
    );
    let stage = Stage::new(&job);
    let param = "since_sha=--output=F; $(touch x) 'a b'";
    let said = stage.runner(&["run", "script", "--repo", "project", "--sha", &stage.head(), "--param", param]);
    assert_eq!(said.stdout, "--output=F; $(touch x) 'a b'\n0\n", "{}", said.stderr);
}

#[test]
fn fifty_jobs_of_many_commits_leave_three_trees_at_most() {
    let stage = Stage::new("[jobs.show]\nargv = [\"cat\", \"number\"]\ntimeout_sec = 60\n");
    let mut commits = Vec::new();
    for number in 0..12 {
        stage.write("number", &number.to_string());
        commits.push(stage.commit("number"));
    }
    for run in 0..50 {
        let at = (run * 7) % commits.len();
        let said = stage.runner(&["run", "show", "--repo", "project", "--sha", &commits[at], "--trees", "3"]);
        assert_eq!((said.code, said.stdout), (Some(0), at.to_string()), "{}", said.stderr);
    }
    let trees = fs::read_dir(stage.path("state/trees")).unwrap();
    let trees = trees.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert!((1..=3).contains(&trees), "{trees}");
}

#[test]
fn j11_a_checkout_that_changed_while_nobody_used_it_is_put_away_by_the_timer() {
    let stage = Stage::new("[jobs.read]\nargv = [\"cat\", \"README.md\"]\ntimeout_sec = 60\n");
    stage.job("read");
    let slot = fs::read_dir(stage.path("state/trees")).unwrap().map(|entry| entry.unwrap().path());
    let slot = slot.into_iter().find(|path| path.is_dir()).unwrap();
    fs::write(slot.join("tree/README.md"), "READ ME\n").unwrap();
    let said = stage.runner(&["prune"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(
        said.stderr.starts_with("mutation-detected: 1 idle checkouts were changed; they are in "),
        "{}",
        said.stderr
    );
    assert!(!slot.exists());
    assert_eq!(fs::read_dir(stage.path("state/quarantine")).unwrap().count(), 1);
    assert_eq!(stage.job("read").stdout, "read me\n");
    assert_eq!(stage.runner(&["prune"]).code, Some(0));
}

#[test]
fn j21_what_is_old_is_removed_and_what_runs_or_is_allowed_stays() {
    let stage = Stage::new("[jobs.hello]\nargv = [\"echo\", \"hello\"]\ntimeout_sec = 60\n");
    stage.job("hello");
    let old = stage.path("state/jobs/20200131T235959123Z-0123456789abcdef");
    fs::create_dir(&old).unwrap();
    fs::File::open(&old).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    fs::create_dir(stage.path("state/jobs/something-else")).unwrap();
    let said = stage.runner(&["prune", "--days", "30"]);
    assert_snapshot!(said.stdout, @"removed 1 jobs and 0 of the queue, 0 mirrors, 0 pins, 0 checkouts in quarantine and 0 unfinished ones; repacked 0 mirrors; 1 checkouts are as they were");
    let verified = stage.artifact("hello")["tree"]["verified"].as_str().unwrap().to_owned();
    assert!(verified.starts_with("built 20") && verified.contains("Z, ctime_scan 20"), "{verified}");
    assert!(!old.exists());
    assert_eq!(stage.job_dirs().len(), 3);
    fs::write(stage.path("configs/repo_allowlist.toml"), "schema = 1\n").unwrap();
    let said = stage.runner(&["prune", "--days", "0", "--json"]);
    let removed: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&removed["jobs"], &removed["mirrors"]), (&2.into(), &1.into()), "{}", said.stderr);
}
