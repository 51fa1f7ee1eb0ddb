//! What each command does.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap_complete::Shell;
use cli::{Context, service};
use host::HostError;
use outcome::{Exit, Failure};
use runner::{Asked, Policies, QUEUE, Runner, Site, Wanted, allow, own_program, prune};

use crate::args::{Action, Allow, Args, Prune, Run};
use crate::{fetch, jobs, orb, watch};

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Run(run) => job(run, cx),
        Action::Allow(repository) => allowed(repository, cx),
        Action::Prune(prune) => pruned(&prune, cx),
        Action::Submit(submit) => jobs::submit(submit, cx),
        Action::Orb(orb) => orb::run(orb, cx),
        Action::Watch(of) => watch::watch(&of, cx),
        Action::Logs(logs) => watch::logs(&logs, cx),
        Action::List(list) => jobs::list(list, cx),
        Action::Show(of) => jobs::show(&of, cx),
        Action::Cancel(of) => jobs::cancel(&of, cx),
        Action::Rerun(rerun) => jobs::rerun(&rerun, cx),
        Action::Artifacts(artifacts) => fetch::run(&artifacts, cx),
        Action::Workers(service) => jobs::workers(&service, cx),
        Action::Queue(service) => jobs::queue(&service, cx),
        Action::Drain(drain) => jobs::drain(&drain, cx),
        Action::Completions { shell } => completions(shell, cx),
    }
}

fn job(args: Run, cx: &Context) -> Result<ExitCode, Failure> {
    let site = Site::find(&cx.host, args.place.configs, args.place.state)?;
    let program = own_program()?;
    let live = |stream, bytes: &[u8]| cx.console.hand_on(stream, bytes);
    let runner = Runner {
        host: &cx.host,
        site: &site,
        policies: &Policies::default(),
        program: &program,
        trees: args.trees,
        live: &live,
        cancel: &cx.cancel,
    };
    let asked = Asked { job: args.job, repo: args.repo, sha: args.sha, params: once(args.params)? };
    let finished = runner.run(&asked)?;
    if cx.console.json() {
        cx.console.object(&finished)?;
    } else {
        cx.console.note(&finished.to_string());
    }
    Ok(finished.exit.into())
}

/// The parameters by their keys. Which of two values was meant nobody knows.
pub(crate) fn once(given: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut params = BTreeMap::new();
    for (key, value) in given {
        if params.contains_key(&key) {
            return Err(Failure::usage("arguments", format!("--param {key} is given twice"), "give each once"));
        }
        params.insert(key, value);
    }
    Ok(params)
}

fn allowed(args: Allow, cx: &Context) -> Result<ExitCode, Failure> {
    let site = Site::find(&cx.host, args.place.configs, args.place.state)?;
    let wanted = Wanted { place: args.repository, name: args.name, branches: args.branches };
    cx.console.result(&allow(&cx.host, &site, &wanted)?)?;
    Ok(Exit::Done.into())
}

fn pruned(args: &Prune, cx: &Context) -> Result<ExitCode, Failure> {
    let site = Site::find(&cx.host, args.place.configs.clone(), args.place.state.clone())?;
    let age = Duration::from_secs(u64::from(args.days) * 24 * 60 * 60);
    // Each is done, whatever becomes of the other.
    let queue = prune_queue(args, &site, age, cx);
    let removed = prune(&cx.host, &site, age)?;
    cx.console.result(&removed.and_of_queue(queue?))?;
    Ok(Exit::Done.into())
}

/// Nothing where there is no queue: jobs may be run without one.
fn prune_queue(args: &Prune, site: &Site, age: Duration, cx: &Context) -> Result<u64, Failure> {
    let site = Site { state: site.own_state(&cx.host)?, ..site.clone() };
    if args.store.is_none() && !site.state.join(QUEUE).try_exists().map_err(HostError::io(&site.state))? {
        return Ok(0);
    }
    service::runtime(1)?.block_on(async {
        let queue = runner::queue(args.store.as_deref(), &site, job_store::Settings::default().lease).await?;
        runner::prune_queue(queue.as_ref(), &runner::files(args.files.as_deref(), &site)?, age).await
    })
}

fn completions(shell: Shell, cx: &Context) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command::<Args>(), "runner", &mut script);
    cx.console.stdout(&script)?;
    Ok(Exit::Done.into())
}
