//! A policy is understood whole, keeps its bounds, and cannot open what no policy may open.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rules::is_protected_from_heal;
use verdict::Policy;
use verdict::policy::RefClass;

/// Nothing heals these, whatever the policy says.
const NEVER_HEALED: [&str; 7] = [
    "configs/ship.toml",
    ".githooks/pre-push",
    ".github/workflows/ci.yml",
    ".git/config",
    "AGENTS.md",
    "src/../configs/ship.toml",
    "/etc/passwd",
];

/// Nothing pushes these freely.
const NEVER_OPEN: [&str; 4] = ["refs/replace/0123", "main", "refs/heads/../x", "refs/heads/a\u{200b}"];

fuzz_target!(|text: &[u8]| {
    let Ok(policy) = Policy::parse(text) else { return };
    let review = &policy.review;
    assert!((1_000..=900_000).contains(&review.size_cap_bytes) && (1_000..=900_000).contains(&review.packet_cap_bytes));
    assert!((1..=16).contains(&review.parallel) && review.retries <= 10 && (1..=7200).contains(&review.timeout_sec));
    assert!(policy.rules.allow.iter().all(|allow| !allow.reason.trim().is_empty()), "an exception without a reason");
    for path in NEVER_HEALED {
        assert!(!policy.healable(path.as_bytes(), &is_protected_from_heal), "{path}");
    }
    for name in NEVER_OPEN {
        assert_ne!(policy.classify(name), RefClass::Open, "{name}");
    }
    assert_eq!(Policy::parse(text).as_ref(), Ok(&policy), "read twice, it differs");
});
