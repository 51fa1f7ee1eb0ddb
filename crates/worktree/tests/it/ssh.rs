//! A remote over SSH: a server of its own on loopback, keys of its own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use worktree::{Mirrors, Patience, Pinned, Remote, WorktreeError};

use crate::lab::{Lab, class};

struct Server {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn key(dir: &Path, name: &str) -> String {
    let path = dir.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
    assert!(made.is_ok_and(|made| made.success()), "ssh-keygen is missing: apt-get install -y openssh-client");
    std::fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

fn server(lab: &Lab) -> Server {
    let dir = lab.f.dir().join("ssh server's");
    std::fs::create_dir(&dir).unwrap();
    key(&dir, "host");
    let user = key(&dir, "user");
    std::fs::write(dir.join("authorized"), user).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let quoted = |name: &str| format!("\"{}\"", dir.join(name).display());
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
         StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n",
        quoted("host"),
        quoted("authorized")
    );
    std::fs::File::create(dir.join("config")).unwrap().write_all(config.as_bytes()).unwrap();
    drop(std::fs::create_dir_all("/run/sshd"));
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let child = Command::new("/usr/sbin/sshd")
        .arg("-D")
        .arg("-e")
        .arg("-f")
        .arg(dir.join("config"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd is missing: apt-get install -y openssh-server");
    let mut server = Server { child, dir, port };
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", std::fs::read_to_string(server.dir.join("log")).unwrap());
        std::thread::yield_now();
    }
    server
}

fn provide(lab: &Lab, server: &Server, keys: &[String], identity: &str) -> Result<Pinned, WorktreeError> {
    provide_in(&lab.state(), lab, server, keys, identity)
}

fn provide_in(
    state: &Path,
    lab: &Lab,
    server: &Server,
    keys: &[String],
    identity: &str,
) -> Result<Pinned, WorktreeError> {
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let url = format!("ssh://{}@127.0.0.1:{}{}", user.trim(), server.port, lab.f.remote().display());
    let identity = server.dir.join(identity);
    let remote = Remote { url: &url, fetch: &url, ssh_host_keys: keys, ssh_identity: identity.to_str() };
    let mirrors = Mirrors::open(&lab.host, state, Patience::default())?;
    mirrors.provide(&remote, &lab.f.id("HEAD"), &["main".to_owned()])
}

fn public(server: &Server, name: &str) -> String {
    std::fs::read_to_string(server.dir.join(name).with_extension("pub")).unwrap().trim().to_owned()
}

#[test]
fn j22_a_server_with_a_pinned_key_is_fetched() {
    let lab = Lab::new();
    let server = server(&lab);
    let keys = [public(&server, "host")];
    assert_eq!(provide(&lab, &server, &keys, "user").unwrap().branch(), "main");
}

#[test]
fn j22_a_path_that_ssh_would_expand_is_only_itself() {
    let lab = Lab::new();
    let server = server(&lab);
    std::fs::rename(server.dir.join("user"), server.dir.join("50%h")).unwrap();
    let keys = [public(&server, "host")];
    drop(provide_in(&lab.f.dir().join("100%z %h"), &lab, &server, &keys, "50%h").unwrap());
}

#[test]
fn j22_a_server_with_another_key_is_refused_and_sees_nothing() {
    let lab = Lab::new();
    let server = server(&lab);
    key(&server.dir, "other");
    let keys = [public(&server, "other")];
    for _ in 0..2 {
        assert_eq!(class(provide(&lab, &server, &keys, "user").err().unwrap()), "host-key-mismatch 1");
    }
    let log = std::fs::read_to_string(server.dir.join("log")).unwrap();
    assert!(!log.contains("Accepted"), "{log}");
    assert_eq!(class(provide(&lab, &server, &[], "user").err().unwrap()), "host-key-missing 3");
    let bad = ["@cert-authority * ssh-ed25519 AAAA".to_owned()];
    assert_eq!(class(provide(&lab, &server, &bad, "user").err().unwrap()), "host-key-malformed 3");
}

#[test]
fn a_server_that_does_not_let_us_in_is_told_as_such() {
    let lab = Lab::new();
    let server = server(&lab);
    key(&server.dir, "stranger");
    let keys = [public(&server, "host")];
    assert_eq!(class(provide(&lab, &server, &keys, "stranger").err().unwrap()), "remote-denied 3");
}
