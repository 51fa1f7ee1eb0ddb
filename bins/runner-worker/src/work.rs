//! Works until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use cli::{Context, service};
use outcome::{Exit, Failure};
use runner::{Policies, Site, Worker, Works};

use crate::args::Args;

/// Threads that wait for files, beside those of jobs.
const BLOCKING: usize = 8;

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    let slots = runner::slots(args.slots);
    service::runtime(slots as usize + BLOCKING)?.block_on(work(args, slots, cx))?;
    Ok(Exit::Done.into())
}

async fn work(args: Args, slots: u32, cx: &Context) -> Result<(), Failure> {
    service::log();
    let stop = service::stop_on_signal()?;
    let site = Site::find(&cx.host, args.configs, args.state)?;
    let site = Site { state: site.own_state(&cx.host)?, ..site };
    let store = runner::queue(args.store.as_deref(), &site, Duration::from_millis(args.lease_ms)).await?;
    let (files, policies) = (runner::files(args.files.as_deref(), &site)?, Policies::default());
    let (program, trees, grace) = (runner::own_program()?, args.trees, Duration::from_secs(args.grace));
    let worker = Worker::new(Works { store, files, site, policies, program, trees, slots, grace }).await?;
    cx.console.note(&format!("runs jobs as {}", worker.name()));
    service::ready();
    worker.run(&stop).await
}
