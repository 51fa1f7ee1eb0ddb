//! What all answers are made from.

use std::num::NonZeroU32;
use std::sync::Arc;

use allowlist::Policy;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use host::Local;
use job_files::Files;
use job_store::{Count, Store};
use outcome::Failure;
use runner::{Policies, Site};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::lately::Lately;
use crate::metrics::Metrics;
use crate::people::People;
use crate::problem::Refused;
use crate::room::Room;

/// Seconds of the average that may come at once.
const BURST: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// Large answers at one time, made and sent.
const LARGE: usize = 16;
/// And those of one principal.
const LARGE_OF_ONE: usize = 4;

/// How the service behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Requests a second that one principal may send, on average.
    pub rate: NonZeroU32,
    /// Requests that one may send at once.
    pub burst: NonZeroU32,
    /// Live logs at one time.
    pub streams: usize,
    /// And those of one principal.
    pub streams_of_one: usize,
}

impl Settings {
    /// So many requests a second of one principal, and five times as many at once; 256 live logs, 32 of them
    /// for one principal.
    pub const fn at_rate(rate: NonZeroU32) -> Self {
        Self { rate, burst: rate.saturating_mul(BURST), streams: 256, streams_of_one: 32 }
    }
}

/// The service.
pub struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) files: Files,
    pub(crate) site: Site,
    policies: Arc<Policies>,
    pub(crate) people: People,
    pub(crate) metrics: Metrics,
    /// What waits and what runs, for whoever asks all the time: to count goes through the queue.
    pub(crate) counts: Lately<Vec<Count>>,
    pub(crate) rates: DefaultKeyedRateLimiter<String>,
    pub(crate) streams: Room,
    /// For answers that may have many megabytes.
    pub(crate) large: Room,
    /// Streams end when it is cancelled.
    pub(crate) stop: CancellationToken,
}

impl Api {
    /// A service on a queue and the files of its jobs. Its streams end with `stop`.
    pub fn new(
        store: Arc<dyn Store>,
        files: Files,
        site: Site,
        people: People,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        let quota = Quota::per_second(settings.rate).allow_burst(settings.burst);
        Self {
            store,
            files,
            site,
            policies: Arc::default(),
            people,
            metrics: Metrics::default(),
            counts: Lately::default(),
            rates: RateLimiter::keyed(quota),
            streams: Room::new(settings.streams, settings.streams_of_one),
            large: Room::new(LARGE, LARGE_OF_ONE),
            stop,
        }
    }

    /// What is allowed now: the files may have changed since the last request.
    pub(crate) async fn policy(&self) -> Result<Arc<Policy>, Refused> {
        let (site, policies) = (self.site.clone(), Arc::clone(&self.policies));
        let read = spawn_blocking(move || policies.now(&Local::new(), &site)).await;
        let read = read.map_err(|error| Failure::bug("panic", error.to_string(), "report this"))?;
        Ok(read?)
    }
}
