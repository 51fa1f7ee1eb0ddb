//! What decides a push or what a review is, is never healed: a healer would rewrite its own judge.

use std::collections::BTreeSet;

use verdict::Policy;
use verdict::policy::PATH;

use super::{Facts, Finding, Package};

/// The gate, what puts it in place, what reviews, and what runs the tests.
const JUDGES: [&str; 5] = ["push-gate", "install-hooks", "reviewer", "ship", "xtask"];

/// Whoever calls one of these speaks for it.
const CALLED: [&str; 3] = ["hooks", "reviewer", "ship"];

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(text) = facts.texts.get(PATH) else { return Vec::new() };
    let policy = match Policy::parse(text.as_bytes()) {
        Ok(policy) => policy,
        Err(error) => return vec![Finding::new(PATH, error.to_string())],
    };
    let deciding = deciding(facts);
    let folders = facts.packages.iter().filter(|package| deciding.contains(package.name.as_str()));
    let healed = folders.filter(|package| policy.heal.paths.iter().any(|path| overlap(path, &package.folder)));
    healed.map(|package| Finding::new(PATH, format!("lets {} be healed, which decides", package.folder))).collect()
}

/// The judges, whoever speaks for one, and everything that is linked into them.
fn deciding(facts: &Facts) -> BTreeSet<&str> {
    let links = |package: &Package, name: &str| package.dependencies.iter().any(|d| !d.dev && d.name == name);
    let speaks = |package: &Package| CALLED.iter().any(|called| links(package, called));
    let is_judge = |package: &&Package| JUDGES.contains(&package.name.as_str()) || speaks(package);
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Package> = facts.packages.iter().filter(is_judge).collect();
    while let Some(package) = open.pop() {
        if found.insert(&package.name) {
            open.extend(facts.packages.iter().filter(|other| links(package, &other.name)));
        }
    }
    found
}

/// One is the other, or below it.
fn overlap(a: &str, b: &str) -> bool {
    let below =
        |path: &str, dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below(a, b) || below(b, a)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::package;
    use super::*;

    fn check(paths: &[&str]) -> String {
        let policy = format!("schema = 1\n[heal]\npaths = {paths:?}\n");
        let packages = vec![
            package("bins/push-gate", &["verdict"]),
            package("bins/ship-cli", &["ship", "cli", "dev:fake-model"]),
            package("bins/show", &["verdict"]),
            package("crates/cli", &[]),
            package("crates/fake-model", &[]),
            package("crates/ship", &["reviewer"]),
            package("crates/reviewer", &[]),
            package("crates/verdict", &["serde"]),
        ];
        super::super::tests::check(judge, &[(PATH, &policy)], packages)
    }

    #[test]
    fn a05_what_is_linked_into_a_judge_is_not_healed() {
        assert_snapshot!(check(&["crates/verdict/src"]), @"configs/ship.toml: lets crates/verdict be healed, which decides");
        assert_snapshot!(check(&["crates/reviewer", "crates/ship"]), @r"
        configs/ship.toml: lets crates/ship be healed, which decides
        configs/ship.toml: lets crates/reviewer be healed, which decides
        ");
    }

    #[test]
    fn a05_who_calls_a_judge_is_not_healed_nor_what_it_is_made_of() {
        assert_snapshot!(check(&["bins/ship-cli", "crates/cli"]), @r"
        configs/ship.toml: lets bins/ship-cli be healed, which decides
        configs/ship.toml: lets crates/cli be healed, which decides
        ");
    }

    #[test]
    fn a_directory_above_is_all_that_is_below() {
        assert_eq!(check(&["crates"]).lines().count(), 4);
    }

    #[test]
    fn the_rest_may_be_healed() {
        assert_snapshot!(check(&["bins/show", "crates/fake-model", "docs"]), @"");
    }
}
