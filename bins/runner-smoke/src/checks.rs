//! What is looked at, one after the other.

use std::time::Duration;

use cli::Context;
use doctor::Check;
use host::Host as _;
use job::artifact::MAX_BYTES;
use job::{Artifact, Id, Kind, Status};
use outcome::{Exit, Failure};
use runner::{Site, Source};
use runner_client::{Client, News};
use runner_wire::{LogEnd, Stream, Submit};

use crate::args::Args;
use crate::orb;

/// The job that every allowlist has: it prints one line.
const ECHO: &str = "local_echo";
/// How many jobs are tried to be stopped.
const CANCELS: u32 = 5;
/// Of what was seen and is not as it should be; the check has a class of its own.
const WRONG: &str = "wrong";
/// How long a service that was just started may take to be ready.
const START: Duration = Duration::from_secs(10);

/// The service that is looked at.
pub(crate) struct Smoke<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) client: &'a Client,
    /// Without a token.
    stranger: &'a Client,
    pub(crate) site: &'a Site,
    patience: Duration,
    checks: Vec<Check>,
}

/// A job that was run.
pub(crate) struct Ran {
    pub(crate) id: Id,
    pub(crate) end: LogEnd,
    stdout: String,
}

impl<'a> Smoke<'a> {
    pub(crate) fn new(
        cx: &'a Context,
        client: &'a Client,
        stranger: &'a Client,
        site: &'a Site,
        patience: u64,
    ) -> Self {
        let patience = Duration::from_secs(patience);
        Self { cx, client, stranger, site, patience, checks: Vec::new() }
    }

    /// Every check; what cannot be looked at because of a failure before it is left out.
    ///
    /// # Errors
    /// Only that somebody wanted to stop.
    pub(crate) fn checks(mut self, args: &Args) -> Result<Vec<Check>, Failure> {
        if self.check("healthz", "not-there", Self::healthy)?.is_some() {
            self.check("readyz", "not-ready", Self::ready)?;
            self.check("token", "open", Self::keeps_strangers_out)?;
            if let Some((repo, sha)) = self.check("commit", "no-commit", |it| it.commit(args))? {
                self.jobs(&repo, &sha)?;
            }
            let orb = orb::check(&self, &args.orb_repo)?;
            self.checks.extend(orb);
        }
        Ok(self.checks)
    }

    fn jobs(&mut self, repo: &str, sha: &str) -> Result<(), Failure> {
        let wanted = Submit { idempotency_key: Some(self.cx.host.random_hex(16)), ..echo(repo, sha) };
        if let Some(ran) = self.check("job", "job-failed", |it| it.job(&wanted))? {
            self.check("status", "wrong-status", |it| it.status(&ran))?;
            self.check("logs", "wrong-log", |it| it.logs(&ran))?;
            self.check("timeline", "wrong-timeline", |it| it.timeline(&ran))?;
            self.check("artifact", "wrong-artifact", |it| it.artifact(&ran, sha))?;
            self.check("idempotency", "not-idempotent", |it| it.idempotent(&wanted, &ran))?;
        }
        self.check("refusal", "not-refused", |it| it.refuses(&wanted))?;
        let cancelled = self.cancels(&echo(repo, sha));
        self.checks.push(stopped(cancelled)?);
        Ok(())
    }

    /// Looks, and keeps what was seen. Returns what the next checks need, unless it failed.
    fn check<T>(
        &mut self,
        name: &'static str,
        class: &'static str,
        look: impl FnOnce(&Self) -> Result<(T, String), Failure>,
    ) -> Result<Option<T>, Failure> {
        self.cx.console.working(name);
        match look(self) {
            Ok((found, seen)) => {
                self.checks.push(Check::pass(name, seen));
                Ok(Some(found))
            }
            Err(failure) if failure.class == "interrupted" => Err(failure),
            Err(failure) => {
                self.checks.push(Check::fail(name, class, told(&failure), failure.next));
                Ok(None)
            }
        }
    }

    fn healthy(&self) -> Result<((), String), Failure> {
        let ok = self.client.health()?.ok;
        ensure(ok, || "it says that it is not well".into())?;
        Ok(((), self.client.base().to_string()))
    }

    fn ready(&self) -> Result<((), String), Failure> {
        let ready = self.client.ready_within(START)?;
        let told = |good: bool| {
            let checks = ready.checks.iter().filter(|check| check.ok == good);
            checks.map(|check| format!("{}: {}", check.name, check.detail)).collect::<Vec<_>>().join(", ")
        };
        ensure(ready.ok, || told(false))?;
        Ok(((), told(true)))
    }

    fn keeps_strangers_out(&self) -> Result<((), String), Failure> {
        match self.stranger.queue() {
            Err(failure) if failure.class == "unauthenticated" => Ok(((), "who has none is told nothing".into())),
            Err(failure) => Err(failure),
            Ok(_) => Err(wrong("who has none is told what waits".into())),
        }
    }

    fn commit(&self, args: &Args) -> Result<((String, String), String), Failure> {
        let repo = match &args.repo {
            Some(repo) => repo.clone(),
            None => self.site.policy(&self.cx.host)?.repos().keys().next().cloned().ok_or_else(|| {
                Failure::not_ready("no-repos", "no repository is allowed", "allow one: runner allow DIR-OR-URL")
            })?,
        };
        let sha = match &args.sha {
            Some(sha) => sha.clone(),
            None => Source::find(&self.cx.host, self.site, &repo, None)?.tip(&self.cx.host)?,
        };
        let seen = format!("{repo} {sha}");
        Ok(((repo, sha), seen))
    }

    fn job(&self, wanted: &Submit) -> Result<(Ran, String), Failure> {
        let ran = self.run(wanted)?;
        ensure(ran.end.status == Status::Success && ran.end.exit == 0, || self.why(&ran))?;
        let seen = format!("{} {} is a success", wanted.job_type, ran.id);
        Ok((ran, seen))
    }

    /// Has a job run, and waits for its end as long as that may take.
    pub(crate) fn run(&self, wanted: &Submit) -> Result<Ran, Failure> {
        let id = self.client.submit(wanted)?.job_id;
        let begun = self.cx.host.now();
        let mut stdout = String::new();
        for news in self.client.follow(&id, None) {
            match news? {
                News::Log(piece) if piece.stream == Stream::Stdout && stdout.len() < 1 << 20 => {
                    stdout.push_str(&piece.text);
                }
                News::Attempt(_) => stdout.clear(),
                News::End(end) => return Ok(Ran { id, end, stdout }),
                News::Log(_) | News::Quiet | News::Lost(_) => {}
            }
            if self.cx.host.now().duration_since(begun).is_ok_and(|waited| waited > self.patience) {
                break;
            }
        }
        let next = format!("see why: runner show {id}; or wait longer: --patience SECONDS");
        let reason = format!("{} {id} did not end within {} s", wanted.job_type, self.patience.as_secs());
        Err(Failure::infrastructure("not-ended", reason, next))
    }

    /// What the service says of how a job ended.
    pub(crate) fn why(&self, ran: &Ran) -> String {
        let job = self.client.show(&ran.id).ok();
        let reason = job.and_then(|job| job.job.life.ending?.reason).unwrap_or_default();
        format!("{} is {}, exit code {}: {reason}", ran.id, ran.end.status.as_str(), ran.end.exit)
    }

    fn status(&self, ran: &Ran) -> Result<((), String), Failure> {
        let job = self.client.show(&ran.id)?;
        let code = job.job.life.ending.as_ref().map(|ending| ending.exit_code);
        let is = job.job.life.status;
        ensure(is == Status::Success && code == Some(0), || format!("{} with exit code {code:?}", is.as_str()))?;
        let listed = self.client.list(&runner_client::Which::default())?.jobs;
        ensure(listed.iter().any(|listed| listed.job.job_id == ran.id), || "the job is not in the list".into())?;
        Ok(((), format!("success after {} ms, and it is listed", job.duration_ms.unwrap_or_default())))
    }

    fn logs(&self, ran: &Ran) -> Result<((), String), Failure> {
        let tail = self.client.tail(&ran.id, Stream::Stdout, 10)?;
        ensure(!tail.lines.is_empty(), || "the log is empty".into())?;
        let live: Vec<&str> = ran.stdout.lines().collect();
        ensure(tail.lines == live, || format!("{:?} when it was written, {:?} after", live, tail.lines))?;
        Ok(((), format!("{} lines, the same live and after", tail.total_lines)))
    }

    fn timeline(&self, ran: &Ran) -> Result<((), String), Failure> {
        let events = self.client.events(&ran.id)?.events;
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        let whole = kinds.first() == Some(&Kind::Submitted.as_str()) && kinds.last() == Some(&Kind::Ended.as_str());
        ensure(whole, || kinds.join(", "))?;
        Ok(((), kinds.join(", ")))
    }

    fn artifact(&self, ran: &Ran, sha: &str) -> Result<((), String), Failure> {
        let mut bytes = Vec::new();
        self.client.download(&ran.id, "artifact.json", MAX_BYTES as u64, &mut bytes)?;
        let artifact = Artifact::parse(&bytes).map_err(|error| wrong(format!("artifact.json: {error}")))?;
        ensure(artifact.job_id == ran.id && artifact.sha == sha, || "it is about another job or commit".into())?;
        let proved = artifact.invariants.read_only_ok && artifact.invariants.clean_tree_ok;
        ensure(proved, || format!("the tree was not proved to be as it was: {:?}", artifact.invariants))?;
        Ok(((), "artifact.json is as its schema says, the tree was read-only and stayed clean".into()))
    }

    fn idempotent(&self, wanted: &Submit, ran: &Ran) -> Result<((), String), Failure> {
        let again = self.client.submit(wanted)?;
        ensure(again.job_id == ran.id, || format!("the same key is another job, {}", again.job_id))?;
        let other = Submit { priority: Some(1), ..wanted.clone() };
        match self.client.submit(&other) {
            Err(failure) if failure.exit == Exit::Refused => Ok(((), format!("the same job; {}", failure.class))),
            Err(failure) => Err(failure),
            Ok(_) => Err(wrong("another request with the same key is not refused".into())),
        }
    }

    fn refuses(&self, wanted: &Submit) -> Result<((), String), Failure> {
        let unknown = Submit { job_type: "smoke_no_such_job".into(), idempotency_key: None, ..wanted.clone() };
        match self.client.submit(&unknown) {
            Err(failure) if failure.exit == Exit::Refused => Ok(((), format!("an unknown job: {}", failure.class))),
            Err(failure) => Err(failure),
            Ok(_) => Err(wrong("a job that is not allowed is taken".into())),
        }
    }

    /// How a job ended that was to be stopped at once. One so short may end before: then another is tried.
    fn cancels(&self, wanted: &Submit) -> Result<Ran, Failure> {
        let mut tries = 1;
        loop {
            let wanted = Submit { idempotency_key: Some(self.cx.host.random_hex(16)), ..wanted.clone() };
            let submitted = self.client.submit(&wanted)?;
            match self.client.cancel(&submitted.job_id, Some("smoke test")) {
                Err(failure) if failure.class != "job-ended" => return Err(failure),
                Err(_) | Ok(_) => {}
            }
            // The same key is the same job.
            let ran = self.run(&wanted)?;
            if ran.end.status == Status::Cancelled || tries == CANCELS {
                return Ok(ran);
            }
            tries += 1;
        }
    }
}

fn stopped(cancelled: Result<Ran, Failure>) -> Result<Check, Failure> {
    match cancelled {
        Err(failure) if failure.class == "interrupted" => Err(failure),
        Err(failure) => Ok(Check::fail("cancel", "not-stopped", told(&failure), failure.next)),
        Ok(ran) if ran.end.status == Status::Cancelled => Ok(Check::pass("cancel", format!("{} was stopped", ran.id))),
        Ok(ran) => {
            let seen = format!("{CANCELS} jobs ended before they could be stopped, the last was {}", ran.id);
            Ok(Check::warn("cancel", "ended-before", seen, "run this again: the job is a short one"))
        }
    }
}

fn echo(repo: &str, sha: &str) -> Submit {
    Submit { repo_name: repo.to_owned(), sha: sha.to_owned(), job_type: ECHO.into(), ..Submit::default() }
}

pub(crate) fn told(failure: &Failure) -> String {
    if failure.class == WRONG { failure.reason.clone() } else { format!("{}: {}", failure.class, failure.reason) }
}

/// The service answered, and not as it should.
fn wrong(reason: String) -> Failure {
    Failure::refused(WRONG, reason, "see what the service logs")
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(wrong(why())) }
}
