//! Ancestry, walked over hashed commits alone: no graft, no shallow boundary, no commit graph.
//!
//! Dates only order the walks. A wrong one makes a walk longer, or a range larger; it never hides a commit.

use std::collections::{BinaryHeap, HashMap, HashSet};

use gix::ObjectId;
use verdict::Oid;

use crate::commit::Commit;
use crate::error::RepoError;
use crate::object::{Objects, oid};

/// Whether `ancestor` is `tip` or is reached from it.
///
/// # Errors
/// Those of [`Commit::read`] for any commit that was needed: an unknown history is not an answer.
pub fn is_ancestor(objects: &Objects, ancestor: &Oid, tip: &Oid) -> Result<bool, RepoError> {
    Ok(reached_from(objects, ancestor, std::slice::from_ref(tip))?.is_some())
}

/// Which of `tips`, by its index, is `ancestor` or reaches it; `None` when none does. All are walked at once, newest
/// commits first, each commit once.
///
/// # Errors
/// Those of [`is_ancestor`].
pub fn reached_from(objects: &Objects, ancestor: &Oid, tips: &[Oid]) -> Result<Option<usize>, RepoError> {
    if let Some(at) = tips.iter().position(|tip| tip == ancestor) {
        return Ok(Some(at));
    }
    let ancestor = objects.parse(ancestor)?;
    let mut walk = Walk::new(objects);
    for (at, tip) in tips.iter().enumerate() {
        walk.enqueue(objects.parse(tip)?, at)?;
    }
    while let Some((commit, origin)) = walk.next()? {
        if commit.parents.contains(&ancestor) {
            return Ok(Some(origin));
        }
    }
    Ok(None)
}

/// The commits that `tip` has and `base` has not, newest first; with no base, all of them.
///
/// # Errors
/// Those of [`Commit::read`].
pub fn new_commits(objects: &Objects, base: Option<&Oid>, tip: &Oid) -> Result<Vec<Commit>, RepoError> {
    let Some(base) = base else { return Walk::from(objects, tip)?.collect() };
    Paint::new(objects, &objects.parse(base)?, &objects.parse(tip)?)?.run()
}

/// The best common ancestor by date; `None` when the histories are unrelated.
///
/// # Errors
/// Those of [`Commit::read`].
pub fn merge_base(objects: &Objects, a: &Oid, b: &Oid) -> Result<Option<Oid>, RepoError> {
    let of_a: HashSet<ObjectId> = Walk::from(objects, a)?.collect()?.iter().map(|commit| commit.id).collect();
    let mut walk = Walk::from(objects, b)?;
    while let Some((commit, _)) = walk.next()? {
        if of_a.contains(&commit.id) {
            return Ok(Some(oid(&commit.id)));
        }
    }
    Ok(None)
}

/// All ancestors of some commits, newest first, each with the number of a start that reaches it.
struct Walk<'a> {
    objects: &'a Objects,
    queue: BinaryHeap<(i64, ObjectId)>,
    waiting: HashMap<ObjectId, Option<(Commit, usize)>>,
}

impl<'a> Walk<'a> {
    fn new(objects: &'a Objects) -> Self {
        Self { objects, queue: BinaryHeap::new(), waiting: HashMap::new() }
    }

    fn from(objects: &'a Objects, tip: &Oid) -> Result<Self, RepoError> {
        let mut walk = Self::new(objects);
        walk.enqueue(objects.parse(tip)?, 0)?;
        Ok(walk)
    }

    fn enqueue(&mut self, id: ObjectId, origin: usize) -> Result<(), RepoError> {
        if !self.waiting.contains_key(&id) {
            let commit = Commit::get(self.objects, &id)?;
            self.queue.push((commit.time, id));
            self.waiting.insert(id, Some((commit, origin)));
        }
        Ok(())
    }

    /// The next commit. Its parents are read only when the one after it is asked for.
    fn next(&mut self) -> Result<Option<(Commit, usize)>, RepoError> {
        let Some((_, id)) = self.queue.pop() else { return Ok(None) };
        let Some((commit, origin)) = self.waiting.get_mut(&id).and_then(Option::take) else { return Ok(None) };
        commit.parents.iter().try_for_each(|parent| self.enqueue(*parent, origin))?;
        Ok(Some((commit, origin)))
    }

    fn collect(mut self) -> Result<Vec<Commit>, RepoError> {
        let mut commits = Vec::new();
        while let Some((commit, _)) = self.next()? {
            commits.push(commit);
        }
        Ok(commits)
    }
}

/// Paints what `base` reaches, and stops when nothing that waits could be new.
struct Paint<'a> {
    objects: &'a Objects,
    queue: BinaryHeap<(i64, ObjectId)>,
    commits: HashMap<ObjectId, Painted>,
    /// How many that wait are new so far.
    waiting_new: usize,
    /// New ones, as they were met.
    order: Vec<ObjectId>,
}

struct Painted {
    commit: Commit,
    of_base: bool,
    waits: bool,
}

impl<'a> Paint<'a> {
    fn new(objects: &'a Objects, base: &ObjectId, tip: &ObjectId) -> Result<Self, RepoError> {
        let (queue, commits) = (BinaryHeap::new(), HashMap::new());
        let mut paint = Self { objects, queue, commits, waiting_new: 0, order: Vec::new() };
        paint.reach(*base, true)?;
        paint.reach(*tip, false)?;
        Ok(paint)
    }

    fn run(mut self) -> Result<Vec<Commit>, RepoError> {
        while self.waiting_new > 0 {
            let Some((_, id)) = self.queue.pop() else { break };
            let Some(painted) = self.commits.get_mut(&id) else { break };
            painted.waits = false;
            let (parents, of_base) = (painted.commit.parents.clone(), painted.of_base);
            if !of_base {
                self.waiting_new -= 1;
                self.order.push(id);
            }
            parents.into_iter().try_for_each(|parent| self.reach(parent, of_base))?;
        }
        let mut commits = self.commits;
        let new = self.order.iter().filter_map(|id| commits.remove(id)).filter(|painted| !painted.of_base);
        Ok(new.map(|painted| painted.commit).collect())
    }

    /// A commit is reached; one that turns out to be `base`'s after it was left waits again, to paint its parents.
    fn reach(&mut self, id: ObjectId, of_base: bool) -> Result<(), RepoError> {
        if let Some(painted) = self.commits.get_mut(&id) {
            if of_base && !painted.of_base {
                painted.of_base = true;
                if painted.waits {
                    self.waiting_new -= 1;
                } else {
                    painted.waits = true;
                    self.queue.push((painted.commit.time, id));
                }
            }
            return Ok(());
        }
        let commit = Commit::get(self.objects, &id)?;
        self.queue.push((commit.time, id));
        self.waiting_new += usize::from(!of_base);
        self.commits.insert(id, Painted { commit, of_base, waits: true });
        Ok(())
    }
}
