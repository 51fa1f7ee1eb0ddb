//! `runner-api`: serves until it is told to stop.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cli::{Context, service};
use host::HostError;
use job_files::Files;
use listenfd::ListenFd;
use outcome::{Exit, Failure};
use runner::{Site, Worker, Works};
use runner_api::{Api, Door, People, people, tokens};
use tokio::net::{TcpListener, UnixListener};

use crate::args::{Common, Serve};

/// How long answers that were begun may take when the service stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Threads that wait for files, beside those of jobs.
const BLOCKING: usize = 16;

pub(crate) fn run(args: &Serve, common: &Common, cx: &Context) -> Result<ExitCode, Failure> {
    let slots = runner::slots(args.slots);
    service::runtime(slots as usize + BLOCKING)?.block_on(serve(args, slots, common, cx))?;
    Ok(Exit::Done.into())
}

/// Where everything is; the state directory is made where it is not there.
pub(crate) fn site(common: &Common, cx: &Context) -> Result<Site, Failure> {
    let site = Site::find(&cx.host, common.configs.clone(), common.state.clone())?;
    Ok(Site { state: site.own_state(&cx.host)?, ..site })
}

async fn serve(args: &Serve, slots: u32, common: &Common, cx: &Context) -> Result<(), Failure> {
    service::log();
    let stop = service::stop_on_signal()?;
    let site = site(common, cx)?;
    let store = runner::queue(common.store.as_deref(), &site).await?;
    tokens::first(&cx.host, store.as_ref(), &site.state).await?;
    let files = || match &args.files {
        Some(url) => Files::open(url, &site.state).map_err(Failure::from),
        None => Ok(Files::local(&site.state)),
    };
    let doors = doors(args)?;
    let settings = runner_api::Settings { rate: args.rate, ..runner_api::Settings::default() };
    let people = people(&site, cx)?;
    let api = Arc::new(Api::new(Arc::clone(&store), files()?, site.clone(), people, settings, stop.clone()));
    let worker = if args.with_worker {
        let (program, trees, grace) = (runner::own_program()?, args.trees, Duration::from_secs(args.grace));
        let works = Works { store: Arc::clone(&store), files: files()?, site, program, trees, slots, grace };
        Some(Worker::new(works).await?)
    } else {
        None
    };
    told(&doors, worker.as_ref(), cx)?;
    service::ready(move || {
        let store = Arc::clone(&store);
        async move { store.now().await.is_ok() }
    });
    let answers = runner_api::serve(&api, doors, &stop, DRAIN);
    let jobs = async {
        let Some(worker) = &worker else { return Ok(()) };
        let ended = worker.run(&stop).await;
        // A service whose worker is gone would take jobs that nobody runs.
        stop.cancel();
        ended
    };
    tokio::join!(answers, jobs).1
}

/// Says where it can be reached.
fn told(doors: &[Door], worker: Option<&Worker>, cx: &Context) -> Result<(), Failure> {
    for door in doors {
        let place = match door {
            Door::Tcp(listener) => listener.local_addr().map(|at| format!("http://{at}")),
            Door::Unix(listener) => listener.local_addr().map(|at| {
                at.as_pathname().map_or_else(|| "a socket".to_owned(), |path| format!("unix:{}", path.display()))
            }),
        };
        cx.console.note(&format!("listens on {}", place.map_err(HostError::io("socket"))?));
    }
    if let Some(worker) = worker {
        cx.console.note(&format!("runs jobs as {}", worker.name()));
    }
    Ok(())
}

/// The sockets that systemd handed over, else those that were named.
fn doors(args: &Serve) -> Result<Vec<Door>, Failure> {
    let mut handed = ListenFd::from_env();
    let mut doors = Vec::new();
    for at in 0..handed.len() {
        if let Ok(Some(listener)) = handed.take_unix_listener(at) {
            doors.push(unix(listener).map_err(HostError::io("socket"))?);
        } else if let Ok(Some(listener)) = handed.take_tcp_listener(at) {
            let address = listener.local_addr().map_err(HostError::io("socket"))?;
            on_loopback(address)?;
            doors.push(tcp(listener).map_err(HostError::io(address.to_string()))?);
        }
    }
    if doors.is_empty() {
        on_loopback(args.listen)?;
        let bound = std::net::TcpListener::bind(args.listen).and_then(tcp);
        doors.push(bound.map_err(|error| taken(&args.listen.to_string(), &error))?);
    }
    if let Some(path) = &args.socket {
        let bound = bind(path).and_then(unix);
        doors.push(bound.map_err(|error| taken(&path.display().to_string(), &error))?);
    }
    Ok(doors)
}

fn tcp(listener: std::net::TcpListener) -> std::io::Result<Door> {
    listener.set_nonblocking(true)?;
    Ok(Door::Tcp(TcpListener::from_std(listener)?))
}

fn unix(listener: std::os::unix::net::UnixListener) -> std::io::Result<Door> {
    listener.set_nonblocking(true)?;
    Ok(Door::Unix(UnixListener::from_std(listener)?))
}

/// A socket that only this user may connect to; one that a dead service left is taken away.
fn bind(path: &Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    let left = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if left
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    // Nobody gets in before its mode is set.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = std::os::unix::net::UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn taken(place: &str, error: &std::io::Error) -> Failure {
    let reason = format!("{place}: {error}");
    if error.kind() == ErrorKind::AddrInUse {
        return Failure::busy("listening", reason, "stop what listens there, or name another place: --listen ADDRESS");
    }
    Failure::not_ready("listening", reason, "name another place: --listen ADDRESS, --socket PATH")
}

/// Nobody but this machine gets at the port: the tailnet's proxy brings the others.
fn on_loopback(address: std::net::SocketAddr) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let reason = format!("{address} is no address of loopback");
    let next = "listen on 127.0.0.1, and let `tailscale serve` bring others";
    Err(Failure::usage("not-loopback", reason, next))
}

fn people(site: &Site, cx: &Context) -> Result<People, Failure> {
    let path = site.configs.join(people::FILE);
    match runner::site::trusted(&cx.host, &path)? {
        Some(bytes) => People::parse(&String::from_utf8_lossy(&bytes)),
        None => Ok(People::default()),
    }
}
