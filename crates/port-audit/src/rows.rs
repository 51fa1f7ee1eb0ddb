//! The rows of a table that another program printed.

use crate::socket::Socket;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A socket that waits for somebody.
    Socket(Socket),
    /// A socket that waits for nobody: one end of a connection, or one without a port.
    Connection,
    /// It was not understood.
    Unread {
        /// Its number, from 1.
        line: usize,
        /// All of it.
        text: String,
    },
}

/// Every row that is not blank, as `read` understands it. `is_heading` is also told how many rows are above it.
pub(crate) fn rows<'a>(
    text: &'a str,
    is_heading: impl Fn(usize, &str) -> bool,
    read: impl Fn(&'a str) -> Option<Row>,
) -> Vec<Row> {
    let rows = text.lines().zip(1..).filter(|(row, _)| !row.trim().is_empty()).enumerate();
    let rows = rows.filter(|(above, (row, _))| !is_heading(*above, row));
    rows.map(|(_, (row, line))| read(row).unwrap_or_else(|| Row::Unread { line, text: row.to_owned() })).collect()
}
