//! Why a job is queued.

use std::collections::BTreeMap;

use job::{Job, Status, Time};
use job_store::{Count, KnownWorker, Limits, StoreError};
use runner_wire::JobView;

use crate::service::Api;

/// What decides when a queued job begins.
pub(crate) struct Sight {
    pub(crate) now: Time,
    /// None where the allowlists cannot be read: no job is begun then.
    pub(crate) limits: Option<Limits>,
    pub(crate) running: BTreeMap<String, u64>,
    pub(crate) workers: Vec<KnownWorker>,
}

impl Sight {
    pub(crate) async fn of(api: &Api) -> Result<Self, StoreError> {
        let limits = api.policy().await.ok().map(|policy| runner::limits(&policy));
        let running = api.store.running().await?;
        Ok(Self { now: api.store.now().await?, limits, running, workers: api.store.workers().await? })
    }

    /// The job as it is told.
    pub(crate) fn view(&self, job: Job) -> JobView {
        let since = job.life.started_at.map(|at| job.life.finished_at.unwrap_or(self.now).as_millis() - at.as_millis());
        JobView {
            artifact_dir: artifact_dir(&job),
            waiting: (job.life.status == Status::Queued).then(|| self.reason(&job)),
            duration_ms: since.map(|millis| u64::try_from(millis).unwrap_or(0)),
            job,
        }
    }

    fn reason(&self, job: &Job) -> String {
        let Some(limits) = &self.limits else { return "the allowlists cannot be read: no job is begun".into() };
        let there: Vec<&KnownWorker> = self.workers.iter().filter(|worker| worker.alive).collect();
        if there.is_empty() {
            return "no worker is there".into();
        }
        if there.iter().all(|worker| worker.draining) {
            return "every worker that is there drains".into();
        }
        if job.life.not_before > self.now {
            return format!("attempt {} begins at {}", job.life.attempt + 1, job.life.not_before);
        }
        let full = limits.reason(&job.request.repo_name, &self.running);
        full.unwrap_or_else(|| "it is begun when a worker has room".into())
    }
}

/// Where a job's artifacts are, relative to the API.
pub(crate) fn artifact_dir(job: &Job) -> String {
    format!("/jobs/{}/artifacts", job.job_id)
}

/// How many jobs run of each repository.
pub(crate) fn running(counts: &[Count]) -> BTreeMap<String, u64> {
    counts.iter().filter(|count| count.running > 0).map(|count| (count.repo.clone(), count.running)).collect()
}
