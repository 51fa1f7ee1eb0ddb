//! What is kept on disk of a change: `pending`, `confirmed` and `reverted`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;

use host::Host;
use outcome::Failure;
use plan::Step;
use serde::{Deserialize, Serialize};

/// Of this format.
pub(crate) const SCHEMA: u32 = 1;

/// A change, with all that it takes to put it back without observing or deciding anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The version of this format.
    pub schema: u32,
    /// The unit that starts sshd.
    pub service: String,
    /// The sockets that may start it.
    pub sockets: Vec<String>,
    /// Those of them that listened.
    pub listened: Vec<String>,
    /// Where sshd is to listen, and nowhere else.
    pub wanted: SocketAddrV4,
    /// The tailnet's interface.
    pub interface: String,
    /// How long there is to confirm, in seconds.
    pub within_s: u64,
    /// Where it listened before.
    pub before: BTreeSet<SocketAddr>,
    /// It was put there by a change of before, whose way back leads further.
    pub again: bool,
    /// Puts the files and the enablement of units back. It is right at any time, also before anything was changed and
    /// also while the machine starts.
    pub files: Vec<Step>,
    /// Has sshd run as it did, once the files are back.
    pub units: Vec<Step>,
}

impl Journal {
    /// As it is written.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers are JSON") + "\n"
    }

    /// The ports that are looked at to see whether everything is back.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.before.iter().map(SocketAddr::port).chain([self.wanted.port()]).collect()
    }
}

/// The change that is kept at `path`.
///
/// # Errors
/// Not ready, when it may not be read, or class `journal`, when it is not understood.
pub(crate) fn read(host: &dyn Host, path: &str) -> Result<Option<Journal>, Failure> {
    let unread = |why: String| {
        Failure::not_ready(
            "journal",
            format!("{path} cannot be read: {why}"),
            "look at the file; what it names has to be put back by hand, then remove it",
        )
    };
    let Some(bytes) = host.read(Path::new(path))? else { return Ok(None) };
    let journal: Journal = serde_json::from_slice(&bytes).map_err(|error| unread(error.to_string()))?;
    if journal.schema == SCHEMA { Ok(Some(journal)) } else { Err(unread(format!("its schema is {}", journal.schema))) }
}
