//! A full disk is told as such, and leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use worktree::{Bounds, Cache, Mirrors, Patience, Remote};

use crate::lab::{Lab, class};

/// A file system of a few hundred KiB.
struct Small(PathBuf);

impl Small {
    fn new(dir: &Path, size: &str) -> Self {
        std::fs::create_dir(dir).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir).status();
        assert!(mount.unwrap().success(), "run the tests as root, as CI does");
        Self(dir.to_owned())
    }

    fn grow(&self) {
        let grow = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status().unwrap();
        assert!(grow.success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn noise(len: u64) -> Vec<u8> {
    let mut state = 7u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[3]
    };
    (0..len).map(next).collect()
}

#[test]
fn a_full_disk_while_fetching_and_while_writing_is_infrastructure() {
    let lab = Lab::new();
    lab.f.write("noise", noise(600_000));
    for n in 0..30 {
        lab.f.write(format!("zeros{n}"), vec![0; 100_000]);
    }
    let sha = lab.commit();
    let url = lab.url();
    let remote = Remote { url: &url, ssh_host_keys: &[], ssh_identity: None };
    let small = Small::new(&lab.f.dir().join("small"), "400k");
    let state = small.0.join("state");
    let mirrors = Mirrors::open(&lab.host, &state, Patience::default()).unwrap();
    let main = ["main".to_owned()];
    assert_eq!(class(mirrors.provide(&remote, &sha, &main).err().unwrap()), "disk-full 4");
    drop(small);
    std::fs::remove_dir(lab.f.dir().join("small")).unwrap();
    let small = Small::new(&lab.f.dir().join("small"), "2m");
    let pinned = Mirrors::open(&lab.host, &state, Patience::default()).unwrap().provide(&remote, &sha, &main).unwrap();
    let cache = Cache::open(&lab.host, &state, Bounds { slots: 3, bytes: None }, Patience::default()).unwrap();
    assert_eq!(class(cache.checkout(&pinned).err().unwrap()), "disk-full 4");
    assert_eq!(std::fs::read_dir(state.join("trees")).unwrap().count(), 0);
    small.grow();
    cache.checkout(&pinned).unwrap().verify().unwrap();
}
