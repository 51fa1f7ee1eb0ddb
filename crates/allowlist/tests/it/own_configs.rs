//! The lists of this repository: readable, and the jobs that were kept.

use std::collections::BTreeMap;

use allowlist::{Level, Policy, Request};
use insta::assert_snapshot;

const JOBS: &[u8] = include_bytes!("../../../../configs/job_allowlist.toml");
const REPOS: &str = include_str!("../../../../configs/repo_allowlist.toml");

/// The list of repositories with its example taken out of the comment.
fn with_the_example() -> String {
    let (head, example) = REPOS.split_once("[repos]\n").unwrap();
    let lines = example.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    head.to_owned() + &lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_lists_of_this_repository_are_a_policy() {
    let policy = Policy::parse(JOBS, REPOS.as_bytes()).unwrap();
    assert_eq!((policy.min_level(), policy.repos().len(), policy.warnings()), (Level::L3, 0, vec![]));
    let jobs = policy.jobs().iter().map(|(name, job)| {
        let params: Vec<&str> = job.params.keys().map(String::as_str).collect();
        format!("{name} {} {:?} {:?}\n", job.timeout_sec, job.argv, params)
    });
    assert_snapshot!(jobs.collect::<String>(), @r#"
    local_echo 60 ["echo", "hello from the runner"] []
    orb_doctor 300 ["orb-doctor"] []
    orb_ops_selftests 1800 ["bash", "-euc", "for test in ops/tests/*_selftest.sh; do echo \"== $test\"; bash \"$test\"; done"] []
    orb_review_auto_nopush 900 ["env", "CODEX_SKIP=1", "bash", "ops/review_auto.sh", "--no-push"] []
    orb_review_bundle 600 ["orb-review-bundle"] ["since_sha"]
    orb_score_run 1800 ["orb-score-run"] ["logs_day", "run_id"]
    "#);
}

#[test]
fn the_example_is_a_repository_when_it_is_taken_out_of_the_comment() {
    let policy = Policy::parse(JOBS, with_the_example().as_bytes()).unwrap();
    let repo = &policy.repos()["algo-nt8-orb"];
    assert_eq!(repo.url.as_str(), "ssh://git@github.com/example/algo-nt8-orb");
    assert!(repo.allows_branch("main") && repo.allows_branch("release/1") && !repo.allows_branch("dev"));
    assert_eq!(policy.warnings(), Vec::<String>::new());
}

#[test]
fn j16_the_parameters_of_this_repository_take_ids_days_and_plain_names() {
    let policy = Policy::parse(JOBS, with_the_example().as_bytes()).unwrap();
    let admitted = |job: &str, key: &str, value: &str| {
        let params = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let sha = "a".repeat(40);
        let request = Request { job, repo: "algo-nt8-orb", sha: &sha, remote_url: None, params: &params };
        policy.admit(&request).is_ok()
    };
    let long = "a".repeat(65);
    let tried = [
        ("orb_review_bundle", "since_sha", vec![&long[..40], "--output=F", &long[..41], "HEAD", "a b", ""]),
        ("orb_score_run", "logs_day", vec!["2026-01-31", "2026-1-31", "٢٠٢٦-٠١-٣١", "2026-01-31\n", "x2026-01-31"]),
        ("orb_score_run", "run_id", vec!["r", "R-1.2_3", &long[..64], &long, "-r", ".", "r/1", "r;x", "$(x)"]),
    ];
    let lines = tried.map(|(job, key, values)| {
        let good: Vec<&str> = values.into_iter().filter(|value| admitted(job, key, value)).collect();
        format!("{key} {good:?}")
    });
    assert_snapshot!(lines.join("\n"), @r#"
    since_sha ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    logs_day ["2026-01-31"]
    run_id ["r", "R-1.2_3", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    "#);
}
