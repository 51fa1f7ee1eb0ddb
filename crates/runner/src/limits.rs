//! How many jobs may run at one time.

use allowlist::Policy;
use job_store::Limits;

/// What the allowlists say of it.
pub fn limits(policy: &Policy) -> Limits {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let named = policy.repos().iter().map(|(name, repo)| (name.clone(), number(repo.max_running)));
    // A repository that is allowed no more: its jobs are refused, one by one.
    Limits { all: number(policy.max_running()), each: 1, named: named.collect() }
}
