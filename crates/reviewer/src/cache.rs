//! Answers that were accepted, kept by the hash of everything that went into the question except the nonce.
//!
//! **Invariant:** a cached answer passes the same strict parse as a fresh one, with the packet and the nonce it was asked
//! with. An entry that does not is ignored and the question asked again.

use std::path::{Path, PathBuf};

use host::{Host, HostError, Kind, Stat};
use serde::{Deserialize, Serialize};
use verdict::Sha256;
use verdict::answer::{self, Answer};

use crate::events::Usage;

/// The number in an entry's `schema`.
const SCHEMA: u32 = 1;
/// A longer entry is none, in bytes: an answer, with room for each of its bytes to be escaped.
const MAX_BYTES: u64 = 8 * answer::MAX_BYTES as u64;

/// A directory of answers.
pub(crate) struct Cache<'a> {
    host: &'a dyn Host,
    dir: &'a Path,
}

/// One accepted answer, as it is written and read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    schema: u32,
    key: Sha256,
    pub(crate) nonce: String,
    /// The reviewer's last message.
    pub(crate) raw: String,
    pub(crate) usage: Option<Usage>,
}

impl Entry {
    pub(crate) const fn new(key: Sha256, nonce: String, raw: String, usage: Option<Usage>) -> Self {
        Self { schema: SCHEMA, key, nonce, raw, usage }
    }

    /// The entry and its answer, if it is one about `packet` under `key`.
    fn read(bytes: &[u8], key: &Sha256, packet: &str) -> Option<(Self, Answer)> {
        let entry: Self = serde_json::from_slice(bytes).ok()?;
        if entry.schema != SCHEMA || entry.key != *key {
            return None;
        }
        let answer = answer::parse(entry.raw.as_bytes(), packet, &entry.nonce).ok()?;
        Some((entry, answer))
    }
}

impl<'a> Cache<'a> {
    pub(crate) const fn new(host: &'a dyn Host, dir: &'a Path) -> Self {
        Self { host, dir }
    }

    /// The answer kept under `key`. What cannot be read or understood counts as absent: it is asked again.
    pub(crate) fn get(&self, key: &Sha256, packet: &str) -> Option<(Entry, Answer)> {
        let path = self.path(key);
        let is_entry = |stat: &Stat| stat.kind == Kind::File && stat.len <= MAX_BYTES;
        self.host.stat(&path).ok().flatten().filter(is_entry)?;
        let bytes = self.host.read(&path).ok().flatten()?;
        Entry::read(&bytes, key, packet)
    }

    /// Keeps an accepted answer.
    ///
    /// # Errors
    /// [`HostError`] when it cannot be written.
    pub(crate) fn put(&self, entry: &Entry) -> Result<(), HostError> {
        let json = serde_json::to_vec(entry).expect("strings and numbers have a JSON form");
        self.host.write_atomic(&self.path(&entry.key), &json, 0o600)
    }

    fn path(&self, key: &Sha256) -> PathBuf {
        self.dir.join(format!("{key}.json"))
    }
}

/// The key of a question: the hash of its `ingredients`, each with its length so that no two lists run together.
pub(crate) fn key(ingredients: &[&str]) -> Sha256 {
    let framed: Vec<String> = ingredients.iter().map(|text| format!("{}:{text}", text.len())).collect();
    Sha256::of(framed.join(",").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Fake;

    const RAW: &str = r#"{"packet":"packet-001","nonce":"n","verdict":"APPROVED","blockers":[],"non_blocking":[]}"#;

    fn entry() -> Entry {
        Entry::new(key(&["a"]), "n".into(), RAW.into(), None)
    }

    fn reread(change: impl FnOnce(String) -> String) -> bool {
        let json = change(serde_json::to_string(&entry()).unwrap());
        Entry::read(json.as_bytes(), &key(&["a"]), "packet-001").is_some()
    }

    #[test]
    fn what_was_kept_is_found_under_its_key_only() {
        let host = Fake::new();
        let cache = Cache::new(&host, Path::new("/cache"));
        cache.put(&entry()).unwrap();
        assert_eq!(cache.get(&key(&["a"]), "packet-001").unwrap().0, entry());
        assert_eq!(cache.get(&key(&["b"]), "packet-001"), None);
        assert_eq!(cache.get(&key(&["a"]), "packet-002"), None);
    }

    #[test]
    fn s10_a_pipe_in_the_place_of_an_entry_is_none() {
        let (dir, host) = (tempfile::tempdir().unwrap(), host::Local::new());
        let cache = Cache::new(&host, dir.path());
        let made = host.run(&host::Cmd::new("mkfifo").arg(cache.path(&key(&["a"])))).unwrap();
        assert!(made.success());
        assert_eq!(cache.get(&key(&["a"]), "packet-001"), None);
    }

    #[test]
    fn r17_a_corrupt_or_foreign_entry_is_ignored() {
        assert!(reread(|json| json));
        assert!(!reread(|json| json[..json.len() - 1].to_owned()));
        assert!(!reread(|json| json.replace("\"schema\":1", "\"schema\":2")));
        assert!(!reread(|json| json.replace(key(&["a"]).as_str(), key(&["b"]).as_str())));
        assert!(!reread(|json| json.replace("\"nonce\":\"n\"", "\"nonce\":\"m\"")));
        assert!(!reread(|json| json.replace("APPROVED", "BLOCKED")));
        assert!(!reread(|json| json.replace("\"usage\"", "\"extra\":1,\"usage\"")));
    }

    #[test]
    fn r17_ingredients_do_not_run_together() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a,b"]), key(&["a", "b"]));
        assert_ne!(key(&["a,1:b"]), key(&["a", "b"]));
    }

    /// An entry as a program of schema 1 wrote it.
    const SCHEMA_1: &str = r#"{"schema":1,"key":"KEY","nonce":"n","raw":"{\"packet\":\"packet-001\",\"nonce\":\"n\",\"verdict\":\"APPROVED\",\"blockers\":[],\"non_blocking\":[]}","usage":{"input":3,"cached_input":1,"output":4}}"#;

    #[test]
    fn an_entry_of_every_schema_is_read_and_written_the_same() {
        let sample = SCHEMA_1.replace("KEY", key(&["a"]).as_str());
        let (entry, _) = Entry::read(sample.as_bytes(), &key(&["a"]), "packet-001").unwrap();
        assert_eq!((entry.usage.map(Usage::total), serde_json::to_string(&entry).unwrap()), (Some(7), sample));
    }
}
