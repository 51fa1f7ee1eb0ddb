//! The same key from the same submitter is the same job.

use std::collections::BTreeSet;
use std::sync::Arc;

use job::Job;
use job_store::{NewJob, Store, StoreError, Submission};
use tokio::task::JoinSet;

use super::scenario;
use crate::jobs::{all, job, keyed, submit, succeed, take, timeline};

fn known(submission: Submission) -> Job {
    let Submission::Known(job) = submission else { panic!("it is new") };
    job
}

#[test]
fn j18_the_same_request_with_the_same_key_is_the_same_job() {
    scenario(async |lab| {
        let [store, other] = lab.open_some().await;
        let first = submit(&*store, &keyed("a", "k", "h1")).await;
        assert_eq!(known(other.submit(&keyed("a", "k", "h1")).await.unwrap()), first);
        let claimed = take(&*store, "w").await.unwrap();
        let ended = succeed(&*store, &claimed).await.unwrap();
        // As it is now, also when it has ended.
        assert_eq!(known(store.submit(&keyed("a", "k", "h1")).await.unwrap()), ended);
        assert_eq!(all(&*store).await.len(), 1);
        assert_eq!(timeline(&*store, &first.job_id).await.matches("submitted").count(), 1);
    });
}

#[test]
fn j18_another_request_with_the_same_key_is_refused_and_the_job_is_named() {
    scenario(async |lab| {
        let store = lab.open().await;
        let first = submit(&*store, &keyed("a", "k", "h1")).await;
        let error = store.submit(&keyed("b", "k", "h2")).await.unwrap_err();
        assert!(matches!(&error, StoreError::OtherRequest(id) if *id == first.job_id), "{error}");
        assert_eq!(all(&*store).await, [first]);
    });
}

#[test]
fn j18_the_same_key_of_another_submitter_and_no_key_at_all_is_another_job() {
    scenario(async |lab| {
        let store = lab.open().await;
        submit(&*store, &keyed("a", "k", "h1")).await;
        let mut bob = keyed("a", "k", "h2");
        bob.job.submitted_by = "bob".into();
        submit(&*store, &bob).await;
        submit(&*store, &job("a")).await;
        submit(&*store, &job("a")).await;
        assert_eq!(all(&*store).await.len(), 4);
    });
}

#[test]
fn j18_who_was_not_answered_submits_again_with_and_without_a_key() {
    scenario(async |lab| {
        let store = lab.open().await;
        for new in [job("a"), keyed("a", "k", "h1")] {
            let first = submit(&*store, &new).await;
            assert_eq!(known(store.submit(&new).await.unwrap()), first);
        }
        assert_eq!(all(&*store).await.len(), 2);
    });
}

#[test]
fn j18_one_key_in_many_submissions_at_once_is_one_job() {
    scenario(async |lab| {
        let stores: [Arc<dyn Store>; 4] = lab.open_some().await;
        let mut submitters = JoinSet::new();
        for n in 0..32 {
            let store = Arc::clone(&stores[n % 4]);
            submitters.spawn(async move { store.submit(&keyed("a", "k", "h1")).await.unwrap() });
        }
        let (mut new, mut ids) = (0, BTreeSet::new());
        for submission in submitters.join_all().await {
            new += usize::from(matches!(submission, Submission::New(_)));
            let (Submission::New(job) | Submission::Known(job)) = submission;
            ids.insert(job.job_id);
        }
        assert_eq!((new, ids.len()), (1, 1));
        assert_eq!(all(&*stores[0]).await.len(), 1);
    });
}

#[test]
fn why_a_job_will_wait_is_the_second_line_of_its_timeline() {
    scenario(async |lab| {
        let store = lab.open().await;
        let new = NewJob { waiting: Some("2 of 2 jobs are running".into()), ..job("a") };
        let id = submit(&*store, &new).await.job_id;
        insta::assert_snapshot!(timeline(&*store, &id).await, @"
        submitted: by alice
        waiting: 2 of 2 jobs are running
        ");
    });
}
