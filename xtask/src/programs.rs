//! The programs of this workspace as tasks: built, then run in the caller's place.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::Package;
use cargo_metadata::camino::Utf8Path;
use clap::Args;
use outcome::Failure;

use crate::workshop::Workshop;

/// Arguments that go on to the program as they are.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Passed {
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct Install {
    /// Install below this directory instead of cargo's own
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Builds `package` and becomes its program `name`. The Codex CLI that `setup` installed is found after any on `PATH`.
///
/// # Errors
/// When it cannot be built or started; else this does not return.
pub(crate) fn run(workshop: &Workshop, package: &str, name: &str, passed: &Passed) -> Result<(), Failure> {
    build(workshop, &[package])?;
    let program = built(workshop, name);
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(workshop.target("tools/codex/node_modules/.bin"));
    let error = Command::new(&program).args(&passed.arguments).env("PATH", path).exec();
    Err(Failure::not_ready("program", format!("{}: {error}", program.display()), "build it: cargo build"))
}

/// `install-hooks` wants the gate and ship beside it.
///
/// # Errors
/// As [`run`].
pub(crate) fn install_hooks(workshop: &Workshop, passed: &Passed) -> Result<(), Failure> {
    build(workshop, &["push-gate", "ship-cli"])?;
    run(workshop, "install-hooks", "install-hooks", passed)
}

/// The service with a worker, and beside it what its jobs call.
///
/// # Errors
/// As [`run`].
pub(crate) fn runner(workshop: &Workshop, passed: &Passed) -> Result<(), Failure> {
    build(workshop, &["orb-doctor", "orb-review-bundle", "orb-score-run"])?;
    let arguments = std::iter::once("--with-worker".into()).chain(passed.arguments.iter().cloned()).collect();
    run(workshop, "runner-api-cli", "runner-api", &Passed { arguments })
}

/// Installs every program of `bins/`. With glibc they are linked statically: they run on machines whose libraries are
/// older, and start sooner.
///
/// # Errors
/// When cargo cannot install one.
pub(crate) fn install(workshop: &Workshop, arguments: &Install) -> Result<(), Failure> {
    install_each(workshop, arguments, packages(workshop))
}

fn install_each<'a>(
    workshop: &Workshop,
    arguments: &Install,
    mut packages: impl Iterator<Item = (&'a Package, &'a Utf8Path)>,
) -> Result<(), Failure> {
    // With a target named, the flags are for the programs alone: a procedural macro cannot be linked statically.
    let flags = [&*std::env::var("RUSTFLAGS").unwrap_or_default(), "-C target-feature=+crt-static"].join(" ");
    packages.try_for_each(|(package, dir)| {
        let root = arguments.root.iter().flat_map(|root| [OsStr::new("--root"), root.as_os_str()]);
        println!("installing {}", package.name);
        workshop
            .tool("cargo")
            .args(["install", "--locked", "--quiet", "--target", "host-tuple", "--path", dir.as_str()])
            .args(root)
            .env("RUSTFLAGS", &flags)
            .run("install-failed", "mend what cargo names")
    })
}

/// The packages of `bins/`, with their directories.
fn packages(workshop: &Workshop) -> impl Iterator<Item = (&Package, &Utf8Path)> {
    let bins = workshop.root().join("bins");
    let packages = workshop.metadata.workspace_packages().into_iter();
    let dirs = packages.filter_map(|package| Some((package, package.manifest_path.parent()?)));
    dirs.filter(move |(_, dir)| dir.starts_with(&bins))
}

/// Every program of `bins/`, installed below the target directory.
pub(crate) struct Installed {
    root: PathBuf,
    names: Vec<String>,
}

impl Installed {
    /// Builds and installs them.
    ///
    /// # Errors
    /// As [`install`].
    pub(crate) fn build(workshop: &Workshop) -> Result<Self, Failure> {
        Self::those(workshop, |_| true)
    }

    /// Builds and installs those of some packages.
    ///
    /// # Errors
    /// As [`install`].
    pub(crate) fn some(workshop: &Workshop, names: &[&str]) -> Result<Self, Failure> {
        Self::those(workshop, |package| names.contains(&package.name.as_str()))
    }

    fn those(workshop: &Workshop, wanted: impl Fn(&Package) -> bool) -> Result<Self, Failure> {
        let root = workshop.target("installed");
        let packages = || packages(workshop).filter(|(package, _)| wanted(package));
        install_each(workshop, &Install { root: Some(root.clone()) }, packages())?;
        let targets = packages().flat_map(|(package, _)| package.targets.iter().filter(|it| it.is_bin()));
        Ok(Self { root, names: targets.map(|target| target.name.clone()).collect() })
    }

    /// Their names.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Where one is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Where they all are.
    pub(crate) fn dir(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Starts each where there is no other file, and so no library.
    ///
    /// # Errors
    /// When one does not start there.
    pub(crate) fn start_alone(&self, workshop: &Workshop) -> Result<(), Failure> {
        self.names.iter().try_for_each(|name| {
            let alone = workshop.tool("unshare").args(["--map-root-user", "--root"]).args([&self.root]);
            alone.args([&format!("/bin/{name}"), "--version"]).run("not-alone", "see which file it misses: ldd")
        })
    }
}

/// Set where the tests just built every program: packages that are built by themselves have other features, so that all
/// that they depend on would be built once more.
pub(crate) const BUILT: &str = "PROGRAMS_BUILT";

/// Builds packages as cargo does by default.
///
/// # Errors
/// When cargo cannot.
pub(crate) fn build(workshop: &Workshop, packages: &[&str]) -> Result<(), Failure> {
    if std::env::var_os(BUILT).is_some() {
        return Ok(());
    }
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    workshop.tool("cargo").args(["build", "--quiet"]).args(packages).run("build-failed", "mend what cargo names")
}

/// Where [`build`] leaves a program.
pub(crate) fn built(workshop: &Workshop, name: &str) -> PathBuf {
    workshop.target("debug").join(name)
}
