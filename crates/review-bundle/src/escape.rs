//! Hostile characters made visible: what is shown can neither hide nor pretend.
//!
//! A character that is invisible, moves the cursor or reorders text is shown as `\u{hex}`, a byte that is not UTF-8 as
//! `\x{hex}`, and a backslash that would look like the start of either as `\u{5c}`. So every `\u{` and `\x{` in escaped
//! text is an escape, and the bytes can be had back from it.

use std::convert::Infallible;
use std::ops::Range;

/// What of the ASCII white space stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing but the space: for a path or a message on one line.
    Line,
    /// Line feeds and tabs too: for text of many lines.
    Text,
}

impl Keep {
    const fn is_plain(self, byte: u8) -> bool {
        match byte {
            b'\n' | b'\t' => matches!(self, Self::Text),
            b'\\' => false,
            _ => matches!(byte, 0x20..0x7f),
        }
    }
}

/// Returns `bytes` on one line, safe for a terminal: every control, invisible or reordering character is escaped, line
/// feeds and tabs too. Different bytes give different text.
pub fn escape(bytes: &[u8]) -> String {
    escaped(bytes, Keep::Line)
}

/// Returns `bytes` as [`escape`] does, but keeps line feeds and tabs.
pub fn escape_text(bytes: &[u8]) -> String {
    escaped(bytes, Keep::Text)
}

fn escaped(bytes: &[u8], keep: Keep) -> String {
    let mut text = String::with_capacity(bytes.len());
    push_escaped(&mut text, bytes, keep);
    text
}

/// Appends `bytes`, escaped.
pub(crate) fn push_escaped(text: &mut String, bytes: &[u8], keep: Keep) {
    let Ok(_) = pieces(bytes, keep, |piece| -> Result<(), Infallible> {
        text.push_str(piece.shown);
        Ok(())
    });
}

/// How long some bytes are when escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measure {
    /// Bytes of the escaped text.
    pub(crate) shown: usize,
    /// How many characters or bytes are shown as an escape.
    pub(crate) escapes: u64,
}

pub(crate) fn measure(bytes: &[u8]) -> Measure {
    let mut shown = 0;
    let Ok(escapes) = pieces(bytes, Keep::Text, |piece| -> Result<(), Infallible> {
        shown += piece.shown.len();
        Ok(())
    });
    Measure { shown, escapes }
}

/// Returns how many bytes of `bytes` can be shown in `room` bytes without breaking a character or an escape.
pub(crate) fn fitting(bytes: &[u8], room: usize) -> usize {
    // Nothing is shorter when shown, and no character is longer than four bytes: more need not be looked at.
    let bytes = &bytes[..bytes.len().min(room + 4)];
    let (mut fits, mut room) = (0, room);
    let full = pieces(bytes, Keep::Text, |piece| {
        let take = if piece.is_escape && piece.shown.len() > room { 0 } else { piece.shown.floor_char_boundary(room) };
        room -= take;
        fits = if take == piece.shown.len() { piece.raw.end } else { piece.raw.start + take };
        if take == piece.shown.len() { Ok(()) } else { Err(()) }
    });
    debug_assert!(full.is_err() || fits == bytes.len());
    fits
}

/// A run of clean characters, shown as it is, or one escape.
pub(crate) struct Piece<'a> {
    pub(crate) raw: Range<usize>,
    pub(crate) shown: &'a str,
    pub(crate) is_escape: bool,
}

/// Calls `emit` with every piece of `bytes` in order and returns how many of them were escapes.
pub(crate) fn pieces<E>(bytes: &[u8], keep: Keep, mut emit: impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<u64, E> {
    let (mut clean, mut at, mut escapes) = (0, 0, 0);
    while at < bytes.len() {
        at += plain_prefix(&bytes[at..], keep);
        let Some(token) = Token::at(bytes, at, keep) else { break };
        let end = at + token.len;
        if let Some(escape) = token.escape {
            emit_clean(bytes, clean..at, &mut emit)?;
            emit(Piece { raw: at..end, shown: escape.text(), is_escape: true })?;
            escapes += 1;
            clean = end;
        }
        at = end;
    }
    emit_clean(bytes, clean..bytes.len(), &mut emit)?;
    Ok(escapes)
}

fn emit_clean<E>(bytes: &[u8], raw: Range<usize>, emit: &mut impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
    if raw.is_empty() {
        return Ok(());
    }
    let shown = str::from_utf8(&bytes[raw.clone()]).expect("what is not UTF-8 is escaped");
    emit(Piece { raw, shown, is_escape: false })
}

/// Bytes looked at in one step of the fast path: wide enough for the compiler to use vector instructions.
const BLOCK: usize = 64;

/// How many bytes at the start of `bytes` are plain ASCII.
fn plain_prefix(bytes: &[u8], keep: Keep) -> usize {
    let mut at = 0;
    for block in bytes.chunks_exact(BLOCK) {
        if !block.iter().fold(true, |plain, &byte| plain & keep.is_plain(byte)) {
            break;
        }
        at += BLOCK;
    }
    at + bytes[at..].iter().position(|&byte| !keep.is_plain(byte)).unwrap_or(bytes.len() - at)
}

/// What stands at one place: a character or a byte that is none, and its escape if it needs one.
struct Token {
    len: usize,
    escape: Option<Escape>,
}

impl Token {
    fn at(bytes: &[u8], at: usize, keep: Keep) -> Option<Self> {
        let rest = &bytes[at..];
        let first = *rest.first()?;
        Some(match decode(rest) {
            None => Self { len: 1, escape: Some(Escape::new(b'x', first.into(), 2)) },
            Some(c) if c.is_ascii() && keep.is_plain(first) => Self { len: 1, escape: None },
            Some('\\') if !starts_an_escape(rest) => Self { len: 1, escape: None },
            Some(c) if c.is_ascii() || is_deceptive(c) => {
                Self { len: c.len_utf8(), escape: Some(Escape::new(b'u', c.into(), 1)) }
            }
            Some(c) => Self { len: c.len_utf8(), escape: None },
        })
    }
}

/// An escape as it is shown, at the end of as many bytes as the longest one has. Files may be made of nothing else.
struct Escape {
    bytes: [u8; r"\u{10ffff}".len()],
    start: usize,
}

impl Escape {
    /// `\`, `kind`, and `number` in at least `digits` hex digits.
    fn new(kind: u8, mut number: u32, digits: usize) -> Self {
        let mut escape = Self { bytes: *br"\u{10ffff}", start: r"\u{10ffff}".len() };
        escape.prepend(b'}');
        let end = escape.start;
        while number > 0 || end - escape.start < digits {
            escape.prepend(b"0123456789abcdef"[(number % 16) as usize]);
            number /= 16;
        }
        for byte in [b'{', kind, b'\\'] {
            escape.prepend(byte);
        }
        escape
    }

    fn prepend(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.bytes[self.start..]).expect("an escape is ASCII")
    }
}

fn starts_an_escape(rest: &[u8]) -> bool {
    matches!(rest, [b'\\', b'u' | b'x', b'{', ..])
}

/// The UTF-8 character at the start of `bytes`.
fn decode(bytes: &[u8]) -> Option<char> {
    let len = match *bytes.first()? {
        ascii @ 0..0x80 => return Some(char::from(ascii)),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return None,
    };
    str::from_utf8(bytes.get(..len)?).ok()?.chars().next()
}

/// Whether a character outside ASCII is invisible, looks like a space, breaks a line or reorders text.
///
/// The sets are Unicode 16: controls (Cc), `Default_Ignorable_Code_Point`, separators (Z) other than the space,
/// interlinear annotation, noncharacters, and the blank Braille pattern.
const fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{1680}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c as u32) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes that `shown` stands for: the inverse of [`escape_text`], written from its description.
    fn unescape(shown: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), shown);
        while let Some(c) = rest.chars().next() {
            let hex = |rest: &str| u32::from_str_radix(&rest[3..rest.find('}').unwrap()], 16).unwrap();
            if rest.starts_with("\\u{") {
                let c = char::from_u32(hex(rest)).unwrap();
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[rest.find('}').unwrap() + 1..];
            } else if rest.starts_with("\\x{") {
                bytes.push(u8::try_from(hex(rest)).unwrap());
                rest = &rest[rest.find('}').unwrap() + 1..];
            } else {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[c.len_utf8()..];
            }
        }
        bytes
    }

    #[test]
    fn r15_hostile_characters_are_escaped() {
        for (raw, shown) in [
            ("tab\tfeed\n", "tab\\u{9}feed\\u{a}"),
            ("esc\x1b[31m bell\x07 del\x7f nul\0", "esc\\u{1b}[31m bell\\u{7} del\\u{7f} nul\\u{0}"),
            ("cr\rlf", "cr\\u{d}lf"),
            ("bidi \u{202e}\u{2066}\u{200f}\u{61c}", "bidi \\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
            ("zero \u{200b}\u{200d}\u{2060}\u{feff}\u{ad}", "zero \\u{200b}\\u{200d}\\u{2060}\\u{feff}\\u{ad}"),
            ("tag \u{e0041}\u{e0100} vs \u{fe0f}", "tag \\u{e0041}\\u{e0100} vs \\u{fe0f}"),
            ("c1 \u{9b} nbsp \u{a0} line \u{2028}", "c1 \\u{9b} nbsp \\u{a0} line \\u{2028}"),
            ("fillers \u{3164}\u{ffa0}\u{115f}\u{2800}", "fillers \\u{3164}\\u{ffa0}\\u{115f}\\u{2800}"),
            ("none \u{ffff}\u{1fffe}\u{10ffff}\u{fdd0}", "none \\u{ffff}\\u{1fffe}\\u{10ffff}\\u{fdd0}"),
            ("café 漢字 🦀 é", "café 漢字 🦀 é"),
            ("C:\\users \\n \\\\u", "C:\\users \\n \\\\u"),
            ("literal \\u{202e} \\x{e9} \\", "literal \\u{5c}u{202e} \\u{5c}x{e9} \\"),
        ] {
            assert_eq!(escape(raw.as_bytes()), shown);
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_one_by_one() {
        assert_eq!(escape(b"caf\xe9 \xff\xc3"), "caf\\x{e9} \\x{ff}\\x{c3}");
        assert_eq!(
            escape(b"\xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80"),
            ["\\x{ed}\\x{a0}\\x{80} ", "\\x{c0}\\x{af} ", "\\x{f4}\\x{90}\\x{80}\\x{80}"].concat()
        );
    }

    #[test]
    fn text_keeps_line_feeds_and_tabs_only() {
        assert_eq!(escape_text(b"a\tb\r\n"), "a\tb\\u{d}\n");
    }

    #[test]
    fn what_needs_an_escape_is_found_at_every_place_of_a_block() {
        for at in 0..200 {
            let mut bytes = vec![b'a'; 200];
            bytes[at] = 0x1b;
            let expected = ["a".repeat(at), "\\u{1b}".into(), "a".repeat(199 - at)].concat();
            assert_eq!(escape(&bytes), expected);
            assert_eq!(measure(&bytes), Measure { shown: 205, escapes: 1 });
        }
    }

    #[test]
    fn what_fits_ends_between_characters_and_escapes() {
        let fits = |bytes: &[u8]| (0..=12).map(|room| fitting(bytes, room)).collect::<Vec<_>>();
        assert_eq!(fits("aé漢b".as_bytes()), [0, 1, 1, 3, 3, 3, 6, 7, 7, 7, 7, 7, 7]);
        assert_eq!(fits(b"a\x1bb\xff"), [0, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3]);
        assert_eq!(fitting(b"a\x1bb\xff", 14), 4);
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
            any::<u8>().prop_map(|byte| vec![byte]),
            "[a-z \\\\ux{}]{0,90}".prop_map(String::into_bytes),
            prop::sample::select(vec!["\\u{", "\\x{", "\\", "\u{202e}", "\n", "\u{200b}"])
                .prop_map(|s| s.as_bytes().to_vec()),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn escaping_loses_nothing_and_leaves_nothing(bytes in hostile()) {
            let (line, text) = (escape(&bytes), escape_text(&bytes));
            prop_assert_eq!(&unescape(&line), &bytes);
            prop_assert_eq!(&unescape(&text), &bytes);
            prop_assert!(!line.chars().any(|c| c.is_control() || (!c.is_ascii() && is_deceptive(c))));
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            let measured = measure(&bytes);
            prop_assert_eq!(measured.shown, text.len());
            prop_assert_eq!(measured.escapes, (text.matches("\\u{").count() + text.matches("\\x{").count()) as u64);
        }

        #[test]
        fn what_fits_is_the_longest_that_does(bytes in hostile(), room in 0_usize..120) {
            let fits = fitting(&bytes, room);
            prop_assert!(measure(&bytes[..fits]).shown <= room);
            if fits < bytes.len() {
                let next = (fits + 1..=bytes.len()).find(|&end| {
                    let rest = escape_text(&bytes[end..]);
                    [escape_text(&bytes[..end]), rest].concat() == escape_text(&bytes)
                });
                let full = escape_text(&bytes);
                let tail = escape_text(&bytes[next.unwrap_or(bytes.len())..]);
                prop_assert!(full.len() - tail.len() > room || next.is_none());
            }
        }
    }
}
