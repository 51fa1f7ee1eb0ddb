//! A remote repository, a state directory, and what a test asks of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Cmd, Host as _, Local};
use repo::testing::Fixture;
use verdict::Oid;
use worktree::{Bounds, Cache, Checkout, Mirrors, Patience, Pinned, Remote, WorktreeError};

pub(crate) struct Lab {
    pub(crate) f: Fixture,
    pub(crate) host: Local,
}

impl Lab {
    /// A remote with one commit on `main`.
    pub(crate) fn new() -> Self {
        let lab = Self::of_format("sha1");
        lab.f.write("README.md", "read me\n");
        lab.commit();
        lab
    }

    pub(crate) fn of_format(format: &str) -> Self {
        Self { f: Fixture::of_format(format), host: Local::new() }
    }

    /// Commits everything and pushes it to `main`.
    pub(crate) fn commit(&self) -> Oid {
        let id = self.f.commit("change");
        self.f.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
        id
    }

    /// A commit on `main` with a tree that git would not write; nothing checks it.
    pub(crate) fn commit_tree(&self, tree: &str) -> Oid {
        let id: Oid = self.f.git(&["commit-tree", "-m", "raw", "-p", "HEAD", tree]).parse().unwrap();
        self.f.git(&["push", "-q", "--force", "origin", &format!("{id}:refs/heads/main")]);
        id
    }

    /// Writes a tree object of these entries: mode, name, id.
    pub(crate) fn tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let raw = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
        };
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", name, b"\0", &raw(id)].concat())
            .collect();
        self.f.git_stdin(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes)
    }

    pub(crate) fn blob(&self, content: &[u8]) -> String {
        self.f.git_stdin(&["hash-object", "-w", "--stdin"], content)
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.f.remote().display())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.f.dir().join("state")
    }

    /// The only mirror's directory.
    pub(crate) fn mirror(&self) -> PathBuf {
        let mut all = std::fs::read_dir(self.state().join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
        all.find(|path| path.is_dir()).unwrap()
    }

    pub(crate) fn provide_on(&self, sha: &Oid, branches: &[&str]) -> Result<Pinned, WorktreeError> {
        let url = self.url();
        let remote = Remote { url: &url, ssh_host_keys: &[], ssh_identity: None };
        let branches: Vec<String> = branches.iter().map(ToString::to_string).collect();
        Mirrors::open(&self.host, &self.state(), Patience::default())?.provide(&remote, sha, &branches)
    }

    pub(crate) fn provide(&self, sha: &Oid) -> Result<Pinned, WorktreeError> {
        self.provide_on(sha, &["main"])
    }

    pub(crate) fn cache(&self, slots: usize) -> Cache<'_> {
        Cache::open(&self.host, &self.state(), Bounds { slots, bytes: None }, Patience::default()).unwrap()
    }

    pub(crate) fn checkout(&self, sha: &Oid) -> Result<Checkout<'_>, WorktreeError> {
        self.cache(3).checkout(&self.provide(sha)?)
    }

    /// What is in `trees/`, sorted; a tree's id is `<tree>`.
    pub(crate) fn slots(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.state().join("trees")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| Path::new(name).extension().is_none_or(|it| it != "lock"));
        names.sort();
        names
    }

    /// What `git status` says of a checkout, by a git directory as jobs have it.
    pub(crate) fn status(&self, checkout: &Checkout<'_>, commit: &Oid) -> String {
        let git = self.git_dir(checkout, commit);
        // The file at the root names a directory that only a job has.
        let output = self.status_cmd(&git, &checkout.root(), &["status", "--porcelain", "--ignored"]);
        std::fs::remove_dir_all(&git).unwrap();
        output
    }

    pub(crate) fn git_dir(&self, checkout: &Checkout<'_>, commit: &Oid) -> PathBuf {
        let git = self.f.dir().join("git-dir");
        let is_sha256 = commit.as_str().len() == 64;
        for dir in ["objects/info", "refs"] {
            std::fs::create_dir_all(git.join(dir)).unwrap();
        }
        std::fs::write(git.join("HEAD"), format!("{commit}\n")).unwrap();
        std::fs::write(git.join("objects/info/alternates"), format!("{}\n", self.mirror().join("objects").display()))
            .unwrap();
        let format = if is_sha256 { "[extensions]\n\tobjectFormat = sha256\n" } else { "" };
        let config = format!(
            "[core]\n\trepositoryformatversion = {}\n\tbare = false\n\tcheckStat = minimal\n\ttrustCtime = false\n{format}",
            u8::from(is_sha256)
        );
        std::fs::write(git.join("config"), config).unwrap();
        // The index keeps its time, as a mount would.
        let cp = Command::new("cp").arg("-p").arg(checkout.index()).arg(git.join("index")).status().unwrap();
        assert!(cp.success());
        git
    }

    pub(crate) fn status_cmd(&self, git: &Path, root: &Path, args: &[&str]) -> String {
        let cmd = Cmd::new("git")
            .dir(root)
            .env("GIT_DIR", git)
            .env("GIT_WORK_TREE", root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TRACE2_PERF", self.f.dir().join("trace"))
            .args(args.iter().copied());
        let output = self.host.run(&cmd).unwrap();
        assert!(output.success(), "{}", output.stderr_text());
        output.stdout_text()
    }
}

/// The class and exit code of a failure.
pub(crate) fn class(error: WorktreeError) -> String {
    let failure = outcome::Failure::from(error);
    assert!(!failure.next.is_empty());
    format!("{} {}", failure.class, failure.exit.code())
}
