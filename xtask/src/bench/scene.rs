//! Repositories to measure in: made anew below the target directory, the same every time, and this repository itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use host::Local;
use outcome::Failure;
use repo::{PolicySource, Repo, VerdictStore, collect, policy_at};
use verdict::oid::NotHex;
use verdict::schema::{CodexCli, Meta, ReviewMode, ReviewerId};
use verdict::{Decision, Oid, Sha256, Verdict};

use super::pair::Pair;
use super::run::Run;
use crate::programs::Installed;
use crate::workshop::{Tool, Workshop, unusable};

/// No cap: the whole bundle, as `git diff` prints the whole diff.
const NO_CAP: &str = "9000000000";

/// `review-bundle` against one `git diff` of the whole range.
const BUNDLE_GOAL: f64 = 0.8;
/// `push-gate pre-push` against one `git rev-parse`.
const GATE_GOAL: f64 = 4.0;
/// A program against `true`.
const START_GOAL: f64 = 2.0;

type Build = fn(&Scenes<'_>, &str) -> Result<Pair, Failure>;

/// The pairs that need a repository, by name.
pub(super) const ALL: [(&str, Build); 7] = [
    ("bundle: one line in 200 files", |scenes, name| scenes.bundle(name, 200, |file| u32::from(file == 7))),
    ("bundle: 1,000 files changed", |scenes, name| scenes.bundle(name, 1000, |_| 3)),
    ("bundle: a 20 MB file edited", large_edited),
    ("bundle: a 20 MB file added", large_added),
    ("bundle: this repository's history", own_history),
    ("bundle: that history, to `git log -p`", own_history_by_commit),
    ("gate: one file of 10,000 pushed", gate),
];

/// Where scenes are made, and the programs measured in them.
pub(super) struct Scenes<'a> {
    workshop: &'a Workshop,
    dir: PathBuf,
    installed: &'a Installed,
}

impl<'a> Scenes<'a> {
    /// An empty place for scenes: what an earlier run left is removed.
    ///
    /// # Errors
    /// Not ready when the place cannot be emptied.
    pub(super) fn new(workshop: &'a Workshop, dir: PathBuf, installed: &'a Installed) -> Result<Self, Failure> {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| unusable(&dir, &e))?;
        }
        fs::create_dir_all(&dir).map_err(|e| unusable(&dir, &e))?;
        Ok(Self { workshop, dir, installed })
    }

    /// Each program's `--version` beside `true`.
    pub(super) fn start_ups(&self) -> impl Iterator<Item = Pair> {
        self.installed.names().iter().map(|name| Pair {
            name: format!("start-up: {name}"),
            ours: Run::new(self.installed.program(name), &self.dir, &["--version"]),
            theirs: Run::new("true", &self.dir, &[]),
            goal: Some(START_GOAL),
        })
    }

    /// A repository of `files` files, of which some have the number of lines changed that `edits` says.
    fn bundle(&self, name: &str, files: u32, edits: fn(u32) -> u32) -> Result<Pair, Failure> {
        let repo = self.repo(name)?;
        for file in 0..files {
            repo.write(&source_path(file), &source(file, 200, 0))?;
        }
        repo.commit()?;
        repo.pack()?;
        for file in (0..files).filter(|file| edits(*file) > 0) {
            repo.write(&source_path(file), &source(file, 200, edits(file)))?;
        }
        repo.commit()?;
        self.bundle_pair(name, &repo.dir, "HEAD~1", "HEAD")
    }

    /// Resolves both ends first, so that neither side pays for it.
    fn bundle_pair(&self, name: &str, repo: &Path, since: &str, to: &str) -> Result<Pair, Failure> {
        let (since, to) = (self.id(repo, since)?, self.id(repo, to)?);
        let program = self.installed.program("review-bundle");
        Ok(Pair {
            name: name.into(),
            ours: Run::new(program, repo, &["--since", &since, "--to", &to, "--size-cap", NO_CAP]),
            theirs: Run::new("git", repo, &["diff", &since, &to]),
            goal: Some(BUNDLE_GOAL),
        })
    }

    fn id(&self, repo: &Path, revision: &str) -> Result<String, Failure> {
        answer(self.workshop.tool("git").dir(repo).args(["rev-parse", "--verify", revision]))
    }

    fn repo(&self, name: &str) -> Result<Scene<'_>, Failure> {
        let dir = self.dir.join(name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        Scene::new(self.workshop, dir)
    }
}

fn large_edited(scenes: &Scenes<'_>, name: &str) -> Result<Pair, Failure> {
    let repo = scenes.repo(name)?;
    repo.write("large.rs", &source(0, LARGE_LINES, 0))?;
    repo.commit()?;
    repo.pack()?;
    repo.write("large.rs", &source(0, LARGE_LINES, 300))?;
    repo.commit()?;
    scenes.bundle_pair(name, &repo.dir, "HEAD~1", "HEAD")
}

fn large_added(scenes: &Scenes<'_>, name: &str) -> Result<Pair, Failure> {
    let repo = scenes.repo(name)?;
    repo.write("small.rs", &source(1, 10, 0))?;
    repo.commit()?;
    repo.write("large.rs", &source(0, LARGE_LINES, 0))?;
    repo.commit()?;
    scenes.bundle_pair(name, &repo.dir, "HEAD~1", "HEAD")
}

fn own_history(scenes: &Scenes<'_>, name: &str) -> Result<Pair, Failure> {
    let root = scenes.workshop.root();
    let first = answer(scenes.workshop.tool("git").args(["rev-list", "--max-parents=0", "HEAD"]))?;
    scenes.bundle_pair(name, root, first.lines().next_back().unwrap_or_default(), "HEAD")
}

/// Against what else reads the content of every commit, as the rules do.
fn own_history_by_commit(scenes: &Scenes<'_>, name: &str) -> Result<Pair, Failure> {
    let mut pair = own_history(scenes, name)?;
    let range = pair.theirs.args[1..].join("..".as_ref());
    pair.theirs.args = vec!["log".into(), "-p".into(), range];
    Ok(Pair { goal: None, ..pair })
}

/// A push of one changed file, approved, as git tells the hook about it.
fn gate(scenes: &Scenes<'_>, name: &str) -> Result<Pair, Failure> {
    let scene = scenes.repo(name)?;
    for file in 0..10_000 {
        scene.write(&source_path(file), &source(file, 20, 0))?;
    }
    scene.commit()?;
    scene.pack()?;
    scene.write(&source_path(7), &source(7, 20, 1))?;
    scene.commit()?;
    let (since, to) = (scenes.id(&scene.dir, "HEAD~1")?, scenes.id(&scene.dir, "HEAD")?);
    approve(&scene.dir, &since, &to)?;
    scene.write(".git/pre-push-input", &format!("refs/heads/main {to} refs/heads/main {since}\n"))?;
    let program = scenes.installed.program("push-gate");
    let mut ours = Run::new(program, &scene.dir, &["pre-push", "origin", "/nowhere"]);
    ours.stdin = Some(scene.dir.join(".git/pre-push-input"));
    let theirs = Run::new("git", &scene.dir, &["rev-parse", "HEAD"]);
    Ok(Pair { name: name.into(), ours, theirs, goal: Some(GATE_GOAL) })
}

/// Keeps the verdict of a reviewer that nobody asked: the gate measures the same, whoever approved.
fn approve(dir: &Path, since: &str, to: &str) -> Result<(), Failure> {
    let odd = |why: String| Failure::bug("scene", why, "report it");
    let repo = Repo::open(dir)?;
    let since: Oid = since.parse().map_err(|e: NotHex| odd(e.to_string()))?;
    let to: Oid = to.parse().map_err(|e: NotHex| odd(e.to_string()))?;
    let policy = policy_at(repo.objects(), Some(&since), PolicySource::default())?;
    let collected = collect(repo.objects(), Some(&since), &to, &policy)?;
    let nobody = Sha256::of(b"nobody");
    let meta = Meta {
        since_sha: since,
        to_sha: to,
        to_tree: collected.to_tree,
        generated_at: "2026-01-01T00:00:00Z".into(),
        review_mode: ReviewMode::Bundle,
        simulated: false,
        codex_cli: Some(CodexCli { version: "0.169.0".into(), command: "/nowhere/codex".into() }),
        bundle_sha256: collected.bundle.sha256().parse().map_err(|e: NotHex| odd(e.to_string()))?,
        policy_sha256: policy.sha256().clone(),
        reviewer: Some(ReviewerId {
            name: "codex".into(),
            version: "0.169.0".into(),
            binary_sha256: Some(nobody.clone()),
            prompt_sha256: Some(nobody),
            model: None,
            endpoint: None,
        }),
    };
    let verdict = Verdict {
        schema: 2,
        verdict: Decision::Approved,
        blockers: Vec::new(),
        non_blocking: Vec::new(),
        tests_run: Vec::new(),
        meta,
    };
    VerdictStore::of(&repo).keep(&Local::new(), &verdict, "bench")?;
    Ok(())
}

/// About 20 MB of [`source`].
const LARGE_LINES: u32 = 330_000;

/// A repository that is being made.
pub(super) struct Scene<'a> {
    workshop: &'a Workshop,
    pub(super) dir: PathBuf,
}

impl<'a> Scene<'a> {
    /// An empty one in `dir`, on `main`.
    pub(super) fn new(workshop: &'a Workshop, dir: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(&dir).map_err(|e| unusable(&dir, &e))?;
        let repo = Self { workshop, dir };
        repo.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repo)
    }

    pub(super) fn write(&self, path: &str, text: &str) -> Result<(), Failure> {
        let path = self.dir.join(path);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(|e| unusable(parent, &e))?;
        fs::write(&path, text).map_err(|e| unusable(&path, &e))
    }

    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message=scene"])
    }

    /// As after a clone: what was there before the change is packed.
    pub(super) fn pack(&self) -> Result<(), Failure> {
        self.git(&["repack", "-adq"])
    }

    pub(super) fn git(&self, args: &[&str]) -> Result<(), Failure> {
        let who = ["-c", "user.name=Scene", "-c", "user.email=scene@example.invalid", "-c", "commit.gpgSign=false"];
        let git = self.workshop.tool("git").dir(&self.dir).env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.args(who).args(args).run("scene", "see git's message above")
    }
}

fn answer(tool: Tool) -> Result<String, Failure> {
    tool.answer().ok_or_else(|| Failure::refused("scene", "git could not resolve an end of the range", "see `git log`"))
}

fn source_path(file: u32) -> String {
    format!("src/part_{:02}/file_{file}.rs", file % 40)
}

/// Rust-like text of `lines` lines that only `file` has, `edited` of them, evenly spread, other than with 0.
fn source(file: u32, lines: u32, edited: u32) -> String {
    let every = lines.checked_div(edited).unwrap_or(u32::MAX);
    let mut text = String::new();
    for line in 0..lines {
        let edit = u32::from(line % every == every - 1);
        let value = (line ^ file).wrapping_mul(2_654_435_761).wrapping_add(edit);
        let written = writeln!(text, "pub fn step_{line}(x: u32) -> u32 {{ x.wrapping_mul({value}) }}");
        debug_assert!(written.is_ok(), "a string takes every write");
    }
    text
}
