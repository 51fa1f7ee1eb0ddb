//! Runs that meet one another at the worst moment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use host::{Cmd, Host, HostError, Local, Output, Stat, Status};
use verdict::Oid;
use worktree::{Bounds, Cache, Checkout, Made, Mirrors, Patience, Remote};

use crate::lab::{Lab, class};

type Deed<'a> = Box<dyn FnOnce() + Send + 'a>;

/// This machine, on which another run does something just before a changed checkout is put away.
struct Meddled<'a> {
    local: Local,
    deed: Mutex<Option<Deed<'a>>>,
}

impl Host for Meddled<'_> {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        self.local.run(cmd)
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
        self.local.env(name)
    }

    fn uid(&self) -> u32 {
        self.local.uid()
    }

    fn now(&self) -> SystemTime {
        self.local.now()
    }

    /// The name of what is put away has four bytes of it, that of a build eight.
    fn random(&self, len: usize) -> Vec<u8> {
        if len == 4
            && let Some(deed) = self.deed.lock().unwrap().take()
        {
            deed();
        }
        self.local.random(len)
    }
}

fn cache<'a>(lab: &Lab, host: &'a dyn Host) -> Cache<'a> {
    Cache::open(host, &lab.state(), Bounds { slots: 3, bytes: None }, Patience::default()).unwrap()
}

/// What another run has in use, once it did its deed.
type InUse<'a> = Mutex<Option<Checkout<'a>>>;

fn is_kept(lab: &Lab, in_use: &InUse<'_>) {
    let in_use = in_use.lock().unwrap().take().unwrap();
    assert_eq!(in_use.made(), Made::Cold);
    assert!(in_use.root().join("README.md").exists(), "it was put away while it was in use");
    lab.cache(0).trim().unwrap();
    assert!(in_use.root().join("README.md").exists(), "it was evicted while it was in use");
}

#[test]
fn a_patch_that_fails_leaves_alone_what_another_run_made_under_the_old_name() {
    let lab = Lab::new();
    let first = lab.provide(&lab.f.id("HEAD")).unwrap();
    let checkout = lab.cache(3).checkout(&first).unwrap();
    std::fs::remove_file(checkout.root().join("README.md")).unwrap();
    drop(checkout);
    lab.f.write("README.md", "other\n");
    let second = lab.provide(&lab.commit()).unwrap();
    let (others, in_use) = (lab.cache(3), InUse::default());
    let deed = {
        let in_use = &in_use;
        move || *in_use.lock().unwrap() = Some(others.checkout(&first).unwrap())
    };
    let host = Meddled { local: Local::new(), deed: Mutex::new(Some(Box::new(deed))) };
    assert_eq!(class(cache(&lab, &host).checkout(&second).err().unwrap()), "mutation-detected 1");
    is_kept(&lab, &in_use);
}

#[test]
fn who_sees_a_change_last_leaves_alone_what_was_made_anew_since() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    let pinned = lab.provide(&sha).unwrap();
    let (others, in_use) = (lab.cache(3), InUse::default());
    let mut first = others.checkout(&pinned).unwrap();
    std::fs::write(first.root().join("new"), "").unwrap();
    let deed = {
        let in_use = &in_use;
        move || {
            first.verify().unwrap_err();
            *in_use.lock().unwrap() = Some(others.checkout(&pinned).unwrap());
        }
    };
    let host = Meddled { local: Local::new(), deed: Mutex::new(Some(Box::new(deed))) };
    let cache = cache(&lab, &host);
    let mut late = cache.checkout(&lab.provide(&sha).unwrap()).unwrap();
    assert_eq!(class(late.verify().unwrap_err()), "mutation-detected 1");
    is_kept(&lab, &in_use);
}

/// This machine, on which a git that outlived its runner is faster than the one that is started.
struct Overtaken(Local);

impl Host for Overtaken {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        let output = self.0.run(cmd)?;
        assert!(output.success());
        let stderr = b"error: cannot lock ref 'refs/heads/main': is at 1 but expected 0".to_vec();
        Ok(Output { status: Status::Exited(1), stderr, ..output })
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        self.0.read(path)
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        self.0.write_atomic(path, bytes, mode)
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        self.0.stat(path)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.0.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        self.0.list(dir)
    }

    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        self.0.follow(path)
    }

    fn env(&self, name: &str) -> Option<OsString> {
        self.0.env(name)
    }

    fn uid(&self) -> u32 {
        self.0.uid()
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn random(&self, len: usize) -> Vec<u8> {
        self.0.random(len)
    }
}

#[test]
fn what_another_git_fetched_meanwhile_is_there() {
    let lab = Lab::new();
    let (host, url) = (Overtaken(Local::new()), lab.url());
    let remote = Remote { url: &url, fetch: &url, ssh_host_keys: &[], ssh_identity: None };
    let mirrors = Mirrors::open(&host, &lab.state(), Patience::default()).unwrap();
    let provide = |sha: &Oid| mirrors.provide(&remote, sha, &["main".to_owned()]);
    drop(provide(&lab.f.id("HEAD")).unwrap());
    let unknown = provide(&"1".repeat(40).parse().unwrap()).err().unwrap();
    assert_eq!(class(unknown), "remote-unreachable 4");
}
