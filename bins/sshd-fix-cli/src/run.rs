//! What the program does.

use std::fmt;
use std::path::PathBuf;

use cli::Context;
use host::Local;
use outcome::{Exit, Failure};
use plan::{Plan, Step};
use serde::Serialize;
use sshd_fix::{Change, Decision, Facts, Journal, Operator, Status, listed};
use tailnet::Tailnet;

use crate::args::{Act, Apply, Args, Time};
use crate::lock::Lock;
use crate::signals;

pub(crate) fn run(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let announce = |step: &Step| announce(cx, step);
    let host = Local::new();
    match args.act {
        Act::Plan(time) => show(&time, cx)?,
        Act::Apply(apply) => return self::apply(&apply, cx),
        Act::Confirm => {
            let _lock = Lock::take()?;
            signals::hold()?;
            cx.console.result(&Ended::new("confirmed", &sshd_fix::confirm(&host, &announce)?))?;
        }
        Act::Rollback => {
            let _lock = Lock::take()?;
            signals::hold()?;
            cx.console.result(&Ended::new("put back", &sshd_fix::rollback(&host, &own_path()?, &announce)?))?;
        }
        Act::Status => cx.console.result(&Stated::of(status(&cx.host)?))?,
        Act::Revert => revert(cx)?,
        Act::Boot => sshd_fix::boot(&host, &announce)?,
    }
    Ok(Exit::Done)
}

fn announce(cx: &Context, step: &Step) {
    cx.console.note(&format!("{}: {}", step.name, step.reason));
}

/// It may have been confirmed while this waited.
fn revert(cx: &Context) -> Result<(), Failure> {
    let _lock = Lock::wait()?;
    match sshd_fix::revert(&Local::new(), &|step| announce(cx, step)) {
        Err(failure) if failure.class == "nothing-pending" => Ok(()),
        reverted => cx.console.result(&Ended::new("put back", &reverted?)),
    }
}

fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::not_ready("own-path", error.to_string(), "run sshd-fix by its path, from a file that is still there")
    })
}

fn observe(host: &Local) -> Result<Facts, Failure> {
    Ok(sshd_fix::observe(host, &own_path()?))
}

fn show(time: &Time, cx: &Context) -> Result<(), Failure> {
    let facts = observe(&cx.host)?;
    let decision = sshd_fix::plan(&facts, time.within)?;
    cx.console.result(&Shown { facts: &facts, decision: &decision })
}

fn apply(args: &Apply, cx: &Context) -> Result<Exit, Failure> {
    let lock = Lock::take()?;
    let facts = observe(&cx.host)?;
    let decision = sshd_fix::plan(&facts, args.time.within)?;
    let announce = |step: &Step| announce(cx, step);
    let Decision::Change(change) = decision else {
        sshd_fix::tidy(&Local::new(), &announce)?;
        cx.console.result(&Shown { facts: &facts, decision: &decision })?;
        return Ok(Exit::Done);
    };
    agreed(&change, args.plan_sha256.as_deref())?;
    let journal = change.journal.clone();
    signals::hold()?;
    sshd_fix::apply(&Local::new(), *change, &announce)?;
    let waiting = status(&Local::new())?;
    signals::release()?;
    drop(lock);
    if args.no_wait {
        cx.console.result(&Stated::of(waiting))?;
        return Ok(Exit::Done);
    }
    cx.console.note(&waiting.to_string());
    sshd_fix::await_confirmation(&cx.host)?;
    cx.console.result(&Ended::new("confirmed", &journal))?;
    Ok(Exit::Done)
}

/// The plan is the one that was read.
fn agreed(change: &Change, sha256: Option<&str>) -> Result<(), Failure> {
    let now = change.plan.sha256();
    match sha256 {
        Some(read) if read != now => Err(Failure::refused(
            "another-plan",
            format!("the plan is {now} now, and not {read}"),
            "read it anew: sshd-fix plan",
        )),
        _ => Ok(()),
    }
}

fn status(host: &Local) -> Result<Status, Failure> {
    sshd_fix::look(host, &own_path()?)
}

/// What was seen and decided.
struct Shown<'a> {
    facts: &'a Facts,
    decision: &'a Decision,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Ok(operator), Decision::Change(change)) = (&self.facts.operator, self.decision) {
            writeln!(f, "you are here {operator}")?;
            if let Ok(Some(Tailnet { runs_ssh: true, .. })) = &self.facts.tailnet {
                writeln!(f, "Tailscale SSH answers at port 22 of the tailnet: nobody gets to sshd there")?;
            }
            if let Operator::Ssh { connection, .. } = operator
                && connection.local != change.journal.wanted.into()
            {
                writeln!(f, "this connection will stay; a new one at {} will not be answered", connection.local)?;
            }
        }
        self.decision.fmt(f)
    }
}

#[derive(Serialize)]
struct Outline<'a> {
    schema: u32,
    status: &'static str,
    state: &'static str,
    plan_sha256: Option<String>,
    plan: Option<&'a Plan>,
}

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (state, plan) = match self.decision {
            Decision::NoSshd => ("no-sshd", None),
            Decision::Right(_) => ("locked-down", None),
            Decision::Change(change) => ("open", Some(&change.plan)),
        };
        let plan_sha256 = plan.map(Plan::sha256);
        Outline { schema: 1, status: Exit::Done.status(), state, plan_sha256, plan }.serialize(serializer)
    }
}

/// How it stands.
#[derive(Serialize)]
struct Stated {
    schema: u32,
    status: &'static str,
    #[serde(flatten)]
    state: Status,
}

impl Stated {
    fn of(state: Status) -> Self {
        Self { schema: 1, status: Exit::Done.status(), state }
    }
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

#[derive(Serialize)]
struct Ended {
    schema: u32,
    status: &'static str,
    done: &'static str,
    wanted: std::net::SocketAddrV4,
    before: std::collections::BTreeSet<std::net::SocketAddr>,
}

impl Ended {
    fn new(done: &'static str, journal: &Journal) -> Self {
        Self { schema: 1, status: Exit::Done.status(), done, wanted: journal.wanted, before: journal.before.clone() }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.done == "confirmed" {
            return write!(f, "confirmed: sshd listens at {} and nowhere else", self.wanted);
        }
        write!(f, "put back: sshd listens again at {}", listed(&self.before))
    }
}
