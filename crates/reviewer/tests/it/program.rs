//! Which codex is run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use host::Fake;
use insta::assert_snapshot;
use outcome::Failure;
use reviewer::Program;

/// What is found on a `PATH` of `dir/bin`.
fn check(dir: &Path) -> String {
    let host = machine(dir, || ());
    let shown = match Program::find(&host) {
        Ok(program) => format!("{} {}", program.version(), program.path().display()),
        Err(error) => Failure::from(error).text(),
    };
    let real = dir.canonicalize().unwrap();
    shown.replace(&real.display().to_string(), "DIR").replace(&dir.display().to_string(), "DIR")
}

/// A machine with a `PATH` of `dir/bin`, where every program says its version once it was `asked`.
fn machine(dir: &Path, asked: impl Fn() + Send + Sync + 'static) -> Fake {
    let host = Fake::new().variable("PATH", format!("bin:{}", dir.join("bin").display()));
    host.script(move |cmd| {
        (cmd.arguments() == ["--version"]).then(|| {
            let output = host::Output {
                status: host::Status::Exited(0),
                stdout: b"codex-cli 1.2.3\n".to_vec(),
                stderr: vec![],
                cut: false,
                elapsed: std::time::Duration::ZERO,
            };
            asked();
            Ok(output)
        })
    })
}

fn file(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// An npm prefix with the wrapper on `bin`, and the native program, if any, in `native`.
fn npm(native: Option<&str>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let scope = dir.path().join("lib/node_modules/@openai");
    file(&scope.join("codex/bin/codex.js"), "#!/usr/bin/env node\n");
    fs::create_dir_all(dir.path().join("bin")).unwrap();
    symlink("../lib/node_modules/@openai/codex/bin/codex.js", dir.path().join("bin/codex")).unwrap();
    if let Some(native) = native {
        let real = fake_model::codex_binary().unwrap_or_else(|missing| panic!("{missing}"));
        let vendor: std::path::PathBuf = real.iter().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect();
        file(&scope.join(native).join(vendor), "\u{7f}ELF");
    }
    check(dir.path())
}

#[test]
fn the_native_program_is_found_through_the_npm_wrapper() {
    let shown = [npm(Some(".")), npm(Some("codex/node_modules/@openai"))].join("\n");
    let (package, triple) = names();
    assert_snapshot!(shown.replace(&package, "PACKAGE").replace(&triple, "TRIPLE"), @r"
    1.2.3 DIR/lib/node_modules/@openai/PACKAGE/vendor/TRIPLE/bin/codex
    1.2.3 DIR/lib/node_modules/@openai/codex/node_modules/@openai/PACKAGE/vendor/TRIPLE/bin/codex
    ");
}

/// The names of package and triple on this system.
fn names() -> (String, String) {
    let real = fake_model::codex_binary().unwrap_or_else(|missing| panic!("{missing}"));
    let names: Vec<_> = real.iter().rev().map(|name| name.to_string_lossy().into_owned()).collect();
    (names[4].clone(), names[2].clone())
}

#[test]
fn a_native_program_on_path_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("bin/codex"), "\u{7f}ELF");
    assert_snapshot!(check(dir.path()), @"1.2.3 DIR/bin/codex");
}

#[test]
fn the_version_is_asked_of_a_program_that_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("bin/codex");
    file(&program, "\u{7f}ELF");
    let host = machine(dir.path(), move || fs::remove_file(&program).unwrap());
    assert_eq!(Program::find_version(&host).unwrap(), "1.2.3");
}

#[test]
fn r08_a_wrapper_alone_is_no_reviewer() {
    assert_snapshot!(npm(None), @r"
    codex-missing: DIR/bin/codex is a script, and the native codex program it starts was not found
    next: install it: npm install --global @openai/codex@0.169.0
    ");
}

#[test]
fn no_codex_is_not_ready() {
    assert_snapshot!(check(tempfile::tempdir().unwrap().path()), @r"
    codex-missing: no program `codex` was found on PATH
    next: install it: npm install --global @openai/codex@0.169.0
    ");
}

#[test]
fn r08_the_real_program_says_its_version_and_must_be_the_pinned_one() {
    let program = crate::stage::program();
    assert_eq!(program.version(), fake_model::CODEX_VERSION);
    let mut policy = verdict::Policy::built_in().review;
    policy.codex_version = Some(fake_model::CODEX_VERSION.into());
    policy.codex_sha256 = vec![program.sha256().clone()];
    program.check_pins(&policy).unwrap();
    policy.codex_version = Some("0.1.0".into());
    assert_snapshot!(Failure::from(program.check_pins(&policy).unwrap_err()).text(), @r"
    codex-not-pinned: the policy wants codex 0.1.0, this is 0.169.0
    next: install it: npm install --global @openai/codex@0.1.0
    ");
    policy.codex_version = None;
    policy.codex_sha256 = vec![verdict::Sha256::of(b"other")];
    let failure = Failure::from(program.check_pins(&policy).unwrap_err()).text();
    let failure = failure.replace(program.sha256().as_str(), "HASH");
    assert_snapshot!(failure.replace(&program.path().display().to_string(), "CODEX"), @r"
    codex-not-pinned: CODEX (sha256 HASH) is none of the programs the policy allows
    next: install a codex whose hash is in review.codex_sha256 of the policy
    ");
}
