//! A heal: the healer works in a copy of the shipped tree; what it changed there is accepted whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outcome::Failure;
use repo::{Edit, PlainChange, materialise, plain_difference};
use review_bundle::escape;
use reviewer::heal::Wound;
use verdict::schema::Finding;
use verdict::{Oid, Policy, Sha256};

use crate::progress::{Progress, line_of};
use crate::review::codex;
use crate::session::{Session, cache_dir};

/// The message of the commit that an accepted heal becomes.
pub(crate) const MESSAGE: &str = "fix: autoheal blockers from review verdict\n";

/// What the healer is told about blockers.
#[must_use]
pub(crate) fn complaint_of(blockers: &[Finding]) -> String {
    let lines: Vec<_> = blockers.iter().map(|finding| format!("- {}", line_of(finding))).collect();
    format!("A review of this tree found:\n{}\n", lines.join("\n"))
}

/// An accepted heal.
pub(crate) struct Mended {
    /// The commit on the branch.
    pub(crate) commit: Oid,
    /// Tokens spent by this run so far.
    pub(crate) spent: u64,
}

/// Has `complaint` mended and commits what came of it on the branch of `session`. `spent` is what the run has cost so far.
///
/// # Errors
/// Refused, and nothing of the repository is touched, when the heal changed nothing, changed anything outside the
/// policy's directories or left what no tree can hold; infrastructure when the healer failed or the budget is used up.
pub(crate) fn heal(
    session: &Session<'_>,
    complaint: &str,
    interactive: bool,
    spent: u64,
    told: &dyn Fn(Progress),
) -> Result<Mended, Failure> {
    if session.policy.heal.paths.is_empty() {
        return Err(Failure::refused(
            "no-heal-paths",
            "the policy lets nothing be healed",
            "mend it yourself, commit, then ship again",
        ));
    }
    let tree = session.head_tree()?;
    let copy = Copy::make(session, &tree)?;
    let codex = codex(session, interactive)?;
    let wound = Wound {
        tree: &copy.0,
        writable: &session.policy.heal.paths,
        complaint,
        timeout: Duration::from_secs(session.policy.heal.timeout_sec),
        max_tokens: session.policy.review.max_tokens,
        spent,
    };
    let healed = reviewer::heal::heal(&codex, wound)?;
    let changes =
        plain_difference(session.repo.objects(), &tree, &copy.0).map_err(|error| rejected(&error.to_string()))?;
    accept(&session.policy, &changes)?;
    let commit = commit(session, &tree, &changes)?;
    let paths = changes.iter().map(|change| escape(&change.path)).collect();
    told(Progress::Healed { commit: commit.to_string(), paths });
    Ok(Mended { commit, spent: healed.spent })
}

fn accept(policy: &Policy, changes: &[PlainChange]) -> Result<(), Failure> {
    if changes.is_empty() {
        return Err(Failure::refused(
            "heal-without-change",
            "the healer changed nothing",
            "mend it yourself, commit, then ship again",
        ));
    }
    let outside = |change: &&PlainChange| !policy.healable(&change.path, &|path| rules::is_protected_from_heal(path));
    match changes.iter().find(outside) {
        Some(change) => Err(rejected(&format!("{} may not be healed", escape(&change.path)))),
        None => Ok(()),
    }
}

fn rejected(why: &str) -> Failure {
    let reason = format!("the heal was rejected as a whole: {why}");
    Failure::refused("heal-rejected", reason, "mend it yourself, commit, then ship again")
}

fn commit(session: &Session<'_>, tree: &Oid, changes: &[PlainChange]) -> Result<Oid, Failure> {
    let edits: Vec<_> =
        changes.iter().map(|change| Edit { path: change.path.clone(), file: change.new.clone() }).collect();
    let git = session.git();
    let healed = git.edit_tree(tree, &edits)?;
    let commit = git.commit(&session.head, &healed, MESSAGE)?;
    session.unchanged()?;
    git.fast_forward(session.repo, &session.head, &commit)?;
    Ok(commit)
}

/// A copy of a tree that is there for one heal. It lies in a directory of the repository's own, so that what a killed
/// run left is found and removed by the next one, which holds the same lock. Its name is new each time: a healer that
/// outlived its run cannot write into the next one's copy.
struct Copy(PathBuf);

impl Copy {
    fn make(session: &Session<'_>, tree: &Oid) -> Result<Self, Failure> {
        let own = copies_of(session)?;
        remove(&own)?;
        fs::create_dir_all(&own).map_err(|source| unusable(&own, source))?;
        let copy = Self(own.join(session.host.random_hex(8)));
        materialise(session.repo.objects(), tree, &copy.0)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays is removed before the next heal.
        let _ = fs::remove_dir_all(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// Removes the copies that a killed run of this repository left.
///
/// # Errors
/// Those of the file system.
pub(crate) fn remove_copies(session: &Session<'_>) -> Result<(), Failure> {
    remove(&copies_of(session)?)
}

fn copies_of(session: &Session<'_>) -> Result<PathBuf, Failure> {
    let id = Sha256::of(session.repo.common_dir().as_os_str().as_encoded_bytes());
    Ok(cache_dir(session.host)?.join("heal").join(&id.as_str()[..16]))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(unusable(path, source)),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, source: io::Error) -> Failure {
    host::HostError::Io { path: path.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn check(paths: &[&str]) -> String {
        let policy = Policy::parse(b"schema = 1\n[heal]\npaths = [\"src\"]\n").unwrap();
        let change = |path: &&str| PlainChange {
            path: path.as_bytes().to_vec(),
            old: None,
            new: Some((0o100_644, b"healed\n".to_vec())),
        };
        let changes: Vec<_> = paths.iter().map(change).collect();
        accept(&policy, &changes).map_or_else(|failure| failure.text(), |()| "accepted".to_owned())
    }

    #[test]
    fn a01_one_file_outside_rejects_the_whole_heal() {
        assert_snapshot!(check(&["src/a.py", "src/deep/b.py"]), @"accepted");
        assert_snapshot!(check(&["src/a.py", "setup.py"]), @r"
        heal-rejected: the heal was rejected as a whole: setup.py may not be healed
        next: mend it yourself, commit, then ship again
        ");
    }

    #[test]
    fn a05_a_heal_of_the_control_plane_is_rejected_below_an_allowed_directory_too() {
        assert_snapshot!(check(&["src/AGENTS.md"]), @r"
        heal-rejected: the heal was rejected as a whole: src/AGENTS.md may not be healed
        next: mend it yourself, commit, then ship again
        ");
    }

    #[test]
    fn a07_no_change_is_no_heal() {
        assert_snapshot!(check(&[]), @r"
        heal-without-change: the healer changed nothing
        next: mend it yourself, commit, then ship again
        ");
    }
}
