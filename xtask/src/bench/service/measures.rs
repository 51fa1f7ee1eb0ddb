//! The measures: each starts its own service, and says what it saw as rows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, available_parallelism, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use outcome::Failure;
use serde_json::{Value, json};

use super::Sizes;
use super::client::{Client, Service};
use super::machine::{self, Watch};
use super::report::{Row, Seen, millis};
use super::stack::{BUSY, Engine, HOLD, Place, REPO, STAMP, Stack};

/// Between two looks at a job or at the queue, each of which takes the service more than it takes a job to wait.
const PAUSE: Duration = Duration::from_millis(20);
/// The same where that is part of what is measured.
const MOMENT: Duration = Duration::from_millis(5);
/// Between two jobs, so that the service is idle.
const IDLE: Duration = Duration::from_millis(50);
/// Jobs that make mirror and trees, so that what is measured finds them.
const WARM: u32 = 3;
/// About what is written of a job that is submitted, in bytes.
const WRITTEN: usize = 1024;
/// Submits of one client until the other side's turn.
const TURN: u32 = 10;
/// Turns of throughputs.
const TURNS: u32 = 4;

/// What is measured, where.
pub(super) struct Lab<'a> {
    pub(super) place: &'a Place,
    pub(super) engine: &'a Engine,
    pub(super) sizes: &'a Sizes,
}

type Measure = fn(&Lab<'_>) -> io::Result<Vec<Row>>;

/// Every measure by name; and whether it is one of the queue's engine, or of the service whatever that is.
pub(super) const ALL: [(&str, bool, Measure); 5] = [
    ("submit", true, submits),
    ("start", true, starts),
    ("jobs", true, throughputs),
    ("busy", true, behind_a_busy_repository),
    ("log", false, long_log),
];

impl Lab<'_> {
    fn stack(&self, workers: u32) -> io::Result<Stack> {
        Stack::start(self.place, self.engine, workers).map_err(told)
    }

    fn row(&self, what: &str, unit: &'static str, seen: Seen) -> Row {
        Row::new(format!("{}: {what}", self.engine.name()), unit, seen)
    }

    fn job(&self, job: &str, repo: &str) -> Value {
        json!({"repo_name": repo, "sha": self.place.sha, "job_type": job})
    }

    /// Runs jobs until mirror and trees are there.
    fn warm(&self, client: &mut Client) -> io::Result<()> {
        for _ in 0..WARM {
            let id = submit(client, &self.job(STAMP, REPO))?;
            ended(client, &id)?;
        }
        Ok(())
    }
}

fn told(failure: Failure) -> io::Error {
    io::Error::other(failure.reason)
}

/// Returns the job's id.
fn submit(client: &mut Client, job: &Value) -> io::Result<String> {
    let answer = client.post("/jobs", job)?;
    answer["job_id"].as_str().map(String::from).ok_or_else(|| io::Error::other(format!("no job: {answer}")))
}

/// Waits until a job has ended well.
fn ended(client: &mut Client, id: &str) -> io::Result<()> {
    loop {
        let job = client.get(&format!("/jobs/{id}"))?;
        match job["status"].as_str() {
            Some("queued" | "running") => sleep(PAUSE),
            Some("success") => return Ok(()),
            _ => return Err(io::Error::other(format!("a job did not end well: {job}"))),
        }
    }
}

/// Submits by clients, in turn with writes that are as durable.
fn submits(lab: &Lab<'_>) -> io::Result<Vec<Row>> {
    let stack = lab.stack(0)?;
    let measure = |clients: u32| -> io::Result<Row> {
        let (ours, theirs) = side_by_side(lab, &stack, clients)?;
        let row = lab.row(&format!("submit, clients: {clients}"), "ms", Seen::times(ours));
        Ok(row.beside("append 1 KiB and fdatasync", Seen::times(theirs)).goal("p99 < 3"))
    };
    Ok(vec![measure(1)?.before("11.0 / 22.3"), measure(8)?])
}

fn side_by_side(lab: &Lab<'_>, stack: &Stack, clients: u32) -> io::Result<(Vec<Duration>, Vec<Duration>)> {
    let all = Barrier::new(clients as usize);
    let job = lab.job(STAMP, REPO);
    let one = |number: u32| {
        let mut client = stack.service.connect()?;
        let mut file = File::create(lab.place.dir.join(format!("written-{number}")))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..lab.sizes.submits.div_ceil(clients * TURN) {
            all.wait();
            let submitted = (0..TURN).map(|_| timed(|| submit(&mut client, &job).map(drop)));
            ours.extend(submitted.collect::<Vec<_>>());
            all.wait();
            let written = (0..TURN).map(|_| timed(|| file.write_all(&[b'x'; WRITTEN]).and_then(|()| file.sync_data())));
            theirs.extend(written.collect::<Vec<_>>());
        }
        Ok((ours.into_iter().collect::<io::Result<Vec<_>>>()?, theirs.into_iter().collect::<io::Result<Vec<_>>>()?))
    };
    let seen = at_once(clients, one)?;
    let (ours, theirs): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    Ok((ours.concat(), theirs.concat()))
}

/// Does the same on as many threads.
fn at_once<T: Send>(threads: u32, one: impl Fn(u32) -> io::Result<T> + Sync) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn({
                    let one = &one;
                    move || one(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
            .collect()
    })
}

fn timed(act: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed())
}

/// From the request of an idle service to the job's start, and to its first act.
fn starts(lab: &Lab<'_>) -> io::Result<Vec<Row>> {
    let stack = lab.stack(1)?;
    let mut client = stack.service.connect()?;
    lab.warm(&mut client)?;
    let own = lab.place.dir.join(lab.place.name());
    lab.place.run(&own)?;
    let begun = begun(lab, &stack, &mut client, lab.sizes.starts, || run_to_first_act(lab.place, &own))?;
    let start = lab.row("idle submit to start", "ms", Seen::times(begun.start));
    let act = lab.row("idle submit to first act", "ms", Seen::times(begun.act));
    let act = act.beside("`runner run` to first act", Seen::times(begun.theirs));
    Ok(vec![start.goal("p99 < 5").before("10.6 / 16.2"), act])
}

/// Times from requests on.
#[derive(Default)]
struct Begun {
    start: Vec<Duration>,
    act: Vec<Duration>,
    theirs: Vec<Duration>,
}

/// Jobs one after the other, in turn with `theirs`. A start is when the worker makes the job's marker: the claim is
/// committed then, and nothing of the job is done.
fn begun(
    lab: &Lab<'_>,
    stack: &Stack,
    client: &mut Client,
    jobs: u32,
    theirs: impl Fn() -> io::Result<Duration>,
) -> io::Result<Begun> {
    let watch = Watch::new(&stack.state.join("running"))?;
    let mut seen = Begun::default();
    for _ in 0..jobs {
        seen.theirs.push(theirs()?);
        sleep(IDLE);
        let (at, by_clock) = (Instant::now(), since_epoch());
        let id = submit(client, &lab.job(STAMP, REPO))?;
        seen.start.push(watch.next(&id)?.duration_since(at));
        ended(client, &id)?;
        let log = client.get(&format!("/jobs/{id}/logs?tail=1"))?;
        seen.act.push(stamp(log["lines"][0].as_str())?.saturating_sub(by_clock));
    }
    Ok(seen)
}

fn run_to_first_act(place: &Place, state: &Path) -> io::Result<Duration> {
    let by_clock = since_epoch();
    let artifact: Value = serde_json::from_slice(&place.run(state)?)?;
    let log = Path::new(artifact["artifact_dir"].as_str().unwrap_or_default()).join("stdout.log");
    Ok(stamp(Some(std::fs::read_to_string(log)?.trim()))?.saturating_sub(by_clock))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn stamp(line: Option<&str>) -> io::Result<Duration> {
    let nanos =
        line.and_then(|line| line.parse().ok()).ok_or_else(|| io::Error::other("a job did not tell the time"))?;
    Ok(Duration::from_nanos(nanos))
}

/// Jobs that do nothing, as many as there are, by one worker and by two; and what that takes.
fn throughputs(lab: &Lab<'_>) -> io::Result<Vec<Row>> {
    let mut rows = throughput(lab, 1)?;
    rows.extend(throughput(lab, 2)?);
    Ok(rows)
}

fn throughput(lab: &Lab<'_>, workers: u32) -> io::Result<Vec<Row>> {
    let stack = lab.stack(workers)?;
    let mut client = stack.service.connect()?;
    lab.warm(&mut client)?;
    sleep(Duration::from_secs(1));
    let rest = stack.memory().map_err(told)?.now;
    let own = lab.place.dir.join(lab.place.name());
    lab.place.run(&own)?;
    let (mut ours, mut theirs) = (Took::default(), Took::default());
    let each = lab.sizes.jobs.div_ceil(TURNS);
    for _ in 0..TURNS {
        ours.add(each, || all_jobs(lab, &stack, each))?;
        theirs.add(each, || all_runs(lab.place, &own, each))?;
    }
    none_failed(&mut client)?;
    let peak = stack.memory().map_err(told)?.peak;
    let what = |what: &str| format!("{what}, workers: {workers}");
    let jobs = lab.row(&what("jobs"), "1/s", ours.rate()).beside("`runner run`, one loop a processor", theirs.rate());
    let cpu = lab.row(&what("processors a job"), "ms", ours.cpu()).beside("`runner run`", theirs.cpu());
    let mib = |kib: u64| Seen::one(f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0, 1);
    let rest = lab.row(&what("memory at rest"), "MiB", mib(rest)).goal("< 25").before("132");
    let peak = lab.row(&what("memory at most"), "MiB", mib(peak));
    Ok(match workers {
        1 => vec![jobs.goal(">= 100").before("18.3 (best 24.6)"), cpu.before("69"), rest, peak],
        _ => vec![jobs.before("33, and 2 errors"), cpu, rest, peak],
    })
}

/// What jobs took together.
#[derive(Default)]
struct Took {
    jobs: u32,
    wall: Duration,
    cpu: Duration,
}

impl Took {
    fn add(&mut self, jobs: u32, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let cpu = machine::spent()?;
        self.wall += timed(act)?;
        self.cpu += machine::spent()?.saturating_sub(cpu);
        self.jobs += jobs;
        Ok(())
    }

    fn rate(&self) -> Seen {
        Seen::one(f64::from(self.jobs) / self.wall.as_secs_f64(), self.jobs as usize)
    }

    fn cpu(&self) -> Seen {
        Seen::one(millis(self.cpu) / f64::from(self.jobs), self.jobs as usize)
    }
}

/// From the first request to the last job's end. Nobody asks for it before the last has begun.
fn all_jobs(lab: &Lab<'_>, stack: &Stack, jobs: u32) -> io::Result<()> {
    let watch = Watch::new(&stack.state.join("running"))?;
    fill(&stack.service, &lab.job(STAMP, REPO), 2, jobs)?;
    (0..jobs).try_for_each(|_| watch.next("").map(drop))?;
    let mut client = stack.service.connect()?;
    loop {
        let queue = client.get("/queue")?;
        if queue["queued"] == 0 && queue["running"] == 0 {
            return Ok(());
        }
        sleep(MOMENT);
    }
}

fn none_failed(client: &mut Client) -> io::Result<()> {
    for status in ["failure", "error", "timeout", "cancelled"] {
        let jobs = client.get(&format!("/jobs?status={status}&limit=1"))?;
        if jobs["jobs"].as_array().is_none_or(|jobs| !jobs.is_empty()) {
            return Err(io::Error::other(format!("jobs did not end well: {jobs}")));
        }
    }
    Ok(())
}

/// Submits jobs by many clients.
fn fill(service: &Service, job: &Value, clients: u32, jobs: u32) -> io::Result<()> {
    let taken = AtomicU32::new(0);
    let one = |_| {
        let mut client = service.connect()?;
        while taken.fetch_add(1, Ordering::Relaxed) < jobs {
            submit(&mut client, job)?;
        }
        Ok(())
    };
    at_once(clients, one).map(drop)
}

fn all_runs(place: &Place, state: &Path, runs: u32) -> io::Result<()> {
    let loops = available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    let taken = AtomicU32::new(0);
    let one = |_| {
        while taken.fetch_add(1, Ordering::Relaxed) < runs {
            place.run(state)?;
        }
        Ok(())
    };
    at_once(loops, one).map(drop)
}

/// The start of a job behind many of a repository that may have no more at a time.
fn behind_a_busy_repository(lab: &Lab<'_>) -> io::Result<Vec<Row>> {
    let stack = lab.stack(1)?;
    let mut client = stack.service.connect()?;
    lab.warm(&mut client)?;
    let watch = Watch::new(&stack.state.join("running"))?;
    let id = submit(&mut client, &lab.job(HOLD, BUSY))?;
    watch.next(&id)?;
    let queued = lab.sizes.queued;
    let filled = timed(|| fill(&stack.service, &lab.job(STAMP, BUSY), 8, queued))?;
    // The service closes a connection on which nothing is said for long.
    let mut client = stack.service.connect()?;
    let rate = Seen::one(f64::from(queued) / filled.as_secs_f64(), queued as usize);
    let begun = begun(lab, &stack, &mut client, lab.sizes.starts, || Ok(Duration::ZERO))?;
    let start = lab.row(&format!("submit to start behind {queued}"), "ms", Seen::times(begun.start));
    Ok(vec![lab.row("submits, clients: 8", "1/s", rate), start.goal("p99 < 5")])
}

/// The last lines of a log that is longer than memory should have to be.
fn long_log(lab: &Lab<'_>) -> io::Result<Vec<Row>> {
    let stack = lab.stack(1)?;
    let mut client = stack.service.connect()?;
    let id = submit(&mut client, &lab.job(STAMP, REPO))?;
    ended(&mut client, &id)?;
    let log = stack.state.join("jobs").join(&id).join("1/stdout.log");
    lengthen(&log, lab.sizes.log_mib)?;
    machine::forget_peak(stack.api())?;
    let rest = machine::memory(stack.api())?.now;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        ours.push(timed(|| client.get(&format!("/jobs/{id}/logs?tail=10")).map(drop))?);
        theirs.push(timed(|| tail(&log))?);
    }
    let peak = machine::memory(stack.api())?.peak;
    let grown = f64::from(u32::try_from(peak.saturating_sub(rest)).unwrap_or(u32::MAX)) / 1024.0;
    let mib = lab.sizes.log_mib;
    let time = Row::new(format!("log of {mib} MiB, tail=10"), "ms", Seen::times(ours)).before("1600 for 205 MB");
    let grown =
        Row::new(format!("log of {mib} MiB, memory on top"), "MiB", Seen::one(grown, 5)).before("577 for 205 MB");
    Ok(vec![time.beside("`tail -n 10` and `wc -l`", Seen::times(theirs)), grown.goal("constant")])
}

/// Appends lines of 128 bytes.
fn lengthen(log: &Path, mib: u64) -> io::Result<()> {
    let line = [[b'x'; 127].as_slice(), b"\n"].concat();
    let piece = line.repeat((1 << 20) / line.len());
    let mut file = BufWriter::new(OpenOptions::new().append(true).open(log)?);
    (0..mib).try_for_each(|_| file.write_all(&piece))?;
    file.flush()
}

fn tail(log: &Path) -> io::Result<()> {
    let mut tail = Command::new("sh");
    tail.args(["-ec", r#"tail -n 10 "$1"; wc -l < "$1""#, "sh"]).arg(log).stdout(Stdio::null());
    if tail.status()?.success() { Ok(()) } else { Err(io::Error::other("tail or wc failed")) }
}
