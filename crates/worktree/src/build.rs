//! A whole tree as files, written by two threads in the order in which the packs have the objects.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use repo::Objects;
use rustix::io::Errno;

use crate::error::WorktreeError;
use crate::files::{Seen, descend, make_and_open, open_root, shown, write};
use crate::listing::{Listing, name};
use crate::lock::Patience;

/// As many as the measurements had: more of them wait for the file system.
pub(crate) const THREADS: usize = 2;
/// So many files, neighbours in a pack, are one piece of work.
const PIECE: usize = 128;

/// Writes every file of `listing` into `root`, an empty directory. Returns what was seen of each, in their order.
pub(crate) fn build(
    objects: &Objects,
    listing: &Listing,
    root: &Path,
    patience: &Patience,
) -> Result<Vec<Seen>, WorktreeError> {
    let root = open_root(root)?;
    make_directories(listing, &root)?;
    let order = objects.order(&listing.items, |item| item.id);
    let pieces: Vec<&[usize]> = order.chunks(PIECE).collect();
    let directory_of = directories(listing);
    let written = in_threads(pieces.len(), objects, |objects, number| {
        let mut written = Vec::with_capacity(PIECE);
        for of_one in pieces[number].chunk_by(|a, b| directory_of[*a] == directory_of[*b]) {
            let path = &listing.directories[directory_of[of_one[0]]].path;
            let dir = descend(&root, path).map_err(WorktreeError::errno(shown(path)))?;
            for &item in of_one {
                patience.check()?;
                written.push((item, write(objects, &dir, &listing.items[item])?));
            }
        }
        Ok::<_, WorktreeError>(written)
    })?;
    let mut seen = vec![Seen::default(); listing.items.len()];
    for (item, found) in written.into_iter().flatten() {
        seen[item] = found;
    }
    Ok(seen)
}

/// A directory that is there already is an error: on a file system that ignores case it may be another's.
fn make_directories(listing: &Listing, root: &OwnedFd) -> Result<(), WorktreeError> {
    let mut open: Vec<(usize, OwnedFd)> = Vec::new();
    for (number, directory) in listing.directories.iter().enumerate().skip(1) {
        let failed = |errno: Errno| WorktreeError::errno(shown(&directory.path))(errno);
        while open.last().is_some_and(|(number, _)| *number != directory.parent) {
            open.pop();
        }
        let parent = open.last().map_or(root, |(_, dir)| dir);
        let made = make_and_open(parent, name(&directory.path)).map_err(failed)?;
        open.push((number, made));
    }
    Ok(())
}

/// The number of each item's directory.
fn directories(listing: &Listing) -> Vec<usize> {
    let mut of_item = vec![0; listing.items.len()];
    for (number, directory) in listing.directories.iter().enumerate() {
        directory.items.iter().for_each(|item| of_item[*item] = number);
    }
    of_item
}

/// Does the work of every number below `count`, each thread with a `means` of its own. After an error no more is begun.
pub(crate) fn in_threads<M: Clone + Send, T: Send, E: Send>(
    count: usize,
    means: &M,
    work: impl Fn(&M, usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let run = |means: M| {
        let mut done = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            match work(&means, number) {
                Ok(result) => done.push(result),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let results = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let means = means.clone();
                scope.spawn(move || run(means))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no piece of work panics")).collect::<Vec<_>>()
    });
    Ok(results.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
