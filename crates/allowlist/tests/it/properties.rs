//! Hostile input: nothing panics, what is canonical stays so, every spelling of one repository agrees.

use std::collections::BTreeMap;

use allowlist::{GitUrl, Policy, Request};
use proptest::prelude::*;

const JOBS: &str = include_str!("../samples/job_allowlist-v1.toml");
const REPOS: &str = include_str!("../samples/repo_allowlist-v1.toml");

/// Pieces of URLs, glued together in any order.
fn almost_url() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "https",
        "http",
        "ssh",
        "file",
        "git",
        "://",
        ":",
        "/",
        "//",
        "@",
        "host",
        "HOST.Example",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "[",
        "]",
        ":22",
        ":443",
        ":8080",
        ".git",
        "..",
        ".",
        "-",
        "%2e",
        "%2F",
        "%41",
        "%C3%A9",
        "%",
        "é",
        "~",
        "::",
        "a",
        "+",
        "xn--a",
        "?",
        "\\",
        " ",
    ]);
    prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
}

/// One of the ways to write `text`: each letter plain, or percent-encoded in either case.
fn encoded(text: &str, ways: &[u8]) -> String {
    let ways = ways.iter().cycle();
    let letters = text.chars().zip(ways).map(|(letter, way)| {
        let bytes = letter.to_string().into_bytes().into_iter();
        match way % 3 {
            1 if letter != '/' => bytes.map(|byte| format!("%{byte:02x}")).collect(),
            2 if letter != '/' => bytes.map(|byte| format!("%{byte:02X}")).collect(),
            _ => letter.to_string(),
        }
    });
    letters.collect()
}

/// `text` with a few bytes replaced, taken out or put in.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((0..text.len(), any::<u8>(), 0..3u8), 1..4).prop_map(move |edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.min(bytes.len() - 1);
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn j04_what_is_canonical_parses_to_itself(text in prop_oneof![almost_url(), any::<String>()]) {
        if let Ok(url) = GitUrl::parse(&text) {
            let [canonical, fetched] = [url.as_str(), url.fetch_str()].map(|text| GitUrl::parse(text).unwrap());
            for again in [&canonical, &fetched] {
                prop_assert_eq!(again.as_str(), url.as_str());
                prop_assert_eq!((again.host(), again.port()), (url.host(), url.port()));
            }
            prop_assert_eq!(fetched.fetch_str(), url.fetch_str());
            prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!url.fetch_str().starts_with('-') && !url.as_str().ends_with('/'));
        }
    }

    #[test]
    fn j04_every_spelling_agrees(
        user in "[a-z][a-z0-9._-]{0,5}", host in "[a-z][a-z0-9]{0,8}(\\.[a-z]{2,4})?", port in prop::option::of(1..=u16::MAX),
        path in "[a-zA-Z0-9_][a-zA-Z0-9_~+é]{0,8}(/[a-zA-Z0-9_~+é]{1,8}){0,2}", ways in prop::collection::vec(any::<u8>(), 1..8),
        suffix in prop::sample::select(vec!["", "/", "//", ".git", ".git/"]), upper: bool, slashes in 1..4usize,
    ) {
        let spelled = if upper { host.to_uppercase() } else { host.clone() };
        let (root, shown) = ("/".repeat(slashes), encoded(&path, &ways));
        let plain = path.replace('é', "%C3%A9");
        let check = |scheme: &str, default: u16, user: &str| {
            let canonical_port = port.filter(|port| *port != default).map(|port| format!(":{port}")).unwrap_or_default();
            let written_port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let url = GitUrl::parse(&format!("{scheme}://{user}{spelled}{written_port}{root}{shown}{suffix}")).unwrap();
            assert_eq!(url.as_str(), format!("{}://{user}{host}{canonical_port}/{plain}", scheme.to_lowercase()));
        };
        check(if upper { "HTTPS" } else { "https" }, 443, "");
        check("ssh", 22, &format!("{user}@"));
        check("ssh", 22, "");
        for slash in ["", "/", "//"] {
            let scp = GitUrl::parse(&format!("{user}@{spelled}:{slash}{path}{suffix}")).unwrap();
            prop_assert_eq!(scp.as_str(), format!("ssh://{user}@{host}/{plain}"));
        }
    }

    #[test]
    fn any_bytes_are_a_policy_or_refused(jobs: Vec<u8>, repos: Vec<u8>, text: String) {
        for (jobs, repos) in [(jobs.as_slice(), repos.as_slice()), (text.as_bytes(), text.as_bytes())] {
            if let Err(problems) = Policy::parse(jobs, repos) {
                prop_assert!(!problems.as_slice().is_empty());
            }
        }
    }

    #[test]
    fn a_damaged_list_is_refused_or_keeps_its_bounds(jobs in damaged(JOBS), repos in damaged(REPOS)) {
        for (jobs, repos) in [(jobs.as_slice(), REPOS.as_bytes()), (JOBS.as_bytes(), repos.as_slice())] {
            let Ok(policy) = Policy::parse(jobs, repos) else { continue };
            for job in policy.jobs().values() {
                prop_assert!(!job.argv.is_empty() && (1..=86_400).contains(&job.timeout_sec) && job.limits.grace_sec <= 300);
            }
            prop_assert!(policy.repos().values().all(|repo| repo.allows_branch(&repo.default_branch)));
        }
    }

    #[test]
    fn j03_any_request_is_decided_and_shown_on_lines(job: String, repo: String, sha: String, url: String, params: BTreeMap<String, String>) {
        let policy = Policy::parse(JOBS.as_bytes(), REPOS.as_bytes()).unwrap();
        let request = Request { job: &job, repo: &repo, sha: &sha, remote_url: Some(&url), params: &params };
        let refusals = policy.admit(&request).unwrap_err();
        for refusal in refusals.as_slice() {
            prop_assert!(!refusal.to_string().contains(char::is_control), "{}", refusal);
        }
    }
}
