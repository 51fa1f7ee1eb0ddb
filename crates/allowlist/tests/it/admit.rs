//! Requests: one is normal, each test changes something and shows what a person reads.

use std::collections::BTreeMap;

use allowlist::{Admitted, Level, Policy, Refusals, Request};
use insta::assert_snapshot;

const JOBS: &[u8] = include_bytes!("../samples/job_allowlist-v1.toml");
const REPOS: &[u8] = include_bytes!("../samples/repo_allowlist-v1.toml");
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

struct Asked {
    job: &'static str,
    repo: &'static str,
    sha: String,
    remote_url: Option<&'static str>,
    params: Vec<(&'static str, String)>,
}

fn normal() -> Asked {
    Asked { job: "score", repo: "orb", sha: SHA.into(), remote_url: None, params: vec![("since_sha", SHA.into())] }
}

fn admit(change: impl FnOnce(&mut Asked)) -> Result<Admitted, Refusals> {
    let mut asked = normal();
    change(&mut asked);
    let params: BTreeMap<String, String> = asked.params.into_iter().map(|(key, value)| (key.into(), value)).collect();
    let policy = Policy::parse(JOBS, REPOS).unwrap();
    policy.admit(&Request {
        job: asked.job,
        repo: asked.repo,
        sha: &asked.sha,
        remote_url: asked.remote_url,
        params: &params,
    })
}

/// What a person reads.
fn decision(change: impl FnOnce(&mut Asked)) -> String {
    match admit(change) {
        Ok(admitted) => format!("{} runs for {} at {}\n", admitted.job_name(), admitted.repo_name(), admitted.sha()),
        Err(refusals) => refusals.as_slice().iter().map(|r| format!("{}: {r} → {}\n", r.class(), r.next())).collect(),
    }
}

#[test]
fn a_normal_request_is_admitted_with_what_the_policy_says() {
    let admitted = admit(|_| {}).unwrap();
    let policy = Policy::parse(JOBS, REPOS).unwrap();
    assert_eq!((admitted.job(), admitted.repo()), (&policy.jobs()["score"], &policy.repos()["orb"]));
    assert_eq!((admitted.sha(), admitted.min_level(), admitted.policy_sha256()), (SHA, Level::L2, policy.sha256()));
    assert_eq!((admitted.job_name(), admitted.repo_name()), ("score", "orb"));
    assert_eq!(admitted.params(), &BTreeMap::from([("since_sha".to_owned(), SHA.to_owned())]));
    assert_eq!(admitted.environment(), BTreeMap::from([("SINCE_SHA".to_owned(), SHA.to_owned())]));
}

#[test]
fn j02_every_job_needs_an_allowlisted_repository() {
    assert_snapshot!(decision(|asked| asked.repo = "obr"), @"unknown-repo: there is no repository `obr`; known: local, orb, public → name one of the list, or have it added to the allowlist");
    assert_snapshot!(decision(|asked| asked.repo = ""), @"bad-name: the repository `` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64) → name one of the list, or have it added to the allowlist");
    assert_snapshot!(decision(|asked| asked.job = "scores"), @"unknown-job: there is no job `scores` (did you mean `score`?); known: echo, score → name one of the list, or have it added to the allowlist");
}

#[test]
fn j02_a_job_runs_for_its_repositories_only() {
    assert_snapshot!(decision(|asked| asked.repo = "public"), @"job-not-for-repo: the job `score` does not run for the repository `public`; it runs for: local, orb → choose another job or repository, or have the allowlist changed");
    assert_snapshot!(decision(|asked| { asked.repo = "public"; asked.job = "echo"; asked.params.clear(); }), @"echo runs for public at 0123456789abcdef0123456789abcdef01234567");
}

#[test]
fn j03_a_path_is_no_name() {
    assert_snapshot!(decision(|asked| asked.repo = "../../etc"), @"bad-name: the repository `../../etc` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64) → name one of the list, or have it added to the allowlist");
    assert_snapshot!(decision(|asked| { asked.repo = ".."; asked.job = "-score\u{1b}[2J"; }), @r"
    bad-name: the job `-score\u{1b}[2J` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64) → name one of the list, or have it added to the allowlist
    bad-name: the repository `..` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64) → name one of the list, or have it added to the allowlist
    ");
}

#[test]
fn j05_the_url_of_the_allowlist_is_the_one() {
    assert_snapshot!(decision(|asked| asked.remote_url = Some("ssh://git@github.com:22/owner//orb/")), @"score runs for orb at 0123456789abcdef0123456789abcdef01234567");
    assert_snapshot!(decision(|asked| asked.remote_url = Some("https://github.com/owner/orb.git")), @"other-remote-url: remote_url is https://github.com/owner/orb, but the repository `orb` is ssh://git@github.com/owner/orb → leave remote_url out: the URL of the allowlist is the one that is fetched");
    assert_snapshot!(decision(|asked| asked.remote_url = Some("https://u:hunter2@github.com/owner/orb")), @"bad-remote-url: remote_url: the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key → leave remote_url out: the URL of the allowlist is the one that is fetched");
    assert_snapshot!(decision(|asked| asked.remote_url = Some("ext::sh -c id")), @"bad-remote-url: remote_url: `ext::` names a remote helper, which runs a program: write https:// or ssh:// → leave remote_url out: the URL of the allowlist is the one that is fetched");
    let admitted = admit(|asked| asked.remote_url = Some("ssh://git@github.com/owner/orb")).unwrap();
    assert_eq!(admitted.repo().url.fetch_str(), "git@github.com:owner/orb.git");
}

#[test]
fn j06_a_commit_is_its_full_id() {
    let bad = [
        "main",
        "HEAD",
        "",
        "abc123",
        &SHA[..39],
        &SHA.to_uppercase(),
        &format!("{SHA}0"),
        &"0".repeat(40),
        "refs/heads/main",
        &format!("{SHA}\n"),
        &"0".repeat(64),
    ];
    let said = bad.map(|sha| decision(|asked| asked.sha = sha.to_owned()));
    assert_snapshot!(said.concat(), @r"
    bad-commit: sha `main` is a name, not an id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `HEAD` is a name, not an id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `` is a name, not an id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `abc123` is not a full id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `0123456789abcdef0123456789abcdef0123456` is not a full id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `0123456789ABCDEF0123456789ABCDEF01234567` has upper-case digits: an id is written in lower case → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `0123456789abcdef0123456789abcdef012345670` is not a full id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `0000000000000000000000000000000000000000` stands for no commit → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `refs/heads/main` is a name, not an id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `0123456789abcdef0123456789abcdef01234567\u{a}` is a name, not an id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-commit: sha `00000000000000000000000000000000000000000000000000000000000…` stands for no commit → give the full id: git rev-parse REF^{commit}
    ");
    for good in [SHA.to_owned(), "f".repeat(64), format!("{}1", "0".repeat(39))] {
        assert!(admit(|asked| asked.sha = good).is_ok());
    }
}

#[test]
fn j16_parameters_are_those_of_the_job_and_match() {
    assert_snapshot!(decision(|asked| asked.params = vec![]), @"missing-param: the job `score` needs the parameter `since_sha`, which matches `[0-9a-f]{40}` → give a value that matches the whole pattern");
    assert_snapshot!(decision(|asked| asked.params = vec![("since_sha", "--output=F".into()), ("logs_day", "2026-01-01 x".into())]), @r"
    bad-param: the parameter `logs_day`: `2026-01-01 x` does not match `\d{4}-\d{2}-\d{2}` → give a value that matches the whole pattern
    bad-param: the parameter `since_sha`: `--output=F` does not match `[0-9a-f]{40}` → give a value that matches the whole pattern
    ");
    assert_snapshot!(decision(|asked| asked.params.push(("log_day", "2026-01-01".into()))), @"unknown-param: the job `score` has no parameter `log_day` (did you mean `logs_day`?); it has: logs_day, since_sha → leave it out");
    assert_snapshot!(decision(|asked| { asked.job = "echo"; asked.params = vec![("FORCE_SIZE_CAP", "1".into())]; }), @"unknown-param: the job `echo` has no parameter `FORCE_SIZE_CAP`; it has: none → leave it out");
    assert_snapshot!(decision(|asked| asked.params = vec![("since_sha", format!("{SHA}\n"))]), @r"bad-param: the parameter `since_sha`: `0123456789abcdef0123456789abcdef01234567\u{a}` holds a line break, a control or an invisible character → give a value that matches the whole pattern");
    assert_snapshot!(decision(|asked| asked.params.push(("logs_day", "2".repeat(1_001)))), @"bad-param: the parameter `logs_day`: `22222222222222222222222222222222222222222222222222222222222…` is longer than 1000 bytes → give a value that matches the whole pattern");
    assert_snapshot!(decision(|asked| asked.params.push(("logs_day", "sk-proj-0123456789".into()))), @r"bad-param: the parameter `logs_day`: a value of 18 bytes (hidden: it looks like a key) does not match `\d{4}-\d{2}-\d{2}` → give a value that matches the whole pattern");
    assert_snapshot!(decision(|asked| asked.params.push(("logs_day", "2026-01-31".into()))), @"score runs for orb at 0123456789abcdef0123456789abcdef01234567");
}

#[test]
fn all_reasons_come_at_once() {
    let change = |asked: &mut Asked| {
        asked.repo = "public";
        asked.sha = "main".into();
        asked.remote_url = Some("https://example.org/other");
        asked.params = vec![("logs_day", "today".into()), ("x", "y".into())];
    };
    assert_snapshot!(decision(change), @r"
    job-not-for-repo: the job `score` does not run for the repository `public`; it runs for: local, orb → choose another job or repository, or have the allowlist changed
    other-remote-url: remote_url is https://example.org/other, but the repository `public` is https://example.org/group/public → leave remote_url out: the URL of the allowlist is the one that is fetched
    bad-commit: sha `main` is a name, not an id: 40 or 64 lower-case hex digits → give the full id: git rev-parse REF^{commit}
    bad-param: the parameter `logs_day`: `today` does not match `\d{4}-\d{2}-\d{2}` → give a value that matches the whole pattern
    unknown-param: the job `score` has no parameter `x`; it has: logs_day, since_sha → leave it out
    missing-param: the job `score` needs the parameter `since_sha`, which matches `[0-9a-f]{40}` → give a value that matches the whole pattern
    ");
    let refusals = admit(change).unwrap_err();
    assert_eq!((refusals.class(), refusals.next()), ("not-admitted", "mend each of the reasons, then ask again"));
    assert_eq!(refusals.to_string().lines().count(), refusals.as_slice().len());
    let only = admit(|asked| asked.sha = "main".into()).unwrap_err();
    assert_eq!((only.class(), only.next()), ("bad-commit", "give the full id: git rev-parse REF^{commit}"));
}

#[test]
fn an_empty_policy_admits_nothing() {
    let policy = Policy::parse(b"schema = 1", b"schema = 1").unwrap();
    let request = Request { job: "score", repo: "orb", sha: SHA, remote_url: None, params: &BTreeMap::new() };
    assert_snapshot!(policy.admit(&request).unwrap_err(), @r"
    there is no job `score`; known: none
    there is no repository `orb`; known: none
    ");
}

#[test]
fn the_input_hash_is_that_of_what_was_asked_in_canonical_form() {
    let hash = admit(|_| {}).unwrap().input_hash();
    // printf '{"job":"score","params":{"since_sha":"SHA"},"repo":"orb","sha":"SHA","url":"ssh://git@github.com/owner/orb"}' | sha256sum
    assert_snapshot!(hash, @"db9f899e7f3a0b44f467ef17db10e99bf3162b797a808a8b811ec1d3e410dba3");
    assert_eq!(admit(|asked| asked.remote_url = Some("git@github.com:owner/orb")).unwrap().input_hash(), hash);
    assert_ne!(admit(|asked| asked.sha = "a".repeat(40)).unwrap().input_hash(), hash);
    assert_ne!(admit(|asked| asked.repo = "local").unwrap().input_hash(), hash);
    assert_ne!(admit(|asked| asked.params.push(("logs_day", "2026-01-31".into()))).unwrap().input_hash(), hash);
}
