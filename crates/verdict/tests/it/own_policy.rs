//! The policy of this repository: readable, and it lets nothing be healed that steers. What decides is
//! held against it by `cargo xtask tidy`, which knows the dependencies.

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
fn a05_what_steers_this_repository_is_never_healed() {
    let policy = Policy::parse(FILE).expect("configs/ship.toml is a policy");
    for path in ["configs/ship.toml", ".githooks/pre-push", ".ci/run", "Cargo.toml", "clippy.toml"] {
        assert!(!policy.healable(path.as_bytes(), &|_| false), "{path}");
    }
    assert!(policy.healable(b"docs/operating.md", &|_| false));
}
