//! Whether a push from here goes through our hook.

use std::path::PathBuf;

use host::{Host, HostError};

use crate::{Site, script};

/// The directory that git runs hooks from, if the `pre-push` there is ours, byte for byte, and the gate it calls is there.
///
/// # Errors
/// The host's.
pub fn installed_dir(host: &dyn Host, site: &Site) -> Result<Option<PathBuf>, HostError> {
    let hook = host.read(&site.effective.dir.join("pre-push"))?;
    let is_ours = hook.is_some_and(|hook| hook == script::pre_push(&site.gate()));
    Ok((is_ours && host.stat(&site.gate())?.is_some()).then(|| site.effective.dir.clone()))
}
