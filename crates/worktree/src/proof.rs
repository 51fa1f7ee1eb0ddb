//! That a commit is reached from another, once that was seen by walking: ids are hashes, so it stays true.
//!
//! **Invariant:** a proof saves a walk and nothing else; one that is lost or cannot be read is no proof.

use std::path::Path;

use host::Host;
use verdict::Oid;

use crate::error::WorktreeError;

/// Which of `tips` is known to reach the commit.
pub(crate) fn of(mirror: &Path, commit: &Oid, tips: &[Oid]) -> Option<usize> {
    let proved = std::fs::read_to_string(mirror.join("proofs").join(commit.as_str())).ok()?;
    let proved: Oid = proved.strip_suffix('\n')?.parse().ok()?;
    tips.iter().position(|tip| *tip == proved)
}

/// Notes that `tip` reaches the commit.
pub(crate) fn keep(host: &dyn Host, mirror: &Path, commit: &Oid, tip: &Oid) -> Result<(), WorktreeError> {
    replace(host, &mirror.join("proofs").join(commit.as_str()), format!("{tip}\n").as_bytes())
}

/// Makes a file hold these bytes, at once but not for sure after a power failure.
pub(crate) fn replace(host: &dyn Host, path: &Path, bytes: &[u8]) -> Result<(), WorktreeError> {
    let beside = path.with_extension(format!("new-{}.lock", host.random_hex(8)));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        drop(std::fs::remove_file(&beside));
        WorktreeError::io(path)(error)
    })
}
