//! Names of content as lower-case hex: Git object ids and SHA-256 digests.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::show;

/// A full Git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits. All zeros means "no object".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

/// A SHA-256 digest: 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);

/// Text that is not the full, lower-case hex form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {want}")]
pub struct NotHex {
    text: String,
    want: &'static str,
}

impl Oid {
    /// The id as hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the id that stands for "no object": a ref to be created or deleted.
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|digit| digit == b'0')
    }

    /// The zero id of the same hash function.
    #[must_use]
    pub fn zero_like(&self) -> Self {
        Self("0".repeat(self.0.len()))
    }

    /// True when both ids are of the same hash function; a repository has only one.
    pub fn same_format(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
    }
}

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        <[u8; 32]>::from(sha2::Sha256::digest(bytes)).into()
    }

    /// The digest as hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn not_hex(text: &str, want: &'static str) -> NotHex {
    NotHex { text: show::clip(text, 80), want }
}

impl TryFrom<String> for Oid {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        if matches!(text.len(), 40 | 64) && is_hex(&text) {
            Ok(Self(text))
        } else {
            Err(not_hex(&text, "a full object id (40 or 64 lower-case hex digits)"))
        }
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        if text.len() == 64 && is_hex(&text) {
            Ok(Self(text))
        } else {
            Err(not_hex(&text, "a SHA-256 digest (64 lower-case hex digits)"))
        }
    }
}

impl FromStr for Oid {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        text.to_owned().try_into()
    }
}

impl FromStr for Sha256 {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        text.to_owned().try_into()
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl From<Oid> for String {
    fn from(id: Oid) -> Self {
        id.0
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Oid {
    fn schema_name() -> Cow<'static, str> {
        "Oid".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$" })
    }
}

impl JsonSchema for Sha256 {
    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_full_lower_case_hex_of_either_hash() {
        for good in ["a".repeat(40), "0".repeat(64)] {
            assert_eq!(good.parse::<Oid>().unwrap().as_str(), good);
        }
        for bad in ["a".repeat(39), "a".repeat(41), "a".repeat(63), "A".repeat(40), "g".repeat(40), String::new()] {
            assert!(bad.parse::<Oid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn g06_zero_ids_have_40_or_64_zeros() {
        for len in [40, 64] {
            let zero: Oid = "0".repeat(len).parse().unwrap();
            let other: Oid = format!("{}1", "0".repeat(len - 1)).parse().unwrap();
            assert!(zero.is_zero() && !other.is_zero());
            assert_eq!(other.zero_like(), zero);
        }
    }

    #[test]
    fn ids_of_two_hash_functions_do_not_mix() {
        let [sha1, sha256] = [40, 64].map(|len| "a".repeat(len).parse::<Oid>().unwrap());
        assert!(sha1.same_format(&sha1) && !sha1.same_format(&sha256));
    }

    #[test]
    fn a_digest_is_64_digits_and_that_of_nothing_is_known() {
        assert!("a".repeat(40).parse::<Sha256>().is_err());
        assert!("G".repeat(64).parse::<Sha256>().is_err());
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::of(b""), empty.parse().unwrap());
        assert_eq!(Sha256::of(b"").to_string(), empty);
        assert_eq!(Sha256::of(b"").as_str(), empty);
    }

    #[test]
    fn what_is_refused_is_shown_without_its_control_characters() {
        insta::assert_snapshot!("\u{1b}[2J".parse::<Oid>().unwrap_err(),
            @r"`\u{1b}[2J` is not a full object id (40 or 64 lower-case hex digits)");
    }
}
