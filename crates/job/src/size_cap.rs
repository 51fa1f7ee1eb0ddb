//! `size_cap_meta.json`: what a review job says when the range was over the size cap and became packets.
//!
//! **Invariant:** it counts only when every file it names was collected with the size and hash it names.

use serde::{Deserialize, Serialize};

use schemars::JsonSchema;

use crate::artifact::{Collected, CollectedFile};
use crate::strict::{self, Invalid};

/// The number in its `schema`.
pub const SCHEMA: u32 = 1;
/// The longest file, in bytes: 100,000 packets with room to spare.
pub const MAX_BYTES: usize = 32 << 20;
/// Its name among the outputs.
pub const NAME: &str = "size_cap_meta.json";
/// The one warning it has.
pub const WARNING: &str = "SIZE_CAP_EXCEEDED";

/// The file `size_cap_meta.json`. Paths are relative to the directory of the outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeCapMeta {
    /// Always 1.
    pub schema: u32,
    /// Always true.
    pub size_cap_exceeded: bool,
    /// Always `SIZE_CAP_EXCEEDED` alone.
    pub warnings: Vec<String>,
    /// The archive to download; one of `files`.
    pub review_packets_archive: String,
    /// The directory of the packets.
    pub review_packets_dir: String,
    /// How many packets there are.
    pub packets: u64,
    /// Bytes of the bundle that they replace.
    pub bytes: u64,
    /// The commit the range begins at.
    pub since_sha: String,
    /// The commit it ends at.
    pub head_sha: String,
    /// Everything that was written: archives, packets and the notes on them.
    pub files: Vec<CollectedFile>,
}

impl SizeCapMeta {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Invalid`] unless it is exactly one JSON document of this schema that does not contradict itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let meta: Self = strict::parse(bytes, MAX_BYTES)?;
        meta.check()?;
        Ok(meta)
    }

    /// The file's text: indented JSON with a final newline.
    ///
    /// # Errors
    /// [`Invalid`] for one that [`SizeCapMeta::parse`] would refuse.
    pub fn to_json(&self) -> Result<String, Invalid> {
        self.check()?;
        strict::to_json(self, MAX_BYTES)
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        if self.schema != SCHEMA {
            return Err(Invalid::Schema { is: self.schema, want: SCHEMA });
        }
        if !self.size_cap_exceeded || self.warnings != [WARNING] {
            return Err(Invalid::Contradiction("it is there and says that no cap was exceeded"));
        }
        if !self.files.iter().any(|file| file.path == self.review_packets_archive) {
            return Err(Invalid::Contradiction("its archive is not among its files"));
        }
        if self.packets == 0 || self.in_dir().count() as u64 != self.packets {
            return Err(Invalid::Contradiction("its packets are not among its files"));
        }
        Ok(())
    }

    /// The packets among the files.
    fn in_dir(&self) -> impl Iterator<Item = &CollectedFile> {
        let packet = |path: &str| {
            let name = path.strip_prefix(&self.review_packets_dir)?.strip_prefix("/packet_")?.strip_suffix(".txt")?;
            (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
        };
        self.files.iter().filter(move |file| packet(&file.path).is_some())
    }

    /// The first file that was not collected as it is named here.
    pub fn missing_in<'a>(&'a self, collected: &Collected) -> Option<&'a str> {
        let there: std::collections::BTreeSet<&CollectedFile> = collected.files.iter().collect();
        self.files.iter().find(|file| !there.contains(file)).map(|file| file.path.as_str())
    }
}
