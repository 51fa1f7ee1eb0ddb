//! A request, admitted and put into the queue.

use allowlist::Policy;
use host::Host;
use job::{Id, Job, Life, Request};
use job_store::{NewJob, Store, Submission};
use outcome::Failure;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::limits::limits;
use crate::run::{Asked, admit};

/// What somebody wants of the queue, beside the job itself.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Who.
    pub by: &'a str,
    /// Where they believe the repository to be.
    pub remote_url: Option<&'a str>,
    /// More is sooner.
    pub priority: i32,
    /// The most attempts.
    pub max_attempts: u32,
    /// The same key again, with the same request, is the same job.
    pub idempotency_key: Option<String>,
    /// The job that this one repeats.
    pub rerun_of: Option<Id>,
}

/// Everything about a request that makes it another.
#[derive(Serialize)]
struct Identity<'a> {
    input: String,
    max_attempts: u32,
    priority: i32,
    rerun_of: Option<&'a Id>,
}

/// Has a job admitted and kept.
///
/// # Errors
/// Refused, with every reason, for what the allowlists do not admit, and class `idempotency-conflict`; those of the store.
pub async fn submit(
    host: &dyn Host,
    store: &dyn Store,
    policy: &Policy,
    asked: Asked,
    order: Order<'_>,
) -> Result<Submission, Failure> {
    let admitted = admit(policy, &asked, order.remote_url)?;
    let Order { by, priority, max_attempts, idempotency_key, rerun_of, .. } = order;
    let identity = Identity { input: admitted.input_hash(), max_attempts, priority, rerun_of: rerun_of.as_ref() };
    let identity = serde_json::to_vec(&identity);
    let identity = identity.map_err(|error| Failure::bug("request-hash", error.to_string(), "report this"))?;
    let waiting = limits(policy).reason(&asked.repo, &store.running().await?);
    let now = store.now().await?;
    let random = host.random(8).try_into().expect("as many bytes as were asked for");
    let job = Job {
        job_id: Id::new(now, random),
        request: Request { job_type: asked.job, repo_name: asked.repo, sha: asked.sha, params: asked.params },
        priority,
        submitted_by: by.to_owned(),
        queued_at: now,
        trace_id: host.random_hex(16),
        rerun_of,
        life: Life::new(now, max_attempts),
    };
    let request_hash = Sha256::digest(identity).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(store.submit(&NewJob { job, idempotency_key, request_hash, waiting }).await?)
}
