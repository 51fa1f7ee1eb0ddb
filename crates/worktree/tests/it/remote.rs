//! Remotes that are not there, not allowed, or busy.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use host::Cancel;
use verdict::Oid;
use worktree::{Bounds, Cache, Mirrors, Patience, Remote};

use crate::lab::{Lab, class};

fn refused(lab: &Lab, url: &str) -> String {
    let remote = Remote { url, fetch: url, ssh_host_keys: &[], ssh_identity: None };
    let mirrors = Mirrors::open(&lab.host, &lab.state(), Patience::default()).unwrap();
    let sha: Oid = "1".repeat(40).parse().unwrap();
    class(mirrors.provide(&remote, &sha, &["main".to_owned()]).err().unwrap())
}

#[test]
fn an_unreachable_remote_is_infrastructure() {
    let lab = Lab::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["https", "http"] {
        assert_eq!(refused(&lab, &format!("{scheme}://127.0.0.1:{port}/a")), "remote-unreachable 4", "{scheme}");
    }
    assert_eq!(refused(&lab, &format!("file://{}/nothing", lab.f.dir().display())), "remote-unreachable 4");
}

#[test]
fn other_protocols_are_refused() {
    let lab = Lab::new();
    for url in ["ext::sh -c true", "git://example.com/a", "/path", "-u", "fd::7", "https://a b/c"] {
        assert_eq!(refused(&lab, url), "protocol-not-allowed 1", "{url}");
    }
}

#[test]
fn j22_a_server_whose_key_is_not_pinned_is_not_asked() {
    let lab = Lab::new();
    assert_eq!(refused(&lab, "ssh://git@127.0.0.1:1/a"), "host-key-missing 3");
}

#[test]
fn a_wait_for_another_run_ends() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    let pinned = lab.provide(&sha).unwrap();
    let held = lab.cache(3).checkout(&pinned).unwrap();
    let path = lab.state().join("trees").join(format!("{}.lock", held.tree()));
    let tree = held.tree().clone();
    drop(held);
    let lock = std::fs::File::open(path).unwrap();
    lock.lock().unwrap();
    let patience = Patience { limit: Duration::from_millis(30), cancel: Cancel::default() };
    let bounds = Bounds { slots: 3, bytes: None };
    let cache = Cache::open(&lab.host, &lab.state(), bounds, patience.clone()).unwrap();
    assert_eq!(class(cache.checkout(&pinned).err().unwrap()), "worktree-locked 5");
    patience.cancel.cancel();
    assert_eq!(class(cache.checkout(&pinned).err().unwrap()), "cancelled 4");
    drop(lock);
    assert_eq!(lab.cache(3).checkout(&pinned).unwrap().tree(), &tree);
}

#[test]
fn a_repository_of_another_user_is_fetched_by_path() {
    let lab = Lab::new();
    let chown = std::process::Command::new("chown").args(["-R", "65534"]).arg(lab.f.remote()).status().unwrap();
    assert!(chown.success(), "run the tests as root, as CI does");
    let sha = lab.f.id("HEAD");
    drop(lab.provide(&sha).unwrap());
    std::fs::rename(lab.f.remote(), lab.f.dir().join("a \"b\"%")).unwrap();
    let url = format!("file://{}/a%20%22b%22%25", lab.f.dir().display());
    let remote = Remote { url: &url, fetch: &url, ssh_host_keys: &[], ssh_identity: None };
    let mirrors = Mirrors::open(&lab.host, &lab.state(), Patience::default()).unwrap();
    drop(mirrors.provide(&remote, &sha, &["main".to_owned()]).unwrap());
}

#[test]
fn j05_a_server_does_not_send_the_fetch_to_another_one() {
    let lab = Lab::new();
    let [first, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (asked, there) = (port(&first), port(&other));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = first.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let to = format!("http://127.0.0.1:{there}/a/info/refs?service=git-upload-pack");
        let head = format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    });
    assert_eq!(refused(&lab, &format!("http://127.0.0.1:{asked}/a")), "remote-unreachable 4");
    server.join().unwrap();
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the other server was asked");
}

#[test]
fn a_branch_is_asked_for_by_its_whole_name_and_nothing_is_fetched() {
    let lab = Lab::new();
    let url = lab.url();
    let remote = Remote { url: &url, fetch: &url, ssh_host_keys: &[], ssh_identity: None };
    let tip = |branch: &str| Mirrors::open(&lab.host, &lab.state(), Patience::default()).unwrap().tip(&remote, branch);
    let sha = lab.f.id("HEAD");
    assert_eq!(tip("main").unwrap(), sha);
    let made = std::fs::read_dir(lab.state().join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    assert!(made.into_iter().all(|path| !path.is_dir()), "there is a mirror");
    for none in ["ain", "refs/heads/main", "mai*", "--upload-pack=id"] {
        assert_eq!(class(tip(none).unwrap_err()), "no-branch 1", "{none}");
    }
    drop(lab.provide(&sha).unwrap());
    assert_eq!(tip("main").unwrap(), sha);
    let nowhere = format!("{url}/nothing");
    let remote = Remote { url: &nowhere, fetch: &nowhere, ssh_host_keys: &[], ssh_identity: None };
    let failed = Mirrors::open(&lab.host, &lab.state(), Patience::default()).unwrap().tip(&remote, "main");
    assert_eq!(class(failed.unwrap_err()), "remote-unreachable 4");
}
