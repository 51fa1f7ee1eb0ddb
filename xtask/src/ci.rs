//! `cargo xtask ci`: everything that CI runs, step by step, stopping at the first failure.

use std::fs;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Instant;

use clap::Args;
use outcome::Failure;

use crate::programs::{BUILT, Installed, built};
use crate::workshop::{Workshop, unusable};
use crate::{secrets, setup, snapshots, tidy};

/// Where the nextest profile `ci` leaves its report (`junit.path` in .config/nextest.toml).
const REPORT: &str = "nextest/ci/junit.xml";

/// What the mutation tests cover: the code whose mistakes would let something through.
const MUTATED: [&str; 25] = [
    "crates/allowlist/src/admit*",
    "crates/allowlist/src/bind*",
    "crates/allowlist/src/git_url*",
    "crates/allowlist/src/variable*",
    "crates/job-files/src/name*",
    "crates/job-store/src/engine*",
    "crates/job-store/src/limits*",
    "crates/job/src/conclude*",
    "crates/job/src/life*",
    "crates/port-audit/src/judge*",
    "crates/port-audit/src/nat*",
    "crates/port-audit/src/policy*",
    "crates/review-bundle/src/fill*",
    "crates/review-bundle/src/ledger*",
    "crates/review-bundle/src/overview*",
    "crates/review-bundle/src/packet*",
    "crates/runner-api/src/principal*",
    "crates/runner-api/src/scope*",
    "crates/runner-api/src/tokens*",
    "crates/runner/src/attempt*",
    "crates/runner/src/desk*",
    "crates/runner/src/site*",
    "crates/sandbox/src/evidence*",
    "crates/verdict/src/gate/**",
    "crates/worktree/src/verify*",
];

/// How long each fuzz target runs in `--full`.
const FUZZ_SECONDS: u32 = 30;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Also the installed programs, licenses and sources of dependencies, unused dependencies by their tool, mutation tests and fuzzing
    #[arg(long)]
    full: bool,
}

struct Step {
    name: &'static str,
    run: fn(&Workshop) -> Result<(), Failure>,
}

const STEPS: [Step; 12] = [
    Step { name: "setup", run: |workshop| setup::run(workshop, &setup::Arguments { full: false }) },
    Step { name: "format", run: format },
    Step { name: "tidy", run: tidy::run },
    Step { name: "secrets", run: secrets::check },
    Step { name: "clippy", run: clippy },
    Step { name: "tests", run: tests },
    Step { name: "snapshots", run: unreferenced_snapshots },
    Step { name: "doctests", run: doctests },
    Step { name: "documentation", run: documentation },
    Step { name: "demo", run: |workshop| task(workshop, &["demo", "ship"]) },
    Step { name: "demo of the runner", run: |workshop| task(workshop, &["demo", "runner"]) },
    Step { name: "smoke", run: |workshop| task(workshop, &["smoke"]) },
];

const FULL_STEPS: [Step; 6] = [
    Step { name: "full setup", run: |workshop| setup::run(workshop, &setup::Arguments { full: true }) },
    Step { name: "installed programs", run: installed_programs },
    Step { name: "deny", run: deny },
    Step { name: "unused dependencies", run: machete },
    Step { name: "fuzz", run: fuzz },
    Step { name: "mutants", run: mutants },
];

/// Runs the steps, then prints the counts of the tests on a line of their own, whether they passed or not.
///
/// # Errors
/// The failure of the first step that fails.
pub(crate) fn run(workshop: &Workshop, arguments: &Arguments) -> Result<(), Failure> {
    forget_earlier_run(workshop)?;
    let full: &[Step] = if arguments.full { &FULL_STEPS } else { &[] };
    let outcome = STEPS.iter().chain(full).try_for_each(|step| timed(workshop, step));
    let counts = counts(workshop);
    if let Err(failure) = &outcome {
        println!("==> failed: {failure}");
    }
    if let Ok(Some(counts)) = &counts {
        println!("{counts}");
    }
    outcome?;
    match counts? {
        Some(Counts { passed: 1.., failed: 0 }) => Ok(()),
        _ => Err(Failure::bug(
            "no-tests",
            "the tests left no report of a passed run",
            "see [profile.ci] in .config/nextest.toml",
        )),
    }
}

fn timed(workshop: &Workshop, step: &Step) -> Result<(), Failure> {
    println!("==> {}", step.name);
    let start = Instant::now();
    let outcome = (step.run)(workshop);
    println!("    {}: {:.1} s", step.name, start.elapsed().as_secs_f64());
    outcome
}

fn forget_earlier_run(workshop: &Workshop) -> Result<(), Failure> {
    for path in [workshop.target(REPORT), references(workshop)] {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(unusable(&path, &e)),
            _ => {}
        }
    }
    Ok(())
}

fn references(workshop: &Workshop) -> PathBuf {
    workshop.target("snapshot-references.txt")
}

fn format(workshop: &Workshop) -> Result<(), Failure> {
    workshop.tool("cargo").args(["fmt", "--all", "--check"]).run("format", "run: cargo fmt --all")
}

fn clippy(workshop: &Workshop) -> Result<(), Failure> {
    workshop
        .tool("cargo")
        .args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
        .run("clippy", "mend what clippy names above")
}

/// The tests find all programs built, also those that have no test of their own; they have the features of the tests, so
/// that what both depend on is built once.
fn tests(workshop: &Workshop) -> Result<(), Failure> {
    let build = workshop.tool("cargo").args(["build", "--locked", "--workspace", "--bins", "--tests", "--quiet"]);
    build.run("build-failed", "mend what cargo names")?;
    // Many tests wait for something most of their time.
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    workshop
        .tool("cargo")
        .args(["nextest", "run", "--locked", "--workspace", "--profile", "ci"])
        .args(["--test-threads".to_owned(), (processors + processors / 2).to_string()])
        .env("INSTA_UPDATE", "no")
        .env(snapshots::REFERENCES, references(workshop))
        .env(BUILT, "1")
        .run("tests", "see the failed tests above")
}

fn unreferenced_snapshots(workshop: &Workshop) -> Result<(), Failure> {
    snapshots::check(workshop.root(), &workshop.tree()?, &references(workshop))
}

fn doctests(workshop: &Workshop) -> Result<(), Failure> {
    workshop
        .tool("cargo")
        .args(["test", "--locked", "--workspace", "--doc", "--quiet"])
        .run("doctests", "mend the examples named above")
}

fn documentation(workshop: &Workshop) -> Result<(), Failure> {
    workshop
        .tool("cargo")
        .args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run("documentation", "mend the comments that rustdoc names above")
}

/// A task with the programs that the tests were run with.
fn task(workshop: &Workshop, arguments: &[&str]) -> Result<(), Failure> {
    let xtask = workshop.tool(built(workshop, "xtask")).args(arguments).env(BUILT, "1");
    xtask.run("task", format!("run: cargo xtask {}", arguments.join(" ")))
}

fn installed_programs(workshop: &Workshop) -> Result<(), Failure> {
    let installed = Installed::build(workshop)?;
    if cfg!(all(target_os = "linux", target_env = "gnu")) { installed.start_alone(workshop) } else { Ok(()) }
}

/// Advisories are left out: their database is not part of the tree, so that the same commit would not always get the
/// same answer.
fn deny(workshop: &Workshop) -> Result<(), Failure> {
    workshop
        .tool("cargo")
        .args(["deny", "--locked", "check", "bans", "licenses", "sources"])
        .run("deny", "replace the dependency, or allow it in deny.toml with the reason")
}

fn machete(workshop: &Workshop) -> Result<(), Failure> {
    workshop
        .tool("cargo")
        .args(["machete", "crates", "bins", "xtask"])
        .run("unused-dependencies", "remove them from the manifests")
}

fn mutants(workshop: &Workshop) -> Result<(), Failure> {
    workshop
        .tool("cargo")
        .args(["mutants", "--test-tool", "nextest", "--no-shuffle", "--colors", "never", "--output"])
        .args([workshop.target("")])
        .args(MUTATED.iter().flat_map(|file| ["--file", file]))
        // One failed test is enough; the others may run for ever.
        .args(["--", "--max-fail", "1:immediate"])
        .run("mutants", "write the test that each survivor above would fail")
}

fn fuzz(workshop: &Workshop) -> Result<(), Failure> {
    let targets = fuzz_targets(&workshop.root().join("fuzz/fuzz_targets"))?;
    for target in targets {
        workshop
            .tool("cargo")
            .args(["fuzz", "run", &target, "--"])
            .args([format!("-max_total_time={FUZZ_SECONDS}")])
            // The sanitizer's flags are not stable; this lets the pinned compiler take them.
            .env("RUSTC_BOOTSTRAP", "1")
            .run("fuzz", format!("replay the input that it names: RUSTC_BOOTSTRAP=1 cargo fuzz run {target} FILE"))?;
    }
    Ok(())
}

fn fuzz_targets(dir: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(dir).map_err(|e| unusable(dir, &e))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| unusable(dir, &e))?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// How many tests ran, by nextest's own report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The counts of this run; `None` when the tests were not reached or did not compile.
fn counts(workshop: &Workshop) -> Result<Option<Counts>, Failure> {
    let path = workshop.target(REPORT);
    match fs::read_to_string(&path) {
        Ok(report) => Counts::of_report(&report).map(Some).ok_or_else(|| {
            Failure::bug(
                "no-tests",
                format!("{} has no counts", path.display()),
                "see which nextest wrote it: cargo nextest --version",
            )
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unusable(&path, &e)),
    }
}

impl Counts {
    /// From the attributes of a `JUnit` report's root, `<testsuites .. tests="9" failures="1" errors="0" ..>`.
    fn of_report(report: &str) -> Option<Self> {
        let root = report.split_once("<testsuites ")?.1.split_once('>')?.0;
        let attribute =
            |name: &str| -> Option<u64> { root.split_once(&format!("{name}=\""))?.1.split_once('"')?.0.parse().ok() };
        let failed = attribute("failures")? + attribute("errors")?;
        Some(Self { passed: attribute("tests")?.checked_sub(failed)?, failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts_of(root: &str) -> Option<Counts> {
        Counts::of_report(&format!("<?xml version=\"1.0\"?>\n{root}\n  <testsuite name=\"a\" tests=\"1\">"))
    }

    #[test]
    fn counts_are_the_reports_own() {
        let root = r#"<testsuites name="nextest-run" tests="9" failures="2" errors="1" uuid="x" time="0.1">"#;
        assert_eq!(counts_of(root), Some(Counts { passed: 6, failed: 3 }));
    }

    #[test]
    fn a_report_that_does_not_add_up_has_no_counts() {
        assert_eq!(counts_of(r#"<testsuites tests="1" failures="2" errors="0">"#), None);
        assert_eq!(counts_of("<testsuites>"), None);
        assert_eq!(counts_of(r#"<testsuites tests="1" failures="0">"#), None);
    }
}
