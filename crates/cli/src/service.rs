//! What programs share that go on until they are told to stop.

use std::io::stderr;
use std::process::exit;

use outcome::Failure;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Threads that answer; what takes long is done by others.
const THREADS: usize = 2;
/// What a shell says of a program that a signal ended, without the signal.
const BY_SIGNAL: i32 = 128;

/// A runtime with at most so many threads for what blocks.
///
/// # Errors
/// Infrastructure, class `runtime`, when the system has no room for it.
pub fn runtime(blocking: usize) -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(THREADS).max_blocking_threads(blocking).enable_all().build();
    built.map_err(|error| Failure::infrastructure("runtime", error.to_string(), "free some memory, then try again"))
}

/// Sends what the program logs to stderr, a line each, without colours: a unit's lines go to the journal, which has the time.
pub fn log() {
    let lines = tracing_subscriber::fmt().with_writer(stderr).with_ansi(false).with_target(false).without_time();
    // Only the first one counts.
    let _ = lines.try_init();
}

/// Cancelled by the first SIGINT or SIGTERM. A second one ends the process at once.
///
/// # Errors
/// A bug, class `signals`, when they cannot be listened to.
pub fn stop_on_signal() -> Result<CancellationToken, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::bug("signals", error.to_string(), "report this"));
    let (mut int, mut term) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        told(&mut int, &mut term).await;
        tell(NotifyState::Stopping);
        tracing::info!("stops");
        stopping.cancel();
        let signal = told(&mut int, &mut term).await;
        exit(BY_SIGNAL + signal.as_raw_value());
    });
    Ok(stop)
}

/// The next signal.
async fn told(int: &mut Signal, term: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = int.recv() => SignalKind::interrupt(),
        _ = term.recv() => SignalKind::terminate(),
    }
}

/// Tells systemd that the program is ready, and from then on, where it wants to know, that it still answers. A database that
/// does not is no reason to end a program that waits for it.
pub fn ready() {
    tell(NotifyState::Ready);
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(async move {
        loop {
            tell(NotifyState::Watchdog);
            sleep(patience / 3).await;
        }
    });
}

/// Where nobody is to be told, nothing is lost.
fn tell(state: NotifyState<'_>) {
    let _ = sd_notify::notify(&[state]);
}
