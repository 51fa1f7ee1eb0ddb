//! Text of other people, made safe to print: one line, nothing invisible.
//!
//! A model's text is influenced by what it read, and what it read may be hostile: it could move the cursor, hide
//! words or fake a line of ours.

/// `text` on one line: line breaks and tabs become spaces; control, bidirectional and invisible characters become
/// `\u{...}`. Calling it again changes nothing.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => shown.push(' '),
            hidden if is_hidden(hidden) => shown.extend(hidden.escape_unicode()),
            plain => shown.push(plain),
        }
    }
    shown
}

/// [`line()`], cut to at most `max` characters, the last one `…` when something was cut.
pub fn clip(text: &str, max: usize) -> String {
    let shown = line(text);
    match shown.char_indices().nth(max) {
        None => shown,
        Some(_) => shown.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// True when [`line()`] would change nothing.
pub fn is_line(text: &str) -> bool {
    !text.chars().any(is_hidden)
}

/// C0, C1, and Unicode's bidirectional controls, zero-width and tag characters, variation selectors and separators.
const fn is_hidden(char: char) -> bool {
    matches!(char,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_what_moves_a_cursor_or_hides_is_spelled_out() {
        insta::assert_snapshot!(line("a\u{1b}[1A\rb\n\u{202e}c\u{200b}\u{e0041}\u{85}é"),
            @r"a\u{1b}[1A b \u{202e}c\u{200b}\u{e0041}\u{85}é");
    }

    #[test]
    fn shown_text_is_a_line() {
        assert!(is_line("plain é text") && !is_line("two\nlines") && !is_line("\u{feff}"));
        assert!(is_line(&line("\0\u{1b}\n\u{2066}")));
    }

    #[test]
    fn a_cut_is_visible() {
        assert_eq!([clip("abc", 3), clip("abcd", 3), clip("abcd", 0)], ["abc", "ab…", "…"]);
    }
}
