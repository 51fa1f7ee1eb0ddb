//! Hermetic repositories for tests: a work tree, a bare remote called `origin`, a clock that ticks, no configuration of
//! the machine.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::{Cmd, Host, HostError, Local, Output, Stat};
use tempfile::TempDir;
use verdict::schema::{CodexCli, Meta, ReviewMode, ReviewerId};
use verdict::{Decision, Oid, Sha256, Verdict};

use crate::{Git, PolicySource, Repo, VerdictStore, collect, policy_for};

/// The first commit's date; every commit is a minute later than the one before.
const EPOCH: u64 = 1_700_000_000;

/// A repository on `main` in a temporary directory, with a bare remote `origin` beside it.
pub struct Fixture {
    dir: TempDir,
    host: Hermetic,
    commits: std::cell::Cell<u64>,
}

/// This machine, but every command finds an empty home and no configuration of the system or the user.
pub struct Hermetic {
    local: Local,
    home: PathBuf,
}

impl Hermetic {
    /// Commands find `home` as their home directory.
    pub fn new(home: &Path) -> Self {
        Self { local: Local::new(), home: home.to_owned() }
    }
}

impl Host for Hermetic {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        let cmd = cmd.clone().env("HOME", &self.home).env("XDG_CONFIG_HOME", &self.home);
        self.local.run(&cmd.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1"))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        self.local.read(path)
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        self.local.write_atomic(path, bytes, mode)
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        self.local.stat(path)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.local.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        self.local.list(dir)
    }

    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        self.local.follow(path)
    }

    fn env(&self, name: &str) -> Option<OsString> {
        (name == "HOME").then(|| self.home.clone().into())
    }

    fn uid(&self) -> u32 {
        self.local.uid()
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn random(&self, len: usize) -> Vec<u8> {
        vec![7; len]
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// An empty repository: `main` has no commit yet, and the remote has nothing.
    pub fn new() -> Self {
        Self::of_format("sha1")
    }

    /// The same with `sha1` or `sha256` ids.
    pub fn of_format(format: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let fixture = Self { host: Hermetic::new(&home), dir, commits: std::cell::Cell::new(0) };
        let format = format!("--object-format={format}");
        fixture.git_in(&home, &["init", "-q", "-b", "main", &format, "../work"]);
        fixture.git_in(&home, &["init", "-q", "-b", "main", &format, "--bare", "../remote.git"]);
        fixture.git(&["remote", "add", "origin", fixture.remote().to_str().unwrap()]);
        fixture
    }

    /// A repository whose remote has one commit on `main`: a `README.md`.
    pub fn pushed() -> Self {
        let fixture = Self::new();
        fixture.write("README.md", "read me\n");
        fixture.commit("first");
        fixture.git(&["push", "-q", "origin", "main"]);
        fixture
    }

    /// The temporary directory everything is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The root of the work tree.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The bare remote.
    pub fn remote(&self) -> PathBuf {
        self.dir.path().join("remote.git")
    }

    /// The machine commands run on.
    pub const fn host(&self) -> &Hermetic {
        &self.host
    }

    /// The repository, opened.
    pub fn repo(&self) -> Repo {
        Repo::open(&self.work()).unwrap()
    }

    /// Acts in `repo`.
    pub fn acts<'a>(&'a self, repo: &'a Repo) -> Git<'a> {
        Git::new(repo, &self.host)
    }

    /// Runs git in the work tree, which must succeed. Returns its output without the last line feed.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.work(), args)
    }

    /// The same in `dir`.
    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.host.run(&self.command(dir, args)).unwrap();
        assert!(output.success(), "git {args:?}: {} {}", output.status, output.stderr_text());
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Runs git in the work tree with these bytes on stdin. Returns its output without the last line feed.
    pub fn git_stdin(&self, args: &[&str], stdin: &[u8]) -> String {
        let output = self.host.run(&self.command(&self.work(), args).stdin(stdin)).unwrap();
        assert!(output.success(), "git {args:?}: {} {}", output.status, output.stderr_text());
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    fn command(&self, dir: &Path, args: &[&str]) -> Cmd {
        let date = format!("@{} +0000", EPOCH + 60 * self.commits.get());
        let mut cmd = Cmd::new("git").dir(dir).output_cap(256 << 20).args(args.iter().copied());
        for role in ["AUTHOR", "COMMITTER"] {
            cmd = cmd
                .env(format!("GIT_{role}_NAME"), "A U Thor")
                .env(format!("GIT_{role}_EMAIL"), "author@example.com")
                .env(format!("GIT_{role}_DATE"), &date);
        }
        cmd
    }

    /// Writes a file of the work tree, its directories too. `path` is raw bytes.
    pub fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.work().join(OsStr::from_bytes(path.as_ref()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything in the work tree. Returns the commit.
    pub fn commit(&self, message: &str) -> Oid {
        self.git(&["add", "-A", "-f"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.commits.set(self.commits.get() + 1);
        self.id("HEAD")
    }

    /// What a revision stands for.
    pub fn id(&self, revision: &str) -> Oid {
        self.git(&["rev-parse", "--verify", revision]).parse().unwrap()
    }

    /// The verdict that a review of a range for `main` leaves when it approves. `since` is zeros for a first push.
    pub fn approval(&self, since: &Oid, to: &Oid, source: PolicySource<'_>) -> Verdict {
        let repo = self.repo();
        let base = (!since.is_zero()).then_some(since);
        let policy = policy_for(repo.objects(), base, source, "refs/heads/main").unwrap();
        let range = collect(repo.objects(), base, to, &policy).unwrap();
        let nobody = Some(Sha256::of(b"nobody"));
        let version = "0.169.0".to_owned();
        let meta = Meta {
            since_sha: since.clone(),
            to_sha: to.clone(),
            to_tree: range.to_tree,
            generated_at: "2026-01-01T00:00:00Z".to_owned(),
            review_mode: ReviewMode::Bundle,
            simulated: false,
            codex_cli: Some(CodexCli { version: version.clone(), command: "codex exec".to_owned() }),
            bundle_sha256: range.bundle.sha256().parse().unwrap(),
            policy_sha256: policy.sha256().clone(),
            reviewer: Some(ReviewerId {
                name: "codex".to_owned(),
                version,
                binary_sha256: nobody.clone(),
                prompt_sha256: nobody,
                model: None,
                endpoint: None,
            }),
        };
        let (blockers, non_blocking, tests_run) = (vec![], vec![], vec![]);
        Verdict { schema: 2, verdict: Decision::Approved, blockers, non_blocking, tests_run, meta }
    }

    /// Keeps such a verdict where the gate looks for it. Returns its file.
    pub fn approve(&self, since: &Oid, to: &Oid, source: PolicySource<'_>) -> PathBuf {
        VerdictStore::of(&self.repo()).keep(&self.host, &self.approval(since, to, source), "20260101_000000").unwrap()
    }
}
