//! A door to a socket: an address of loopback, for clients that know no other.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Every connection to the address is one to the socket; while nobody listens there it is closed at once.
pub(crate) struct Door {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Door {
    /// # Errors
    /// When no port of loopback can be had.
    pub(crate) fn open(socket: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let closed = Arc::<AtomicBool>::default();
        let is_closed = Arc::clone(&closed);
        let accepting = thread::spawn(move || accept(&listener, &socket, &is_closed));
        Ok(Self { address, closed, accepting: Some(accepting) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // `accept` wakes only for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, socket: &Path, closed: &AtomicBool) {
    for client in listener.incoming().flatten() {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        // Whoever is not let in sees it.
        let _ = pass(client, socket);
    }
}

/// Passes on what either says until it is silent for good.
fn pass(client: TcpStream, socket: &Path) -> io::Result<()> {
    let server = UnixStream::connect(socket)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        // Also for reading: nobody is left to read it.
        let _ = to_client.shutdown(Shutdown::Both);
    });
    Ok(())
}
