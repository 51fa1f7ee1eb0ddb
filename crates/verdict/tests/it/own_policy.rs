//! The policy of this repository: readable, and it lets nothing be healed that decides a push.

use verdict::Policy;
use verdict::policy::RefClass;

const FILE: &[u8] = include_bytes!("../../../../configs/ship.toml");

#[test]
fn the_policy_of_this_repository_protects_main_and_wants_its_tests() {
    let policy = Policy::parse(FILE).expect("configs/ship.toml is a policy");
    assert_eq!(policy.classify("refs/heads/main"), RefClass::Protected);
    assert!(policy.tests.required);
}

#[test]
fn a05_what_decides_a_push_here_is_never_healed() {
    let policy = Policy::parse(FILE).expect("configs/ship.toml is a policy");
    let deciding = [
        "bins/push-gate/src/run.rs",
        "bins/install-hooks/src/run.rs",
        "crates/verdict/src/gate/mod.rs",
        "crates/rules/src/lib.rs",
        "crates/repo/src/facts.rs",
        "crates/hooks/src/install.rs",
        "xtask/src/ci.rs",
        "configs/ship.toml",
        ".githooks/pre-push",
        ".ci/run",
    ];
    for path in deciding {
        assert!(!policy.healable(path.as_bytes(), &|_| false), "{path}");
    }
    assert!(policy.healable(b"crates/ship/src/steps.rs", &|_| false));
}
