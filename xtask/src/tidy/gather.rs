//! Observes the [`Facts`]: `cargo metadata`, the tree that git lists, and the texts that the rules read.

use std::fs;

use cargo_metadata::{Dependency as Listed, DependencyKind, Package as Member};
use outcome::Failure;

use super::{Dependency, Facts, Package, is_a};
use crate::workshop::{Workshop, unusable};

const READ: [&str; 5] = ["rs", "toml", "md", "yaml", "yml"];

pub(super) fn facts(workshop: &Workshop) -> Result<Facts, Failure> {
    let mut facts = Facts { paths: workshop.tree()?, ..Facts::default() };
    for path in facts.paths.iter().filter(|path| READ.iter().any(|kind| is_a(path, kind))) {
        let file = workshop.root().join(path);
        let text = fs::read(&file).map_err(|e| unusable(&file, &e))?;
        facts.texts.insert(path.clone(), String::from_utf8_lossy(&text).into_owned());
    }
    let top = manifest(&facts, "Cargo.toml")?;
    let shared = top.get("workspace").and_then(|table| table.get("dependencies")).and_then(toml::Value::as_table);
    facts.shared_dependencies = shared.map(|table| table.keys().cloned().collect()).unwrap_or_default();
    for member in workshop.metadata.workspace_packages() {
        let package = package(workshop, &facts, member)?;
        facts.packages.push(package);
    }
    Ok(facts)
}

fn package(workshop: &Workshop, facts: &Facts, member: &Member) -> Result<Package, Failure> {
    let folder = member.manifest_path.parent().and_then(|dir| dir.strip_prefix(&workshop.metadata.workspace_root).ok());
    let folder = folder.map(ToString::to_string).unwrap_or_default();
    let manifest = manifest(facts, &format!("{folder}/Cargo.toml"))?;
    let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    let unnamed = member.metadata.pointer("/cargo-machete/ignored").and_then(|names| names.as_array());
    Ok(Package {
        name: member.name.to_string(),
        dependencies: member.dependencies.iter().map(dependency).collect(),
        inherits_lints: inherits == Some(true),
        unnamed: unnamed.into_iter().flatten().filter_map(|name| name.as_str()).map(String::from).collect(),
        folder,
    })
}

fn dependency(listed: &Listed) -> Dependency {
    Dependency {
        name: listed.name.clone(),
        code_name: listed.rename.as_ref().unwrap_or(&listed.name).replace('-', "_"),
        dev: listed.kind == DependencyKind::Development,
    }
}

fn manifest(facts: &Facts, path: &str) -> Result<toml::Table, Failure> {
    let text = facts.texts.get(path).ok_or_else(|| format!("{path} is not in the tree"));
    let table = text.and_then(|text| toml::from_str(text).map_err(|e| format!("{path}: {e}")));
    table.map_err(|reason| Failure::refused("bad-manifest", reason, "mend it, or add it to git"))
}
