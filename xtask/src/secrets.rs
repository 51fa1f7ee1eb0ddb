//! No secret stands in the tree: the same rule that judges what is pushed, over everything that is there.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use outcome::Failure;
use rules::{Rule, Severity, scan_blob};
use verdict::Policy;

use crate::workshop::{Workshop, unusable};

/// Judges every file of the tree; exceptions are those of the policy.
///
/// # Errors
/// Refused with every place where something like a secret stands.
pub(crate) fn check(workshop: &Workshop) -> Result<(), Failure> {
    let policy = policy(workshop)?;
    let mut places = Vec::new();
    for path in workshop.tree()? {
        let found = scan_blob(path.as_bytes(), &content(workshop, &path)?).into_iter();
        let blockers = found.filter(|finding| finding.severity == Severity::Blocker);
        let counted = blockers.filter(|finding| policy.allowed(finding.rule.as_str(), path.as_bytes()).is_none());
        places.extend(counted.map(|finding| {
            let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{path}{line}: {}", finding.message)
        }));
    }
    if places.is_empty() {
        return Ok(());
    }
    for place in &places {
        println!("{}: {place}", Rule::Secret);
    }
    let reason = format!("{} places look like a secret", places.len());
    Err(Failure::refused("secrets", reason, "revoke what is real; build what a test needs from parts at run time"))
}

fn policy(workshop: &Workshop) -> Result<Policy, Failure> {
    let path = workshop.root().join(verdict::policy::PATH);
    let bytes = fs::read(&path).map_err(|e| unusable(&path, &e))?;
    Policy::parse(&bytes).map_err(|e| Failure::refused("bad-policy", e.to_string(), "mend configs/ship.toml"))
}

/// What git would store: of a link its target.
fn content(workshop: &Workshop, path: &str) -> Result<Vec<u8>, Failure> {
    let file = workshop.root().join(path);
    if file.is_symlink() {
        return fs::read_link(&file).map(|to| to.into_os_string().into_vec()).map_err(|e| unusable(&file, &e));
    }
    fs::read(&file).map_err(|e| unusable(&file, &e))
}
