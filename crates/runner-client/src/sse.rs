//! Server-sent events, as they come in pieces.
//!
//! **Invariant:** how the bytes are cut into pieces changes nothing, and no more than [`MAX_EVENT`] bytes are held of an
//! event that is not whole.

use std::collections::VecDeque;

/// The longest event, in bytes. A piece of a log has 64 KiB, and six times that where each of its bytes is escaped.
pub(crate) const MAX_EVENT: usize = 1 << 20;

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// An event is longer than any that the API sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What came of a stream.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    held: usize,
    whole: VecDeque<Event>,
}

impl Parser {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held += piece.len();
            if self.held > MAX_EVENT {
                return Err(TooLong);
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.line();
            }
        }
        Ok(())
    }

    /// The next event that came whole.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.whole.pop_front()
    }

    fn line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            self.held = 0;
            let event = std::mem::take(&mut self.event);
            if !event.data.is_empty() {
                self.whole.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment, and what is not known.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = ": keep-alive\n\nevent: log\nid: 1-5-0\ndata: {\"a\":1}\n\nevent: end\r\ndata:one\r\ndata: two\r\nother: x\r\n\r\n\
                        event: nothing\n\ndata: \u{e9}\u{1f980}\n\nevent: cut off\ndata: x\n";

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.feed(piece).unwrap();
        }
        std::iter::from_fn(|| parser.next()).collect()
    }

    #[test]
    fn an_event_is_what_stands_before_an_empty_line() {
        let event = |kind: &str, data: &str, id: Option<&str>| Event {
            kind: kind.into(),
            data: data.into(),
            id: id.map(str::to_owned),
        };
        let want = [
            event("log", "{\"a\":1}", Some("1-5-0")),
            event("end", "one\ntwo", None),
            event("", "\u{e9}\u{1f980}", None),
        ];
        assert_eq!(events(&[TEXT.as_bytes()]), want);
    }

    #[test]
    fn an_event_without_an_end_is_not_held_for_ever() {
        let mut parser = Parser::default();
        let fed = (0..=MAX_EVENT / 1024).map(|_| parser.feed(&[b'x'; 1024])).collect::<Result<Vec<_>, _>>();
        assert_eq!(fed, Err(TooLong));
        let mut lines = Parser::default();
        let fed = (0..=MAX_EVENT / 1024).map(|_| lines.feed(&[b"data: ", &[b'x'; 1017][..], b"\n"].concat()));
        assert_eq!(fed.collect::<Result<Vec<_>, _>>(), Err(TooLong));
        let mut alive = Parser::default();
        assert!((0..100_000).all(|_| alive.feed(b": keep-alive\n\n").is_ok()));
    }

    proptest! {
        #[test]
        fn how_it_is_cut_changes_nothing(cuts in prop::collection::vec(0..TEXT.len(), 0..20)) {
            let mut at = cuts;
            at.extend([0, TEXT.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &TEXT.as_bytes()[ends[0]..ends[1]]).collect();
            prop_assert_eq!(events(&pieces), events(&[TEXT.as_bytes()]));
        }
    }
}
