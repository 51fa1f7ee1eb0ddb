//! Jobs that are begun by the clock.
//!
//! ```toml
//! schema = 1
//!
//! [schedules.nightly-doctor]         # letters, digits, `._-`, at most 64
//! cron = "0 3 * * *"                 # minute, hour, day, month, weekday, in UTC
//! job = "orb_doctor"                 # an allowlisted job
//! repo = "algo-nt8-orb"              # an allowlisted repository
//! branch = "main"                    # whose commit is taken; default: the repository's default branch
//! priority = -10                     # default: 0
//!
//! [schedules.nightly-doctor.params]  # the job's parameters
//! ```
//!
//! **Invariant:** however many workers read a schedule, each of its times is one job: its key in the queue is the
//! schedule's name and the time.
//! **Invariant:** a schedule names what the allowlists admit; it allows nothing by itself.

use std::collections::BTreeMap;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use job::Time;
use outcome::Failure;
use serde::Deserialize;

/// The name of the file, beside the allowlists.
pub const FILE: &str = "schedules.toml";
/// The number in its `schema`.
const SCHEMA: u32 = 1;
/// The most schedules.
const MOST: usize = 100;

/// All schedules, by name.
#[derive(Debug, Clone, Default)]
pub struct Schedules(BTreeMap<String, Schedule>);

/// A job and when it is begun.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    /// What is to be run, without its commit.
    pub job: String,
    /// On which repository.
    pub repo: String,
    /// The branch whose commit is taken; else the repository's default branch.
    pub branch: Option<String>,
    /// More is sooner.
    pub priority: i32,
    /// The job's parameters.
    pub params: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    #[serde(default)]
    schedules: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    cron: String,
    job: String,
    repo: String,
    branch: Option<String>,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

impl Schedules {
    /// Reads the file.
    ///
    /// # Errors
    /// Not ready, class `bad-schedules`, with the first thing that is wrong in it.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let File { schema, schedules } = toml::from_str(text).map_err(|error| bad(&error.to_string()))?;
        if schema != SCHEMA {
            return Err(bad(&format!("schema {schema} is not {SCHEMA}")));
        }
        if schedules.len() > MOST {
            return Err(bad(&format!("there are more than {MOST} schedules")));
        }
        let read = schedules.into_iter().map(|(name, entry)| Ok((name.clone(), Schedule::of(&name, entry)?)));
        Ok(Self(read.collect::<Result<_, Failure>>()?))
    }

    /// The schedules that have a time after `since` and not after `now`, each with the last such time. What lies further
    /// back is not made up for.
    pub fn due(&self, since: Time, now: Time) -> Vec<(&str, &Schedule, Time)> {
        let last = |schedule: &Schedule| schedule.last(now).filter(|at| *at > since);
        self.0.iter().filter_map(|(name, schedule)| Some((name.as_str(), schedule, last(schedule)?))).collect()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Schedule {
    fn of(name: &str, entry: Entry) -> Result<Self, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(bad("a schedule's name must be 1 to 64 letters, digits and `._-`"));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&entry.cron).map_err(|error| bad(&format!("schedules.{name}.cron: {error}")))?;
        if !(-100..=100).contains(&entry.priority) {
            return Err(bad(&format!("schedules.{name}.priority: {} is not within -100..=100", entry.priority)));
        }
        let Entry { job, repo, branch, priority, params, .. } = entry;
        Ok(Self { cron, job, repo, branch, priority, params })
    }

    /// Its last time that is not after `now`.
    fn last(&self, now: Time) -> Option<Time> {
        let now = Timestamp::from_millisecond(now.as_millis()).ok()?.to_zoned(TimeZone::UTC).datetime();
        let last = self.cron.find_previous_occurrence(&now, true).ok()?;
        Time::from_millis(TimeZone::UTC.to_timestamp(last).ok()?.as_millisecond()).ok()
    }
}

fn bad(why: &str) -> Failure {
    Failure::not_ready(
        "bad-schedules",
        format!("{FILE}: {why}"),
        "mend what is named; until then nothing is begun by the clock",
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    const NIGHTLY: &str =
        "schema = 1\n[schedules.nightly]\ncron = \"0 3 * * *\"\njob = \"doctor\"\nrepo = \"project\"\n";

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn due(text: &str, since: &str, now: &str) -> String {
        let schedules = Schedules::parse(text).unwrap();
        let due = schedules.due(time(since), time(now)).into_iter().map(|(name, _, at)| format!("{name} {at}"));
        due.collect::<Vec<_>>().join(", ")
    }

    fn refused(text: &str) -> String {
        Schedules::parse(text).unwrap_err().reason
    }

    #[test]
    fn a_time_is_due_once_from_its_minute_on() {
        let check = |since, now| due(NIGHTLY, since, now);
        assert_eq!(check("2026-01-31T02:59:00.000Z", "2026-01-31T02:59:59.999Z"), "");
        assert_eq!(check("2026-01-31T02:59:59.999Z", "2026-01-31T03:00:00.000Z"), "nightly 2026-01-31T03:00:00.000Z");
        assert_eq!(check("2026-01-31T02:59:59.000Z", "2026-01-31T03:07:00.123Z"), "nightly 2026-01-31T03:00:00.000Z");
        assert_eq!(check("2026-01-31T03:00:00.000Z", "2026-01-31T03:07:00.000Z"), "");
    }

    #[test]
    fn of_the_times_that_were_missed_only_the_last_is_due() {
        assert_eq!(
            due(NIGHTLY, "2026-01-28T00:00:00.000Z", "2026-01-31T12:00:00.000Z"),
            "nightly 2026-01-31T03:00:00.000Z"
        );
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        let with = |from: &str, to: &str| refused(&NIGHTLY.replace(from, to));
        assert_snapshot!(with("schema = 1", "schema = 2"), @"schedules.toml: schema 2 is not 1");
        assert_snapshot!(with("0 3 * * *", "0 25 * * *"), @"schedules.toml: schedules.nightly.cron: Component error: Number out of bounds.");
        assert_snapshot!(with("0 3 * * *", "0 0 3 * * *"), @"schedules.toml: schedules.nightly.cron: Invalid pattern: Pattern must have 5 fields when seconds are disallowed.");
        assert_snapshot!(with("nightly", "\"../x\""), @"schedules.toml: a schedule's name must be 1 to 64 letters, digits and `._-`");
        assert_snapshot!(with("job =", "priority = 101\njob ="), @"schedules.toml: schedules.nightly.priority: 101 is not within -100..=100");
        assert!(with("repo", "rep").contains("rep"));
        assert!(Schedules::parse("schema = 1").unwrap().is_empty());
    }
}
