//! What Git writes to a pre-push hook, githooks(5): `<local-ref> <local-oid> <remote-ref> <remote-oid>` a line.

use crate::oid::Oid;
use crate::show;

/// The longest input that is read, in bytes.
pub const MAX_STDIN: usize = 16 << 20;

/// One ref that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What the user named; `(delete)` for a deletion. Only for show, and made safe for it.
    pub local_ref: String,
    /// What the ref shall become, not peeled; zeros for a deletion.
    pub new: Oid,
    /// The ref on the remote. Any text: the policy decides whether it is a name.
    pub remote_ref: String,
    /// What the remote has; zeros for a ref it does not have.
    pub old: Oid,
}

/// Input that no Git writes. Nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pre-push input, line {line}: {why}")]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Reads the hook's input: one [`Update`] a line, none for empty input.
///
/// # Errors
/// [`Malformed`] names the first line that is not of the form above; then no line counts.
pub fn parse_pre_push(stdin: &[u8]) -> Result<Vec<Update>, Malformed> {
    if stdin.len() > MAX_STDIN {
        return Err(Malformed { line: 1, why: format!("longer than {MAX_STDIN} bytes in all") });
    }
    if stdin.is_empty() {
        return Ok(Vec::new());
    }
    let lines = stdin.strip_suffix(b"\n").unwrap_or(stdin).split(|byte| *byte == b'\n');
    let numbered = |(index, line)| parse_line(line).map_err(|why| Malformed { line: index + 1, why });
    lines.enumerate().map(numbered).collect()
}

/// Read from the right: what the user named may hold spaces (`:/fix it`), the other fields never do.
fn parse_line(line: &[u8]) -> Result<Update, String> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let mut fields = line.rsplitn(4, ' ');
    let mut next = || fields.next().filter(|field| !field.is_empty()).ok_or("not four fields".to_owned());
    let [old, remote_ref, new, local_ref] = [next()?, next()?, next()?, next()?];
    let oid = |text: &str| text.parse::<Oid>().map_err(|error| error.to_string());
    let (old, new) = (oid(old)?, oid(new)?);
    if !old.same_format(&new) {
        return Err("ids of two hash functions".to_owned());
    }
    Ok(Update { local_ref: show::line(local_ref), new, remote_ref: remote_ref.to_owned(), old })
}
