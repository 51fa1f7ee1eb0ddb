//! Jobs whose worker is lost, also where no other worker is there to notice.

use std::sync::Arc;

use job_store::Store;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Queues such jobs again, or ends them, for as long as the service is there.
pub(crate) async fn reap(store: Arc<dyn Store>) {
    let mut ticks = interval(store.lease() / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(store.lease(), store.reap()).await {
            Ok(Ok(jobs)) => {
                for job in jobs {
                    let status = job.life.status.as_str();
                    tracing::warn!(job = %job.job_id, status, "nothing was heard of its worker");
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "jobs of lost workers are not looked for; will be tried again"),
            Err(_) => tracing::warn!("the queue does not answer; jobs of lost workers are not looked for"),
        }
    }
}
