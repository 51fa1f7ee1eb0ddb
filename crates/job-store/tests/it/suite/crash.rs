//! Programs that are killed or stopped at any moment lose no job and end none twice.

use std::collections::BTreeSet;
use std::time::Duration;

use job::Status;
use job_store::Filter;
use rustix::process::Signal;

use super::scenario;
use crate::child::{Child, ENDED};
use crate::jobs::{all, audit, get, job, submit, succeed, take, tried};
use crate::lab::eventually;

const SHORT: Duration = Duration::from_millis(400);

#[test]
fn j19_a_worker_that_is_killed_at_any_step_loses_no_job_and_ends_none_twice() {
    scenario(async |lab| {
        let store = lab.open_with(SHORT).await;
        let mut ids = Vec::new();
        for (steps, held_in) in [(0, Some("claim")), (1, None), (2, None), (2, Some("end")), (3, None)] {
            let id = submit(&*store, &job("a")).await.job_id;
            let mut child = Child::ready("obey", &lab.url, SHORT);
            for (order, answer) in [("claim", "claimed"), ("beat", "yours"), ("end", "ended")].into_iter().take(steps) {
                assert_eq!(child.answer(order), answer);
            }
            if let Some(order) = held_in {
                let mut hold = lab.hold().await;
                child.order(order);
                hold.reached().await;
                child.kill();
                hold.let_go().await;
            } else {
                child.kill();
            }
            let expected = [Status::Queued, Status::Running, Status::Running, Status::Success][steps];
            assert_eq!(get(&*store, &id).await.life.status, expected, "{steps} {held_in:?}");
            if expected == Status::Running {
                let lost = eventually(async || store.reap().await.unwrap().pop()).await;
                assert_eq!((&lost.job_id, lost.life.status), (&id, Status::Queued));
            }
            if expected != Status::Success {
                let again = eventually(async || take(&*store, "w").await).await;
                assert_eq!(again.job_id, id);
                succeed(&*store, &again).await.unwrap();
            }
            ids.push(id);
        }
        assert_eq!(store.reap().await.unwrap(), []);
        audit(&*lab.open().await, ids).await;
    });
}

#[test]
fn j18_j19_workers_that_are_killed_again_and_again_end_every_job_once() {
    scenario(async |lab| {
        let store = lab.open_with(SHORT).await;
        let (mut ids, mut said) = (Vec::new(), Vec::new());
        let mut children = [(); 2].map(|()| Child::start("work", &lab.url, SHORT));
        for kill in 0..18 {
            for _ in 0..3 {
                ids.push(submit(&*store, &tried("a", 100)).await.job_id);
            }
            store.reap().await.unwrap();
            let child = &mut children[kill % 2];
            // Another moment each time.
            said.extend((0..=kill / 2).map(|_| child.hear().unwrap()));
            let killed = std::mem::replace(child, Child::start("work", &lab.url, SHORT));
            said.extend(killed.kill());
        }
        eventually(async || {
            store.reap().await.unwrap();
            store.counts().await.unwrap().is_empty().then_some(())
        })
        .await;
        said.extend(children.into_iter().flat_map(Child::kill));
        let ended: Vec<_> = said.iter().filter_map(|said| said.strip_prefix(ENDED)).collect();
        assert_eq!(ended.iter().collect::<BTreeSet<_>>().len(), ended.len());
        assert!(ended.iter().all(|ended| ids.iter().any(|id| id.as_str() == *ended)));
        audit(&*lab.open().await, ids).await;
    });
}

#[test]
fn j19_a_worker_that_was_stopped_past_its_lease_has_its_result_discarded() {
    scenario(async |lab| {
        let store = lab.open_with(SHORT).await;
        let id = submit(&*store, &job("a")).await.job_id;
        let mut child = Child::ready("obey", &lab.url, SHORT);
        assert_eq!(child.answer("claim"), "claimed");
        child.stop();
        child.order("end");
        child.order("beat");
        eventually(async || store.reap().await.unwrap().pop()).await;
        let again = take(&*store, "w").await.unwrap();
        child.signal(Signal::CONT);
        assert_eq!([child.hear().unwrap(), child.hear().unwrap()], ["discarded", "lost"]);
        assert_eq!(get(&*store, &id).await, again);
        succeed(&*store, &again).await.unwrap();
        audit(&*store, [id]).await;
    });
}

#[test]
fn j19_every_job_that_a_killed_submitter_was_told_of_is_there() {
    scenario(async |lab| {
        let store = lab.open().await;
        let mut told = BTreeSet::new();
        for moment in [1, 20, 45] {
            let mut child = Child::ready("submit", &lab.url, SHORT);
            let said: Vec<_> = (0..moment).map(|_| child.hear().unwrap()).collect();
            told.extend(said.into_iter().chain(child.kill()));
        }
        // One that was held up in the middle has kept nothing.
        let mut child = Child::ready("obey", &lab.url, SHORT);
        let mut hold = lab.hold().await;
        child.order("submit");
        hold.reached().await;
        child.kill();
        hold.let_go().await;
        drop(store);
        let store = lab.open().await;
        let kept: BTreeSet<String> = all(&*store).await.into_iter().map(|job| job.job_id.into()).collect();
        assert!(told.is_subset(&kept), "{:?}", told.difference(&kept));
        // Nobody was told of the last one of each, perhaps.
        assert!(kept.len() <= told.len() + 3);
        let waiting = Filter { status: Some(Status::Queued), most: 1000, ..Filter::default() };
        assert_eq!(store.list(&waiting).await.unwrap().len(), kept.len());
    });
}
