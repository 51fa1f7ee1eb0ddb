//! Requests and configurations that are refused, and jobs that could not be run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use crate::stage::{As, Said, Stage, told};

const HELLO: &str = "[jobs.hello]\nargv = [\"echo\", \"hello\"]\ntimeout_sec = 60\n";

fn text(said: &Said) -> String {
    format!("exit {}\n{}", said.code.unwrap(), said.stderr)
}

#[test]
fn help() {
    let stage = Stage::new(HELLO);
    let commands = [
        "",
        "run",
        "allow",
        "prune",
        "submit",
        "orb",
        "watch",
        "logs",
        "list",
        "show",
        "cancel",
        "rerun",
        "artifacts",
        "workers",
        "queue",
        "drain",
        "completions",
    ];
    for command in commands {
        let words = command.split_whitespace().chain(["--help"]);
        let said = std::process::Command::new(stage.program()).args(words).output().unwrap();
        let name = format!("{command}-help").trim_start_matches('-').to_owned();
        insta::with_settings!({snapshot_suffix => name}, { assert_snapshot!(String::from_utf8(said.stdout).unwrap()) });
    }
}

#[test]
fn j02_j03_j06_everything_that_is_wrong_with_a_request_is_told_at_once_and_no_job_begins() {
    let stage = Stage::new(HELLO);
    let said = stage.runner(&["run", "helo", "--repo", "../../x", "--sha", "main", "--param", "since_sha=--output=F"]);
    assert_snapshot!(text(&said), @r"
    exit 1
    not-admitted: there is no job `helo` (did you mean `hello`?); known: hello
    the repository `../../x` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64)
    sha `main` is a name, not an id: 40 or 64 lower-case hex digits
    next: mend each of the reasons, then ask again
    ");
    assert!(stage.job_dirs().is_empty());
}

#[test]
fn j16_a_parameter_that_is_given_twice_has_no_value() {
    let stage = Stage::new(HELLO);
    let run = ["run", "hello", "--repo", "project", "--sha", &stage.head(), "--param", "a=1", "--param", "a=2"];
    assert_snapshot!(text(&stage.runner(&run)), @r"
    exit 2
    arguments: --param a is given twice
    next: give each once
    ");
    assert!(stage.job_dirs().is_empty());
}

#[test]
fn j06_a_commit_that_no_allowed_branch_has_is_refused() {
    let stage = Stage::new(HELLO);
    stage.git(&["switch", "-q", "-c", "other"]);
    let elsewhere = stage.commit("elsewhere");
    let unknown = "0123456789".repeat(4);
    for sha in [&elsewhere, &unknown] {
        let said = stage.runner(&["run", "hello", "--repo", "project", "--sha", sha]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{}", said.stderr);
        assert_eq!(stage.newest()["status"], "error");
    }
    let classes: Vec<String> = stage
        .job_dirs()
        .iter()
        .map(|dir| {
            let artifact: serde_json::Value =
                serde_json::from_slice(&fs::read(dir.join("artifact.json")).unwrap()).unwrap();
            artifact["class"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(classes, ["not-on-allowed-branch", "commit-unknown"]);
}

#[test]
fn an_allowlist_that_others_can_write_decides_nothing() {
    let stage = Stage::new(HELLO);
    let file = stage.path("configs/repo_allowlist.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let said = stage.job("hello");
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.starts_with("config-unsafe: "), "{}", said.stderr);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    assert!(stage.job("hello").stderr.contains("is no regular file"));
    fs::remove_file(&file).unwrap();
    assert!(stage.job("hello").stderr.starts_with("no-repos: "));
}

#[test]
fn a_state_directory_that_others_can_write_to_is_not_used() {
    let stage = Stage::new(HELLO);
    fs::create_dir(stage.path("state")).unwrap();
    fs::set_permissions(stage.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    for said in [stage.job("hello"), stage.runner(&["prune"])] {
        assert_eq!(said.code, Some(3));
        assert!(said.stderr.starts_with("state-unsafe: "), "{}", said.stderr);
    }
    assert_eq!(fs::read_dir(stage.path("state")).unwrap().count(), 0);
}

#[test]
fn a_repository_is_allowed_once_and_a_name_means_one() {
    let stage = Stage::new(HELLO);
    let said = stage.runner(&["allow", "../project/.", "--branch", "main"]);
    assert!(said.stdout.starts_with("project was allowed before: "), "{}", said.stdout);
    for otherwise in [["--name", "other"], ["--branch", "other"]] {
        let said = stage.runner(&[&["allow", "."][..], &otherwise].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        assert!(said.stderr.starts_with("allowed-otherwise: it is allowed already, as `project`"), "{}", said.stderr);
    }
    let said = stage.runner(&["allow", "git@github.com:me/project.git"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.starts_with("name-taken: "), "{}", said.stderr);
    let said = stage.runner(&[
        "allow",
        "git@github.com:me/project.git",
        "--name",
        "theirs",
        "--branch",
        "release/*",
        "--branch",
        "main",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("\nwarning: repos.theirs: has no ssh_host_keys: "), "{}", said.stdout);
    let written = fs::read_to_string(stage.path("configs/repo_allowlist.toml")).unwrap();
    assert_snapshot!(written.replace(stage.path("").to_str().unwrap(), "/stage/"), @r#"
    # The repositories that jobs may run on: runner allow DIR-OR-URL
    schema = 1

    [repos."project"]
    url = "file:///stage/project"
    allowed_branches = ["main"]
    default_branch = "main"

    [repos."theirs"]
    url = "git@github.com:me/project.git"
    allowed_branches = ["release/*", "main"]
    default_branch = "main"
    "#);
    let said = stage.runner(&["allow", "ext::sh -c id"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.starts_with("bad-url: "), "{}", said.stderr);
    let said = stage.runner(&["allow", "/no/such/directory"]);
    assert!(said.stderr.starts_with("bad-url: the path leads nowhere: No such file"), "{}", said.stderr);
}

#[test]
fn allowlists_of_somebody_else_are_not_changed_and_what_to_do_is_said() {
    let stage = Stage::by(As::Nobody, HELLO);
    let before = fs::read(stage.path("configs/repo_allowlist.toml")).unwrap();
    fs::set_permissions(stage.path("configs"), fs::Permissions::from_mode(0o555)).unwrap();
    let said = stage.runner(&["allow", "https://example.com/other"]);
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.starts_with("configs-read-only: ") && said.stderr.contains("--configs DIR"), "{}", said.stderr);
    assert_eq!(fs::read(stage.path("configs/repo_allowlist.toml")).unwrap(), before);
}

#[test]
fn who_holds_the_lock_of_the_allowlists_for_ever_is_not_waited_for_as_long() {
    let stage = Stage::new(HELLO);
    let lock = fs::File::open(stage.path("configs")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let said = stage.runner(&["allow", "https://example.com/other"]);
    assert_eq!(said.code, Some(5));
    assert!(said.stderr.starts_with("configs-locked: "), "{}", said.stderr);
}

#[test]
fn a_bind_that_is_not_there_is_said_so() {
    let stage = Stage::new("[jobs.bound]\nargv = [\"true\"]\ntimeout_sec = 60\nbinds = [\"/opt/no-such-tool\"]\n");
    assert_eq!(stage.job("bound").code, Some(3));
    assert_snapshot!(told(&stage.newest()), @"error -1 bind-missing: /opt/no-such-tool: No such file or directory (os error 2)");
}

#[test]
fn a_program_that_is_not_there_is_said_so() {
    let stage = Stage::new("[jobs.nothing]\nargv = [\"no-such-program\"]\ntimeout_sec = 60\n");
    let said = stage.job("nothing");
    assert_eq!(said.code, Some(1));
    assert_snapshot!(told(&stage.newest()), @"error -1 job-not-startable: the job's program no-such-program cannot be started: No such file or directory (os error 2)");
}

#[test]
fn j12_a_job_is_refused_below_the_policy_s_level() {
    let stage = Stage::by(As::Confined, HELLO);
    let said = stage.job("hello");
    assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""));
    assert_eq!(stage.newest()["class"], "isolation-missing");
    stage.jobs(&format!("[sandbox]\nmin_level = \"L1\"\n{HELLO}"));
    stage.job("hello");
    assert_eq!(stage.newest()["class"], "isolation-too-weak");
}
