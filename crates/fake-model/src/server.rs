//! The listener: a thread for each connection, every request kept.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::http;
use crate::reply::Reply;
use crate::request::Request;

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server. It stops when dropped.
pub struct FakeModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

impl FakeModel {
    /// Listens on a free port of 127.0.0.1 and answers every `POST …/responses` as the handler says.
    ///
    /// # Errors
    /// When no port of the loopback interface can be had.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            requests: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let listener = Some(thread::spawn(move || accept(&listener, &accepting)));
        Ok(Self { address, shared, listener })
    }

    /// The base URL to give to a client, for example `http://127.0.0.1:40000/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request for an answer so far, in the order they came.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // `accept` wakes only for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // A client that went away is what several scripts are about: nobody to tell.
        thread::spawn(move || drop(serve(stream, &shared)));
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(request) = http::read(&stream)? else { return Ok(()) };
    let reply = shared.reply(&request);
    http::write(&mut stream, &reply)
}

impl Shared {
    fn reply(&self, request: &Request) -> Reply {
        if request.header("upgrade").is_some() {
            // codex tries a WebSocket first and falls back at once on this status.
            return Reply::status(426);
        }
        if request.method != "POST" || !request.path.ends_with("/responses") {
            return Reply::status(404);
        }
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        (self.handler)(request)
    }
}
