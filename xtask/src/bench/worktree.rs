//! Whole jobs beside what they replace: a worktree that git makes, made read-only, checked and removed.
//!
//! Everything is on a file system of its own, on a loop device, with a journal: on one without, making files after many
//! were deleted takes many times as long, on whichever side. Before each run what is not written yet is written: a job
//! makes sure that its proof is on the disk, and would wait for the files of the other side.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use outcome::Failure;

use super::Measuring;
use super::pair::Pair;
use super::run::Run;
use super::scene;
use crate::programs::Installed;
use crate::setup;
use crate::workshop::{Workshop, unusable};

/// A whole job that has its tree, of the largest size, against the old sequence.
const WARM_GOAL: f64 = 1.0 / 300.0;
/// A whole job that has to make its tree, against `git worktree add` and `git status`.
const COLD_GOAL: f64 = 0.6;

/// How many files differ between the two commits of a repository.
const NEAR: u32 = 100;
/// The sizes of the repositories that are made, in files.
const SIZES: [u32; 2] = [4_000, 57_000];

/// What ran before there were shared trees: a worktree without write permission, checked, and removed again.
const OLD: &str = r#"
git worktree add --quiet --detach "$1" "$2"
python3 - "$1" <<'END'
import os, sys
for top, dirs, files in os.walk(sys.argv[1]):
    for name in dirs + files:
        path = os.path.join(top, name)
        if not os.path.islink(path):
            os.chmod(path, os.stat(path).st_mode & ~0o222)
END
git -C "$1" status --porcelain
git -C "$1" diff --exit-code
python3 - "$1" <<'END'
import os, shutil, sys
for top, dirs, files in os.walk(sys.argv[1]):
    for name in dirs + files:
        path = os.path.join(top, name)
        if not os.path.islink(path):
            os.chmod(path, os.stat(path).st_mode | 0o200)
shutil.rmtree(sys.argv[1])
END
git worktree prune
"#;
/// The least that git takes to give a tree that is known to be clean.
const ADD: &str = r#"git worktree add --quiet --detach "$1" "$2" && git -C "$1" status --porcelain"#;
const REMOVE: &str = r#"rm -rf "$1" && git worktree prune"#;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    measuring: Measuring,
    /// Also a repository of yours, at its HEAD and the commit before
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
}

/// Runs the benchmark.
///
/// # Errors
/// What the build, the file system or a repository failed with; refused when a pair could not be measured.
pub(super) fn run(workshop: &Workshop, arguments: &Arguments) -> Result<(), Failure> {
    setup::bubblewrap(workshop)?;
    let installed = Installed::build(workshop)?;
    let disk = Disk::mount(workshop)?;
    let bench = Bench { workshop, installed: &installed, dir: &disk.at };
    let mut pairs = Vec::new();
    for size in SIZES {
        let scene = bench.generated(size)?;
        let warm_goal = (size == SIZES[1]).then_some(WARM_GOAL);
        pairs.extend(bench.pairs(&scene, &format!("{size} files"), warm_goal)?);
    }
    if let Some(repo) = &arguments.repo {
        let scene = bench.cloned(repo)?;
        pairs.extend(bench.pairs(&scene, &repo.display().to_string(), None)?);
    }
    pairs.push(bench.sandbox(&disk.at)?);
    pairs.retain(|pair| pair.name.contains(&arguments.measuring.only));
    arguments.measuring.show(&pairs)
}

struct Bench<'a> {
    workshop: &'a Workshop,
    installed: &'a Installed,
    dir: &'a Path,
}

/// A repository with two commits.
struct Scene {
    dir: PathBuf,
    commits: [String; 2],
}

impl Bench<'_> {
    fn pairs(&self, scene: &Scene, name: &str, warm_goal: Option<f64>) -> Result<Vec<Pair>, Failure> {
        let configs = configs(scene)?;
        let job = |state: &str, commit: usize| {
            let (state, configs) = (scene.dir.join(state).display().to_string(), configs.display().to_string());
            let program = self.installed.program("runner");
            let args = ["run", "nothing", "--repo", "scene", "--sha", &scene.commits[commit], "--trees", "1"];
            Run::new(program, &scene.dir, &[&args[..], &["--configs", &configs, "--state", &state]].concat())
        };
        let git = |script: &str, dir: &str, commit: usize| {
            let dir = scene.dir.join(dir).display().to_string();
            Run::new("sh", scene.dir.join("repo"), &["-ec", script, "sh", &dir, &scene.commits[commit]])
        };
        let written = || Run::new("sync", &scene.dir, &[]);
        let old = || git(OLD, "old", 1).after(written());
        let add = || git(ADD, "added", 1).after(written().after(git(REMOVE, "added", 1)));
        let warm = || job("warm", 1).after(written());
        let no_trees = || Run::new("rm", &scene.dir, &["-rf", "cold/trees"]);
        let cold = || job("cold", 1).after(written().after(no_trees()));
        let near = || job("near", 1).after(written().after(job("near", 0)));
        let pair = |what: &str, ours, theirs, goal| Pair { name: format!("{name}: {what}"), ours, theirs, goal };
        job("cold", 1).time().and_then(|_| job("near", 1).time()).map_err(|why| {
            Failure::refused("not-measured", format!("a job could not be run: {why}"), "run it without the benchmark")
        })?;
        Ok(vec![
            pair("warm, to the old sequence", warm(), old(), warm_goal),
            pair("warm, to worktree add and status", warm(), add(), None),
            pair("near, to the old sequence", near(), old(), None),
            pair("near, to worktree add and status", near(), add(), None),
            pair("cold, to the old sequence", cold(), old(), None),
            pair("cold, to worktree add and status", cold(), add(), Some(COLD_GOAL)),
        ])
    }

    /// The sandbox alone, with nothing of a job around it, and bubblewrap asked for the same namespaces and mounts.
    fn sandbox(&self, dir: &Path) -> Result<Pair, Failure> {
        let (tree, scratch) = (dir.join("sandboxed"), dir.join("scratch"));
        for dir in [&tree, &scratch] {
            fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
        }
        let (tree, scratch) = (tree.display().to_string(), scratch.display().to_string());
        let ours = ["run", "L3", &tree, &scratch, "/bin/true"];
        let theirs = [
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--clearenv",
            "--ro-bind",
            "/usr",
            "/usr",
            "--symlink",
            "usr/bin",
            "/bin",
            "--symlink",
            "usr/lib",
            "/lib",
            "--symlink",
            "usr/lib64",
            "/lib64",
            "--ro-bind",
            &tree,
            "/repo",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            "--tmpfs",
            "/artifacts",
            "--chdir",
            "/repo",
            "/bin/true",
        ];
        let program = self.built_sandbox()?;
        let (ours, theirs) = (Run::new(program, dir, &ours), Run::new("bwrap", dir, &theirs));
        Ok(Pair { name: "sandbox alone, to bwrap".into(), ours, theirs, goal: None })
    }

    /// The sandbox's own runner, linked as programs are that are installed.
    fn built_sandbox(&self) -> Result<PathBuf, Failure> {
        let target = self.workshop.target("bench-programs");
        self.workshop
            .tool("cargo")
            .args(["build", "--quiet", "--locked", "--release", "--package", "sandbox", "--target", "host-tuple"])
            .args(["--target-dir".as_ref(), target.as_os_str()])
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .run("build-failed", "mend what cargo names")?;
        // Beside the release directory of the machine's own target there is nothing else.
        let built = fs::read_dir(&target).map_err(|error| unusable(&target, &error))?;
        let mut built = built.filter_map(|entry| Some(entry.ok()?.path().join("release/sandbox-init")));
        built.find(|program| program.is_file()).ok_or_else(|| {
            Failure::bug("bench", "cargo built the sandbox's runner elsewhere", "report this with the output above")
        })
    }

    /// A repository of `files` files in directories of about thirty, of which [`NEAR`] differ between the commits.
    fn generated(&self, files: u32) -> Result<Scene, Failure> {
        let dir = self.dir.join(format!("{files}-files"));
        let repo = scene::Scene::new(self.workshop, dir.join("repo"))?;
        for file in 0..files {
            repo.write(&path(file), &text(file, 0))?;
        }
        repo.commit()?;
        for file in (0..files).step_by((files / NEAR).max(1) as usize).take(NEAR as usize) {
            repo.write(&path(file), &text(file, 1))?;
        }
        repo.commit()?;
        repo.pack()?;
        self.scene(dir)
    }

    fn cloned(&self, from: &Path) -> Result<Scene, Failure> {
        let dir = self.dir.join("given");
        fs::create_dir_all(&dir).map_err(|error| unusable(&dir, &error))?;
        let from = from.canonicalize().map_err(|error| unusable(from, &error))?;
        let git = |dir: &Path| self.workshop.tool("git").dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let next = "see git's message above";
        git(&dir).args(["clone", "--quiet", "--no-hardlinks"]).args([&from]).args(["repo"]).run("scene", next)?;
        git(&dir.join("repo")).args(["checkout", "--quiet", "-B", "main"]).run("scene", next)?;
        self.scene(dir)
    }

    fn scene(&self, dir: PathBuf) -> Result<Scene, Failure> {
        let id = |revision: &str| {
            let git = self.workshop.tool("git").dir(dir.join("repo")).args(["rev-parse", "--verify", revision]);
            git.answer().ok_or_else(|| Failure::refused("scene", "the repository has no two commits", "name another"))
        };
        let commits = [id("HEAD~1")?, id("HEAD")?];
        Ok(Scene { dir, commits })
    }
}

fn configs(scene: &Scene) -> Result<PathBuf, Failure> {
    let configs = scene.dir.join("configs");
    fs::create_dir_all(&configs).map_err(|error| unusable(&configs, &error))?;
    let jobs = "schema = 1\n[jobs.nothing]\nargv = [\"true\"]\ntimeout_sec = 60\n";
    write(&configs.join("job_allowlist.toml"), jobs)?;
    let url = format!("file://{}", scene.dir.join("repo").display());
    let repos = format!(
        "schema = 1\n[repos.scene]\nurl = \"{url}\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\n"
    );
    write(&configs.join("repo_allowlist.toml"), &repos)?;
    Ok(configs)
}

fn path(file: u32) -> String {
    format!("src/{:02}/{:02}/file_{file}.rs", file / 1_000 % 100, file / 27 % 37)
}

/// About 1.6 kB that only this version of this file has.
fn text(file: u32, version: u32) -> String {
    (0..32).fold(String::new(), |mut text, line: u32| {
        let value = (line ^ file << 5).wrapping_mul(2_654_435_761).wrapping_add(version);
        let written = writeln!(text, "pub fn step_{line}(x: u32) -> u32 {{ x ^ {value} }}");
        debug_assert!(written.is_ok(), "a string takes every write");
        text
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| unusable(path, &error))
}

/// A journalled file system in a file, taken away at the end.
struct Disk<'a> {
    workshop: &'a Workshop,
    at: PathBuf,
    image: PathBuf,
}

impl<'a> Disk<'a> {
    fn mount(workshop: &'a Workshop) -> Result<Self, Failure> {
        let (at, image) = (workshop.target("bench-disk"), workshop.target("bench-disk.img"));
        fs::create_dir_all(&at).map_err(|error| unusable(&at, &error))?;
        let disk = Self { workshop, at, image };
        let next = "run it as root where there are loop devices";
        workshop.tool("truncate").args(["--size=6G"]).args([&disk.image]).run("bench-disk", next)?;
        workshop.tool("mkfs.ext4").args(["-q", "-F", "-N", "800000"]).args([&disk.image]).run("bench-disk", next)?;
        let mount = workshop.tool("mount").args(["-o", "loop"]).args([&disk.image, &disk.at]);
        mount.run("bench-disk", next)?;
        Ok(disk)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // The next benchmark makes them anew; until then they only take room.
        let _ = self.workshop.tool("umount").args([&self.at]).succeeds();
        let _ = fs::remove_file(&self.image);
    }
}
