//! Where `cargo xtask setup` installs to, and what is made once is kept.

use std::env;
use std::path::{Path, PathBuf};

pub(crate) fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |dir| workspace.join(dir))
}
