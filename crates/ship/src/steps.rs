//! The test steps of a ship: which ones, and what really came of them.
//!
//! **Invariant:** a step that did not run its tests is a failure, never a pass.
//! **Invariant:** no key of ours is in the environment of a test.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use host::{Cmd, Host, HostError, Output, SECRETS, Status};
use outcome::Failure;
use verdict::policy::TestStep;
use verdict::schema::TestRun;

use crate::ran::Ran;

/// How much of a failed step's output is kept for a person and for the healer, in bytes.
const OUTPUT_CAP: usize = 60 << 10;

/// How much of it a failure tells.
const END_LINES: usize = 10;
const END_CHARS: usize = 1000;

/// The files whose presence in the root of the tree tells the kind of project, and the step that tests it.
const KINDS: &[(&[&str], &str, &[&str])] = &[
    (&["Cargo.toml"], "rust", &["cargo", "test", "--workspace"]),
    (&["package.json"], "node", &["npm", "test"]),
    (&["pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini"], "python", &["python3", "-m", "pytest"]),
    (&["go.mod"], "go", &["go", "test", "./..."]),
];
/// Used where no other kind fits: many projects have a Makefile beside their own build.
const MAKE: (&[&str], &str, &[&str]) = (&["Makefile", "makefile", "GNUmakefile"], "make", &["make", "test"]);

/// What no test sees, beside [`SECRETS`]: where git would find the repository that is shipped instead of the test's own
/// (`git rev-parse --local-env-vars`).
const WITHHELD: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Hears each line a step writes.
pub(crate) type Heard = Arc<dyn Fn(&str) + Send + Sync>;

/// What the tests of one run said.
#[derive(Debug)]
pub(crate) enum Tests {
    /// Every step exited with 0.
    Passed(Vec<TestRun>),
    /// A step failed.
    Failed {
        /// What a person reads.
        failure: Failure,
        /// The end of the failed step's output.
        output: String,
    },
}

/// The steps for a project with these names in the root of its tree. Empty when no kind fits.
#[must_use]
pub(crate) fn default_steps(root: &[Vec<u8>]) -> Vec<TestStep> {
    let has = |names: &[&str]| names.iter().any(|name| root.iter().any(|file| file == name.as_bytes()));
    let mut kinds: Vec<_> = KINDS.iter().filter(|(names, ..)| has(names)).collect();
    if kinds.is_empty() && has(MAKE.0) {
        kinds.push(&MAKE);
    }
    kinds
        .into_iter()
        .map(|(_, name, argv)| TestStep {
            name: (*name).to_owned(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            timeout_sec: 1800,
        })
        .collect()
}

/// Runs the steps one after the other in `dir` until one fails. `told` hears each line a step writes, `passed` each step
/// that passed.
///
/// # Errors
/// A step that could not run its tests at all, had none, or was broken off: nothing to heal.
pub(crate) fn run(
    host: &dyn Host,
    dir: &Path,
    steps: &[TestStep],
    told: &Heard,
    passed: &dyn Fn(&TestRun),
) -> Result<Tests, Failure> {
    if steps.is_empty() {
        return Err(Failure::not_ready(
            "no-tests",
            "this project has no test steps that are known",
            format!("add [[tests.steps]] to {}, push it, then ship again", verdict::policy::PATH),
        ));
    }
    let mut runs = Vec::with_capacity(steps.len());
    for step in steps {
        let ran = Arc::new(Ran::of(&step.argv));
        let output = host.run(&command(dir, step, told, &ran)).map_err(|error| not_started(step, error))?;
        match judge(step, &output, &ran)? {
            None => {
                let run = record(step, &output);
                passed(&run);
                runs.push(run);
            }
            Some(failure) => return Ok(Tests::Failed { failure, output: text_of(&output) }),
        }
    }
    Ok(Tests::Passed(runs))
}

fn command(dir: &Path, step: &TestStep, told: &Heard, ran: &Arc<Ran>) -> Cmd {
    let (told, ran) = (Arc::clone(told), Arc::clone(ran));
    Cmd::new(&step.argv[0])
        .args(&step.argv[1..])
        .dir(dir)
        .inherit_all_but(&[SECRETS, WITHHELD].concat())
        .timeout(Duration::from_secs(step.timeout_sec))
        .output_cap(OUTPUT_CAP)
        .on_line(move |_, line| {
            ran.hear(line);
            told(line);
        })
}

fn not_started(step: &TestStep, error: HostError) -> Failure {
    match error {
        HostError::NotFound { program } => tool_missing(step, &format!("there is no `{program}`")),
        other => other.into(),
    }
}

/// Whether a step failed. An error is a step that did not get as far as its tests.
fn judge(step: &TestStep, output: &Output, ran: &Ran) -> Result<Option<Failure>, Failure> {
    let failed = |why: String| {
        let reason = format!("test step `{}` ({}) {why}", step.name, step.argv.join(" "));
        Some(Failure::refused("tests-failed", reason, "mend the tests, commit, then ship again"))
    };
    match output.status {
        Status::Exited(0) if ran.nothing() => Err(nothing_ran(step)),
        Status::Exited(0) => Ok(None),
        Status::Cancelled => Err(interrupted()),
        Status::TimedOut => Ok(failed(format!("did not end within {} s", step.timeout_sec))),
        Status::Exited(127) => Err(tool_missing(step, "a program it calls was not found (exit 127)")),
        Status::Exited(5) if runs_pytest(step) => Err(nothing_ran(step)),
        Status::Exited(1) if runs_pytest(step) && lacks_pytest(output) => {
            Err(tool_missing(step, "pytest is not installed"))
        }
        status => Ok(failed(format!("failed: {status}"))),
    }
}

/// No tests are no failed test: a healer would write some that pass.
fn nothing_ran(step: &TestStep) -> Failure {
    let reason = format!("test step `{}` ({}) ran no test", step.name, step.argv.join(" "));
    let next = format!("add a test, or name the steps that have some in {}", verdict::policy::PATH);
    Failure::refused("no-test-ran", reason, next)
}

/// A run that was asked to stop.
pub(crate) fn interrupted() -> Failure {
    Failure::infrastructure("interrupted", "the run was asked to stop", "ship again: it goes on where it can")
}

fn runs_pytest(step: &TestStep) -> bool {
    step.argv.iter().any(|word| word == "pytest" || word.ends_with("/pytest"))
}

/// Python's own words for `-m pytest` without pytest; its exit code 1 is that of failed tests, too.
fn lacks_pytest(output: &Output) -> bool {
    output.stderr_text().ends_with("No module named pytest")
}

fn tool_missing(step: &TestStep, why: &str) -> Failure {
    let reason = format!("test step `{}` ({}) could not run: {why}", step.name, step.argv.join(" "));
    Failure::not_ready("test-tool-missing", reason, "install what the step needs, then ship again")
}

fn record(step: &TestStep, output: &Output) -> TestRun {
    TestRun {
        name: step.name.clone(),
        argv: step.argv.clone(),
        exit_code: 0,
        duration_ms: u64::try_from(output.elapsed.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The last lines of what a step wrote.
pub(crate) fn end_of(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let end = lines[lines.len().saturating_sub(END_LINES)..].join("\n");
    let surplus = end.chars().count().saturating_sub(END_CHARS);
    end.chars().skip(surplus).collect()
}

fn text_of(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Fake;
    use insta::assert_snapshot;

    fn kinds(root: &[&str]) -> String {
        let root: Vec<Vec<u8>> = root.iter().map(|name| name.as_bytes().to_vec()).collect();
        default_steps(&root).iter().map(|step| format!("{}: {}\n", step.name, step.argv.join(" "))).collect()
    }

    fn outcome(argv: &[&str], status: Status, stderr: &str) -> String {
        let argv: Vec<_> = argv.iter().map(|&word| word.to_owned()).collect();
        let step = TestStep { name: "unit".into(), argv: argv.clone(), timeout_sec: 7 };
        let output = Output { status, stdout: vec![], stderr: stderr.into(), cut: false, elapsed: Duration::ZERO };
        match judge(&step, &output, &Ran::of(&argv)) {
            Ok(None) => "passed".to_owned(),
            Ok(Some(failure)) => format!("failed: {}", failure.reason),
            Err(failure) => format!("stopped: {}", failure.reason),
        }
    }

    #[test]
    fn the_kind_of_project_chooses_the_steps() {
        assert_snapshot!(kinds(&["Cargo.toml", "package.json", "Makefile"]), @r"
        rust: cargo test --workspace
        node: npm test
        ");
        assert_snapshot!(kinds(&["tox.ini", "go.mod"]), @r"
        python: python3 -m pytest
        go: go test ./...
        ");
        assert_snapshot!(kinds(&["Makefile"]), @"make: make test");
        assert_snapshot!(kinds(&["README.md"]), @"");
    }

    #[test]
    fn s01_a_step_that_did_not_run_its_tests_never_passes() {
        let pytest = ["python3", "-m", "pytest"];
        assert_snapshot!(outcome(&pytest, Status::Exited(1), "/usr/bin/python3: No module named pytest"),
            @"stopped: test step `unit` (python3 -m pytest) could not run: pytest is not installed");
        assert_snapshot!(outcome(&pytest, Status::Exited(5), ""), @"stopped: test step `unit` (python3 -m pytest) ran no test");
        assert_snapshot!(outcome(&["cargo", "test"], Status::Exited(0), ""), @"stopped: test step `unit` (cargo test) ran no test");
        assert_snapshot!(outcome(&["go", "test", "./..."], Status::Exited(0), ""), @"stopped: test step `unit` (go test ./...) ran no test");
        assert_snapshot!(outcome(&pytest, Status::Exited(1), ""), @"failed: test step `unit` (python3 -m pytest) failed: exit 1");
        assert_snapshot!(outcome(&["make"], Status::Exited(127), ""),
            @"stopped: test step `unit` (make) could not run: a program it calls was not found (exit 127)");
        assert_snapshot!(outcome(&["make"], Status::TimedOut, ""), @"failed: test step `unit` (make) did not end within 7 s");
        assert_snapshot!(outcome(&["make"], Status::Cancelled, ""), @"stopped: the run was asked to stop");
        assert_snapshot!(outcome(&["make"], Status::Signaled(9), ""), @"failed: test step `unit` (make) failed: signal 9");
        assert_snapshot!(outcome(&["make"], Status::Exited(0), ""), @"passed");
    }

    #[test]
    fn s03_a_step_sees_no_key_and_not_the_repository_that_is_shipped() {
        let step = TestStep { name: "unit".into(), argv: vec!["make".into()], timeout_sec: 7 };
        let told: Heard = Arc::new(|_| {});
        let command = format!("{:?}", command(Path::new("/tree"), &step, &told, &Arc::new(Ran::of(&step.argv))));
        let (_, withheld) = command.split_once("AllBut").unwrap();
        for name in ["OPENAI_API_KEY", "CODEX_API_KEY", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
            assert!(withheld.contains(name), "{name}");
        }
    }

    #[test]
    fn the_end_of_an_output_is_bounded() {
        let lines: String = (1..=20).map(|number| format!("line {number}\n")).collect();
        assert_snapshot!(end_of(&lines).replace('\n', ", "), @"line 11, line 12, line 13, line 14, line 15, line 16, line 17, line 18, line 19, line 20");
        assert_eq!(end_of(&"é".repeat(5000)).chars().count(), END_CHARS);
        assert_eq!(end_of("\n"), "");
    }

    #[test]
    fn s01_no_known_step_is_no_pass() {
        let told: Heard = Arc::new(|_| {});
        let failure = run(&Fake::new(), Path::new("/tree"), &[], &told, &|_| {}).unwrap_err();
        assert_snapshot!(failure.text(), @r"
        no-tests: this project has no test steps that are known
        next: add [[tests.steps]] to configs/ship.toml, push it, then ship again
        ");
    }
}
