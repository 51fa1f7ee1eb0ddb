//! The operating guide has a line for every class that a program can refuse with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What makes an `outcome::Failure`; its class comes first.
const MAKERS: [&str; 7] = ["refused(", "not_ready(", "infrastructure(", "busy(", "usage(", "size_cap(", "bug("];

/// Said by the fake host alone, which no program has.
const IN_TESTS: &str = "unscripted";

/// The Rust files below `dir` that are not tests.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.filter(|path| !path.ends_with("tests")).flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    below.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn classes(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let made = MAKERS.iter().flat_map(|maker| code.split(maker).skip(1).filter_map(literal));
    let listed = code.split("fn class(").skip(1).flat_map(|rest| {
        let body = rest.split("\n    }\n").next().unwrap_or_default();
        body.split("=>").skip(1).filter_map(literal)
    });
    made.chain(listed).collect()
}

/// The string literal that `rest` begins with, if it can be a class.
fn literal(rest: &str) -> Option<&str> {
    let word = rest.trim_start().strip_prefix('"')?.split('"').next()?;
    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-').then_some(word)
}

#[test]
fn every_class_of_a_failure_is_in_the_operating_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(root.join("docs/operating.md")).unwrap();
    let texts: Vec<String> = ["crates", "bins"]
        .iter()
        .flat_map(|dir| sources(&root.join(dir)))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let classes: BTreeSet<&str> = texts.iter().flat_map(|text| classes(text)).collect();
    assert!(classes.contains("dirty-tree") && classes.contains("no-verdict"), "{classes:?}");
    let missing: Vec<_> =
        classes.into_iter().filter(|class| *class != IN_TESTS && !guide.contains(&format!("`{class}`"))).collect();
    assert_eq!(missing, [""; 0]);
}
