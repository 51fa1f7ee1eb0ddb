//! Programs beside a test: this one again, told what to do. They are killed, stopped, and heard to the end.

use std::io::{BufRead as _, BufReader, Lines, Write as _, stdin};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use job::Job;
use job_store::{Beat, Store};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::jobs::{job, no_limits, submit, succeed, take, take_some};
use crate::lab::{block_on, open};

const VARIABLE: &str = "JOB_STORE_TEST_CHILD";
/// In front of what a child says; libtest says things too.
const SAYS: &str = "says ";

/// In front of a job that was ended.
pub(crate) const ENDED: &str = "ended ";

/// What the other tests start; by itself it does nothing.
#[test]
fn child() {
    let Some(told) = std::env::var_os(VARIABLE) else { return };
    let told = told.into_string().unwrap();
    let [role, url, lease] = told.split('\n').collect::<Vec<_>>().try_into().unwrap();
    block_on(async {
        let store = open(url, Duration::from_millis(lease.parse().unwrap())).await.unwrap();
        say("ready");
        if role != "obey" {
            // Whoever started it goes: so does it.
            std::thread::spawn(|| {
                drop(std::io::read_to_string(stdin()));
                std::process::exit(0);
            });
        }
        match role {
            "obey" => obey(&*store).await,
            "work" => work(&*store).await,
            "submit" => loop {
                say(submit(&*store, &job("a")).await.job_id.as_str());
            },
            other => panic!("{other}"),
        }
    });
}

fn say(what: &str) {
    println!("\n{SAYS}{what}");
}

/// Does what each line says.
async fn obey(store: &dyn Store) {
    let mut held: Option<Job> = None;
    for line in stdin().lines() {
        let job = held.clone();
        match (line.unwrap().as_str(), job) {
            ("submit", _) => say(submit(store, &crate::jobs::job("a")).await.job_id.as_str()),
            ("claim", _) => {
                held = take(store, "child").await;
                say(if held.is_some() { "claimed" } else { "nothing" });
            }
            ("beat", Some(job)) => {
                let lost = store.beat(&job.job_id, job.life.epoch).await.unwrap() == Beat::Lost;
                say(if lost { "lost" } else { "yours" });
            }
            ("end", Some(job)) => {
                say(if succeed(store, &job).await.is_some() { "ended" } else { "discarded" });
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Takes jobs and ends them, until it is killed.
async fn work(store: &dyn Store) {
    loop {
        let jobs = take_some(store, "child", 3, &no_limits()).await;
        say("looked");
        if jobs.is_empty() {
            // Nobody may be listening: what is said has to fit into the pipe.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for job in jobs {
            store.beat(&job.job_id, job.life.epoch).await.unwrap();
            say("beaten");
            if let Some(job) = succeed(store, &job).await {
                say(&format!("{ENDED}{}", job.job_id));
            }
        }
    }
}

/// A child. It is killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(role: &str, url: &str, lease: Duration) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::child", "--nocapture"]);
        command.env(VARIABLE, format!("{role}\n{url}\n{}", lease.as_millis()));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, orders, lines }
    }

    /// One that has opened its store.
    pub(crate) fn ready(role: &str, url: &str, lease: Duration) -> Self {
        let mut child = Self::start(role, url, lease);
        assert_eq!(child.hear().as_deref(), Some("ready"));
        child
    }

    pub(crate) fn order(&mut self, what: &str) {
        writeln!(self.orders, "{what}").unwrap();
    }

    /// What it says next; `None` when it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        self.lines.by_ref().map(Result::unwrap).find_map(|line| Some(line.strip_prefix(SAYS)?.to_owned()))
    }

    /// What it answers to an order.
    pub(crate) fn answer(&mut self, order: &str) -> String {
        self.order(order);
        self.hear().unwrap()
    }

    /// All of it is stopped then: one of its threads may go on for a while after the signal was sent, and would read the
    /// next order.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.process)), stopped).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Kills it as `kill -9` does. Returns what it had said.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        std::iter::from_fn(|| self.hear()).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
