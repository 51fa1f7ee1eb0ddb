//! Jobs that try to get what they must not have, as a whole: through the runner, at every level there is here.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::stage::{As, Stage, told};

/// A job whose script exits with 7 when everything that it tried was refused.
fn tried(script: &str) -> String {
    format!("[sandbox]\nmin_level = \"L0\"\n{}", Stage::script(&format!("{script}\nexit 7")))
}

/// Runs the script by every user and in every place; it must end with 7 and leave the tree as it was.
fn refused_everywhere(script: &str) {
    for (by, level) in [(As::Me, "L3"), (As::Nobody, "L3"), (As::Confined, "L0")] {
        let stage = Stage::by(by, &tried(script));
        let artifact = stage.artifact("script");
        let log = fs::read_to_string(stage.job_dirs()[0].join("stderr.log")).unwrap_or_default();
        assert_eq!(artifact["exit_code"], 7, "{by:?}: {} {log}", told(&artifact));
        assert_eq!(artifact["level"], level);
        assert_eq!(artifact["invariants"]["clean_tree_ok"], true, "{by:?}");
    }
}

#[test]
fn the_tree_cannot_be_changed() {
    refused_everywhere(
        "echo x >> README.md && exit 0
        rm README.md && exit 0
        mv README.md other && exit 0
        mkdir made && exit 0
        chmod 777 README.md && exit 0
        touch -d @0 README.md && exit 0
        ln README.md linked && exit 0
        true > /proc/self/cwd/README.md && exit 0
        truncate -s 0 README.md && exit 0",
    );
}

#[test]
fn j10_git_cannot_be_turned_against_the_runner() {
    refused_everywhere(
        "git config core.hooksPath /tmp && exit 0
        git config core.fsmonitor /bin/true && exit 0
        git -c user.name=a -c user.email=a@b commit -q --allow-empty -m evil && exit 0
        git update-index --assume-unchanged README.md && exit 0
        git branch evil && exit 0
        git push \"$(git config remote.origin.url)\" HEAD:refs/heads/evil && exit 0",
    );
}

#[test]
fn j08_j09_nothing_of_the_operator_is_there() {
    refused_everywhere(
        "env | grep -i -E 'secret|cargo|runner_' && exit 0
        cat /etc/shadow && exit 0
        ls /root && exit 0
        ls \"$HOME/../../state\" && exit 0
        ls /proc/1/root/ 2>/dev/null | grep -q home && exit 0
        cat /proc/1/environ | grep -q . && exit 0
        cat /proc/$PPID/environ | grep -q HOME && exit 0",
    );
}

#[test]
fn j08_variables_are_passed_by_name_and_secrets_taken_out_of_logs() {
    let job = format!("{}env = [\"BUILD_NAME\"]\n", Stage::script("env; echo sk-live-0123456789 >&2"));
    let stage = Stage::new(&job);
    let mut command = stage.command(&["run", "script", "--repo", "project", "--sha", &stage.head()]);
    let variables = [("BUILD_NAME", "nightly"), ("OTHER", "other-value"), ("OPENAI_API_KEY", "sk-live-0123456789")];
    let said = command.envs(variables).output().unwrap();
    let log = |name| fs::read_to_string(stage.job_dirs()[0].join(name)).unwrap();
    let stdout = log("stdout.log");
    assert_eq!(String::from_utf8(said.stdout).unwrap(), stdout);
    assert!(stdout.contains("BUILD_NAME=nightly\n"), "{stdout}");
    assert!(!stdout.contains("other-value") && !stdout.contains("OPENAI"), "{stdout}");
    assert_eq!(log("stderr.log"), "[redacted]\n");
    assert!(String::from_utf8(said.stderr).unwrap().starts_with("[redacted]\n"));
}

#[test]
fn j13_a_daemon_is_gone_when_the_job_is() {
    let marker = "61234.5";
    let script =
        format!("trap '' TERM; setsid sh -c \"trap '' TERM; exec sleep {marker}\" >/dev/null 2>&1 & sleep 0.2; exit 7");
    for by in [As::Me, As::Nobody, As::Confined] {
        let stage = Stage::by(by, &tried(&script));
        assert_eq!(stage.artifact("script")["exit_code"], 7);
        assert!(!is_running(marker), "{by:?}");
    }
}

#[test]
fn j13_a_killed_runner_leaves_nothing_running_and_the_next_one_says_so() {
    let marker = "61234.75";
    let stage = Stage::new(&Stage::script(&format!("echo begun; exec sleep {marker}")));
    let mut child = stage
        .command(&["run", "script", "--repo", "project", "--sha", &stage.head()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    // Its end reaches the sandbox by a closed socket, which takes a moment.
    while is_running(marker) {
        std::thread::yield_now();
    }
    assert!(!stage.job_dirs()[0].join("artifact.json").exists());
    stage.jobs(&Stage::script("exit 0"));
    assert_eq!(stage.artifact("script")["status"], "success");
    let dirs = stage.job_dirs();
    let first: serde_json::Value = serde_json::from_slice(&fs::read(dirs[0].join("artifact.json")).unwrap()).unwrap();
    assert_snapshot!(told(&first), @"error -1 interrupted: the runner died while the job ran");
    assert!(fs::read_dir(stage.path("state/running")).unwrap().next().is_none());
}

#[test]
fn j15_a_flood_of_bytes_is_cut_with_a_mark() {
    let job = format!(
        "{}[jobs.script.limits]\nlog_mib = 1\n",
        Stage::script("head -c 30000000 /dev/zero; head -c 3000000 /dev/urandom >&2")
    );
    let stage = Stage::new(&job);
    let artifact = stage.artifact("script");
    assert_eq!(artifact["logs"]["stdout"]["seen"], 30_000_000);
    assert_eq!(artifact["logs"]["stdout"]["truncated"], true);
    let log = fs::read(stage.job_dirs()[0].join("stdout.log")).unwrap();
    assert!(log.len() <= 1 << 20);
    assert!(String::from_utf8_lossy(&log).contains("bytes left out]"));
}

#[test]
fn j14_only_plain_files_are_taken_out_of_a_job() {
    let script = "cd $ARTIFACT_DIR; ln -s /etc/passwd link; mkfifo fifo; echo a > a; ln a b; echo c > c; echo fake > artifact.json; ln -s / dir";
    let stage = Stage::new(&Stage::script(script));
    let artifact = stage.artifact("script");
    assert_eq!(artifact["outputs"], serde_json::json!(["c"]));
    assert_snapshot!(artifact["collected"]["refused"], @r#"[{"path":"a","reason":"hardlink"},{"path":"artifact.json","reason":"name-reserved"},{"path":"b","reason":"hardlink"},{"path":"dir","reason":"symlink"},{"path":"fifo","reason":"not-a-file"},{"path":"link","reason":"symlink"}]"#);
    assert_eq!(artifact["status"], "success");
    assert_eq!(artifact["warnings"], serde_json::json!(["OUTPUT_REFUSED"]));
}

#[test]
fn j21_j23_what_a_job_made_unreadable_is_in_the_way_of_no_pruning() {
    let script = "umask 777; mkdir $TMPDIR/locked $ARTIFACT_DIR/locked; mkdir -m 700 $TMPDIR/a; mkdir $TMPDIR/a/locked";
    let stage = Stage::by(As::Confined, &tried(script));
    assert_eq!(stage.artifact("script")["exit_code"], 7);
    assert!(!stage.job_dirs()[0].join(".scratch").exists());
    let said = stage.runner(&["prune", "--days", "0"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(stage.job_dirs().is_empty());
}

#[test]
fn j23_a_job_that_takes_too_much_is_told_which_limit_it_met() {
    let job = format!(
        "{}[jobs.script.limits]\nprocesses = 20\ngrace_sec = 1\n",
        Stage::script("for i in $(seq 100); do sleep 5 & done; wait")
    );
    let stage = Stage::new(&job);
    let artifact = stage.artifact("script");
    assert_ne!(artifact["status"], "success", "{}", told(&artifact));
}

#[test]
fn two_runs_of_one_commit_at_once_both_end_well() {
    let stage = Stage::new(&Stage::script("cat README.md"));
    let head = stage.head();
    let start = || {
        let mut command = stage.command(&["run", "script", "--repo", "project", "--sha", &head]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs = [start(), start(), start()];
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"read me\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn is_running(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").unwrap();
    let mut lines = processes.filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok());
    lines.any(|line| line == wanted.as_bytes())
}

#[test]
fn killed_at_any_moment_the_next_run_is_clean_and_right() {
    let stage = Stage::new(&Stage::script("cat number"));
    let commits: Vec<String> = (0..3)
        .map(|number| {
            stage.write("number", &number.to_string());
            stage.commit("number")
        })
        .collect();
    // From before the state directory is made to after the job began.
    for (run, millis) in (0..60).step_by(3).enumerate() {
        let sha = &commits[run % commits.len()];
        let mut child =
            stage.command(&["run", "script", "--repo", "project", "--sha", sha, "--trees", "1"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let at = (run + 1) % commits.len();
        let said = stage.runner(&["run", "script", "--repo", "project", "--sha", &commits[at], "--trees", "1"]);
        assert_eq!((said.code, said.stdout), (Some(0), at.to_string()), "after {millis} ms: {}", said.stderr);
    }
    // What a killed runner had just started still has its marker open until it is gone too: a later run finishes that job.
    while fs::read_dir(stage.path("state/running")).unwrap().next().is_some() {
        assert_eq!(stage.job("script").code, Some(0));
    }
    let left = |dir: &str| {
        fs::read_dir(stage.path(dir)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap())
    };
    assert_eq!(left("state/trees").filter(|name| name.starts_with('.')).count(), 0);
    assert_eq!(left("state/trees").filter(|name| !name.contains('.')).count(), 1);
    for dir in stage.job_dirs() {
        let unfinished = dir.join("job.json").exists() && dir.join(".died.json").exists();
        assert!(!unfinished, "{}", dir.display());
    }
}
