//! `orb`: one of the ORB jobs by the service, and what came of it.

use std::process::ExitCode;

use cli::Context;
use job::Id;
use outcome::Failure;
use runner::{Site, Source};
use runner_client::Client;
use runner_wire::{JobView, Submit};
use serde::Serialize;

use crate::args::{Orb, OrbJob};
use crate::jobs::{artifact, read};
use crate::service::connect;
use crate::told::{Told, line};
use crate::watch::{Timeline, code, finished, followed};

/// The most of a text that is printed, in bytes.
const MAX_TEXT: u64 = 64 << 20;
/// What to do with packets in place of a bundle.
const PACKETS: &str = "README_REVIEW_PACKETS.txt";

impl OrbJob {
    const fn job(self) -> &'static str {
        match self {
            Self::Review => "orb_review_bundle",
            Self::Doctor => "orb_doctor",
            Self::Score => "orb_score_run",
        }
    }

    const fn output(self) -> &'static str {
        match self {
            Self::Review => "REVIEW_BUNDLE.txt",
            Self::Doctor => "DOCTOR_OUTPUT.txt",
            Self::Score => "SCORE_OUTPUT.txt",
        }
    }
}

pub(crate) fn run(args: Orb, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    let what = args.what;
    let submitted = client.submit(&wanted(args, cx)?)?;
    let id = submitted.job_id;
    cx.console.note(&format!("job {id}"));
    cx.console.working(what.job());
    let mut timeline = Timeline::default();
    let end = followed(&client, &id, |news| timeline.tell(&client, &id, news, |event| cx.console.note(&line(event))))?;
    cx.console.finish();
    code(&end, told(&client, &id, what, cx), cx)
}

fn wanted(args: Orb, cx: &Context) -> Result<Submit, Failure> {
    let sha = if let Some(sha) = args.sha {
        sha
    } else {
        let site = Site::find(&cx.host, args.configs, args.service.state)?;
        let source = Source::find(&cx.host, &site, &args.repo, args.remote_url.as_deref())?;
        let sha = source.tip(&cx.host)?;
        cx.console.note(&format!("{} is at {sha}", source.url()));
        sha
    };
    let params = [("since_sha", args.since), ("logs_day", args.logs_day), ("run_id", args.run_id)];
    let params = params.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let job_type = args.what.job().to_owned();
    Ok(Submit { repo_name: args.repo, remote_url: args.remote_url, sha, job_type, params, ..Submit::default() })
}

/// Prints what the job left for a reader, and how it ended.
fn told(client: &Client, id: &Id, what: OrbJob, cx: &Context) -> Result<(), Failure> {
    let artifact = artifact(client, id)?.unwrap_or_default();
    let name = if artifact.size_cap_exceeded { PACKETS } else { what.output() };
    let text = match read(client, id, name, MAX_TEXT) {
        Err(failure) if failure.class == "no-artifact" => None,
        read => Some(read?),
    };
    let archive = artifact.review_packets_archive.as_deref();
    if cx.console.json() {
        let job = client.show(id)?;
        let text = text.as_deref().map(String::from_utf8_lossy);
        return cx.console.object(&Outcome { job: Told::new(&job), output: name, text: text.as_deref(), archive });
    }
    if let Some(text) = text {
        cx.console.document(&text)?;
    }
    if let Some(archive) = archive {
        cx.console
            .note(&format!("the bundle is over the size cap; its packets: runner artifacts {id} -o DIR {archive}"));
    }
    finished(client, id, cx)
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    job: Told<'a, JobView>,
    output: &'a str,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<&'a str>,
}
