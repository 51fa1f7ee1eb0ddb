//! What a manifest must say: a name, the workspace's lints, and no dependency that its code does not name.

use super::{Dependency, Facts, Finding, Package};

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let packages = facts.packages.iter().flat_map(|package| {
        let rules = [misnamed(package), own_lints(package)].into_iter().flatten();
        rules.chain(unused(facts, package)).collect::<Vec<_>>()
    });
    packages.chain(unshared(facts)).collect()
}

fn misnamed(package: &Package) -> Option<Finding> {
    let folder = package.folder.rsplit('/').next()?;
    (package.name != folder)
        .then(|| Finding::new(&package.folder, format!("is named {}, not as its folder", package.name)))
}

fn own_lints(package: &Package) -> Option<Finding> {
    let message = "does not inherit the workspace's lints: [lints] workspace = true";
    (!package.inherits_lints).then(|| Finding::new(&package.folder, message))
}

/// A quick look: the name stands before `::`, or in a `use`, somewhere in the package. `ci --full` asks cargo-machete.
fn unused(facts: &Facts, package: &Package) -> Vec<Finding> {
    let named = |dependency: &Dependency| {
        let folder = if dependency.dev { format!("{}/", package.folder) } else { format!("{}/src/", package.folder) };
        let build = format!("{}/build.rs", package.folder);
        facts
            .sources()
            .filter(|(path, _)| path.starts_with(&folder) || *path == build)
            .any(|(_, text)| names(text, &dependency.code_name))
    };
    let unused = package
        .dependencies
        .iter()
        .filter(|dependency| !package.unnamed.contains(&dependency.name) && !named(dependency));
    unused
        .map(|dependency| Finding::new(&package.folder, format!("does not use its dependency {}", dependency.name)))
        .collect()
}

fn names(source: &str, name: &str) -> bool {
    source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = &line[at + name.len()..];
            let whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            whole && (after.starts_with("::") || (line[..at].ends_with("use ") && after.starts_with([';', ' '])))
        })
    })
}

fn unshared(facts: &Facts) -> Vec<Finding> {
    let used =
        |name: &String| facts.packages.iter().any(|package| package.dependencies.iter().any(|d| d.name == *name));
    let own = |name: &String| facts.packages.iter().any(|package| package.name == *name);
    let unused = facts.shared_dependencies.iter().filter(|name| !used(name) && !own(name));
    unused.map(|name| Finding::new("Cargo.toml", format!("no package uses the workspace dependency {name}"))).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::{check, package};
    use super::*;

    #[test]
    fn a_package_is_named_as_its_folder_and_inherits_the_lints() {
        let mut odd = package("crates/gate", &[]);
        odd.name = "verdict".into();
        odd.inherits_lints = false;
        assert_snapshot!(check(judge, &[], vec![odd]), @r"
        crates/gate: is named verdict, not as its folder
        crates/gate: does not inherit the workspace's lints: [lints] workspace = true
        ");
    }

    #[test]
    fn a_dependency_that_no_source_names_is_unused() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "//! serde_json::Value in a comment\nuse toml;\nuse my_thiserror::Error;\nfn f() { memchr::memchr(); }",
            ),
            ("crates/a/tests/it/main.rs", "use insta::assert_snapshot;\nuse semver::Version;"),
        ];
        let package =
            package("crates/a", &["serde_json", "thiserror", "toml", "memchr", "semver", "dev:insta", "dev:tempfile"]);
        assert_snapshot!(check(judge, &files, vec![package]), @r"
        crates/a: does not use its dependency serde_json
        crates/a: does not use its dependency thiserror
        crates/a: does not use its dependency semver
        crates/a: does not use its dependency tempfile
        ");
    }

    #[test]
    fn a_dependency_that_is_needed_unnamed_is_declared_so() {
        let mut package = package("crates/a", &["zlib"]);
        package.unnamed = vec!["zlib".into()];
        assert_snapshot!(check(judge, &[], vec![package]), @"");
    }

    #[test]
    fn a_workspace_dependency_has_a_user() {
        let facts = Facts {
            shared_dependencies: ["host", "regex", "toml"].map(String::from).into(),
            packages: vec![package("crates/host", &["toml"])],
            ..Facts::default()
        };
        let found: Vec<String> = unshared(&facts).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["Cargo.toml: no package uses the workspace dependency regex"]);
    }
}
