//! Text of other people, made safe to print: one line, nothing invisible, no key.

/// How keys of services begin.
const KEYS: [&str; 9] = ["sk-", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "tskey-", "AKIA", "-----BEGIN"];

/// `text` on one line, cut to at most `max` characters (the last one `…` when something was cut); control,
/// bidirectional and invisible characters become `\u{...}`.
pub(crate) fn clip(text: &str, max: usize) -> String {
    let mut shown = String::new();
    let (kept, cut) = if text.chars().nth(max).is_some() { (max.saturating_sub(1), "…") } else { (max, "") };
    for char in text.chars().take(kept) {
        if is_hidden(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown.push_str(cut);
    shown
}

/// [`clip`], with every character that is not ASCII spelled out too: a look-alike becomes visible.
pub(crate) fn ascii(text: &str, max: usize) -> String {
    let chars = clip(text, max)
        .chars()
        .map(|char| if char.is_ascii() || char == '…' { char.to_string() } else { char.escape_unicode().to_string() })
        .collect::<Vec<_>>();
    chars.concat()
}

/// A value that was not meant for this place: [`clip`] in back quotes, unless it looks like a key.
pub(crate) fn value(text: &str) -> String {
    if KEYS.iter().any(|key| holds_key(text, key)) {
        format!("a value of {} bytes (hidden: it looks like a key)", text.len())
    } else {
        format!("`{}`", clip(text, 60))
    }
}

/// True when a word begins with `key` and is as long as keys are: `task-1` is none.
fn holds_key(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, _)| {
        let begins = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let word = text[at..].split(char::is_whitespace).next().unwrap_or_default();
        begins && word.len() >= 10
    })
}

/// True when [`clip`] would spell nothing out.
pub(crate) fn is_line(text: &str) -> bool {
    !text.contains(is_hidden)
}

/// C0, C1, and Unicode's bidirectional controls, zero-width and tag characters, variation selectors and separators.
pub(crate) const fn is_hidden(char: char) -> bool {
    matches!(char,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_hides_is_spelled_out() {
        assert_eq!(clip("a\u{1b}[1A\n\u{202e}c\u{200b}é", 20), r"a\u{1b}[1A\u{a}\u{202e}c\u{200b}é");
        assert!(is_line("plain é") && !is_line("\n") && !is_line("\u{2066}"));
    }

    #[test]
    fn a_cut_is_visible() {
        assert_eq!([clip("abc", 3), clip("abcd", 3), clip("a\u{1b}", 1)], ["abc", "ab…", "…"]);
    }

    #[test]
    fn what_looks_like_a_key_is_not_shown() {
        let shown = [
            "sk-1234567",
            "sk-123456",
            "x=sk-1234567",
            "desk-1234567",
            "ghp_abcdef",
            "-----BEGIN KEY-----",
            "sk- 1234567",
        ]
        .map(value);
        insta::assert_snapshot!(shown.join("\n"), @r"
        a value of 10 bytes (hidden: it looks like a key)
        `sk-123456`
        a value of 12 bytes (hidden: it looks like a key)
        `desk-1234567`
        a value of 10 bytes (hidden: it looks like a key)
        a value of 19 bytes (hidden: it looks like a key)
        `sk- 1234567`
        ");
    }
}
