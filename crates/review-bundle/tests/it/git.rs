//! The real Git in a temporary directory, with no configuration but its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::tree::{SUBMODULE, Tree};

pub(crate) struct Git {
    home: TempDir,
}

impl Git {
    pub(crate) fn init() -> Self {
        let git = Self { home: TempDir::new().unwrap() };
        git.run(["init", "-q", "-b", "main", "work"], b"", "");
        git
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    fn run<const N: usize>(&self, args: [&str; N], stdin: &[u8], dir: &str) -> Vec<u8> {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(self.home.path().join(dir))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git runs: install it with `cargo xtask setup`");
        let mut pipe = child.stdin.take().unwrap();
        let input = stdin.to_vec();
        let writer = std::thread::spawn(move || pipe.write_all(&input));
        let output = child.wait_with_output().unwrap();
        _ = writer.join();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn git<const N: usize>(&self, args: [&str; N], stdin: &[u8]) -> Vec<u8> {
        self.run(args, stdin, "work")
    }

    /// Stores both trees as commits `old` and `new`.
    pub(crate) fn import(&self, old: &Tree, new: &Tree) {
        let mut stream = Vec::new();
        for (name, tree) in [("old", old), ("new", new)] {
            let head = format!("commit refs/heads/{name}\ncommitter t <t@t> 0 +0000\ndata 0\ndeleteall\n");
            stream.extend_from_slice(head.as_bytes());
            for (path, (mode, content)) in tree {
                let path = octal(path);
                if *mode == SUBMODULE {
                    let id = String::from_utf8_lossy(content);
                    stream.extend_from_slice(format!("M {mode:o} {id} {path}\n").as_bytes());
                } else {
                    stream.extend_from_slice(format!("M {mode:o} inline {path}\ndata {}\n", content.len()).as_bytes());
                    stream.extend_from_slice(content);
                    stream.push(b'\n');
                }
            }
        }
        self.git(["fast-import", "--quiet", "--force"], &stream);
    }

    /// The id of every path in `commit`.
    pub(crate) fn ids(&self, commit: &str) -> HashMap<Vec<u8>, String> {
        let listing = self.git(["ls-tree", "-r", "-z", "--full-tree", commit], b"");
        let lines = listing.split(|&byte| byte == 0).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let tab = line.iter().position(|&byte| byte == b'\t').unwrap();
                let id = str::from_utf8(&line[..tab]).unwrap().split(' ').nth(2).unwrap();
                (line[tab + 1..].to_vec(), id.to_owned())
            })
            .collect()
    }

    /// The id of a blob.
    pub(crate) fn hash(&self, content: &[u8]) -> String {
        let id = self.git(["hash-object", "--stdin"], content);
        String::from_utf8(id).unwrap().trim_end().to_owned()
    }

    /// Checks out `old`, applies `patch` to index and files, and returns the tree that the index then has.
    pub(crate) fn apply(&self, patch: &[u8]) -> String {
        self.git(["reset", "-q", "--hard", "old"], b"");
        self.git(["clean", "-ffdxq"], b"");
        if !patch.is_empty() {
            self.git(["apply", "--index", "--whitespace=nowarn", "-"], patch);
        }
        String::from_utf8(self.git(["write-tree"], b"")).unwrap()
    }

    pub(crate) fn tree_of(&self, commit: &str) -> String {
        String::from_utf8(self.git(["rev-parse", &format!("{commit}^{{tree}}")], b"")).unwrap()
    }
}

fn octal(path: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in path {
        _ = write!(text, "\\{byte:03o}");
    }
    text + "\""
}
