//! `/ui/queue`: what waits and what runs of each repository, and why it waits.

use askama::Template;
use runner_wire::{Queue, RepoQueue};

use crate::filter::Filter;
use crate::frame::{Frame, Shell};
use crate::part::Meter;
use crate::{html, path};

/// What waits and what runs.
#[derive(Debug, Clone, Copy)]
pub struct QueuePage<'a> {
    /// Who looks, and when.
    pub frame: Frame<'a>,
    /// What waits and what runs.
    pub queue: &'a Queue,
}

#[derive(Template)]
#[template(path = "queue.html", whitespace = "minimize")]
struct Whole<'a> {
    shell: Shell<'a>,
    page: &'a QueuePage<'a>,
}

#[derive(Template)]
#[template(path = "queue_list.html", whitespace = "minimize")]
struct List<'a> {
    page: &'a QueuePage<'a>,
}

impl QueuePage<'_> {
    /// The page.
    pub fn render(&self) -> String {
        html(&Whole { shell: Shell::new("Queue", Some(self.frame.viewer), "/ui/queue"), page: self })
    }

    /// The part that changes by itself: all of it.
    pub fn fragment(&self) -> String {
        html(&List { page: self })
    }

    fn slots(&self) -> Meter {
        Meter { taken: self.queue.running, most: self.queue.max_running.into(), label: "slots in use" }
    }

    /// Why the jobs of a repository wait.
    fn why(&self, repo: &RepoQueue) -> &'static str {
        match repo.queued {
            0 => "nothing waits",
            _ if repo.running >= repo.max_running.into() => "at the repository's limit",
            _ if self.queue.running >= self.queue.max_running.into() => "every slot of every worker is taken",
            _ => "a worker takes the next as soon as it may begin",
        }
    }
}

fn slots(repo: &RepoQueue) -> Meter {
    Meter { taken: repo.running, most: repo.max_running.into(), label: "running of the most that may" }
}

fn jobs_of(repo: &RepoQueue) -> String {
    format!("/{}", Filter { repo_name: Some(repo.repo_name.clone()), ..Filter::default() }.query())
}
