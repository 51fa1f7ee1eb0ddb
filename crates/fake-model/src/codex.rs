//! Where `cargo xtask setup` puts the real Codex CLI, for tests and the demo to find.

use std::env;
use std::path::{Path, PathBuf};

/// The version of `@openai/codex` that the tests are written against.
pub const CODEX_VERSION: &str = "0.169.0";

/// The real Codex CLI is not where `cargo xtask setup` installs it.
#[derive(Debug, thiserror::Error)]
#[error("the codex CLI {CODEX_VERSION} is not at {}: run `cargo xtask setup`", .0.display())]
pub struct Missing(PathBuf);

/// The path of the native codex binary that `cargo xtask setup` installed under `<target>/tools/codex`.
///
/// # Errors
/// [`Missing`], whose text names the command that installs it.
pub fn codex_binary() -> Result<PathBuf, Missing> {
    let scope = target_dir().join("tools/codex/node_modules/@openai");
    let platform = format!("codex-{}-{}", node_platform(), node_arch());
    let native = Path::new("vendor").join(rust_target()).join("bin/codex");
    let hoisted = scope.join(&platform).join(&native);
    let nested = scope.join("codex/node_modules/@openai").join(&platform).join(&native);
    [hoisted.clone(), nested].into_iter().find(|path| path.is_file()).ok_or(Missing(hoisted))
}

fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |dir| workspace.join(dir));
    dir.canonicalize().unwrap_or(dir)
}

const fn node_platform() -> &'static str {
    if cfg!(target_os = "macos") { "darwin" } else { "linux" }
}

const fn node_arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" }
}

/// The target triple that names the binary's folder in the npm package.
const fn rust_target() -> &'static str {
    match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
        (true, true) => "aarch64-apple-darwin",
        (true, false) => "x86_64-apple-darwin",
        (false, true) => "aarch64-unknown-linux-musl",
        (false, false) => "x86_64-unknown-linux-musl",
    }
}
