//! Commands that ask the service one thing.

use std::process::ExitCode;

use cli::Context;
use job::Id;
use outcome::{Exit, Failure};
use runner_client::{Client, Which};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::args::{Drain, List, OfJob, Reasoned, Rerun, Service, Submit};
use crate::run::once;
use crate::service::connect;
use crate::told::{Listed, Shown, Told};
use crate::watch::{code, finished, to_the_end};

/// The file that says what became of a job.
const ARTIFACT: &str = "artifact.json";

pub(crate) fn submit(args: Submit, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    let wanted = runner_wire::Submit {
        repo_name: args.repo,
        remote_url: args.remote_url,
        sha: args.sha,
        job_type: args.job,
        idempotency_key: args.key,
        params: once(args.params)?,
        priority: args.priority,
        max_attempts: args.max_attempts.map(Into::into),
    };
    let submitted = client.submit(&wanted)?;
    if args.wait {
        return wait(&client, &submitted.job_id, cx);
    }
    cx.console.result(&Told::new(&submitted))?;
    Ok(Exit::Done.into())
}

/// Watches a job to its end, and tells what became of it.
fn wait(client: &Client, id: &Id, cx: &Context) -> Result<ExitCode, Failure> {
    cx.console.note(&format!("job {id}"));
    let end = to_the_end(client, id, cx)?;
    code(&end, finished(client, id, cx), cx)
}

pub(crate) fn list(args: List, cx: &Context) -> Result<ExitCode, Failure> {
    let List { status, repo, job, limit, before, service } = args;
    let jobs = connect(&service, cx)?.list(&Which { status, repo, job, before, limit: Some(limit) })?;
    cx.console.result(&Listed::new(&jobs))?;
    Ok(Exit::Done.into())
}

pub(crate) fn show(args: &OfJob, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    let job = client.show(&args.id)?;
    let timeline = client.events(&args.id)?.events;
    let artifact = if job.job.life.status.is_final() { artifact(&client, &args.id)? } else { None };
    let invariants = artifact.and_then(|artifact| artifact.invariants);
    cx.console.result(&Shown::new(&job, &timeline, invariants.as_ref()))?;
    Ok(Exit::Done.into())
}

/// What is told of artifact.json; it may be long, and the rest of it is not kept.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Proof {
    invariants: Option<Map<String, Value>>,
    pub(crate) size_cap_exceeded: bool,
    pub(crate) review_packets_archive: Option<String>,
}

/// What artifact.json says; `None` for a job that was not begun.
pub(crate) fn artifact(client: &Client, id: &Id) -> Result<Option<Proof>, Failure> {
    let bytes = match read(client, id, ARTIFACT, job::artifact::MAX_BYTES as u64) {
        Err(failure) if failure.class == "no-artifact" => return Ok(None),
        read => read?,
    };
    let parsed = serde_json::from_slice(&bytes);
    let next = "see the file: runner artifacts ID -o DIR artifact.json";
    parsed.map(Some).map_err(|error| Failure::infrastructure("bad-artifact", format!("{ARTIFACT}: {error}"), next))
}

/// A file that a job left.
pub(crate) fn read(client: &Client, id: &Id, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    client.download(id, path, most, &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn cancel(args: &Reasoned, cx: &Context) -> Result<ExitCode, Failure> {
    let job = connect(&args.service, cx)?.cancel(&args.id, args.why.as_deref())?;
    cx.console.result(&Told::new(&job))?;
    Ok(Exit::Done.into())
}

pub(crate) fn rerun(args: &Rerun, cx: &Context) -> Result<ExitCode, Failure> {
    let Reasoned { id, why, service } = &args.of;
    let client = connect(service, cx)?;
    let submitted = client.rerun(id, why.as_deref())?;
    if args.wait {
        return wait(&client, &submitted.job_id, cx);
    }
    cx.console.result(&Told::new(&submitted))?;
    Ok(Exit::Done.into())
}

pub(crate) fn workers(service: &Service, cx: &Context) -> Result<ExitCode, Failure> {
    cx.console.result(&Told::new(&connect(service, cx)?.workers()?))?;
    Ok(Exit::Done.into())
}

pub(crate) fn queue(service: &Service, cx: &Context) -> Result<ExitCode, Failure> {
    cx.console.result(&Told::new(&connect(service, cx)?.queue()?))?;
    Ok(Exit::Done.into())
}

pub(crate) fn drain(args: &Drain, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    let workers = if args.undo { client.resume(&args.worker) } else { client.drain(&args.worker) }?;
    cx.console.result(&Told::new(&workers))?;
    Ok(Exit::Done.into())
}
