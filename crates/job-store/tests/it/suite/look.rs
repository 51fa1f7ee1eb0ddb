//! What is seen of the jobs.

use job::{Cancelled, Id, Job, Status};
use job_store::Filter;

use super::scenario;
use crate::jobs::{all, ending, get, job, submit, succeed, take, timeline};

fn ids(jobs: &[Job]) -> Vec<&Id> {
    jobs.iter().map(|job| &job.job_id).collect()
}

fn some(most: u32) -> Filter {
    Filter { most, ..Filter::default() }
}

#[test]
fn jobs_are_listed_from_the_newest_by_state_repository_and_kind() {
    scenario(async |lab| {
        let store = lab.open().await;
        let mut jobs = Vec::new();
        for (repo, kind) in [("a", "check"), ("b", "check"), ("a", "build"), ("b", "build")] {
            let mut new = job(repo);
            new.job.request.job_type = kind.into();
            jobs.push(submit(&*store, &new).await);
        }
        let running = take(&*store, "w").await.unwrap();
        let list = async |filter| store.list(&filter).await.unwrap();
        assert_eq!(ids(&list(some(9)).await), ids(&[&jobs[3], &jobs[2], &jobs[1], &jobs[0]].map(Clone::clone)));
        assert_eq!(list(Filter { status: Some(Status::Running), ..some(9) }).await, [running]);
        assert_eq!(ids(&list(Filter { repo: Some("b".into()), ..some(9) }).await), [&jobs[3].job_id, &jobs[1].job_id]);
        let builds = Filter { job_type: Some("build".into()), ..some(9) };
        assert_eq!(ids(&list(builds.clone()).await), [&jobs[3].job_id, &jobs[2].job_id]);
        assert_eq!(ids(&list(Filter { repo: Some("a".into()), ..builds }).await), [&jobs[2].job_id]);
        assert_eq!(list(Filter { repo: Some("c".into()), ..some(9) }).await, []);
    });
}

#[test]
fn pages_of_a_list_have_every_job_once() {
    scenario(async |lab| {
        let store = lab.open().await;
        for _ in 0..7 {
            submit(&*store, &job("a")).await;
        }
        let (mut seen, mut sizes, mut before) = (Vec::new(), Vec::new(), None);
        loop {
            let page = store.list(&Filter { before, repo: Some("a".into()), ..some(3) }).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.job_id.clone());
            sizes.push(page.len());
            seen.extend(page);
            // What comes in meanwhile is newer, and on no later page.
            submit(&*store, &job("a")).await;
        }
        assert_eq!(sizes, [3, 3, 1]);
        let everything = all(&*store).await;
        assert_eq!(ids(&seen), ids(&everything[3..]));
        assert_eq!(store.list(&some(0)).await.unwrap(), []);
    });
}

#[test]
fn a_timeline_tells_everything_in_the_order_in_which_it_happened() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        submit(&*store, &job("b")).await;
        take(&*store, "w1").await.unwrap();
        store.release(&id, 1, "it stops").await.unwrap().unwrap();
        take(&*store, "w2").await.unwrap();
        store.bury("w2").await.unwrap();
        take(&*store, "w3").await.unwrap();
        store.cancel(&id, &Cancelled { by: "bob".into(), why: "late".into() }).await.unwrap().unwrap();
        store.end(&id, 3, Status::Failure, &ending(2), false).await.unwrap().unwrap();
        insta::assert_snapshot!(timeline(&*store, &id).await, @"
        submitted: by alice
        started: attempt 1 of 3 on w1
        released: w1 handed it back: it stops
        started: attempt 1 of 3 on w2
        lost: nothing was heard of w2 for too long; it is begun again
        started: attempt 2 of 3 on w3
        cancel_requested: bob wants it stopped: late
        ended: failure with exit code 2
        ");
        let events = store.events(&id).await.unwrap();
        assert!(events.is_sorted_by_key(|event| event.at));
        let job = get(&*store, &id).await;
        assert_eq!(Some(events[events.len() - 1].at), job.life.finished_at);
        assert_eq!(store.events(&crate::jobs::job("a").job.job_id).await.unwrap(), []);
    });
}

#[test]
fn a_job_keeps_what_it_was_submitted_with_and_begins_anew() {
    scenario(async |lab| {
        let store = lab.open().await;
        let mut new = job("a");
        new.job.rerun_of = Some(job("b").job.job_id);
        new.job.priority = -7;
        new.job.request.params.insert("name".into(), "value".into());
        (new.job.life.epoch, new.job.life.attempt, new.job.life.status) = (9, 9, Status::Success);
        let before = store.now().await.unwrap();
        let kept = submit(&*store, &new).await;
        assert!(before <= kept.queued_at && kept.queued_at <= store.now().await.unwrap());
        let life = job::Life::new(kept.queued_at, 3);
        assert_eq!(kept, Job { queued_at: kept.queued_at, life, ..new.job });
        assert_eq!(get(&*store, &kept.job_id).await, kept);
        let claimed = take(&*store, "w").await.unwrap();
        let ended = succeed(&*store, &claimed).await.unwrap();
        assert_eq!(ended.life.ending, Some(ending(0)));
        assert_eq!(get(&*store, &kept.job_id).await, ended);
    });
}
