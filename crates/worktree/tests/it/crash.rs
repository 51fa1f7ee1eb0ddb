//! A run that is killed at any moment leaves nothing that the next one trips over.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use host::Local;
use verdict::Oid;
use worktree::{Bounds, Cache, Mirrors, Patience, Remote};

use crate::lab::Lab;

const VARIABLE: &str = "WORKTREE_TEST_CHILD";

fn run(state: &Path, url: &str, sha: &Oid) {
    let host = Local::new();
    let remote = Remote { url, fetch: url, ssh_host_keys: &[], ssh_identity: None };
    let mirrors = Mirrors::open(&host, state, Patience::default()).unwrap();
    let pinned = mirrors.provide(&remote, sha, &["main".to_owned()]).unwrap();
    let bounds = Bounds { slots: 1, bytes: None };
    drop(Cache::open(&host, state, bounds, Patience::default()).unwrap().checkout(&pinned).unwrap());
}

/// What the other test starts as a process of its own; by itself it does nothing.
#[test]
fn child() {
    let Some(told) = std::env::var_os(VARIABLE) else { return };
    let told = told.into_string().unwrap();
    let [state, url, first, second] = told.split('\n').collect::<Vec<_>>().try_into().unwrap();
    loop {
        for sha in [first, second] {
            run(Path::new(state), url, &sha.parse().unwrap());
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_whole_checkouts_or_none() {
    let lab = Lab::new();
    for n in 0..300 {
        lab.f.write(format!("d{}/f{n}", n % 9), format!("{n}"));
    }
    let first = lab.commit();
    for n in 0..300 {
        lab.f.write(format!("d{}/f{n}", n % 9), format!("other {n}"));
    }
    lab.f.git(&["rm", "-rqf", "d1"]);
    let second = lab.commit();
    let (never, waited) = mpsc::channel::<()>();
    for moment in 0..60 {
        let state = lab.state();
        if moment % 6 == 0 {
            drop(std::fs::remove_dir_all(&state));
        }
        let told = format!("{}\n{}\n{first}\n{second}", state.display(), lab.url());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child"])
            .env(VARIABLE, told)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Another moment each time: through the fetch, the build, the patches and the evictions.
        assert!(waited.recv_timeout(Duration::from_millis(5 + 7 * moment)).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
        for sha in [&second, &first] {
            let mut checkout = lab.cache(1).checkout(&lab.provide(sha).unwrap()).unwrap();
            checkout.verify().unwrap();
        }
        // At least one of the two was made, and who makes one removes what a crash left.
        assert_eq!(lab.slots(), [lab.f.git(&["rev-parse", &format!("{first}^{{tree}}")])]);
        lab.cache(0).trim().unwrap();
        worktree::prune(&lab.host, &state, &[&lab.url()], Duration::from_secs(3600)).unwrap();
        let left: Vec<_> = std::fs::read_dir(state.join("trees")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    drop(never);
}
