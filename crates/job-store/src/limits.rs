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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn running(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter().map(|(repo, count)| ((*repo).to_owned(), *count)).collect()
    }

    fn limits() -> Limits {
        Limits { all: 5, each: 2, named: [("one".to_owned(), 1), ("none".to_owned(), 0)].into() }
    }

    fn reason(repo: &str, of: &[(&str, u64)]) -> String {
        limits().reason(repo, &running(of)).unwrap_or_else(|| "it may be begun".into())
    }

    #[test]
    fn why_a_job_waits_is_told_in_numbers() {
        assert_snapshot!(reason("a", &[]), @"it may be begun");
        assert_snapshot!(reason("a", &[("a", 1), ("one", 1)]), @"it may be begun");
        assert_snapshot!(reason("a", &[("a", 2)]), @"repository a has 2 of 2 running");
        assert_snapshot!(reason("a", &[("a", 3)]), @"repository a has 3 of 2 running");
        assert_snapshot!(reason("one", &[("one", 1)]), @"repository one has 1 of 1 running");
        assert_snapshot!(reason("none", &[]), @"repository none has 0 of 0 running");
        assert_snapshot!(reason("a", &[("b", 2), ("c", 2), ("one", 1)]), @"5 of 5 jobs are running");
        assert_snapshot!(reason("a", &[("a", 2), ("b", 2), ("one", 1)]), @"repository a has 2 of 2 running");
    }

    #[test]
    fn repositories_at_their_limit_are_busy_and_so_are_all_at_the_limit_of_all() {
        let busy = |of: &[(&str, u64)]| limits().busy(&running(of));
        let these = |repos: &[&str]| Busy::These(repos.iter().map(|repo| (*repo).to_owned()).collect());
        assert_eq!(busy(&[]), these(&[]));
        assert_eq!(busy(&[("a", 1), ("b", 2), ("one", 1)]), these(&["b", "one"]));
        assert_eq!(busy(&[("a", 1), ("none", 0)]), these(&["none"]));
        assert_eq!(busy(&[("a", 2), ("b", 2), ("one", 1)]), Busy::All);
        assert_eq!(busy(&[("a", 6)]), Busy::All);
    }
}
