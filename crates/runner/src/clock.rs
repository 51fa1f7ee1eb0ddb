//! What begins jobs by the clock, in every worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use allowlist::Policy;
use host::{Local, trusted};
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
use crate::submit::{Order, submit};
use crate::worker::Works;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// The same after something failed that may pass by itself.
const AGAIN: Duration = Duration::from_secs(15);
/// It is tried again for so long, in milliseconds.
const AGAIN_FOR_MS: i64 = 10 * 60 * 1000;
/// Who begins these jobs.
const BY: &str = "schedule";

/// What was seen to.
#[derive(Default)]
struct Seen {
    /// Everything until then, but for what is tried again.
    until: Option<Time>,
    /// The last time of each schedule.
    of: BTreeMap<String, Time>,
}

/// Begins jobs until `stop`.
pub(crate) async fn run(works: Arc<Works>, stop: CancellationToken) {
    let mut seen = Seen::default();
    while !stop.is_cancelled() {
        let pause = match look(&works, &mut seen).await {
            Ok(true) => TICK,
            Ok(false) => AGAIN,
            Err(failure) => {
                tracing::error!(class = %failure.class, "no job is begun by the clock: {}", failure.reason);
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Begins what is due and was not seen to. Says whether nothing of it is to be tried again.
async fn look(works: &Arc<Works>, seen: &mut Seen) -> Result<bool, Failure> {
    let now = works.store.now().await?;
    let host = Local::new();
    // What was missed while no worker was there is not made up for.
    let since = *seen.until.get_or_insert(now);
    let Some(bytes) = trusted(&host, &works.site.configs.join(FILE))? else {
        seen.until = Some(now);
        return Ok(true);
    };
    let schedules = Schedules::parse(&String::from_utf8_lossy(&bytes))?;
    let mut due = schedules.due(since, now);
    due.retain(|(name, _, at)| seen.of.get(*name) != Some(at));
    let mut all_seen = true;
    for (name, schedule, at) in due {
        let policy = works.policies.now(&host, &works.site)?;
        match begin(works, &policy, name, schedule, at).await {
            Ok(Submission::New(job)) => tracing::info!(schedule = name, job = %job.job_id, "is begun by the clock"),
            Ok(Submission::Known(_)) => {}
            // Another worker was faster, and saw another commit.
            Err(failure) if failure.class == "idempotency-conflict" => {}
            Err(failure) => {
                tracing::error!(schedule = name, class = %failure.class, "was not begun: {}", failure.reason);
                if failure.exit == Exit::Infrastructure && now.as_millis() - at.as_millis() < AGAIN_FOR_MS {
                    all_seen = false;
                    continue;
                }
            }
        }
        seen.of.insert(name.to_owned(), at);
    }
    if all_seen {
        seen.until = Some(now);
    }
    Ok(all_seen)
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use host::{Cmd, Host as _};
    use job_files::Files;
    use job_store::{Filter, Settings, Store};
    use tempfile::TempDir;

    use super::*;
    use crate::policies::Policies;
    use crate::site::Site;

    fn works(dir: &Path, store: Arc<dyn Store>) -> Arc<Works> {
        let site = Site { configs: dir.to_owned(), state: dir.join("state") };
        Arc::new(Works {
            store,
            files: Files::local(&site.state),
            site,
            policies: Policies::default(),
            program: "/proc/self/exe".into(),
            trees: 1,
            slots: 1,
            grace: Duration::ZERO,
        })
    }

    fn git(dir: &Path, args: &[&str]) {
        let cmd = Cmd::new("git").args(["-c", "user.name=a", "-c", "user.email=a@example.invalid"]).args(args).dir(dir);
        let output = Local::new().run(&cmd.inherit(&["PATH"]).timeout(Duration::from_secs(60))).unwrap();
        assert!(output.success(), "{}", output.stderr_text());
    }

    #[tokio::test]
    async fn what_is_due_is_begun_once_and_a_remote_that_was_away_costs_nothing() {
        let dir = TempDir::new().unwrap();
        let project = dir.path().join("project");
        let repos = format!(
            "schema = 1\n[repos.project]\nurl = \"file://{}\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\n",
            project.display()
        );
        fs::write(dir.path().join("repo_allowlist.toml"), repos).unwrap();
        let queue = format!("sqlite:{}", dir.path().join("queue.db").display());
        let store = job_store::open(&queue, Settings::default()).await.unwrap();
        let works = works(dir.path(), Arc::clone(&store));
        let now = store.now().await.unwrap().as_millis();
        // Once a day, so many minutes ago.
        let schedule = |name: &str, ago: i64| {
            let at = now / 60_000 - ago;
            let (minute, hour) = (at % 60, at / 60 % 24);
            format!("[schedules.{name}]\ncron = \"{minute} {hour} * * *\"\njob = \"local_echo\"\nrepo = \"project\"\n")
        };
        let schedules = format!("schema = 1\n{}{}", schedule("now", 1), schedule("late", 15));
        fs::write(dir.path().join(FILE), schedules).unwrap();
        let begun = async || store.list(&Filter { most: 9, ..Filter::default() }).await.unwrap().len();
        let early = || Seen { until: Some(Time::from_millis(now - 3_600_000).unwrap()), ..Seen::default() };
        let mut seen = early();
        assert!(!look(&works, &mut seen).await.unwrap(), "it is to be tried again");
        assert_eq!(begun().await, 0);
        fs::create_dir(&project).unwrap();
        git(&project, &["init", "-q", "-b", "main"]);
        git(&project, &["commit", "-q", "--allow-empty", "-m", "start"]);
        assert!(look(&works, &mut seen).await.unwrap());
        assert_eq!(begun().await, 1, "the other is too late");
        assert!(look(&works, &mut early()).await.unwrap());
        assert_eq!(begun().await, 2, "each is known by its key to all workers");
        fs::remove_dir_all(&project).unwrap();
        assert!(look(&works, &mut seen).await.unwrap(), "nothing is asked of what was seen to");
        assert!(look(&works, &mut Seen::default()).await.unwrap(), "what was missed is not made up for");
        assert_eq!(begun().await, 2);
    }
}
