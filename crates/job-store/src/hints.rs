//! Hints that there is news, so that nobody has to ask all the time.

use tokio::sync::watch;

/// What the news is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A job may be taken that could not be before.
    Work,
    /// Something else happened to a job.
    News,
}

impl Hint {
    pub(crate) const ALL: [Self; 2] = [Self::Work, Self::News];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::News => "news",
        }
    }
}

/// Where to wait for hints.
#[derive(Debug, Default)]
pub struct Hints {
    work: watch::Sender<()>,
    news: watch::Sender<()>,
}

impl Hints {
    /// Changes when a job may be taken.
    pub fn work(&self) -> watch::Receiver<()> {
        self.work.subscribe()
    }

    /// Changes when anything happened to any job.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(crate) fn give(&self, hint: Hint) {
        if hint == Hint::Work {
            self.work.send_replace(());
        }
        self.news.send_replace(());
    }
}
