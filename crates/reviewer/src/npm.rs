//! Where npm, pnpm and their kin put the native program that the `codex` wrapper starts.
//!
//! Source: `bin/codex.js` of the package `@openai/codex` 0.169.0, which resolves `@openai/codex-<platform>` as Node
//! does and falls back to a `vendor` folder of its own.

use std::path::{Path, PathBuf};

/// The system the program runs on, as npm and as Rust name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Platform {
    package: &'static str,
    triple: &'static str,
}

impl Platform {
    /// The one this program was built for.
    pub(crate) const fn current() -> Self {
        let (package, triple) = match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
            (true, true) => ("codex-darwin-arm64", "aarch64-apple-darwin"),
            (true, false) => ("codex-darwin-x64", "x86_64-apple-darwin"),
            (false, true) => ("codex-linux-arm64", "aarch64-unknown-linux-musl"),
            (false, false) => ("codex-linux-x64", "x86_64-unknown-linux-musl"),
        };
        Self { package, triple }
    }
}

/// The places to look for the native program of the wrapper at `wrapper` (symlinks resolved), best first.
pub(crate) fn native_candidates(wrapper: &Path, platform: Platform) -> Vec<PathBuf> {
    let native = Path::new("vendor").join(platform.triple).join("bin/codex");
    let Some(package) = wrapper.parent().and_then(Path::parent) else { return Vec::new() };
    let installed = package.ancestors().map(|dir| dir.join("node_modules/@openai").join(platform.package));
    installed.chain([package.to_owned()]).map(|root| root.join(&native)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn check(wrapper: &str) -> String {
        let platform = Platform { package: "codex-linux-x64", triple: "T" };
        let found = native_candidates(Path::new(wrapper), platform);
        found.iter().map(|path| format!("{}\n", path.display())).collect()
    }

    #[test]
    fn nested_hoisted_and_bundled_layouts_are_looked_at() {
        assert_snapshot!(check("/n/lib/node_modules/@openai/codex/bin/codex.js"), @r"
        /n/lib/node_modules/@openai/codex/node_modules/@openai/codex-linux-x64/vendor/T/bin/codex
        /n/lib/node_modules/@openai/node_modules/@openai/codex-linux-x64/vendor/T/bin/codex
        /n/lib/node_modules/node_modules/@openai/codex-linux-x64/vendor/T/bin/codex
        /n/lib/node_modules/@openai/codex-linux-x64/vendor/T/bin/codex
        /n/node_modules/@openai/codex-linux-x64/vendor/T/bin/codex
        /node_modules/@openai/codex-linux-x64/vendor/T/bin/codex
        /n/lib/node_modules/@openai/codex/vendor/T/bin/codex
        ");
    }

    #[test]
    fn a_wrapper_at_the_root_has_no_package() {
        assert_eq!(check("/codex"), "");
    }
}
