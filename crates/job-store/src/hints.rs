//! Hints that there is news, so that nobody has to ask all the time.

use tokio::sync::watch;

/// What the news is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A job may be taken that could not be before.
    Work,
    /// Somebody wants a job stopped that runs.
    Cancel,
    /// Something else happened to a job.
    News,
}

impl Hint {
    pub(crate) const ALL: [Self; 3] = [Self::Work, Self::Cancel, Self::News];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Cancel => "cancel",
            Self::News => "news",
        }
    }
}

/// Where to wait for hints.
#[derive(Debug, Default)]
pub struct Hints {
    work: watch::Sender<()>,
    cancels: watch::Sender<()>,
    news: watch::Sender<()>,
}

impl Hints {
    /// Changes when a job may be taken.
    pub fn work(&self) -> watch::Receiver<()> {
        self.work.subscribe()
    }

    /// Changes when somebody wants a job stopped that runs.
    pub fn cancels(&self) -> watch::Receiver<()> {
        self.cancels.subscribe()
    }

    /// Changes when anything happened to any job.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(crate) fn give(&self, hint: Hint) {
        match hint {
            Hint::Work => self.work.send_replace(()),
            Hint::Cancel => self.cancels.send_replace(()),
            Hint::News => {}
        }
        self.news.send_replace(());
    }
}
