//! The shared checkouts: one slot for each tree, a bounded number of them.
//!
//! **Invariant:** a slot is whole: it comes by a rename and goes by a rename.
//! **Invariant:** who holds a slot's lock shared has it to itself and others who read; patching and evicting take the lock
//! alone and never wait for it.
//! **Invariant:** a slot that is not fresh is hashed before it is used.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::Host;
use repo::{Objects, small_difference};
use verdict::Oid;

use crate::build::build;
use crate::building::{Building, sweep};
use crate::checkout::{Checkout, Made};
use crate::error::WorktreeError;
use crate::files::{open_root, write_file};
use crate::index::{self, Index};
use crate::listing::Listing;
use crate::lock::{Hold, Lock, Patience, last_use};
use crate::meta::{Evidence, Means, Meta, seconds};
use crate::patch::{NotPatched, Patch};
use crate::pinned::Pinned;
use crate::template::{make_dir, remove};
use crate::verify::{By, Expected, Found, GIT_FILE};

/// A slot that differs in more is not patched: writing the tree anew takes about as long.
const NEAR: usize = 2_000;
/// So many slots are compared with a tree, those that were used last.
const CANDIDATES: usize = 4;
/// So many paths of a slot that was changed are told.
const TOLD: usize = 50;
/// So often a slot that was taken away while it was waited for is made again.
const TRIES: usize = 16;

/// How much is kept. More is there only while it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most checkouts.
    pub slots: usize,
    /// The most bytes of files, where they are bounded too.
    pub bytes: Option<u64>,
}

/// What became of the idle slots that were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// As they were.
    pub same: usize,
    /// Changed, and put away.
    pub mutated: usize,
}

/// The shared checkouts of one state directory.
#[derive(Clone)]
pub struct Cache<'a> {
    host: &'a dyn Host,
    trees: PathBuf,
    quarantine: PathBuf,
    bounds: Bounds,
    pub(crate) patience: Patience,
}

/// Where the checkout of a tree is.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) tree: Oid,
    pub(crate) dir: PathBuf,
    pub(crate) lock: PathBuf,
}

impl Slot {
    fn of(trees: &Path, tree: &Oid) -> Self {
        let dir = trees.join(tree.as_str());
        Self { tree: tree.clone(), lock: dir.with_added_extension("lock"), dir }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("tree")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    fn id_len(&self) -> usize {
        id_len(&self.tree)
    }
}

fn id_len(id: &Oid) -> usize {
    id.as_str().len() / 2
}

fn mutated(tree: &Oid, paths: &[Vec<u8>], quarantine: PathBuf) -> WorktreeError {
    let paths = paths.iter().take(TOLD).map(|path| review_bundle::escape(path)).collect();
    WorktreeError::MutationDetected { tree: tree.clone(), paths, quarantine }
}

impl<'a> Cache<'a> {
    /// The checkouts in `state`.
    ///
    /// # Errors
    /// [`WorktreeError::Io`].
    pub fn open(host: &'a dyn Host, state: &Path, bounds: Bounds, patience: Patience) -> Result<Self, WorktreeError> {
        let state = std::path::absolute(state).map_err(WorktreeError::io(state))?;
        let (trees, quarantine) = (state.join("trees"), state.join("quarantine"));
        make_dir(&trees)?;
        Ok(Self { host, trees, quarantine, bounds, patience })
    }

    /// The files of the commit's tree: as they are there, or by patching a checkout that differs in little, or written.
    ///
    /// # Errors
    /// [`WorktreeError::MutationDetected`] when what was there was changed: the next call writes it anew.
    /// [`WorktreeError::UnsafeTree`]; [`WorktreeError::Full`]; [`WorktreeError::Busy`]; those of reading objects.
    pub fn checkout(&self, pinned: &Pinned) -> Result<Checkout<'a>, WorktreeError> {
        self.provide(pinned).map_err(WorktreeError::in_mirror(&pinned.mirror_dir))
    }

    fn provide(&self, pinned: &Pinned) -> Result<Checkout<'a>, WorktreeError> {
        let slot = Slot::of(&self.trees, pinned.tree());
        let done = |made, evidence, lock: Lock| {
            lock.touch(self.host.now());
            let (objects, mirror) = (pinned.objects.clone(), pinned.mirror.clone());
            Checkout { cache: self.clone(), slot: slot.clone(), objects, mirror, made, evidence, lock: Some(lock) }
        };
        for _ in 0..TRIES {
            let lock = Lock::wait(&slot.lock, Hold::Shared, &self.patience)?;
            if let Some(evidence) = self.usable(&slot, &lock, pinned)? {
                return Ok(done(Made::Warm, evidence, lock));
            }
            drop(lock);
            let lock = Lock::wait(&slot.lock, Hold::Exclusive, &self.patience)?;
            if slot.dir.exists() {
                continue;
            }
            let (made, evidence) = match self.make(&slot, pinned) {
                Ok(made) => made,
                Err(error) => {
                    drop(remove(&slot.lock));
                    return Err(error);
                }
            };
            if let Some(lock) = lock.share(&slot.lock)?.filter(|_| slot.dir.exists()) {
                let checkout = done(made, evidence, lock);
                self.trim()?;
                return Ok(checkout);
            }
        }
        Err(WorktreeError::Busy { path: slot.lock.clone() })
    }

    /// What is known of a slot that is there, hashed if need be; `None` if none is there.
    fn usable(&self, slot: &Slot, lock: &Lock, pinned: &Pinned) -> Result<Option<Evidence>, WorktreeError> {
        match Meta::read(&slot.dir, &slot.tree) {
            Some(meta) if meta.is_fresh(self.host.now()) && slot.index().is_file() => Ok(Some(meta.evidence)),
            _ if !slot.dir.exists() => Ok(None),
            _ => self.verify(slot, Some(lock), &pinned.objects, &pinned.mirror).map(Some),
        }
    }

    /// Makes a slot that is not there. The caller holds its lock alone.
    fn make(&self, slot: &Slot, pinned: &Pinned) -> Result<(Made, Evidence), WorktreeError> {
        sweep(&self.trees)?;
        let near = self.near(slot, pinned)?;
        let made = if near.is_some() { Made::Near } else { Made::Cold };
        let (building, evidence) = match near {
            Some(near) => near,
            None => self.cold(slot, pinned)?,
        };
        building.publish(&slot.dir)?;
        Ok((made, evidence))
    }

    fn cold(&self, slot: &Slot, pinned: &Pinned) -> Result<(Building, Evidence), WorktreeError> {
        let objects = &pinned.objects;
        let listing = Listing::of_tree(objects, &objects.parse(&slot.tree)?, &self.patience)?;
        let building = Building::new(self.host, &self.trees)?;
        let root = building.dir.join("tree");
        std::fs::DirBuilder::new().create(&root).map_err(WorktreeError::io(&root))?;
        let seen = build(objects, &listing, &root, &self.patience)?;
        write_file(&open_root(&root)?, b".git", 0o644, GIT_FILE).map_err(WorktreeError::io(root.join(".git")))?;
        let index = index::of(&listing.items, &seen, slot.id_len());
        index::write(&building.dir.join("index"), &index, self.host.now())?;
        let evidence = self.verified(Means::Built);
        let bytes = seen.iter().map(|seen| u64::from(seen.size)).sum();
        Meta::new(&slot.tree, &pinned.mirror, (listing.items.len(), bytes), evidence.clone()).write(&building.dir)?;
        Ok((building, evidence))
    }

    fn verified(&self, means: Means) -> Evidence {
        Evidence { means, verified_at: seconds(self.host.now()), ctime_scan_at: None }
    }

    /// Patches the first idle slot that differs in little.
    fn near(&self, slot: &Slot, pinned: &Pinned) -> Result<Option<(Building, Evidence)>, WorktreeError> {
        for candidate in
            self.slots()?.into_iter().rev().filter(|(_, it)| it.tree.same_format(&slot.tree)).take(CANDIDATES)
        {
            if let Some(patched) = self.patched(&candidate.1, slot, pinned)? {
                return Ok(Some(patched));
            }
        }
        Ok(None)
    }

    fn patched(&self, old: &Slot, slot: &Slot, pinned: &Pinned) -> Result<Option<(Building, Evidence)>, WorktreeError> {
        let Some(lock) = Lock::take(&old.lock, Hold::Exclusive)? else { return Ok(None) };
        let meta = Meta::read(&old.dir, &old.tree);
        let Some(meta) = meta.filter(|meta| meta.mirror == pinned.mirror && meta.is_fresh(self.host.now())) else {
            return Ok(None);
        };
        let (changes, index) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| Index::read(&old.index(), old.id_len()));
            let changes = small_difference(&pinned.objects, &old.tree, &slot.tree, NEAR);
            (changes, reading.join().expect("reading an index does not panic"))
        });
        // A tree whose objects are gone, or that nobody may check out, is not patched; writing it tells what is wrong.
        let (Ok(Some(changes)), Some(index)) = (changes, index) else { return Ok(None) };
        let patch = Patch { objects: &pinned.objects, changes, patience: &self.patience };
        if patch.check().is_err() {
            return Ok(None);
        }
        let building = Building::adopt(self.host, &self.trees, &old.dir)?;
        drop(remove(&old.lock));
        drop(lock);
        let patched = match patch.apply(&building.dir.join("tree"), &index) {
            Ok(patched) => patched,
            Err(NotPatched::Failed(error)) => return Err(error),
            Err(NotPatched::Mutated(at)) => {
                // It is no slot any more: another run may have made a new one under that name.
                let quarantine = self.quarantine(&old.tree)?;
                std::fs::rename(&building.dir, &quarantine).map_err(WorktreeError::io(&building.dir))?;
                return Err(mutated(&old.tree, &[at], quarantine));
            }
        };
        let size = (patched.files, (meta.bytes + patched.new).saturating_sub(patched.gone));
        let meta = Meta::new(&slot.tree, &pinned.mirror, size, meta.evidence);
        index::edit(&building.dir.join("index"), &index, &patched.edits, self.host.now())?;
        remove(&building.dir.join("meta.json"))?;
        meta.write(&building.dir)?;
        Ok(Some((building, meta.evidence)))
    }

    /// Hashes every file of a slot and notes that.
    pub(crate) fn verify(
        &self,
        slot: &Slot,
        lock: Option<&Lock>,
        objects: &Objects,
        mirror: &str,
    ) -> Result<Evidence, WorktreeError> {
        let listing = Listing::of_tree(objects, &objects.parse(&slot.tree)?, &self.patience)?;
        let found = self.compared(slot, lock, &listing, &By::content(objects))?;
        let index = index::of(&listing.items, &found.seen, slot.id_len());
        if std::fs::read(slot.index()).ok().as_ref() != Some(&index) {
            let beside = slot.dir.join(format!("index.new-{}", self.host.random_hex(4)));
            index::write(&beside, &index, self.host.now())?;
            std::fs::rename(&beside, slot.index()).map_err(WorktreeError::io(&beside))?;
        }
        let evidence = self.verified(Means::ShaRecheck);
        let bytes = found.seen.iter().map(|seen| u64::from(seen.size)).sum();
        let meta = Meta::new(&slot.tree, mirror, (listing.items.len(), bytes), evidence.clone());
        self.host.write_atomic(&slot.dir.join("meta.json"), &meta.json(), 0o600)?;
        Ok(evidence)
    }

    /// Compares a slot with what was seen when it was last verified; hashes it where that is not known.
    pub(crate) fn ctime_scan(
        &self,
        slot: &Slot,
        lock: Option<&Lock>,
        objects: &Objects,
        mirror: &str,
    ) -> Result<Evidence, WorktreeError> {
        match self.scanned(slot, lock)? {
            Some(evidence) => Ok(evidence),
            None => self.verify(slot, lock, objects, mirror),
        }
    }

    /// The same; `None` where that is not known.
    fn scanned(&self, slot: &Slot, lock: Option<&Lock>) -> Result<Option<Evidence>, WorktreeError> {
        let (meta, index) = (Meta::read(&slot.dir, &slot.tree), Index::read(&slot.index(), slot.id_len()));
        let (Some(mut meta), Some(index)) = (meta, index) else { return Ok(None) };
        let listing = Listing::of(index.items());
        let seen: Vec<_> = (0..index.len()).map(|number| index.seen(number)).collect();
        self.compared(slot, lock, &listing, &By::Seen(&seen))?;
        meta.evidence.ctime_scan_at = Some(seconds(self.host.now()));
        self.host.write_atomic(&slot.dir.join("meta.json"), &meta.json(), 0o600)?;
        Ok(Some(meta.evidence))
    }

    /// Compares every idle slot with what was seen when it was last verified, and puts away what is another. One of
    /// which that is not known is hashed before its next use.
    ///
    /// # Errors
    /// [`WorktreeError::Io`]; [`WorktreeError::Cancelled`].
    pub fn scan(&self) -> Result<Scanned, WorktreeError> {
        let mut all = Scanned::default();
        for (_, slot) in self.slots()? {
            let Some(lock) = Lock::take(&slot.lock, Hold::Exclusive)? else { continue };
            if !slot.dir.exists() {
                remove(&slot.lock)?;
                continue;
            }
            match self.scanned(&slot, Some(&lock)) {
                Ok(scanned) => all.same += usize::from(scanned.is_some()),
                Err(WorktreeError::MutationDetected { .. }) => all.mutated += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Compares a slot with what it has to be, and puts it away if it is another.
    fn compared(
        &self,
        slot: &Slot,
        lock: Option<&Lock>,
        listing: &Listing,
        by: &By<'_>,
    ) -> Result<Found, WorktreeError> {
        let expected = Expected { listing, git_file: true };
        let differs = match expected.compare(by, &slot.root(), &self.patience) {
            Err(WorktreeError::Io { path, source }) if source.kind() == std::io::ErrorKind::NotFound => {
                vec![path.into_os_string().into_encoded_bytes()]
            }
            Ok(found) if !found.differs.is_empty() => found.differs,
            found => return found,
        };
        Err(self.put_away(slot, lock, &differs)?)
    }

    /// Takes a slot that was changed out of use. Who has it still sees it; nobody gets it any more.
    fn put_away(&self, slot: &Slot, lock: Option<&Lock>, paths: &[Vec<u8>]) -> Result<WorktreeError, WorktreeError> {
        let quarantine = self.quarantine(&slot.tree)?;
        // Another run that saw it too may have been faster: what has the name then is another slot, under another lock.
        if lock.is_some_and(|lock| lock.is_at(&slot.lock)) {
            // The lock goes first: who comes next makes another slot, under another lock.
            drop(remove(&slot.lock));
            match std::fs::rename(&slot.dir, &quarantine) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                renamed => renamed.map_err(WorktreeError::io(&slot.dir))?,
            }
        }
        Ok(mutated(&slot.tree, paths, quarantine))
    }

    /// Where a directory of the tree can be put away.
    fn quarantine(&self, tree: &Oid) -> Result<PathBuf, WorktreeError> {
        make_dir(&self.quarantine)?;
        Ok(self.quarantine.join(format!("{tree}-{}-{}", seconds(self.host.now()), self.host.random_hex(4))))
    }

    /// The slots with the time of their last use, the oldest first.
    fn slots(&self) -> Result<Vec<(SystemTime, Slot)>, WorktreeError> {
        let mut slots = Vec::new();
        for entry in std::fs::read_dir(&self.trees).map_err(WorktreeError::io(&self.trees))? {
            let name = entry.map_err(WorktreeError::io(&self.trees))?.file_name();
            if let Some(tree) = name.to_str().and_then(|name| name.parse::<Oid>().ok()) {
                let slot = Slot::of(&self.trees, &tree);
                slots.push((last_use(&slot.lock), slot));
            }
        }
        slots.sort_by(|(a, slot), (b, other)| a.cmp(b).then_with(|| slot.tree.cmp(&other.tree)));
        Ok(slots)
    }

    /// Evicts idle slots, those first that were not used for longest, until no more are there than are kept.
    ///
    /// # Errors
    /// [`WorktreeError::Io`].
    pub fn trim(&self) -> Result<(), WorktreeError> {
        let slots = self.slots()?;
        let mut count = slots.len();
        let size = |slot: &Slot| Meta::read(&slot.dir, &slot.tree).map_or(0, |meta| meta.bytes);
        let sizes: Vec<u64> = slots.iter().map(|(_, slot)| self.bounds.bytes.map_or(0, |_| size(slot))).collect();
        let mut bytes: u64 = sizes.iter().sum();
        for ((_, slot), size) in slots.iter().zip(sizes) {
            if count <= self.bounds.slots && self.bounds.bytes.is_none_or(|most| bytes <= most) {
                break;
            }
            if let Some(_lock) = Lock::take(&slot.lock, Hold::Exclusive)? {
                // Another run may have been faster.
                if slot.dir.exists() {
                    drop(Building::adopt(self.host, &self.trees, &slot.dir)?);
                }
                remove(&slot.lock)?;
                count -= 1;
                bytes -= size;
            }
        }
        Ok(())
    }
}
