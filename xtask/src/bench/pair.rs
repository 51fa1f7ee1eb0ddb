//! Ours and theirs, run alternately, so that whatever else the machine does touches both.

use std::time::{Duration, Instant};

use super::run::{Run, Usage};

/// Fewer runs than this say nothing of a median.
const LEAST: usize = 7;
/// More are not worth the wait.
const MOST: usize = 400;

/// Two programs that do the same for a user.
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) ours: Run,
    pub(super) theirs: Run,
    /// What the ratio should stay under.
    pub(super) goal: Option<f64>,
}

/// What was seen of one of them.
pub(super) struct Seen {
    pub(super) median: Duration,
    pub(super) least: Duration,
    pub(super) usage: Usage,
}

pub(super) struct Measured {
    pub(super) ours: Seen,
    pub(super) theirs: Seen,
    pub(super) runs: usize,
}

impl Measured {
    /// Ours over theirs, by median and by least time.
    pub(super) fn ratios(&self) -> (f64, f64) {
        let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        (ratio(self.ours.median, self.theirs.median), ratio(self.ours.least, self.theirs.least))
    }
}

impl Pair {
    /// Runs both in turn for about `time`, who goes first changing each time.
    ///
    /// # Errors
    /// Why one of them could not be run, or failed.
    pub(super) fn measure(&self, time: Duration) -> Result<Measured, String> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        self.ours.time()?;
        self.theirs.time()?;
        let start = Instant::now();
        while ours.len() < LEAST || (ours.len() < MOST && start.elapsed() < time) {
            if ours.len() % 2 == 0 {
                ours.push(self.ours.time()?);
                theirs.push(self.theirs.time()?);
            } else {
                theirs.push(self.theirs.time()?);
                ours.push(self.ours.time()?);
            }
        }
        let runs = ours.len();
        Ok(Measured { ours: Seen::of(ours, &self.ours)?, theirs: Seen::of(theirs, &self.theirs)?, runs })
    }
}

impl Seen {
    fn of(mut times: Vec<Duration>, run: &Run) -> Result<Self, String> {
        times.sort();
        Ok(Self { median: times[times.len() / 2], least: times[0], usage: run.usage()? })
    }
}
