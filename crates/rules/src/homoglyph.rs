//! Words that mix Latin letters with letters of other scripts that look like them.
//!
//! The table is a part of Unicode's `confusables.txt` (UTS #39): Cyrillic, Greek, Armenian and Cherokee letters whose
//! skeleton is one Latin letter, and the styled Latin of the fullwidth and mathematical blocks. Letters that look like
//! nothing Latin (`Δt`, `σ_x`) are left to science.

use crate::finding::{Report, Rule};
use crate::text::Line;

const LOOKALIKES: &str =
    concat!("АВЕЅІЈКМНОРСТУХѠԌԜаеѕіјорсухһԁԛԝѵүгпк", "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορυγικ", "ՕՍԼՏօսոհցգզյ", "ᎪᏴᏟᎠᎬᎻᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ",);

/// Notes each line that has such a word.
pub(crate) fn scan_line(report: &mut Report<'_>, line: Line<'_>, place: Option<&str>) {
    let mut words = line.bytes.utf8_chunks().flat_map(|chunk| chunk.valid().split(|c: char| !is_word(c)));
    let Some(letter) = words.find_map(lookalike) else { return };
    let place = place.map(|p| format!(" in the {p}")).unwrap_or_default();
    let message = format!("a word{place} mixes Latin letters with U+{:04X}, which looks like one", u32::from(letter));
    report.notice(Rule::Homoglyph, place.is_empty().then_some(line.number), message);
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn lookalike(word: &str) -> Option<char> {
    let latin = word.bytes().any(|b| b.is_ascii_alphabetic());
    word.chars().find(|&c| latin && looks_latin(c))
}

fn looks_latin(character: char) -> bool {
    !character.is_ascii()
        && (matches!(character, '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d6a3}')
            || LOOKALIKES.contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let mut report = Report::new(b"f");
        scan_line(&mut report, Line { number: 7, bytes: text.as_bytes() }, None);
        report.finish().into_iter().map(|f| format!("{:?} {}", f.line, f.message)).collect()
    }

    #[test]
    fn a_cyrillic_letter_in_a_latin_word_is_noted() {
        assert_eq!(
            check("let \u{430}dmin = 1;"),
            ["Some(7) a word mixes Latin letters with U+0430, which looks like one"]
        );
        assert_eq!(check("is\u{ff21}dmin").len(), 1);
    }

    #[test]
    fn words_of_one_script_and_science_are_clean() {
        for text in ["Привет, world", "λx. x", "Δt = σ_x", "café", "ο λόγος", "漢字kana"] {
            assert_eq!(check(text), [""; 0], "{text}");
        }
    }
}
