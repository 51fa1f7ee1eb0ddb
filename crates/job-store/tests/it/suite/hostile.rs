//! Text that means something to somebody is text.

use job::{Cancelled, Status};
use job_store::{Filter, Limits, NewJob, StoreError, Token, WorkerInfo};

use super::scenario;
use crate::jobs::{ending, get, job, keyed, no_limits, submit, take, take_some};

const TEXTS: [&str; 9] = [
    "'; DROP TABLE jobs; --",
    "\"quoted\" `and` \\escaped\\ $1 ?1 %s {}",
    "🦀 e\u{301} \u{202e}right to left\u{202c}",
    "line\nline\r\n\ttab\u{1}\u{7f}\u{85}",
    "",
    " ",
    "NULL",
    "\u{fffd}\u{feff}\u{ffff}\u{10ffff}",
    "[\"json\", {\"a\": null}]",
];

#[test]
fn every_text_is_kept_as_it_is_and_found_again() {
    scenario(async |lab| {
        let store = lab.open().await;
        for text in TEXTS {
            let mut new = keyed(text, text, text);
            (new.job.request.job_type, new.job.submitted_by) = (text.into(), text.into());
            new.job.request.params = [(text.to_owned(), text.to_owned()), ("long".into(), "é".repeat(500))].into();
            let new = NewJob { waiting: Some(text.into()), ..new };
            let kept = submit(&*store, &new).await;
            assert_eq!(kept.request, new.job.request);
            assert!(store.submit(&new).await.is_ok());
            let filter = Filter { repo: Some(text.into()), job_type: Some(text.into()), most: 9, ..Filter::default() };
            assert_eq!(store.list(&filter).await.unwrap(), std::slice::from_ref(&kept));
            let full = Limits { named: [(text.to_owned(), 0)].into(), ..no_limits() };
            assert_eq!(take_some(&*store, text, 1, &full).await, []);
            let claimed = take(&*store, text).await.unwrap();
            let full = Limits { named: [(text.to_owned(), 1)].into(), ..no_limits() };
            submit(&*store, &job(text)).await;
            assert_eq!(take_some(&*store, text, 1, &full).await, []);
            assert_eq!(store.counts().await.unwrap()[0].repo, text);
            store.cancel(&kept.job_id, &Cancelled { by: text.into(), why: text.into() }).await.unwrap();
            assert_eq!(store.bury(text).await.unwrap()[0].job_id, claimed.job_id);
            let next = take(&*store, text).await.unwrap();
            let mut ending = ending(1);
            (ending.class, ending.reason) = (Some(text.into()), Some(text.into()));
            store.end(&next.job_id, 1, Status::Failure, &ending, false).await.unwrap().unwrap();
            assert_eq!(get(&*store, &next.job_id).await.life.ending, Some(ending));
            assert!(store.events(&kept.job_id).await.unwrap().iter().any(|event| event.text == text));
        }
    });
}

#[test]
fn names_of_workers_and_tokens_are_kept_as_they_are() {
    scenario(async |lab| {
        let store = lab.open().await;
        let now = store.now().await.unwrap();
        for text in TEXTS {
            let info =
                WorkerInfo { version: text.into(), started_at: now, slots: u32::MAX, policy_sha256: text.into() };
            store.greet(text, &info).await.unwrap();
            assert!(store.drain(text, true).await.unwrap());
            let token = Token { hash: text.into(), name: text.into(), scopes: vec![text.into()], expires_at: None };
            store.put_token(&token).await.unwrap();
            assert_eq!(store.token(text).await.unwrap(), Some(token));
            assert_eq!(store.workers().await.unwrap()[0].info, info);
            store.part(text).await.unwrap();
            assert_eq!(store.remove_tokens(text).await.unwrap(), 1);
        }
    });
}

/// One engine would keep it and the other not.
#[test]
fn a_name_with_a_nul_is_refused_as_such_and_a_value_with_one_is_kept() {
    scenario(async |lab| {
        let store = lab.open().await;
        let nul = || String::from("a\0b");
        let named: [fn(&mut NewJob, String); 5] = [
            |new, text| new.job.request.repo_name = text,
            |new, text| new.job.request.job_type = text,
            |new, text| new.job.submitted_by = text,
            |new, text| new.idempotency_key = Some(text),
            |new, text| new.request_hash = text,
        ];
        for set in named {
            let mut new = job("a");
            set(&mut new, nul());
            let error = store.submit(&new).await.unwrap_err();
            assert!(matches!(error, StoreError::Text(_)), "{error}");
        }
        let mut new = NewJob { waiting: Some(nul()), ..job("a") };
        new.job.request.params = [(nul(), nul())].into();
        let kept = submit(&*store, &new).await;
        assert_eq!(get(&*store, &kept.job_id).await.request, new.job.request);
        assert_eq!(store.events(&kept.job_id).await.unwrap()[1].text, nul());
        let now = store.now().await.unwrap();
        let info = WorkerInfo { version: nul(), started_at: now, slots: 1, policy_sha256: nul() };
        assert!(matches!(store.greet(&nul(), &info).await, Err(StoreError::Text(_))));
        store.greet("w", &info).await.unwrap();
        let token = Token { hash: nul(), name: "n".into(), scopes: vec![nul()], expires_at: None };
        assert!(matches!(store.put_token(&token).await, Err(StoreError::Text(_))));
        assert!(matches!(
            store.put_token(&Token { hash: "h".into(), name: nul(), ..token.clone() }).await,
            Err(StoreError::Text(_))
        ));
        let limits = no_limits();
        let claim = job_store::Claim { worker: &nul(), most: 1, limits: &limits };
        assert!(matches!(store.claim(&claim).await, Err(StoreError::Text(_))));
        assert!(take(&*store, "w").await.is_some());
    });
}
