//! Output: text for people, JSON lines for programs, progress on a terminal.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::Stream;
use indicatif::{ProgressBar, ProgressStyle};
use outcome::{Failure, is_hidden, printable};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

/// Where a program's output goes. Results go to stdout, everything else to stderr.
#[derive(Clone)]
pub struct Console {
    json: bool,
    spinner: Arc<Mutex<Option<ProgressBar>>>,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, spinner: Arc::default() }
    }

    /// `--json` was given.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Someone can answer a question here.
    pub fn interactive(&self) -> bool {
        !self.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Prints the result: `value` as JSON with `--json`, else its text. Hidden and control characters are escaped in
    /// both.
    ///
    /// # Errors
    /// As [`Console::stdout`].
    pub fn result<T: Serialize + Display>(&self, value: &T) -> Result<(), Failure> {
        if self.json {
            return self.object(value);
        }
        let mut text = printable(&value.to_string());
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.stdout(text.as_bytes())
    }

    /// Prints the result as JSON: for a program whose text is something else than its result.
    ///
    /// # Errors
    /// As [`Console::stdout`].
    pub fn object<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        self.stdout(format!("{}\n", json_line(value)).as_bytes())
    }

    /// Writes bytes to stdout as they are. A reader that went away, such as `head`, is no error.
    ///
    /// # Errors
    /// Infrastructure, class `output`, when they cannot be written: a result that is lost is not done.
    pub fn stdout(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.hide_spinner(|| write_all(io::stdout().lock(), bytes));
        ignore_broken_pipe(written).map_err(|error| {
            Failure::infrastructure(
                "output",
                format!("stdout: {error}"),
                "make room or name another file, then try again",
            )
        })
    }

    /// Writes a text that somebody else wrote: bytes as they are, but for what a terminal would obey.
    ///
    /// # Errors
    /// As [`Console::stdout`].
    pub fn document(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout(&shown(bytes, io::stdout().is_terminal()))
    }

    /// Hands on what another program writes, as it is written: bytes as they are, but for what a terminal would obey.
    /// Nothing with `--json`.
    pub fn hand_on(&self, stream: Stream, bytes: &[u8]) {
        if self.json {
            return;
        }
        // The log has them: that nobody reads them here is no failure.
        let _ = self.hide_spinner(|| match stream {
            Stream::Stdout => write_all(io::stdout().lock(), &shown(bytes, io::stdout().is_terminal())),
            Stream::Stderr => write_all(io::stderr().lock(), &shown(bytes, io::stderr().is_terminal())),
        });
    }

    /// The reader of stdout, such as `head`, went away: what is printed from now on nobody sees.
    pub fn unheard(&self) -> bool {
        let stdout = io::stdout();
        let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
        poll(&mut ends, Some(&Timespec::default())).is_ok() && ends[0].revents().contains(PollFlags::ERR)
    }

    /// Tells what happens: a JSON line on stdout with `--json`, else a line on stderr.
    pub fn event<T: Serialize + Display>(&self, event: &T) {
        if self.json {
            // An event is news, not the result: that it was lost changes nothing of what was done.
            let _ = self.stdout(format!("{}\n", json_line(event)).as_bytes());
        } else {
            self.note(&event.to_string());
        }
    }

    /// Tells a person something that is no result: a line on stderr, nothing with `--json`.
    pub fn note(&self, line: &str) {
        if !self.json {
            let line = printable(line);
            let _ = self.hide_spinner(|| writeln!(io::stderr(), "{line}"));
        }
    }

    /// Shows on a terminal what is being worked on, with the time it takes; elsewhere nothing.
    pub fn working(&self, on: &str) {
        if self.json || !io::stderr().is_terminal() {
            return;
        }
        let on = printable(on).replace('\n', " ");
        let mut spinner = self.spinner.lock().unwrap_or_else(PoisonError::into_inner);
        spinner.get_or_insert_with(started_spinner).set_message(on);
    }

    /// Takes the progress line away.
    pub fn finish(&self) {
        if let Some(spinner) = self.spinner.lock().unwrap_or_else(PoisonError::into_inner).take() {
            spinner.finish_and_clear();
        }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let _ = self.stdout(format!("{}\n", json_line(failure)).as_bytes());
        }
        let _ = writeln!(io::stderr(), "{}", failure.text());
    }

    fn hide_spinner<T>(&self, write: impl FnOnce() -> T) -> T {
        match &*self.spinner.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(spinner) => spinner.suspend(write),
            None => write(),
        }
    }
}

fn shown(bytes: &[u8], terminal: bool) -> Cow<'_, [u8]> {
    if terminal { Cow::Owned(printable(&String::from_utf8_lossy(bytes)).into_bytes()) } else { Cow::Borrowed(bytes) }
}

fn write_all(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).and_then(|()| to.flush())
}

fn started_spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}").expect("the template is well-formed");
    let spinner = ProgressBar::new_spinner().with_style(style);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// JSON in which nothing drives a terminal or hides: such characters stand in strings alone, where an escape is the same.
fn json_line<T: Serialize>(value: &T) -> String {
    let line = serde_json::to_string(value).expect("reports have string keys and no failing serializer");
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        if is_hidden(c) {
            shown.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn ignore_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_drives_no_terminal_and_says_the_same() {
        let hostile: String = ('\0'..='\u{ffff}').chain('\u{e0000}'..='\u{e00ff}').chain("\u{1f980}".chars()).collect();
        let value = serde_json::json!({ hostile.as_str(): hostile });
        let line = json_line(&value);
        assert_eq!(line, printable(&line));
        assert!(!line.contains(['\n', '\t']) && line.contains('\u{1f980}') && line.contains("\\udb40\\udc01"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
