//! The key itself.

use std::fmt;

use zeroize::Zeroizing;

/// The fewest and the most bytes a key has. Today's keys have 51 to 200.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=512;

/// An API key. It is wiped from memory when dropped, prints as `sk-…abcd` and cannot be serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<String>);

/// Why something is not a key. It never repeats what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Nothing, or whitespace only.
    #[error("it is empty")]
    Empty,
    /// Whitespace, a control character or something that is not ASCII.
    #[error("it holds whitespace, a control character or something that is not ASCII")]
    Characters,
    /// Too short or too long.
    #[error("it is {0} bytes long; a key has {min} to {max}", min = LENGTHS.start(), max = LENGTHS.end())]
    Length(usize),
}

impl Key {
    /// The key in `bytes`, which may end in one newline as files do.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything that could not be a key or could break out of where a key is put.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return Err(InvalidKey::Empty);
        }
        let text = str::from_utf8(line).ok().filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
        let text = text.ok_or(InvalidKey::Characters)?;
        if LENGTHS.contains(&text.len()) {
            Ok(Self(text.to_owned().into()))
        } else {
            Err(InvalidKey::Length(text.len()))
        }
    }

    /// The whole key, to hand to the one who needs it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        self.0.clone()
    }
}

/// `sk-…abcd`: enough to tell two keys apart.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.0.starts_with("sk-") { "sk-" } else { "" };
        // Only ASCII gets past `parse`, and at least sixteen bytes of it.
        write!(f, "{prefix}…{}", &self.0[self.0.len() - 4..])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn check(bytes: &[u8]) -> String {
        Key::parse(bytes).map_or_else(|invalid| invalid.to_string(), |key| key.to_string())
    }

    #[test]
    fn k01_a_key_shows_as_its_last_four_characters() {
        let key = Key::parse(b"sk-proj-0123456789wxyz\r\n").unwrap();
        assert_snapshot!(format!("{key} {key:?} {:#?}", Some(&key)), @r"
        sk-…wxyz Key(sk-…wxyz) Some(
            Key(sk-…wxyz),
        )
        ");
        assert_snapshot!(check(b"0123456789abcdef"), @"…cdef");
    }

    #[test]
    fn what_could_not_be_a_key_is_refused_without_repeating_it() {
        let inputs: [&[u8]; 8] = [
            b"",
            b" \n",
            b"sk-short",
            b"sk-0123456789 0123456789",
            b"sk-0123456789\n0123456789",
            b"sk-0123456789abcdef\n\n",
            b"sk-0123456789abcdef\0",
            b"sk-0123456789abc\xff",
        ];
        assert_snapshot!(inputs.map(check).join("\n"), @r"
        it is empty
        it is empty
        it is 8 bytes long; a key has 16 to 512
        it holds whitespace, a control character or something that is not ASCII
        it holds whitespace, a control character or something that is not ASCII
        it holds whitespace, a control character or something that is not ASCII
        it holds whitespace, a control character or something that is not ASCII
        it holds whitespace, a control character or something that is not ASCII
        ");
        assert_snapshot!(check(&[b'a'; 513]), @"it is 513 bytes long; a key has 16 to 512");
    }

    proptest! {
        #[test]
        fn k01_no_key_is_ever_shown_whole(text in "[!-~]{16,512}") {
            let key = Key::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&*key.expose(), &text);
            let shown = format!("{key} {key:?}");
            prop_assert!(!shown.contains(&text));
        }

        #[test]
        fn bytes_of_any_kind_are_a_key_or_refused(bytes: Vec<u8>) {
            if let Ok(key) = Key::parse(&bytes) {
                prop_assert!(key.expose().bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
