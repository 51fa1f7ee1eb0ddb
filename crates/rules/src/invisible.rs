//! Characters that a reader does not see, or that change how the rest is seen.
//!
//! Normal use is let through exactly: a variation selector after a symbol, joiners between letters or emoji that need
//! them, the three flag emoji that Unicode recommends for interchange (England, Scotland, Wales), a leading BOM.
//! Code points are those with `Default_Ignorable_Code_Point` or `Bidi_Control` in Unicode 17's `DerivedCoreProperties.txt`
//! and `PropList.txt`.

use crate::finding::{Report, Rule, Severity};
use crate::text::Line;

/// What kind of trouble a character is. One finding a kind and line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bidi,
    Tag,
    HiddenData,
    Invisible,
    Control,
}

const KINDS: [Kind; 5] = [Kind::Bidi, Kind::Tag, Kind::HiddenData, Kind::Invisible, Kind::Control];

impl Kind {
    const fn severity(self) -> Severity {
        match self {
            Self::Bidi | Self::Tag | Self::HiddenData => Severity::Blocker,
            Self::Invisible | Self::Control => Severity::Notice,
        }
    }

    const fn rule(self) -> Rule {
        match self {
            Self::Control => Rule::ControlCharacter,
            _ => Rule::Invisible,
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Bidi => "bidirectional control: the text is shown in another order than it is read",
            Self::Tag => "tag character: text that is not shown",
            Self::HiddenData => "variation selectors in a row: data that is not shown",
            Self::Invisible => "invisible character",
            Self::Control => "control character",
        }
    }
}

/// A variation selector after another one; this many in a row carry data.
const HIDDEN_RUN: usize = 3;

/// The next byte at or after `from` that is not plain printable ASCII, tab, LF or a CR before LF.
pub(crate) fn next_unusual(content: &[u8], from: usize) -> Option<usize> {
    const CHUNK: usize = 64;
    let mut at = from;
    while at < content.len() {
        let end = content.len().min(at + CHUNK);
        let chunk = &content[at..end];
        if chunk.iter().fold(false, |any, &b| any | !is_plain(b)) {
            let unusual = (at..end).find(|&i| !is_plain(content[i]) && !ends_line(content, i));
            if unusual.is_some() {
                return unusual;
            }
        }
        at = end;
    }
    None
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t')
}

fn ends_line(content: &[u8], at: usize) -> bool {
    content[at] == b'\r' && content.get(at + 1) == Some(&b'\n')
}

/// Reports the kinds of hidden characters in one line; `place` says where the line is when it is not in the content.
pub(crate) fn scan_line(report: &mut Report<'_>, line: Line<'_>, place: Option<&str>) {
    let mut seen: [(usize, char); KINDS.len()] = [(0, '\0'); KINDS.len()];
    for (kind, character) in hidden_characters(line) {
        let slot = &mut seen[kind as usize];
        if slot.0 == 0 {
            slot.1 = character;
        }
        slot.0 += 1;
    }
    for (kind, (count, first)) in KINDS.into_iter().zip(seen) {
        if count > 0 {
            let message = message(kind, count, first, place);
            report.add(kind.rule(), kind.severity(), place.is_none().then_some(line.number), message);
        }
    }
}

fn message(kind: Kind, count: usize, first: char, place: Option<&str>) -> String {
    let place = place.map(|p| format!(" in the {p}")).unwrap_or_default();
    let times = if count > 1 { format!(", {count} in this line") } else { String::new() };
    format!("{}{place} (U+{:04X}{times})", kind.describe(), u32::from(first))
}

fn hidden_characters(line: Line<'_>) -> Vec<(Kind, char)> {
    let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
    let mut found = Vec::new();
    for (index, chunk) in bytes.utf8_chunks().enumerate() {
        let text = chunk.valid();
        let bom = index == 0 && line.number == 1;
        hidden_in(if bom { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text }, &mut found);
    }
    found
}

fn hidden_in(text: &str, found: &mut Vec<(Kind, char)>) {
    let mut previous: Option<char> = None;
    let mut run: Vec<char> = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if let Some(after) = flag_after(character, rest.as_str()) {
            end_run(&mut run, found);
            rest = after.chars();
            previous = Some(character);
            continue;
        }
        if is_variation_selector(character) {
            run.push(character);
            if run.len() > 1 || !takes_variation(previous, rest.as_str()) {
                found.push((Kind::Invisible, character));
            }
        } else {
            end_run(&mut run, found);
            found.extend(kind_of(character, previous, rest.as_str()).map(|kind| (kind, character)));
            previous = Some(character);
        }
    }
    end_run(&mut run, found);
}

fn end_run(run: &mut Vec<char>, found: &mut Vec<(Kind, char)>) {
    if run.len() >= HIDDEN_RUN {
        found.extend(run.iter().map(|&c| (Kind::HiddenData, c)));
    }
    run.clear();
}

fn kind_of(character: char, previous: Option<char>, rest: &str) -> Option<Kind> {
    match character {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(Kind::Bidi),
        '\u{e0000}'..='\u{e007f}' => Some(Kind::Tag),
        '\t' | '\n' => None,
        '\u{200c}' | '\u{200d}' if joins(previous, rest.chars().next()) => None,
        _ if character.is_control() => Some(Kind::Control),
        _ => is_invisible(character).then_some(Kind::Invisible),
    }
}

const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}')
}

const fn is_variation_selector(character: char) -> bool {
    matches!(character, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// A selector after a visible character that is not ASCII, or in a keycap (`1`, U+FE0F, U+20E3).
fn takes_variation(previous: Option<char>, rest: &str) -> bool {
    previous.is_some_and(|c| if c.is_ascii() { rest.starts_with('\u{20e3}') } else { !is_invisible(c) })
}

/// A joiner between two characters that are not ASCII is spelling, in Persian and Indic scripts, or an emoji sequence.
fn joins(previous: Option<char>, next: Option<char>) -> bool {
    let visible = |c: char| !c.is_ascii() && !c.is_whitespace() && !is_invisible(c);
    previous.is_some_and(visible) && next.is_some_and(visible)
}

/// What follows the tags when `character` begins one of the three recommended flags.
fn flag_after(character: char, rest: &str) -> Option<&str> {
    const FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];
    if character != '\u{1f3f4}' {
        return None;
    }
    FLAGS.into_iter().find_map(|flag| {
        let mut tags = rest.chars();
        let spelled = flag.chars().all(|letter| tags.next() == char::from_u32(0xe0000 + u32::from(letter)));
        (spelled && tags.next() == Some('\u{e007f}')).then_some(tags.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn check(text: &str) -> String {
        let mut report = Report::new(b"f");
        scan_line(&mut report, Line { number: 1, bytes: text.as_bytes() }, None);
        let lines = report.finish().into_iter().map(|f| format!("{} {}: {}\n", f.severity.as_str(), f.rule, f.message));
        lines.collect()
    }

    #[test]
    fn r15_bidi_and_tag_characters_block() {
        assert_snapshot!(check("if a { \u{202e} \u{2066}// } \u{e0041}"), @r"
        blocker invisible: bidirectional control: the text is shown in another order than it is read (U+202E, 2 in this line)
        blocker invisible: tag character: text that is not shown (U+E0041)
        ");
    }

    #[test]
    fn r15_data_in_variation_selectors_blocks() {
        assert_snapshot!(check("x = `\u{fe01}\u{e0110}\u{fe0f}`"), @r"
        blocker invisible: variation selectors in a row: data that is not shown (U+FE01, 3 in this line)
        notice invisible: invisible character (U+FE01, 3 in this line)
        ");
    }

    #[test]
    fn r15_other_invisible_and_control_characters_are_noted() {
        assert_snapshot!(check("a\u{200b}b\u{ad} \u{1b}[2J \u{9b} a\rb"), @r"
        notice invisible: invisible character (U+200B, 2 in this line)
        notice control-character: control character (U+001B, 3 in this line)
        ");
        assert_snapshot!(check("a\u{feff}"), @"notice invisible: invisible character (U+FEFF)");
        assert_snapshot!(check("a\u{fe0f}"), @"notice invisible: invisible character (U+FE0F)");
        assert_snapshot!(check("ad\u{200d}min"), @"notice invisible: invisible character (U+200D)");
    }

    #[test]
    fn normal_writing_is_clean() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        let wales = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}";
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}";
        for text in
            ["\u{feff}fn main() {}\r", "\u{2764}\u{fe0f} 1\u{fe0f}\u{20e3}", family, wales, persian, "naïve 漢字"]
        {
            assert_eq!(check(text), "", "{text:?}");
        }
    }

    #[test]
    fn a_flag_with_another_tag_in_it_blocks() {
        assert!(check("\u{1f3f4}\u{e0067}\u{e0062}\u{e0041}\u{e007f}").starts_with("blocker"));
    }

    #[test]
    fn the_next_unusual_byte_is_found_at_any_offset() {
        for offset in 0..200 {
            let mut text = vec![b'a'; 200];
            text[offset] = 0x1b;
            assert_eq!(next_unusual(&text, 0), Some(offset));
        }
        assert_eq!(next_unusual(b"a\tb\r\nc\n", 0), None);
        assert_eq!(next_unusual(b"a\rb\r", 0), Some(1));
        assert_eq!(next_unusual(b"a\rb\r", 2), Some(3));
    }
}
