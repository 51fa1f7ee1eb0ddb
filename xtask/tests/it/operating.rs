//! The operating guide: a line for every class that a program can refuse with, and the policy's numbers as they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use verdict::Policy;

/// What makes an `outcome::Failure`; its class comes first.
const MAKERS: [&str; 7] = ["refused(", "not_ready(", "infrastructure(", "busy(", "usage(", "size_cap(", "bug("];

/// Said by the fake host alone, which no program has.
const IN_TESTS: &str = "unscripted";

/// The Rust files below `dir` that are not tests.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let code = entries.filter(|path| !path.ends_with("tests"));
    let below = code.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
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

fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// The rows of the guide's table of the policy whose value is a number: key, default, least and most.
fn numbers(guide: &str) -> Vec<(String, [u64; 3])> {
    let number = |text: &str| text.trim().replace(',', "").parse().ok();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let (min, max) = cells.get(2)?.split_once(" to ")?;
        let key = cells[0].trim().trim_matches('`').to_owned();
        Some((key, [number(cells[1])?, number(min)?, number(max)?]))
    };
    guide.lines().filter(|line| line.starts_with("| `")).filter_map(row).collect()
}

#[test]
fn defaults_and_bounds_of_the_policy_are_as_the_guide_says() {
    let numbers = numbers(&page("docs/operating.md"));
    assert_eq!(numbers.len(), 9, "{numbers:?}");
    for (key, [default, min, max]) in numbers {
        let (section, name) = key.rsplit_once('.').unwrap();
        let parse = |value: Option<u64>| {
            let table = match section {
                "tests.steps[]" => "[[tests.steps]]\nname = \"a\"\nargv = [\"a\"]".to_owned(),
                section => format!("[{section}]"),
            };
            let line = value.map(|value| format!("{name} = {value}\n")).unwrap_or_default();
            Policy::parse(format!("schema = 1\n{table}\n{line}").as_bytes())
        };
        assert!(parse(Some(min)).is_ok() && parse(Some(max)).is_ok(), "{key} takes {min} and {max}");
        assert!(parse(Some(max + 1)).is_err(), "{key} takes more than {max}");
        assert!(min.checked_sub(1).is_none_or(|below| parse(Some(below)).is_err()), "{key} takes less than {min}");
        let values = |policy: Policy| (policy.tests, policy.review, policy.heal);
        assert_eq!(values(parse(Some(default)).unwrap()), values(parse(None).unwrap()), "{key} is not {default}");
    }
}

#[test]
fn every_class_of_a_failure_is_in_the_operating_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = ["docs/operating.md", "docs/jobs.md", "docs/service.md", "docs/host.md"].map(page).concat();
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
