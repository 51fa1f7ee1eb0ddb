//! One file while it is read: its table, and what is wrong with it so far.

use std::cell::RefCell;
use std::ops::Range;

use toml::de::DeTable;

use crate::problem::{File, Problem};
use crate::section::Section;
use crate::{name, show};

/// The longest file, in bytes.
pub(crate) const MAX_BYTES: usize = 256 << 10;
/// The number in a file's `schema`.
pub(crate) const SCHEMA: u64 = 1;
/// One file while it is read, and what is wrong with it so far.
pub(crate) struct Reading<'a> {
    file: File,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

/// Where a key or value stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The table path.
    pub(crate) key: String,
    pub(crate) span: Range<usize>,
}

impl<'a> Reading<'a> {
    /// Reads `bytes` with `read`, unless they are no file of schema [`SCHEMA`]. What `read` returns counts only when
    /// there is no problem.
    pub(crate) fn of<T>(
        file: File,
        bytes: &'a [u8],
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> (Option<T>, Vec<Problem>) {
        let text = std::str::from_utf8(bytes);
        let reading = Self { file, text: text.unwrap_or_default(), problems: RefCell::default() };
        let whole = Place { key: String::new(), span: 0..0 };
        if bytes.len() > MAX_BYTES {
            reading.problem(&whole, format!("is longer than {MAX_BYTES} bytes"));
            return (None, reading.problems.into_inner());
        }
        if let Err(error) = text {
            reading.problem(&whole, error.to_string());
            return (None, reading.problems.into_inner());
        }
        let read = reading.table().and_then(|table| {
            let mut section = Section::new(&reading, whole, table);
            let value = section.schema().then(|| read(&mut section))?;
            section.finish();
            Some(value)
        });
        (read, reading.problems.into_inner())
    }

    fn table(&self) -> Option<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = Place { key: String::new(), span: error.span().unwrap_or_default() };
            self.problem(&place, show::clip(error.message(), 300));
        }
        errors.is_empty().then(|| table.into_inner())
    }

    /// Notes that something is wrong at `place`.
    pub(crate) fn problem(&self, place: &Place, why: impl Into<String>) {
        let before = self.text.get(..place.span.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        self.problems.borrow_mut().push(Problem {
            file: self.file,
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            key: place.key.clone(),
            why: why.into(),
        });
    }
}

impl Place {
    pub(crate) fn below(&self, key: &str, span: Range<usize>) -> Self {
        let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let key = show::clip(key, name::MAX_BYTES);
        let key = if bare { key } else { format!("\"{key}\"") };
        let key = if self.key.is_empty() { key } else { format!("{}.{key}", self.key) };
        Self { key, span }
    }
}
