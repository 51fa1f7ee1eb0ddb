//! What the caller saw of a push: plain data, each part either seen or [`Unseen`].

use super::pre_push::Update;
use crate::oid::{Oid, Sha256};
use crate::policy::Policy;
use crate::schema::{Finding, Invalid, Verdict};

/// The file that names the last reviewed commit.
pub const BASELINE_PATH: &str = "docs/LAST_REVIEWED_SHA.txt";

/// The whole message of a baseline commit: nobody reviews it, so it must not carry anything else.
pub const BASELINE_MESSAGE: &str = "chore: advance review baseline\n";

/// The only mode the baseline file may have: a regular file that is not executable.
const BASELINE_MODE: u32 = 0o100_644;

/// A fact, or why it could not be had. Never an empty or default value in its place.
pub type Observed<T> = Result<T, Unseen>;

/// What could not be seen, and why; it always refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen(pub String);

/// All updates of one push. None is legal: Git runs the hook with empty input when nothing is to be pushed.
#[derive(Debug, Clone)]
pub struct PushFacts {
    /// One for each line of the hook's input.
    pub updates: Vec<UpdateFacts>,
}

/// What was seen of one update.
#[derive(Debug, Clone)]
pub struct UpdateFacts {
    /// The line of the hook's input.
    pub update: Update,
    /// The policy in the commit the remote has, or the one that was pinned when there is none.
    pub policy: Observed<Policy>,
    /// Looked at only for a protected ref that is not deleted; `Err` is right for every other.
    pub review: Observed<ReviewFacts>,
}

/// What was seen of a range that nobody pushes right now.
#[derive(Debug, Clone)]
pub struct RangeFacts {
    /// What a protected ref has; zeros when it does not exist.
    pub since: Oid,
    /// What it would have.
    pub to: Oid,
    /// The policy at `since`, or the one that was pinned when there is none.
    pub policy: Observed<Policy>,
    /// The rest.
    pub review: ReviewFacts,
}

/// What was seen of the objects a protected ref would get, and of the verdicts about them.
#[derive(Debug, Clone)]
pub struct ReviewFacts {
    /// The remote's commit in the local history. Not looked at on a first push.
    pub base: Observed<Base>,
    /// True when the history of the range is cut off by a shallow boundary.
    pub shallow: Observed<bool>,
    /// The commit at the end.
    pub tip: Observed<Tip>,
    /// What a review has to be about, computed from the objects: `since..tip.reviewed()`.
    pub content: Observed<Content>,
    /// Every verdict file that is stored for that range.
    pub verdicts: Observed<Vec<Result<Verdict, Invalid>>>,
}

/// Where the commit that the remote has stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// It is an ancestor of the pushed commit, or that commit itself.
    Ancestor,
    /// It is here, and not an ancestor: the push would rewind or replace it.
    NotAncestor,
    /// It is not here.
    Missing,
}

/// The commit a ref would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The object that is pushed: the commit, or a tag that leads to it.
    pub pushed: Oid,
    /// The commit, after tags were peeled.
    pub commit: Oid,
    /// Its parents, in order.
    pub parents: Vec<Oid>,
    /// Paths that differ from the first parent's tree; from the empty tree without a parent.
    pub changed: Vec<Vec<u8>>,
    /// Its message, as it stands in the commit object.
    pub message: Vec<u8>,
    /// [`BASELINE_PATH`] as the commit changed it; `None` when it did not, or took it away.
    pub baseline: Option<BaselineFile>,
}

/// The baseline file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineFile {
    /// As Git has it, e.g. `0o100644`.
    pub mode: u32,
    /// All of its bytes.
    pub content: Vec<u8>,
}

/// What a review has to be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where the range begins: what the remote has, zeros on a first push.
    pub since: Oid,
    /// The reviewed commit.
    pub to: Oid,
    /// Its tree.
    pub to_tree: Oid,
    /// Of the bundle's shown text, rendered again from verified objects.
    pub bundle_sha256: Sha256,
    /// What the rules found in the range, and in every new object of it, that the policy does not allow.
    pub rule_blockers: Vec<Finding>,
}

/// Why a commit that changes the baseline file is no baseline commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaselineFlaw {
    /// It changes other files as well.
    #[error("it changes more than {BASELINE_PATH}")]
    MoreFiles,
    /// It deletes the file.
    #[error("it deletes {BASELINE_PATH}")]
    Deleted,
    /// The file is a link, executable, or a submodule.
    #[error("{BASELINE_PATH} has not mode 100644")]
    Mode,
    /// The file does not hold the parent's id and a line feed, and nothing else.
    #[error("{BASELINE_PATH} does not hold the parent's id")]
    Content,
    /// The message is not [`BASELINE_MESSAGE`].
    #[error("its message is not `{}`", BASELINE_MESSAGE.trim_end())]
    Message,
}

impl Tip {
    /// The commit that a review has to be about: the parent of a baseline commit, else the commit itself.
    ///
    /// A merge, and a commit without a parent, is always itself: the file may come with a branch that was merged or
    /// imported, and then it is reviewed like any other.
    ///
    /// # Errors
    /// [`BaselineFlaw`] when a commit with one parent changes the baseline file and is no baseline commit.
    pub fn reviewed(&self) -> Result<&Oid, BaselineFlaw> {
        let [parent] = self.parents.as_slice() else { return Ok(&self.commit) };
        if !self.changed.iter().any(|path| path == BASELINE_PATH.as_bytes()) {
            return Ok(&self.commit);
        }
        if self.changed.len() > 1 {
            return Err(BaselineFlaw::MoreFiles);
        }
        let file = self.baseline.as_ref().ok_or(BaselineFlaw::Deleted)?;
        if file.mode != BASELINE_MODE {
            return Err(BaselineFlaw::Mode);
        }
        if file.content != format!("{parent}\n").as_bytes() {
            return Err(BaselineFlaw::Content);
        }
        if self.message == BASELINE_MESSAGE.as_bytes() { Ok(parent) } else { Err(BaselineFlaw::Message) }
    }
}
