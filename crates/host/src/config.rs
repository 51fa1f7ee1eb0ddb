//! Files that decide what may be done: whoever could write them decides.

use std::path::Path;

use outcome::Failure;

use crate::{Host, Kind};

/// The bytes of a file that decides what may be done; `None` where there is none.
///
/// # Errors
/// Not ready, class `config-unsafe`, when anyone but root and this user could have written it.
pub fn trusted(host: &dyn Host, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let Some(stat) = host.stat(path)? else { return Ok(None) };
    let at = path.display();
    let unsafe_for = |why: &str, next: String| Err(Failure::not_ready("config-unsafe", format!("{at} {why}"), next));
    if stat.kind != Kind::File {
        return unsafe_for("is no regular file", "put the file itself in its place".into());
    }
    if stat.uid != 0 && stat.uid != host.uid() {
        return unsafe_for("belongs to another user", format!("read it, then make it root's or yours: chown {at}"));
    }
    if stat.mode & 0o022 != 0 {
        return unsafe_for("can be written by others", format!("read it, then keep them out: chmod go-w {at}"));
    }
    Ok(host.read(path)?)
}
