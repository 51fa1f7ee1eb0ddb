//! What a timer does: mirrors nobody uses, checkouts that were put away and what crashed builds left are removed, the
//! packs of many fetches made one, and idle checkouts compared with what was last seen of them.
//!
//! **Invariant:** a mirror that is in use or in the allowlist stays, and so does every commit that a ref or a pin names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use host::Host;

use crate::building::sweep;
use crate::cache::{Bounds, Cache, Scanned};
use crate::error::WorktreeError;
use crate::fetch::git;
use crate::lock::{Hold, Lock, Patience, last_use};
use crate::mirror::{Place, name};
use crate::template::{Format, mend_refs, remove};

/// More packs than this are made one.
const PACKS: usize = 10;
/// How long objects that no ref has are kept, as git says it.
const UNREACHABLE: &str = "--cruft-expiration=2.weeks.ago";
/// Shorter than jobs wait for a mirror that is packed.
const TIME: Duration = Duration::from_mins(10);

/// What a pruning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many mirrors were removed.
    pub mirrors: usize,
    /// How many mirrors were packed anew.
    pub repacked: usize,
    /// How many pins of commits that nobody used for as long were removed.
    pub pins: usize,
    /// How many checkouts that had been put away were removed.
    pub quarantined: usize,
    /// How many unfinished builds were removed.
    pub unfinished: usize,
    /// The idle checkouts.
    pub scanned: Scanned,
}

/// Removes from `state` what was not used for the time `unused`, but no mirror of one of `urls`, the canonical URLs of
/// the allowlist; and puts away checkouts that changed while nobody used them.
///
/// # Errors
/// [`WorktreeError::Io`]; [`WorktreeError::Fetch`] when git cannot pack a mirror.
pub fn prune(host: &dyn Host, state: &Path, urls: &[&str], unused: Duration) -> Result<Pruned, WorktreeError> {
    let state = &std::path::absolute(state).map_err(WorktreeError::io(state))?;
    let mut prune = Prune { host, before: host.now() - unused, pruned: Pruned::default() };
    let keep = urls.iter().flat_map(|url| [name(url, Format::Sha1), name(url, Format::Sha256)]).collect();
    let mirrors = prune.mirrors(&state.join("mirrors"), &keep);
    for path in entries(&state.join("quarantine"))? {
        let changed = std::fs::symlink_metadata(&path).and_then(|found| found.modified());
        if named_time(&path).or(changed.ok()).is_some_and(|time| time < prune.before) {
            remove(&path)?;
            prune.pruned.quarantined += 1;
        }
    }
    let trees = state.join("trees");
    if trees.is_dir() {
        prune.pruned.unfinished = sweep(&trees)?;
        let all = Bounds { slots: usize::MAX, bytes: None };
        prune.pruned.scanned = Cache::open(host, state, all, Patience::default())?.scan()?;
    }
    mirrors.map(|()| prune.pruned)
}

/// When a checkout was put away: `<tree>-<seconds>-<random>`.
fn named_time(path: &Path) -> Option<SystemTime> {
    let seconds = path.file_name()?.to_str()?.split('-').nth(1)?.parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

struct Prune<'a> {
    host: &'a dyn Host,
    before: SystemTime,
    pruned: Pruned,
}

impl Prune<'_> {
    fn mirrors(&mut self, mirrors: &Path, keep: &BTreeSet<String>) -> Result<(), WorktreeError> {
        let mut failed = None;
        for dir in entries(mirrors)?.into_iter().filter(|path| path.is_dir()) {
            let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { continue };
            let place = Place::of(mirrors, name.to_owned());
            let unused = last_use(&place.in_use) < self.before && !keep.contains(name);
            let Some(_in_use) = Lock::take(&place.in_use, Hold::Exclusive)? else { continue };
            let Some(_change) = Lock::take(&place.change, Hold::Exclusive)? else { continue };
            if unused {
                for path in ["known_hosts", "gitconfig"].map(|suffix| dir.with_extension(suffix)) {
                    remove(&path)?;
                }
                // Half of a mirror would be nobody's, and in the way of the next one of its name.
                let gone = dir.with_file_name(format!("{name}-gone"));
                remove(&gone)?;
                std::fs::rename(&dir, &gone).map_err(WorktreeError::io(&dir))?;
                [&gone, &place.change, &place.in_use].into_iter().try_for_each(|path| remove(path))?;
                self.pruned.mirrors += 1;
            } else {
                // One that cannot be packed is in the way of no other.
                failed = failed.or(self.tidy(&dir).err());
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn tidy(&mut self, dir: &Path) -> Result<(), WorktreeError> {
        for pin in entries(&dir.join("refs/pins"))? {
            if last_use(&pin) < self.before {
                remove(&pin)?;
                if let Some(name) = pin.file_name() {
                    remove(&dir.join("proofs").join(name))?;
                }
                self.pruned.pins += 1;
            }
        }
        let is_begun = |path: &&PathBuf| path.extension().is_some_and(|it| it == "lock");
        entries(&dir.join("proofs"))?.iter().filter(is_begun).try_for_each(|path| remove(path))?;
        let packs = entries(&dir.join("objects/pack"))?;
        let is_left =
            |path: &&PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tmp_"));
        packs.iter().filter(is_left).try_for_each(|path| remove(path))?;
        if packs.iter().filter(|path| path.extension().is_some_and(|it| it == "pack")).count() > PACKS {
            mend_refs(&dir.join("refs"))?;
            self.repack(dir)?;
            self.pruned.repacked += 1;
        }
        Ok(())
    }

    fn repack(&self, dir: &Path) -> Result<(), WorktreeError> {
        let settings = [
            "core.hooksPath=/dev/null",
            "repack.writeBitmaps=false",
            "repack.updateServerInfo=false",
            "pack.threads=2",
        ];
        let cmd = git(dir, &settings).args(["repack", "-d", "-q", "--cruft", UNREACHABLE]).timeout(TIME);
        let output = self.host.run(&cmd)?;
        if output.success() {
            return Ok(());
        }
        let (url, said) = (dir.display().to_string(), review_bundle::escape_text(output.stderr_text().as_bytes()));
        Err(if host::says_full(&said) {
            WorktreeError::Full(said)
        } else {
            WorktreeError::Fetch { url, status: output.status.to_string(), said }
        })
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, WorktreeError> {
    match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(WorktreeError::Io { path: dir.to_owned(), source }),
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(WorktreeError::io(dir))?.path())).collect(),
    }
}
