//! What begins jobs by the clock, in every worker.

use std::sync::Arc;
use std::time::Duration;

use allowlist::Policy;
use host::Local;
use job::Time;
use job::life::MAX_ATTEMPTS;
use job_store::Submission;
use outcome::{Exit, Failure};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use worktree::{Mirrors, Patience, Remote};

use crate::run::Asked;
use crate::schedule::{FILE, Schedule, Schedules};
use crate::site::trusted;
use crate::submit::{Order, submit};
use crate::worker::Works;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// What passes by itself is tried again for so long, in milliseconds.
const AGAIN_FOR_MS: i64 = 10 * 60 * 1000;
/// Who begins these jobs.
const BY: &str = "schedule";

/// Begins jobs until `stop`.
pub(crate) async fn run(works: Arc<Works>, stop: CancellationToken) {
    let mut since = None;
    while !stop.is_cancelled() {
        match look(&works, since).await {
            Ok(now) => since = Some(now),
            Err(failure) => tracing::error!(class = %failure.class, "no job is begun by the clock: {}", failure.reason),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(TICK) => {}
        }
    }
}

/// Begins what is due since then. Returns since when to look the next time: what was begun is known by its key.
async fn look(works: &Arc<Works>, since: Option<Time>) -> Result<Time, Failure> {
    let now = works.store.now().await?;
    let host = Local::new();
    let Some(bytes) = trusted(&host, &works.site.configs.join(FILE))? else { return Ok(now) };
    let schedules = Schedules::parse(&String::from_utf8_lossy(&bytes))?;
    // What was missed while no worker was there is not made up for.
    let due = schedules.due(since.unwrap_or(now), now);
    if due.is_empty() {
        return Ok(now);
    }
    let policy = works.policies.now(&host, &works.site)?;
    let mut seen = now;
    for (name, schedule, at) in due {
        match begin(works, &policy, name, schedule, at).await {
            Ok(Submission::New(job)) => tracing::info!(schedule = name, job = %job.job_id, "is begun by the clock"),
            Ok(Submission::Known(_)) => {}
            // Another worker was faster, and saw another commit.
            Err(failure) if failure.class == "idempotency-conflict" => {}
            Err(failure) => {
                tracing::error!(schedule = name, class = %failure.class, "was not begun: {}", failure.reason);
                if failure.exit == Exit::Infrastructure && now.as_millis() - at.as_millis() < AGAIN_FOR_MS {
                    seen = since.unwrap_or(now);
                }
            }
        }
    }
    Ok(seen)
}

async fn begin(
    works: &Arc<Works>,
    policy: &Policy,
    name: &str,
    schedule: &Schedule,
    at: Time,
) -> Result<Submission, Failure> {
    let sha = tip(works, policy, schedule).await?;
    let Schedule { job, repo, params, .. } = schedule.clone();
    let order = Order {
        by: BY,
        remote_url: None,
        priority: schedule.priority,
        max_attempts: MAX_ATTEMPTS,
        idempotency_key: Some(format!("{name} {at}")),
        rerun_of: None,
    };
    submit(&Local::new(), works.store.as_ref(), policy, Asked { job, repo, sha, params }, order).await
}

/// The commit that the schedule's branch has now.
async fn tip(works: &Arc<Works>, policy: &Policy, schedule: &Schedule) -> Result<String, Failure> {
    let repo = policy.repos().get(&schedule.repo).cloned().ok_or_else(|| {
        let reason = format!("there is no repository {} in the allowlist", schedule.repo);
        Failure::refused("unknown-repo", reason, "allow it, or name another in the schedule")
    })?;
    let branch = schedule.branch.clone().unwrap_or_else(|| repo.default_branch.clone());
    let works = Arc::clone(works);
    let asked = spawn_blocking(move || {
        let host = Local::new();
        let remote = Remote {
            url: repo.url.as_str(),
            fetch: repo.url.fetch_str(),
            ssh_host_keys: &repo.ssh_host_keys,
            ssh_identity: repo.ssh_identity.as_deref(),
        };
        let tip = Mirrors::open(&host, &works.site.state, Patience::default())?.tip(&remote, &branch)?;
        Ok(tip.to_string())
    });
    asked.await.unwrap_or_else(|error| Err(Failure::bug("panic", error.to_string(), "report this")))
}
