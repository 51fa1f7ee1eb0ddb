//! What a review of a range is about: the bundle of its two trees and what the rules say, in parallel.
//!
//! **Invariant:** a bundle is a function of the objects from `since` to `to` and of the exceptions alone, so that who
//! judges a push later gets the same bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use review_bundle::{Bundle, FileDiff, Header, Note, Version, diff, escape};
use rules::{Allow, Finding, Rule, Severity, apply_allow, scan_blob, scan_change, scan_tree_names};
use verdict::{Oid, Policy, policy, schema};

use crate::commit::{Commit, Tag};
use crate::difference::{Change, Side, Walked, walk};
use crate::error::RepoError;
use crate::fresh::fresh;
use crate::history::new_commits;
use crate::object::{Kind, Objects};
use crate::tree::{LINK, SUBMODULE, TYPE};

/// Two cores are what the smallest machine has; more would wait for the same disk.
const THREADS: usize = 2;
/// Fewer items than this are not shared out among threads.
const FEW: usize = 8;
/// The most items that a thread takes at once.
const RUN: usize = 16;
/// From this size on, in bytes, reading and judging one file is worth a second thread.
const LARGE: u64 = 1 << 20;

/// A range, ready to be reviewed or judged.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The commit the range begins at; `None` on a first push.
    pub since: Option<Oid>,
    /// The commit that is reviewed.
    pub to: Oid,
    /// Its tree.
    pub to_tree: Oid,
    /// The difference of the two trees, with the findings as notes.
    pub bundle: Bundle,
    /// What the rules found, exceptions applied.
    pub findings: Vec<Finding>,
}

impl Collected {
    /// The findings that block, in the form of a verdict.
    pub fn blockers(&self) -> Vec<schema::Finding> {
        in_verdict(&self.findings, Severity::Blocker)
    }

    /// The findings that do not block, in the form of a verdict.
    pub fn notices(&self) -> Vec<schema::Finding> {
        in_verdict(&self.findings, Severity::Notice)
    }
}

pub(crate) fn in_verdict(findings: &[Finding], severity: Severity) -> Vec<schema::Finding> {
    let convert = |finding: &Finding| {
        let (path, rule) = (escape(&finding.path), finding.rule.as_str());
        schema::Finding::new(schema::Source::Rule, Some(&path), finding.line, rule, &finding.message)
    };
    findings.iter().filter(|finding| finding.severity == severity).map(convert).collect()
}

/// The findings with the exceptions of `policy` applied.
pub(crate) fn judged(findings: Vec<Finding>, policy: &Policy) -> Result<Vec<Finding>, RepoError> {
    let parse = |allow: &policy::Allow| Allow::new(&allow.rule, allow.path.as_str(), &allow.reason);
    let allow = policy.rules.allow.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(apply_allow(findings, &allow))
}

/// Reads a policy that can be put in force: one whose exceptions are some, too.
///
/// # Errors
/// Why it cannot be, in words.
pub fn usable_policy(bytes: &[u8]) -> Result<Policy, String> {
    let policy = Policy::parse(bytes).map_err(|error| error.to_string())?;
    judged(Vec::new(), &policy).map_err(|error| error.to_string())?;
    Ok(policy)
}

/// Reads the range from `since` (`None`: from nothing) to `to`, which may be the id of a tag, and judges it by the
/// rules and the exceptions of `policy`.
///
/// # Errors
/// Anything that could not be read or is not what it must be: a range that is not wholly seen is not collected.
pub fn collect(objects: &Objects, since: Option<&Oid>, to: &Oid, policy: &Policy) -> Result<Collected, RepoError> {
    let (tags, to) = Commit::peel(objects, to)?;
    let since = since.map(|id| Commit::peel(objects, id)).transpose()?.map(|(_, commit)| commit);
    let old_tree = since.as_ref().map_or_else(|| objects.parse(&objects.empty_tree()), |commit| Ok(commit.tree))?;
    let commits = new_commits(objects, since.as_ref().map(Commit::id).as_ref(), &to.id())?;
    let walked = walk(objects, old_tree, to.tree, true)?;

    let in_changes = walked.changes.iter().filter_map(|change| change.new.filter(is_blob));
    let is_one_step = matches!((&commits[..], &since), ([only], Some(since)) if only.parents == [since.id]);
    // What one commit brings in is what the walk has met.
    let others = if is_one_step { &[] } else { &commits[..] };
    let passing = fresh(objects, others, in_changes.map(|side| side.id).collect())?;
    let passing = passing.iter().map(|(path, id)| Item::Passing(path, *id));
    let items: Vec<Item<'_>> = walked.changes.iter().map(Item::Change).chain(passing).collect();
    let few = items.len() < FEW;
    let judged_items = in_parallel(objects, &items, |objects, item| item.judge(objects, few))?;
    let (mut files, mut of_changes, mut findings) = (Vec::with_capacity(walked.changes.len()), Vec::new(), Vec::new());
    for (file, found) in judged_items {
        if file.is_some() { &mut of_changes } else { &mut findings }.extend(found);
        files.extend(file);
    }
    findings.extend(scan_messages(&commits, &tags));
    findings.extend(collisions(&walked));
    findings.append(&mut of_changes);
    if since.is_none() {
        // On a first push every file is new, the baseline of an earlier life too: nothing was reviewed before.
        findings.retain(|finding| finding.rule != Rule::BaselineEdited);
    }
    let findings = judged(findings, policy)?;
    let from = since.as_ref().map_or_else(|| objects.zero(), Commit::id);
    let header = Header::new(from, to.id(), to.tree(), commits.iter().map(|commit| &commit.raw));
    let bundle = Bundle::new(header, files, findings.iter().map(note).collect());
    Ok(Collected { since: since.map(|commit| commit.id()), to: to.id(), to_tree: to.tree(), bundle, findings })
}

fn note(finding: &Finding) -> Note {
    Note {
        blocker: finding.severity == Severity::Blocker,
        rule: finding.rule.as_str().to_owned(),
        path: escape(&finding.path),
        line: finding.line,
        message: finding.message.clone(),
    }
}

fn is_blob(side: &Side) -> bool {
    side.mode & TYPE != SUBMODULE
}

/// One piece of the work: what differs at a path, or what was at a path in between.
enum Item<'a> {
    Change(&'a Change),
    Passing(&'a [u8], ObjectId),
}

impl Item<'_> {
    fn judge(&self, objects: &Objects, alone: bool) -> Result<(Option<FileDiff>, Vec<Finding>), RepoError> {
        match self {
            Self::Change(change) => judge(objects, change, alone).map(|(file, findings)| (Some(file), findings)),
            Self::Passing(path, id) => Ok((None, scan_blob(path, &objects.get_kind(id, Kind::Blob)?))),
        }
    }

    /// What it is best read beside. Git stores the newer version whole, and the older as its difference to that.
    fn neighbour(&self) -> Option<ObjectId> {
        match self {
            Self::Change(change) => change.old.or(change.new).filter(is_blob).map(|side| side.id),
            Self::Passing(_, id) => Some(*id),
        }
    }
}

/// Renders and judges one changed path. What is in its new version is scanned for secrets here, so that it is read once.
/// `alone`: no other file is, in a thread of its own.
fn judge(objects: &Objects, change: &Change, alone: bool) -> Result<(FileDiff, Vec<Finding>), RepoError> {
    let (old, new) = contents(objects, change, alone)?;
    let (old, new) = (old.as_deref(), new.as_deref());
    let at_once = [old, new].iter().flatten().any(|content| content.len() as u64 >= LARGE);
    Ok(both(at_once, || rendered(change, old, new), || scanned(change, old, new)))
}

type Content = Option<Vec<u8>>;

/// The content of both sides, read at the same time when one is large and nothing else keeps the other core busy.
fn contents(objects: &Objects, change: &Change, alone: bool) -> Result<(Content, Content), RepoError> {
    let is_large = |side: &Side| objects.is_large(&side.id, LARGE);
    if !alone || ![change.old, change.new].iter().flatten().any(is_large) {
        return Ok((read(objects, change.old)?, read(objects, change.new)?));
    }
    let own = objects.clone();
    let (old, new) = both(true, || read(objects, change.old), move || read(&own, change.new));
    Ok((old?, new?))
}

/// The content of a side that has one.
fn read(objects: &Objects, side: Option<Side>) -> Result<Content, RepoError> {
    side.filter(is_blob).map(|side| objects.get_kind(&side.id, Kind::Blob)).transpose()
}

fn scanned(change: &Change, old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<Finding> {
    let side = |side: Side, content| rules::Side { mode: side.mode, content };
    let mut findings =
        scan_change(&change.path, change.old.map(|it| side(it, old)), change.new.map(|it| side(it, new)));
    if let (Some(content), false) = (new, same_blob(change)) {
        findings.extend(scan_blob(&change.path, content));
        findings.extend(invalid_policy(&change.path, content));
    }
    findings
}

fn rendered(change: &Change, old: Option<&[u8]>, new: Option<&[u8]>) -> FileDiff {
    let [old_id, new_id] = [change.old, change.new].map(|side| side.map(|side| side.id.to_hex().to_string()));
    let version = |side: Option<Side>, id: &'_ Option<String>| side.zip(id.clone());
    let (old_side, new_side) = (version(change.old, &old_id), version(change.new, &new_id));
    diff(review_bundle::Change {
        path: &change.path,
        old: old_side.as_ref().map(|(side, id)| Version { mode: side.mode, id, content: old }),
        new: new_side.as_ref().map(|(side, id)| Version { mode: side.mode, id, content: new }),
    })
}

/// Both results; at the same time where that pays.
fn both<A, B: Send>(at_once: bool, a: impl FnOnce() -> A, b: impl FnOnce() -> B + Send) -> (A, B) {
    if !at_once {
        return (a(), b());
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(b);
        let first = a();
        (first, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// A policy takes effect once it is pushed, so one that nobody can read, or whose exceptions are none, must not get
/// there.
fn invalid_policy(path: &[u8], content: &[u8]) -> Option<Finding> {
    if path != policy::PATH.as_bytes() {
        return None;
    }
    let message = escape(usable_policy(content).err()?.as_bytes());
    Some(Finding { path: path.to_vec(), line: None, rule: Rule::InvalidPolicy, severity: Severity::Blocker, message })
}

/// Only the mode differs, and not whether it is a link.
fn same_blob(change: &Change) -> bool {
    let of = |side: Option<Side>| side.map(|side| (side.id, side.mode & TYPE == LINK));
    of(change.old) == of(change.new)
}

/// Commit messages and tags: what is written there is pushed too.
pub(crate) fn scan_messages(commits: &[Commit], tags: &[Tag]) -> Vec<Finding> {
    let commits = commits.iter().map(|commit| (format!("commit {}", commit.id()), &commit.raw));
    let tags = tags.iter().map(|tag| (format!("tag {}", tag.id), &tag.raw));
    commits.chain(tags).flat_map(|(label, raw)| scan_blob(label.as_bytes(), raw)).collect()
}

fn collisions(walked: &Walked) -> Vec<Finding> {
    let changed: Vec<Vec<u8>> = walked
        .changes
        .iter()
        .filter(|change| change.old.is_none() && change.new.is_some())
        .map(|change| change.path.clone())
        .collect();
    if changed.is_empty() { Vec::new() } else { scan_tree_names(&walked.names, &changed) }
}

/// `work` on every item; the results in the order of the items. The first error wins.
///
/// Each thread takes a run of neighbours in the packs, so that what one is a difference to was read just before.
fn in_parallel<R: Send>(
    objects: &Objects,
    items: &[Item<'_>],
    work: impl Fn(&Objects, &Item<'_>) -> Result<R, RepoError> + Sync,
) -> Result<Vec<R>, RepoError> {
    if items.len() < FEW {
        return items.iter().map(|item| work(objects, item)).collect();
    }
    let order = objects.layout().order(items, Item::neighbour);
    let runs = order.chunks((items.len() / (4 * THREADS)).clamp(1, RUN));
    let runs = Mutex::new(runs);
    let stopped = AtomicBool::new(false);
    let run = |objects: Objects| {
        let mut done = Vec::with_capacity(items.len() / THREADS + RUN);
        while let Some(run) = next(&runs).filter(|_| !stopped.load(Ordering::Relaxed)) {
            for &at in run {
                let result = work(&objects, &items[at]).inspect_err(|_| stopped.store(true, Ordering::Relaxed));
                done.push((at, result?));
            }
        }
        Ok(done)
    };
    let done: Result<Vec<_>, RepoError> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| objects.clone()).map(|own| scope.spawn(|| run(own))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut done: Vec<(usize, R)> = done?.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn next<T>(items: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    items.lock().unwrap_or_else(PoisonError::into_inner).next()
}
