//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! **Invariant:** [`judge`] is a function of [`Facts`]; only [`gather`] looks at the tree.

mod documents;
mod gather;
mod heals;
mod layers;
mod manifests;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use outcome::Failure;

use crate::workshop::Workshop;

/// What the rules judge.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    packages: Vec<Package>,
    /// The names in `[workspace.dependencies]`.
    shared_dependencies: BTreeSet<String>,
    /// Every file of the tree, relative to the root.
    paths: BTreeSet<String>,
    /// The text of those that rules read: Rust, TOML, Markdown and YAML.
    texts: BTreeMap<String, String>,
}

impl Facts {
    /// The Rust files: path and text.
    fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts_of("rs")
    }

    /// The Markdown files: path and text.
    fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts_of("md")
    }

    fn texts_of(&self, kind: &str) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.texts.iter().filter(move |(path, _)| is_a(path, kind));
        texts.map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// Whether a file is of a kind, by its extension.
pub(crate) fn is_a(path: &str, kind: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == kind)
}

/// A package of the workspace.
#[derive(Debug)]
struct Package {
    name: String,
    /// Its folder, relative to the root: `crates/verdict`.
    folder: String,
    dependencies: Vec<Dependency>,
    inherits_lints: bool,
    /// Dependencies that it needs without naming them (`package.metadata.cargo-machete.ignored`).
    unnamed: Vec<String>,
}

#[derive(Debug)]
struct Dependency {
    /// The package's name.
    name: String,
    /// The name in code: renamed, and with underscores.
    code_name: String,
    dev: bool,
}

/// One breach of a rule. `Display` is the line that a person reads.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// A path, with a line where there is one.
    place: String,
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Every breach, by place.
fn judge(facts: &Facts) -> Vec<Finding> {
    let rules: [fn(&Facts) -> Vec<Finding>; 5] =
        [layers::judge, manifests::judge, sources::judge, documents::judge, heals::judge];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(facts)).collect();
    findings.sort();
    findings
}

/// Prints every breach.
///
/// # Errors
/// Refused when there is one.
pub(crate) fn run(workshop: &Workshop) -> Result<(), Failure> {
    let findings = judge(&gather::facts(workshop)?);
    for finding in &findings {
        println!("tidy: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        n => Err(Failure::refused("untidy", format!("{n} breaches of the rules of the house"), "mend each line above")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the rules say of some files, a line each.
    pub(super) fn check(rule: fn(&Facts) -> Vec<Finding>, files: &[(&str, &str)], packages: Vec<Package>) -> String {
        let texts: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        let facts = Facts { packages, paths: texts.keys().cloned().collect(), texts, ..Facts::default() };
        rule(&facts).iter().map(|finding| format!("{finding}\n")).collect()
    }

    /// A package in `folder` that depends on `dependencies`; `dev:` before a name makes it a dev-dependency.
    pub(super) fn package(folder: &str, dependencies: &[&str]) -> Package {
        let dependency = |name: &&str| {
            let plain = name.trim_start_matches("dev:");
            Dependency { name: plain.into(), code_name: plain.replace('-', "_"), dev: plain != *name }
        };
        Package {
            name: folder.rsplit('/').next().unwrap().into(),
            folder: folder.into(),
            dependencies: dependencies.iter().map(dependency).collect(),
            inherits_lints: true,
            unnamed: Vec::new(),
        }
    }
}
