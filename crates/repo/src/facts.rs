//! What the gate decides on, seen in verified objects. What cannot be seen is said so, one fact at a time.

use rules::Severity;
use verdict::gate::{
    BASELINE_PATH, Base, BaselineFile, Content, Observed, PushFacts, RangeFacts, ReviewFacts, Tip, Unseen, Update,
    UpdateFacts,
};
use verdict::policy::{self, RefClass};
use verdict::schema::{self, Invalid};
use verdict::{Oid, Policy, Verdict};

use crate::collect::{collect, in_verdict, judged, scan_messages};
use crate::commit::Commit;
use crate::difference::{Side, difference};
use crate::error::RepoError;
use crate::history::is_ancestor;
use crate::object::{Kind, Objects};
use crate::open::Repo;
use crate::store::VerdictStore;
use crate::tree::{Entry, FILE, TYPE, Tree};

/// Where the policy comes from when the remote has none: the copy that was pinned when the gate was installed. Without
/// one the built-in policy holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolicySource<'a> {
    /// The bytes of the pinned copy.
    pub pinned: Option<&'a [u8]>,
}

/// The policy in force over a change of `base`: the one in that commit, never one in the change. `None` is a first
/// push.
///
/// # Errors
/// Those of [`Objects::read`]; [`RepoError::Malformed`] for a policy that is none: it is not passed over.
pub fn policy_at(objects: &Objects, base: Option<&Oid>, source: PolicySource<'_>) -> Result<Policy, RepoError> {
    let committed = base.map(|base| policy_bytes(objects, base)).transpose()?.flatten();
    let Some(bytes) = committed.or_else(|| source.pinned.map(<[u8]>::to_vec)) else { return Ok(Policy::built_in()) };
    let id = objects.blob_id(&bytes)?;
    Policy::parse(&bytes).map_err(|error| RepoError::Malformed { id, kind: "policy", why: error.to_string() })
}

/// The policy in force over a push of `refname`, which has `base`: [`policy_at`], unless only the pinned policy protects
/// that ref. A ref that the remote does not have, or that grew apart, brings no policy of its own to lift that.
///
/// # Errors
/// Those of [`policy_at`]; [`RepoError::Malformed`] for a pinned policy that is none.
pub fn policy_for(
    objects: &Objects,
    base: Option<&Oid>,
    source: PolicySource<'_>,
    refname: &str,
) -> Result<Policy, RepoError> {
    let policy = policy_at(objects, base, source)?;
    let protects = |policy: &Policy| policy.classify(refname) == RefClass::Protected;
    match source.pinned {
        Some(_) if !protects(&policy) => Ok(Some(policy_at(objects, None, source)?).filter(protects).unwrap_or(policy)),
        _ => Ok(policy),
    }
}

/// The policy file in a commit; `None` when it has none.
///
/// # Errors
/// Those of [`Objects::read`]; [`RepoError::Malformed`] for something of that name that is no regular file.
pub fn policy_bytes(objects: &Objects, commit: &Oid) -> Result<Option<Vec<u8>>, RepoError> {
    let (_, commit) = Commit::peel(objects, commit)?;
    match find(objects, &commit, policy::PATH)? {
        Some(entry) if entry.mode & TYPE == FILE => objects.get_kind(&entry.id, Kind::Blob).map(Some),
        Some(entry) => {
            let why = format!("{} is no regular file", policy::PATH);
            Err(RepoError::Malformed { id: entry.id(), kind: "policy", why })
        }
        None => Ok(None),
    }
}

/// Looks at everything the gate has to know of a push.
pub fn push_facts(repo: &Repo, updates: Vec<Update>, source: PolicySource<'_>) -> PushFacts {
    PushFacts { updates: updates.into_iter().map(|update| update_facts(repo, update, source)).collect() }
}

/// Looks at everything the gate has to know of a range of `refname` that nobody pushes right now. `extra` are verdicts
/// that were given by hand, beside those that are stored. `since` is zeros for a first push.
pub fn range_facts(
    repo: &Repo,
    refname: &str,
    since: &Oid,
    to: &Oid,
    source: PolicySource<'_>,
    extra: Vec<Result<Verdict, Invalid>>,
) -> RangeFacts {
    let policy = observed(policy_for(repo.objects(), base(since), source, refname));
    let mut review = review_facts(repo, since, to, &policy);
    if let Ok(verdicts) = &mut review.verdicts {
        verdicts.extend(extra);
    }
    RangeFacts { since: since.clone(), to: to.clone(), policy, review }
}

fn update_facts(repo: &Repo, update: Update, source: PolicySource<'_>) -> UpdateFacts {
    let policy = observed(policy_for(repo.objects(), base(&update.old), source, &update.remote_ref));
    let is_open = policy.as_ref().is_ok_and(|policy| policy.classify(&update.remote_ref) != RefClass::Protected);
    let review = if is_open || update.new.is_zero() {
        Err(Unseen("the review of an update that needs none".to_owned()))
    } else {
        Ok(review_facts(repo, &update.old, &update.new, &policy))
    };
    UpdateFacts { update, policy, review }
}

fn base(old: &Oid) -> Option<&Oid> {
    (!old.is_zero()).then_some(old)
}

fn observed<T>(result: Result<T, RepoError>) -> Observed<T> {
    result.map_err(|error| Unseen(error.to_string()))
}

fn review_facts(repo: &Repo, since: &Oid, to: &Oid, policy: &Observed<Policy>) -> ReviewFacts {
    let objects = repo.objects();
    let tip = observed(tip(objects, to));
    let reviewed = reviewed(&tip);
    let content = content(objects, since, to, reviewed.clone(), policy.as_ref().map_err(Clone::clone));
    let verdicts = reviewed.and_then(|to| observed(VerdictStore::of(repo).list(since, &to)));
    ReviewFacts {
        base: observed(fast_forward(objects, since, to)),
        shallow: observed(repo.is_shallow()),
        tip,
        content,
        verdicts,
    }
}

fn reviewed(tip: &Observed<Tip>) -> Observed<Oid> {
    let tip = tip.as_ref().map_err(Clone::clone)?;
    tip.reviewed().cloned().map_err(|flaw| Unseen(format!("which commit was reviewed: {flaw}")))
}

fn fast_forward(objects: &Objects, since: &Oid, to: &Oid) -> Result<Base, RepoError> {
    let Some(since) = base(since) else { return Ok(Base::Ancestor) };
    if !objects.contains(since)? {
        return Ok(Base::Missing);
    }
    let (_, since) = Commit::peel(objects, since)?;
    let (_, to) = Commit::peel(objects, to)?;
    Ok(if is_ancestor(objects, &since.id(), &to.id())? { Base::Ancestor } else { Base::NotAncestor })
}

fn tip(objects: &Objects, pushed: &Oid) -> Result<Tip, RepoError> {
    let (_, commit) = Commit::peel(objects, pushed)?;
    let before = match commit.parents().first() {
        Some(parent) => Commit::read(objects, parent)?.tree(),
        None => objects.empty_tree(),
    };
    let paths = difference(objects, &before, &commit.tree())?;
    let made = paths.iter().find(|change| change.path == BASELINE_PATH.as_bytes()).and_then(|change| change.new);
    let baseline = made.map(|side| baseline_file(objects, side)).transpose()?;
    let changed = paths.into_iter().map(|change| change.path).collect();
    let (pushed, message) = (pushed.clone(), commit.message().to_vec());
    Ok(Tip { pushed, commit: commit.id(), parents: commit.parents(), changed, message, baseline })
}

/// A link and a submodule are refused by their mode, whatever they hold.
fn baseline_file(objects: &Objects, Side { mode, id }: Side) -> Result<BaselineFile, RepoError> {
    let content = if mode & TYPE == FILE { objects.get_kind(&id, Kind::Blob)? } else { Vec::new() };
    Ok(BaselineFile { mode, content })
}

fn content(
    objects: &Objects,
    since: &Oid,
    pushed: &Oid,
    reviewed: Observed<Oid>,
    policy: Observed<&Policy>,
) -> Observed<Content> {
    let (to, policy) = (reviewed?, policy?);
    let collected = observed(collect(objects, base(since), &to, policy))?;
    let mut rule_blockers = collected.blockers();
    rule_blockers.extend(observed(wrapping_blockers(objects, pushed, policy))?);
    let digest = collected.bundle.sha256().parse();
    Ok(Content {
        since: since.clone(),
        to: collected.to.clone(),
        to_tree: collected.to_tree.clone(),
        bundle_sha256: digest.map_err(|error| Unseen(format!("the bundle's digest: {error}")))?,
        rule_blockers,
    })
}

/// What blocks in the objects that are pushed around the reviewed commit: tags that lead to it, the baseline commit.
fn wrapping_blockers(objects: &Objects, pushed: &Oid, policy: &Policy) -> Result<Vec<schema::Finding>, RepoError> {
    let (tags, commit) = Commit::peel(objects, pushed)?;
    let findings = judged(scan_messages(&[commit], &tags), policy)?;
    Ok(in_verdict(&findings, Severity::Blocker))
}

/// The entry of a path in a commit's tree.
fn find(objects: &Objects, commit: &Commit, path: &str) -> Result<Option<Entry>, RepoError> {
    let mut tree = commit.tree;
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        match Tree::read(objects, &tree)?.find(name.as_bytes()) {
            Some(entry) if names.peek().is_none() => return Ok(Some(entry.clone())),
            Some(entry) if entry.is_tree() => tree = entry.id,
            _ => break,
        }
    }
    Ok(None)
}
