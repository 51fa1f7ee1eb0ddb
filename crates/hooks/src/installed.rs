//! Whether a push from here goes through our hook.

use std::path::PathBuf;

use host::Host;

use crate::install::is_ours;
use crate::{HooksError, Site, script};

/// The directory that git runs hooks from, if the `pre-push` there is ours, byte for byte. That the gate it calls is
/// there is not asked: the hook refuses every push without it.
///
/// # Errors
/// [`HooksError::OtherGate`] when our hook was installed for another gate than [`Site::gate`], as when `HOME` or
/// `XDG_DATA_HOME` lead elsewhere than then, or by another version: a push would go around that gate and the policy
/// pinned beside it. The host's.
pub fn installed_dir(host: &dyn Host, site: &Site) -> Result<Option<PathBuf>, HooksError> {
    let (ours, effective) = (script::pre_push(&site.gate()), &site.effective.dir);
    let own = [site.default_dir(), site.own_dir()];
    // Where git is led away from our hook, the environment may have done both.
    for dir in own.iter().filter(|dir| *dir == effective || !own.contains(effective)) {
        let hook = dir.join("pre-push");
        if host.read(&hook)?.is_some_and(|bytes| is_ours("pre-push", &bytes) && bytes != ours) {
            return Err(HooksError::OtherGate { hook, gate: site.gate() });
        }
    }
    let hook = host.read(&effective.join("pre-push"))?;
    Ok((hook == Some(ours)).then(|| effective.clone()))
}
