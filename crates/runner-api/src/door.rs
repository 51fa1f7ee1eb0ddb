//! Where clients come in: a port of loopback, a socket in the file system.
//!
//! **Invariant:** nobody but this machine gets at a port; the tailnet's proxy brings the others.
//! **Invariant:** nobody but the user of the service, and root, gets at a socket.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::Path;

use host::HostError;
use listenfd::ListenFd;
use outcome::Failure;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use tokio::net::{TcpListener, UnixListener};

/// Clients that wait until they are let in; the system may have less room.
const WAITING: i32 = 1024;

/// Where clients come in.
#[derive(Debug)]
pub enum Door {
    /// A port. Only tokens say who comes.
    Tcp(TcpListener),
    /// A socket in the file system. Who may connect to it is believed about `Tailscale-User-Login`.
    Unix(UnixListener),
    /// The socket of the state directory, for programs of its user. Only tokens say who comes.
    Own(UnixListener),
}

impl Door {
    /// A port of loopback.
    ///
    /// # Errors
    /// Usage, class `not-loopback`, for another address; busy, class `listening`, when something listens there.
    pub fn port(address: SocketAddr) -> Result<Self, Failure> {
        on_loopback(address)?;
        let bound = std::net::TcpListener::bind(address).and_then(|listener| tcp(patient(listener)?));
        bound.map_err(|error| not_bound(&address.to_string(), &error))
    }

    /// A socket that only this user may connect to. One that a service left which is gone is taken away.
    ///
    /// # Errors
    /// Busy, class `listening`, when something is there; not ready of the same class where it cannot be.
    pub fn socket(path: &Path) -> Result<Self, Failure> {
        listen(path).map(Self::Unix)
    }

    /// The same for programs on this machine that look for the service by themselves.
    ///
    /// # Errors
    /// Those of [`Door::socket`].
    pub fn own(path: &Path) -> Result<Self, Failure> {
        listen(path).map(Self::Own)
    }

    /// The sockets that systemd opened for this process; none where it did not.
    ///
    /// # Errors
    /// Usage, class `not-loopback`, for a port of another address; not ready, class `socket-unsafe`, for a socket that others
    /// may connect to; those of the machine.
    pub fn handed_over() -> Result<Vec<Self>, Failure> {
        let mut handed = ListenFd::from_env();
        let mut doors = Vec::new();
        for at in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_unix_listener(at) {
                only_ours(&listener)?;
                doors.push(Self::Unix(unix(listener).map_err(HostError::io("the unit's socket"))?));
            } else if let Ok(Some(listener)) = handed.take_tcp_listener(at) {
                let address = listener.local_addr().map_err(HostError::io("the unit's socket"))?;
                on_loopback(address)?;
                doors.push(tcp(listener).map_err(HostError::io(address.to_string()))?);
            }
        }
        Ok(doors)
    }
}

/// As clients name it.
impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}"),
                Err(_) => f.write_str("a port"),
            },
            Self::Unix(listener) | Self::Own(listener) => {
                match listener.local_addr().as_ref().map(|address| address.as_pathname()) {
                    Ok(Some(path)) => write!(f, "unix:{}", path.display()),
                    _ => f.write_str("a socket"),
                }
            }
        }
    }
}

/// With room for more who wait than the library makes.
fn patient<L: AsFd>(listener: L) -> io::Result<L> {
    rustix::net::listen(&listener, WAITING)?;
    Ok(listener)
}

fn tcp(listener: std::net::TcpListener) -> io::Result<Door> {
    listener.set_nonblocking(true)?;
    Ok(Door::Tcp(TcpListener::from_std(listener)?))
}

fn unix(listener: StdUnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn listen(path: &Path) -> Result<UnixListener, Failure> {
    let bound = bind(path).and_then(|listener| unix(patient(listener)?));
    bound.map_err(|error| not_bound(&path.display().to_string(), &error))
}

fn bind(path: &Path) -> io::Result<StdUnixListener> {
    let left = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if left && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        fs::remove_file(path)?;
    }
    // Nobody gets in before its mode is set.
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = StdUnixListener::bind(path);
    umask(before);
    let listener = bound?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whoever else may connect could say anybody's name.
fn only_ours(listener: &StdUnixListener) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(HostError::io("the unit's socket"))?;
    let (path, me) = (address.as_pathname(), geteuid().as_raw());
    let open = |found: fs::Metadata| {
        !found.file_type().is_socket() || found.mode() & 0o077 != 0 || (found.uid() != 0 && found.uid() != me)
    };
    // One without a path is open to all.
    if !path.and_then(|path| fs::symlink_metadata(path).ok()).is_none_or(open) {
        return Ok(());
    }
    let place = path.map_or_else(|| "a socket without a path".into(), |path| path.display().to_string());
    let reason = format!("{place}: others may connect to it, and could say that they are anybody");
    Err(Failure::not_ready("socket-unsafe", reason, "set SocketMode=0600 in the socket unit"))
}

fn on_loopback(address: SocketAddr) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let reason = format!("{address} is no address of loopback");
    let next = "listen on 127.0.0.1, and let `tailscale serve` bring others";
    Err(Failure::usage("not-loopback", reason, next))
}

fn not_bound(place: &str, error: &io::Error) -> Failure {
    let reason = format!("{place}: {error}");
    let next = "stop what listens there, or name another place: --listen ADDRESS, --socket PATH";
    if error.kind() == ErrorKind::AddrInUse {
        return Failure::busy("listening", reason, next);
    }
    Failure::not_ready("listening", reason, next)
}
