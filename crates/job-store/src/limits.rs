//! How many jobs may run at one time.

use std::collections::BTreeMap;

/// How many jobs may run at one time, on all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of all repositories.
    pub all: u32,
    /// Of each that is not named.
    pub each: u32,
    /// Of those that are.
    pub named: BTreeMap<String, u32>,
}

impl Limits {
    /// The most jobs of `repo` that run at one time.
    pub fn of(&self, repo: &str) -> u32 {
        self.named.get(repo).copied().unwrap_or(self.each)
    }

    /// Why no further job of `repo` may be begun while these run; `None` when one may.
    pub fn reason(&self, repo: &str, running: &BTreeMap<String, u64>) -> Option<String> {
        let of_repo = running.get(repo).copied().unwrap_or(0);
        let (all, most, limit) = (running.values().sum::<u64>(), self.all, self.of(repo));
        if of_repo >= u64::from(limit) {
            Some(format!("repository {repo} has {of_repo} of {limit} running"))
        } else if all >= u64::from(most) {
            Some(format!("{all} of {most} jobs are running"))
        } else {
            None
        }
    }

    /// Of the repositories in `running` those of which no further job may be begun; all of them, where that is so.
    pub(crate) fn busy(&self, running: &BTreeMap<String, u64>) -> Busy {
        if running.values().sum::<u64>() >= u64::from(self.all) {
            return Busy::All;
        }
        let full = running.iter().filter(|(repo, count)| **count >= u64::from(self.of(repo)));
        Busy::These(full.map(|(repo, _)| repo.clone()).collect())
    }
}

/// Repositories of which no further job may be begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    All,
    These(Vec<String>),
}
