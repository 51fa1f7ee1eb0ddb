//! What the tests of programs share: other programs of the workspace, beside the one under test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set where all programs of the workspace are built: packages that are built by themselves have other features, so that
/// all that they depend on would be built once more.
const BUILT: &str = "PROGRAMS_BUILT";

/// Builds `packages` beside `program`, which cargo built, with the same profile. Returns the directory of both.
pub fn build_beside(program: &str, packages: &[&str]) -> PathBuf {
    let dir = Path::new(program).parent().unwrap();
    if std::env::var_os(BUILT).is_some() {
        return dir.to_owned();
    }
    let profile = dir.file_name().and_then(|name| name.to_str()).unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args(["build", "--quiet", "--locked", "--offline"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    cargo.arg("--target-dir").arg(dir.parent().unwrap());
    cargo.args(packages.iter().flat_map(|name| ["--package", name]));
    assert!(cargo.status().unwrap().success(), "{packages:?} do not build");
    dir.to_owned()
}
