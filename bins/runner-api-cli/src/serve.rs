//! `runner-api`: serves until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cli::{Context, service};
use job_store::Store;
use outcome::{Exit, Failure};
use runner::token::SOCKET;
use runner::{Policies, Site, Worker, Works};
use runner_api::{Api, Door, People, people, tokens};

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

pub(crate) async fn queue(common: &Common, site: &Site) -> Result<Arc<dyn Store>, Failure> {
    runner::queue(common.store.as_deref(), site, Duration::from_millis(common.lease_ms)).await
}

async fn serve(args: &Serve, slots: u32, common: &Common, cx: &Context) -> Result<(), Failure> {
    service::log();
    let stop = service::stop_on_signal()?;
    let site = site(common, cx)?;
    let store = queue(common, &site).await?;
    tokens::first(&cx.host, store.as_ref(), &site.state).await?;
    let files = || runner::files(args.files.as_deref(), &site);
    let doors = doors(args, &site, cx)?;
    let settings = runner_api::Settings::at_rate(args.rate);
    let people = people(&site, cx)?;
    let api = Arc::new(Api::new(Arc::clone(&store), files()?, site.clone(), people, settings, stop.clone()));
    let worker = if args.with_worker {
        let (program, trees, grace) = (runner::own_program()?, args.trees, Duration::from_secs(args.grace));
        let (store, files, policies) = (Arc::clone(&store), files()?, Policies::default());
        let works = Works { store, files, site, policies, program, trees, slots, grace };
        Some(Worker::new(works).await?)
    } else {
        None
    };
    told(&doors, worker.as_ref(), cx);
    service::ready();
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
fn told(doors: &[Door], worker: Option<&Worker>, cx: &Context) {
    for door in doors {
        cx.console.note(&format!("listens on {door}"));
    }
    if let Some(worker) = worker {
        cx.console.note(&format!("runs jobs as {}", worker.name()));
    }
}

/// The sockets that systemd handed over, else those that were named; and that of the state directory.
fn doors(args: &Serve, site: &Site, cx: &Context) -> Result<Vec<Door>, Failure> {
    let mut doors = Door::handed_over()?;
    if doors.is_empty() {
        doors.push(Door::port(args.listen)?);
    }
    if let Some(path) = &args.socket {
        doors.push(Door::socket(path)?);
    }
    let own = site.state.join(SOCKET);
    if args.socket.as_ref() != Some(&own) {
        match Door::own(&own) {
            Ok(door) => doors.push(door),
            // A path may be too long for a socket, and services that share the directory have one between them.
            Err(Failure { reason, .. }) => {
                cx.console.note(&format!("is not at the socket of the state directory: {reason}"));
            }
        }
    }
    Ok(doors)
}

fn people(site: &Site, cx: &Context) -> Result<People, Failure> {
    let path = site.configs.join(people::FILE);
    match host::trusted(&cx.host, &path)? {
        Some(bytes) => People::parse(&String::from_utf8_lossy(&bytes)),
        None => Ok(People::default()),
    }
}
