//! `/`: the jobs, the newest first.

use std::collections::BTreeSet;

use askama::Template;
use job::{Status, Time};
use runner_wire::{JobView, Jobs, Queue};

use crate::filter::Filter;
use crate::frame::{Frame, Shell};
use crate::part::{Ago, Badge, Meter};
use crate::{html, path, words};

/// The list of jobs.
#[derive(Debug, Clone, Copy)]
pub struct JobsPage<'a> {
    /// Who looks, and when.
    pub frame: Frame<'a>,
    /// Which jobs `jobs` has.
    pub filter: &'a Filter,
    /// The jobs.
    pub jobs: &'a Jobs,
    /// What waits and what runs, whatever the filter says.
    pub queue: &'a Queue,
}

#[derive(Template)]
#[template(path = "jobs.html", whitespace = "minimize")]
struct Whole<'a> {
    shell: Shell<'a>,
    page: &'a JobsPage<'a>,
    repo_names: BTreeSet<&'a str>,
    job_types: BTreeSet<&'a str>,
}

#[derive(Template)]
#[template(path = "jobs_list.html", whitespace = "minimize")]
struct List<'a> {
    page: &'a JobsPage<'a>,
}

impl JobsPage<'_> {
    /// The page.
    pub fn render(&self) -> String {
        let jobs = self.jobs.jobs.iter().map(|view| &view.job.request);
        let busy = self.queue.repos.iter().map(|repo| repo.repo_name.as_str());
        html(&Whole {
            shell: Shell::new("Jobs", Some(self.frame.viewer), "/"),
            page: self,
            repo_names: jobs.clone().map(|request| request.repo_name.as_str()).chain(busy).collect(),
            job_types: jobs.map(|request| request.job_type.as_str()).collect(),
        })
    }

    /// The part that changes by itself: the counts, the jobs and the pager.
    pub fn fragment(&self) -> String {
        html(&List { page: self })
    }

    fn source(&self) -> String {
        format!("{}{}", path::JOBS_FRAGMENT, self.filter.query())
    }

    /// Every state, and whether the filter names it.
    fn states(&self) -> [(&'static str, bool); 7] {
        Status::ALL.map(|status| (status.as_str(), self.filter.status == Some(status)))
    }

    fn state_in(&self, status: Status) -> String {
        format!("/{}", Filter { status: Some(status), before: None, ..self.filter.clone() }.query())
    }

    fn older(&self) -> Option<String> {
        self.jobs.next.as_ref().map(|next| format!("/{}", self.filter.from(Some(next)).query()))
    }

    fn newest(&self) -> Option<String> {
        self.filter.before.as_ref().map(|_| format!("/{}", self.filter.from(None).query()))
    }

    fn ago(&self, at: &Time) -> Ago {
        self.frame.ago(*at)
    }

    fn slots(&self) -> Meter {
        Meter { taken: self.queue.running, most: self.queue.max_running.into(), label: "slots in use" }
    }
}

/// What is to be said of a job in one line: why it waits, which attempt runs, or why it is no success.
fn remark(view: &JobView) -> String {
    let life = &view.job.life;
    match (life.status, &life.ending) {
        (Status::Queued, _) => view.waiting.clone().unwrap_or_default(),
        (Status::Running, _) if life.cancel.is_some() => "is being stopped".into(),
        (Status::Running, _) => {
            let worker = life.worker.as_deref().unwrap_or("an unknown worker");
            match life.attempt {
                ..=1 => format!("on {worker}"),
                attempt => format!("attempt {attempt} of {} on {worker}", life.max_attempts),
            }
        }
        (_, Some(ending)) => {
            let parts = [&ending.class, &ending.reason];
            parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(": ")
        }
        _ => String::new(),
    }
}
