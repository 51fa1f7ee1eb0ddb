//! Each file beside a good other one is understood whole, keeps its bounds, and admits nothing that was not asked for rightly.

#![no_main]

use std::collections::BTreeMap;

use allowlist::{Policy, Request};
use libfuzzer_sys::fuzz_target;

const JOBS: &[u8] = include_bytes!("../../crates/allowlist/tests/samples/job_allowlist-v1.toml");
const REPOS: &[u8] = include_bytes!("../../crates/allowlist/tests/samples/repo_allowlist-v1.toml");

fuzz_target!(|file: &[u8]| {
    judge(file, REPOS);
    judge(JOBS, file);
});

fn judge(jobs: &[u8], repos: &[u8]) {
    let policy = match Policy::parse(jobs, repos) {
        Ok(policy) => policy,
        Err(problems) => {
            assert!(!problems.as_slice().is_empty());
            let plain = |line: String| !line.chars().any(char::is_control);
            assert!(problems.as_slice().iter().all(|problem| plain(problem.to_string())), "{problems:?}");
            return;
        }
    };
    for job in policy.jobs().values() {
        assert!(!job.argv.is_empty() && (1..=86_400).contains(&job.timeout_sec) && job.limits.grace_sec <= 300);
        assert!(job.env.iter().all(|name| !name.starts_with("LD_") && name != "PATH" && name != "OPENAI_API_KEY"));
        assert!(job.binds.iter().all(|path| path.starts_with('/')
            && !path.split('/').any(|part| part == "..")
            && !path.starts_with("/proc")));
        assert!(
            job.params.values().all(|param| param.check("\n").is_err() && param.check(&"a".repeat(1_001)).is_err())
        );
    }
    for repo in policy.repos().values() {
        assert!(repo.allows_branch(&repo.default_branch), "{repo:?}");
    }
    for (job, repo) in policy.jobs().keys().zip(policy.repos().keys()) {
        let params = BTreeMap::from([("path".to_owned(), "/tmp".to_owned())]);
        for sha in ["main", "0123456", &"0".repeat(40)] {
            let request = Request { job, repo, sha, remote_url: None, params: &params };
            assert!(policy.admit(&request).is_err());
        }
    }
    let again = Policy::parse(jobs, repos).expect("read twice, it differs");
    assert_eq!((again.sha256(), &again), (policy.sha256(), &policy));
}
