//! An SSH server on loopback, to which the user of the tests can log in with a key of the server's own directory.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;
use rustix::process::{Pid, Signal, kill_process};

use crate::broken::{Broken, Trying as _, run};
use crate::place::Place;
use crate::server::Server;

const PROGRAM: &str = "/usr/sbin/sshd";
/// Where the package's server, when it runs as root, keeps who has not logged in yet.
const EMPTY: &str = "/run/sshd";

/// A running SSH server. Every login and what it started is gone with it when dropped.
///
/// ```no_run
/// let sshd = real_parts::Sshd::start().unwrap();
/// std::process::Command::new("ssh").arg("-i").arg(sshd.key()).args(["-p", &sshd.port().to_string(), "127.0.0.1"]);
/// ```
pub struct Sshd {
    // Dropped before the directory that it writes to.
    server: Server,
    place: Place,
    port: u16,
}

impl Sshd {
    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When OpenSSH is not installed; with the server's log when it does not start.
    pub fn start() -> Result<Self, Broken> {
        Self::configured("")
    }

    /// The same with more lines of `sshd_config`.
    ///
    /// # Errors
    /// As [`Sshd::start`].
    pub fn configured(more: &str) -> Result<Self, Broken> {
        if !Path::new(PROGRAM).exists() {
            return Err(Broken::new(format!("there is no SSH server at {PROGRAM}: cargo xtask setup")));
        }
        let place = Place::new()?;
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).trying("find a port")?;
        make_key(&place.path().join("host"))?;
        make_key(&place.path().join("user"))?;
        fs::write(config_file(place.path()), config(place.path(), port.port()) + more).trying("config")?;
        let server = serve(place.path(), port.port())?;
        Ok(Self { server, place, port: port.port() })
    }

    /// The port on 127.0.0.1. It stays the same over a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file of the private key that is let in.
    pub fn key(&self) -> PathBuf {
        self.place.path().join("user")
    }

    /// The server's public key: `TYPE BASE64`.
    ///
    /// # Errors
    /// When its file is gone.
    pub fn host_key(&self) -> Result<String, Broken> {
        public(&self.place.path().join("host"))
    }

    /// The line of a known-hosts file for it.
    ///
    /// # Errors
    /// As [`Sshd::host_key`].
    pub fn known_hosts(&self) -> Result<String, Broken> {
        Ok(format!("[127.0.0.1]:{} {}\n", self.port, self.host_key()?))
    }

    /// Makes a key that nobody knows. Returns the file of the private key, and the public one.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn stranger(&self, name: &str) -> Result<(PathBuf, String), Broken> {
        let path = self.place.path().join(name);
        make_key(&path)?;
        let key = public(&path)?;
        Ok((path, key))
    }

    /// What the server said until now.
    pub fn log(&self) -> String {
        fs::read_to_string(log(self.place.path())).unwrap_or_default()
    }

    /// Cuts off everybody who is logged in. What they started there runs on.
    pub fn cut_off(&self) {
        let config = config_file(self.place.path()).display().to_string();
        let listens = |pid: &i32| {
            let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title).into_owned();
            title.starts_with("sshd:") && title.contains(&config)
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for listener in processes.filter(listens) {
            let children = fs::read_to_string(format!("/proc/{listener}/task/{listener}/children")).unwrap_or_default();
            for session in children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
                // Who has just left needs no signal.
                let _ = kill_process(session, Signal::KILL);
            }
        }
    }

    /// Kills the server with all that was started over it, and returns when all is gone.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Kills it if it runs, and starts it with the same keys.
    ///
    /// # Errors
    /// With its log when it does not start.
    pub fn restart(&mut self) -> Result<(), Broken> {
        self.kill();
        self.server = serve(self.place.path(), self.port)?;
        Ok(())
    }
}

fn make_key(path: &Path) -> Result<(), Broken> {
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path)).map(drop)
}

/// Without the comment.
fn public(key: &Path) -> Result<String, Broken> {
    let path = key.with_extension("pub");
    let line = fs::read_to_string(&path).trying(path.display())?;
    Ok(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn config_file(dir: &Path) -> PathBuf {
    dir.join("config")
}

fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey \"{dir}/host\"\nAuthorizedKeysFile \"{dir}/user.pub\"\n\
         PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin yes\n"
    )
}

/// Its first process is that of a namespace, so that what it starts ends with it.
fn serve(dir: &Path, port: u16) -> Result<Server, Broken> {
    let mut sshd = Command::new("setpriv");
    sshd.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    sshd.args(["--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child=KILL"]);
    if geteuid().is_root() {
        made(Path::new(EMPTY))?;
    } else {
        sshd.args(["--user", "--map-current-user"]);
    }
    sshd.args(["setpriv", "--pdeathsig=KILL", PROGRAM, "-D", "-e", "-f"]).arg(config_file(dir));
    let server = Server::start(sshd, &log(dir))?;
    server.wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    Ok(server)
}

/// A directory, also when another test has just made it.
fn made(dir: &Path) -> Result<(), Broken> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).trying(dir.display()),
        _ => Ok(()),
    }
}
