//! Connections: how many, how long a client may take, and how they end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::{Listener, ListenerExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::door::Door;
use crate::principal::Transport;
use crate::reaper::reap;
use crate::router::router;
use crate::service::Api;
use crate::taken::Taken;

/// Connections at one time, through each door: both together leave room in the 1024 files that a process may usually open.
const CONNECTIONS: usize = 384;
/// How long a client may take for the head of a request, and may be idle between two.
const HEAD: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 64 << 10;

/// Serves until `stop`; then lets what was begun end, for as long as `drain`.
pub async fn serve(api: &Arc<Api>, doors: Vec<Door>, stop: &CancellationToken, drain: Duration) {
    let _reaper = AbortOnDropHandle::new(tokio::spawn(reap(Arc::clone(&api.store))));
    let mut open = JoinSet::new();
    for door in doors {
        match door {
            Door::Tcp(listener) => {
                // A piece of a log is not held back for the next one; where that cannot be, it is.
                let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                open.spawn(welcome(listener, router(api, Transport::Plain), stop.clone(), drain));
            }
            Door::Own(listener) => {
                open.spawn(welcome(listener, router(api, Transport::Plain), stop.clone(), drain));
            }
            Door::Unix(listener) => {
                open.spawn(welcome(listener, router(api, Transport::Vouched), stop.clone(), drain));
            }
        }
    }
    while open.join_next().await.is_some() {}
}

async fn welcome<L: Listener>(mut listener: L, router: Router, stop: CancellationToken, drain: Duration) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while !stop.is_cancelled() {
        // Who waits outside is not forgotten: the system keeps them in its queue.
        let next = async { (Arc::clone(&room).acquire_owned().await, listener.accept().await) };
        tokio::select! {
            (permit, (stream, _)) = next => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, router, &stop).await;
                    drop(permit);
                });
            }
            () = stop.cancelled() => {}
        }
        while connections.try_join_next().is_some() {}
    }
    let _ = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    stop: &CancellationToken,
) {
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Taken::new(stream)), service);
    let mut served = pin!(served);
    let ended: Result<(), hyper::Error> = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    // The client went away, or said what is no HTTP: that is its own affair.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
