//! Arrows between packages point strictly down.

use super::{Dependency, Facts, Finding, Package};

/// The layer of every crate. Programs and xtask are above them all.
///
/// 0 is pure and knows no other crate; 1 is the only way to touch a machine; 2 and 3 observe and act on one thing each;
/// 4 puts them together.
const CRATES: [(&str, u8); 32] = [
    ("allowlist", 0),
    ("job", 0),
    ("outcome", 0),
    ("review-bundle", 0),
    ("rules", 0),
    ("verdict", 0),
    ("fake-model", 1),
    ("host", 1),
    ("port-audit", 1),
    ("real-parts", 1),
    ("runner-wire", 1),
    ("cli", 2),
    ("doctor", 2),
    ("plan", 2),
    ("repo", 2),
    ("runner-page", 2),
    ("sandbox", 2),
    ("tailnet", 2),
    ("sockets", 3),
    ("hooks", 3),
    ("job-files", 3),
    ("job-store", 3),
    ("openai-key", 3),
    ("reviewer", 3),
    ("runner-client", 3),
    ("sshd-fix", 3),
    ("worktree", 3),
    ("host-doctor", 4),
    ("orb", 4),
    ("runner", 4),
    ("ship", 4),
    ("runner-api", 5),
];
const PROGRAMS: u8 = 6;

/// Crates that stand in for a part of the world or start one: none of them reaches an installed program.
const TEST_PARTS: [&str; 2] = ["fake-model", "real-parts"];

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    facts.packages.iter().flat_map(|package| judge_package(facts, package)).collect()
}

fn judge_package(facts: &Facts, package: &Package) -> Vec<Finding> {
    let Some(layer) = layer(package) else {
        return vec![Finding::new(&package.folder, "has no layer: give it one in xtask/src/tidy/layers.rs")];
    };
    let arrows = package.dependencies.iter().filter_map(|dependency| {
        let to = facts.packages.iter().find(|other| other.name == dependency.name)?;
        judge_arrow(package, layer, dependency, to)
    });
    arrows.map(|message| Finding::new(&package.folder, message)).collect()
}

/// Why `from`, of `layer`, may not depend on `to`. Tests may point anywhere but at programs.
fn judge_arrow(from: &Package, layer: u8, dependency: &Dependency, to: &Package) -> Option<String> {
    let below = self::layer(to)?;
    let name = &to.name;
    if dependency.dev {
        (below == PROGRAMS).then(|| format!("tests with {name}, which is a program"))
    } else if TEST_PARTS.contains(&name.as_str()) && from.name != "xtask" {
        Some(format!("depends on {name}, which is for tests"))
    } else {
        (below >= layer)
            .then(|| format!("is of layer {layer} and depends on {name} of layer {below}: arrows point down"))
    }
}

fn layer(package: &Package) -> Option<u8> {
    if package.folder.starts_with("bins/") || package.folder == "xtask" {
        return Some(PROGRAMS);
    }
    CRATES.iter().find(|(name, _)| *name == package.name).map(|(_, layer)| *layer)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::package;
    use super::*;

    fn check(packages: Vec<Package>) -> String {
        super::super::tests::check(judge, &[], packages)
    }

    #[test]
    fn arrows_down_are_fine() {
        let found = check(vec![
            package("crates/outcome", &["serde_json", "dev:host"]),
            package("crates/host", &["outcome"]),
            package("bins/push-gate", &["host", "outcome"]),
        ]);
        assert_snapshot!(found, @"");
    }

    #[test]
    fn arrows_up_and_sideways_are_named() {
        let found = check(vec![
            package("crates/verdict", &["rules"]),
            package("crates/rules", &["host"]),
            package("crates/host", &[]),
        ]);
        assert_snapshot!(found, @r"
        crates/verdict: is of layer 0 and depends on rules of layer 0: arrows point down
        crates/rules: is of layer 0 and depends on host of layer 1: arrows point down
        ");
    }

    #[test]
    fn an_unknown_crate_has_no_layer() {
        assert_snapshot!(check(vec![package("crates/helpers", &[])]), @"crates/helpers: has no layer: give it one in xtask/src/tidy/layers.rs");
    }

    #[test]
    fn programs_are_nobodys_dependency() {
        let found = check(vec![
            package("crates/ship", &["dev:push-gate"]),
            package("bins/push-gate", &[]),
            package("xtask", &["push-gate"]),
        ]);
        assert_snapshot!(found, @r"
        crates/ship: tests with push-gate, which is a program
        xtask: is of layer 6 and depends on push-gate of layer 6: arrows point down
        ");
    }

    #[test]
    fn a_test_part_reaches_no_program() {
        let found = check(vec![
            package("crates/fake-model", &[]),
            package("crates/reviewer", &["dev:fake-model"]),
            package("bins/review-auto", &["fake-model"]),
            package("xtask", &["fake-model"]),
        ]);
        assert_snapshot!(found, @"bins/review-auto: depends on fake-model, which is for tests");
    }
}
