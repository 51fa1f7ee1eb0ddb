//! `/ui/workers`: the processes that run jobs.

use askama::Template;
use job::Time;
use runner_wire::Worker;

use crate::frame::{Frame, Shell};
use crate::part::{Ago, Icon, Meter};
use crate::{html, path, words};

/// The processes that run jobs.
#[derive(Debug, Clone, Copy)]
pub struct WorkersPage<'a> {
    /// Who looks, and when.
    pub frame: Frame<'a>,
    /// The processes, by name.
    pub workers: &'a [Worker],
}

#[derive(Template)]
#[template(path = "workers.html", whitespace = "minimize")]
struct Whole<'a> {
    shell: Shell<'a>,
    page: &'a WorkersPage<'a>,
}

#[derive(Template)]
#[template(path = "workers_list.html", whitespace = "minimize")]
struct List<'a> {
    page: &'a WorkersPage<'a>,
}

impl WorkersPage<'_> {
    /// The page.
    pub fn render(&self) -> String {
        html(&Whole { shell: Shell::new("Workers", Some(self.frame.viewer), "/ui/workers"), page: self })
    }

    /// The part that changes by itself: all of them.
    pub fn fragment(&self) -> String {
        html(&List { page: self })
    }

    fn ago(&self, at: &Time) -> Ago {
        self.frame.ago(*at)
    }

    fn alive(&self) -> impl Iterator<Item = &Worker> + Clone {
        self.workers.iter().filter(|worker| worker.alive)
    }

    /// Those that are alive do not all obey the same policy.
    fn at_odds(&self) -> bool {
        let mut policies = self.alive().map(|worker| &worker.policy_sha256);
        policies.next().is_some_and(|first| policies.any(|other| other != first))
    }
}

/// A worker's state: its shape, and a word.
const fn state(worker: &Worker) -> (&'static str, &'static str) {
    match (worker.alive, worker.draining) {
        (false, _) => ("error", "lost"),
        (true, true) => ("again", "draining"),
        (true, false) => ("success", "alive"),
    }
}

fn slots(worker: &Worker) -> Meter {
    let taken = u64::try_from(worker.running.len()).unwrap_or(u64::MAX);
    Meter { taken, most: worker.slots.into(), label: "slots in use" }
}
