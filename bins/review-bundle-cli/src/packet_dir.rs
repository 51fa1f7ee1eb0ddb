//! The directory of the packets: it ends with those of this run and holds nothing else.
//!
//! **Invariant:** no file is removed but those that the ledger beside them names: an earlier run wrote them.

#![allow(clippy::disallowed_methods, reason = "what is in a directory is looked at before anything there is touched")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use host::{Host, HostError};
use outcome::Failure;
use review_bundle::{Ledger, Packets};

const LEDGER: &str = "LEDGER.json";

/// A directory that is there to be written, and what an earlier run left in it.
pub(crate) struct PacketDir {
    path: PathBuf,
    earlier: BTreeSet<OsString>,
}

impl PacketDir {
    /// Looks at `path`, which may be absent.
    ///
    /// # Errors
    /// Refused, class `foreign-directory`, when it holds anything that no earlier run wrote.
    pub(crate) fn open(host: &dyn Host, path: &Path) -> Result<Self, Failure> {
        let entries = entries(path).map_err(HostError::io(path))?;
        let ours = if entries.is_empty() { BTreeSet::new() } else { named(host, path)? };
        let mut earlier = BTreeSet::new();
        for entry in entries {
            let name = entry.file_name();
            if !ours.contains(&name) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let reason = format!("{} holds {}, which no earlier run wrote", path.display(), name.display());
                return Err(Failure::refused("foreign-directory", reason, "name a new or an empty directory"));
            }
            earlier.insert(name);
        }
        Ok(Self { path: path.to_owned(), earlier })
    }

    /// Takes away what is not of this run, then writes it: the ledger first, so that what an interrupted run leaves is
    /// known to the next one. Returns the names of the files.
    ///
    /// # Errors
    /// Those of the machine.
    pub(crate) fn write(&self, host: &dyn Host, packets: &Packets) -> Result<Vec<String>, Failure> {
        let ledger = serde_json::to_vec_pretty(&packets.ledger)
            .map_err(|error| Failure::bug("ledger", error.to_string(), "report this with the command you ran"))?;
        let all = packets.overviews.iter().chain(&packets.packets);
        let texts = all.map(|packet| (file(&packet.id), packet.text.as_bytes()));
        let files: Vec<_> = std::iter::once((LEDGER.to_owned(), &ledger[..])).chain(texts).collect();
        self.remove_all_but(host, &files.iter().map(|(name, _)| name.into()).collect())?;
        for (name, bytes) in &files {
            host.write_atomic(&self.path.join(name), bytes, 0o644)?;
        }
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }

    /// Takes away what an earlier run left: this one has no packets.
    ///
    /// # Errors
    /// Those of the machine.
    pub(crate) fn clear(&self, host: &dyn Host) -> Result<(), Failure> {
        self.remove_all_but(host, &BTreeSet::from([LEDGER.into()]))?;
        Ok(host.remove(&self.path.join(LEDGER))?)
    }

    fn remove_all_but(&self, host: &dyn Host, kept: &BTreeSet<OsString>) -> Result<(), Failure> {
        let mut stale = self.earlier.difference(kept);
        stale.try_for_each(|name| Ok(host.remove(&self.path.join(name))?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn entries(path: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The files that the ledger in `path` vouches for; none without a ledger that can be read.
fn named(host: &dyn Host, path: &Path) -> Result<BTreeSet<OsString>, Failure> {
    let bytes = host.read(&path.join(LEDGER))?.unwrap_or_default();
    let Ok(ledger) = serde_json::from_slice::<Ledger>(&bytes) else { return Ok(BTreeSet::new()) };
    let packets = ledger.packets.iter().map(|packet| file(&packet.id));
    let overviews = ledger.overviews.iter().map(|overview| file(&overview.id));
    Ok(packets.chain(overviews).chain([LEDGER.to_owned()]).map(OsString::from).collect())
}

fn file(packet: &str) -> String {
    format!("{packet}.txt")
}
