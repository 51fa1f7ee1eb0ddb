//! A whole review: packets, retries, kept answers and the budget.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use fake_model::{Brain, Reply};
use insta::assert_snapshot;
use outcome::Failure;
use reviewer::{Progress, Reviewed};

use crate::stage::{Stage, entries};

fn approving() -> Stage {
    Stage::new(|request| Brain::approving().blocking_on("BOOM").reply(request))
}

fn shown(reviewed: &Reviewed) -> String {
    let line = |answered: &reviewer::Answered| {
        let kept = if answered.kept { "kept" } else { "asked" };
        format!("{} {:?} {kept}\n", answered.answer.packet, answered.answer.verdict)
    };
    reviewed.answers.iter().map(line).collect()
}

#[test]
fn every_packet_is_answered_in_order_and_usage_is_summed() {
    let reviewed = approving().review(&["+one\n", "+BOOM\n", "+three\n"]).unwrap();
    assert_snapshot!(shown(&reviewed), @r"
    packet-001 Approved asked
    packet-002 Blocked asked
    packet-003 Approved asked
    ");
    assert_eq!((reviewed.usage.input, reviewed.usage.output, reviewed.spent), (3000, 300, 3300));
}

#[test]
fn g16_only_what_changed_is_asked_again() {
    let stage = approving();
    stage.review(&["+one\n", "+two\n"]).unwrap();
    let again = stage.review(&["+one\n", "+changed\n"]).unwrap();
    assert_snapshot!(shown(&again), @r"
    packet-001 Approved kept
    packet-002 Approved asked
    ");
    assert_eq!((stage.model.requests().len(), again.usage.total()), (3, 1100));
}

#[test]
fn r17_a_corrupt_kept_answer_is_asked_again() {
    let stage = approving();
    stage.review(&["+one\n"]).unwrap();
    for entry in entries(&stage.path("cache")) {
        fs::write(entry, "{\"schema\":1").unwrap();
    }
    assert_snapshot!(shown(&stage.review(&["+one\n"]).unwrap()), @"packet-001 Approved asked");
}

#[test]
fn a_failure_is_asked_again_and_what_was_rejected_is_paid() {
    let asked = AtomicUsize::new(0);
    let stage = Stage::new(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::message("prose").usage(5000, 50),
        _ => Brain::approving().reply(request),
    });
    let mut notes = Vec::new();
    let reviewed = stage.with(|policy| policy.retries = 1).review_noting(&["+one\n"], &mut notes).unwrap();
    assert!(notes.iter().any(|note| matches!(note, Progress::Again { .. })), "{notes:?}");
    assert_eq!((reviewed.usage.input, reviewed.usage.output, reviewed.spent), (6000, 150, 6150));
}

#[test]
fn r13_a_failure_is_asked_again_within_bounds() {
    for retries in [0, 2] {
        let stage = Stage::new(|_| Reply::message("prose")).with(|policy| policy.retries = retries);
        let failure = Failure::from(stage.review(&["+one\n"]).unwrap_err());
        assert_eq!((&*failure.class, stage.model.requests().len() as u64), ("reviewer-answer", retries + 1));
    }
}

#[test]
fn a_budget_stops_before_the_first_question() {
    let stage = approving().with(|policy| policy.max_tokens = 10_000);
    let failure = Failure::from(stage.review(&["+one\n", "+two\n"]).unwrap_err());
    assert_eq!((failure.class.as_ref(), failure.exit.code(), stage.model.requests().len()), ("token-budget", 4, 0));
}

#[test]
fn a_budget_that_ends_between_two_questions_stops_there_and_keeps_the_answer() {
    let costly = Stage::new(|request| Brain::approving().reply(request).usage(25_000, 0));
    let costly = costly.with(|policy| (policy.parallel, policy.max_tokens) = (1, 30_000));
    let failure = Failure::from(costly.review(&["+one\n", "+two\n"]).unwrap_err());
    assert_eq!((failure.class.as_ref(), failure.exit.code(), costly.model.requests().len()), ("token-budget", 4, 1));
    assert!(failure.reason.starts_with("packet-002 was not reviewed"), "{}", failure.reason);
    assert_snapshot!(shown(&costly.review(&["+one\n", "+two\n"]).unwrap()), @r"
    packet-001 Approved kept
    packet-002 Approved asked
    ");
}

#[test]
fn r03_an_empty_packet_is_never_asked() {
    let stage = approving();
    let failure = Failure::from(stage.review(&["+one\n", " \n"]).unwrap_err());
    assert_eq!((failure.class.as_ref(), stage.model.requests().len()), ("empty-packet", 0));
}
