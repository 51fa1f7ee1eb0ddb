//! Each way a model or a server can answer, and what becomes of it: an answer or a failure of the infrastructure.

use fake_model::{Ending, Reply};
use insta::assert_snapshot;

use crate::stage::Stage;

fn failure(reply: Reply) -> String {
    Stage::new(move |_| reply.clone()).failure()
}

#[test]
fn r13_a_server_error_is_no_verdict() {
    assert_snapshot!(failure(Reply::status(500)), @"");
}

#[test]
fn a_rejected_key_is_not_ready() {
    assert_snapshot!(failure(Reply::status(401)), @"");
}

#[test]
fn a_rate_limit_is_told_as_such() {
    assert_snapshot!(failure(Reply::status(429).retry_after(0)), @"");
}

#[test]
fn a_bad_request_is_asked_once() {
    assert_snapshot!(failure(Reply::status(400)), @"");
}

#[test]
fn no_quota_is_told_as_such() {
    assert_snapshot!(failure(Reply::failed("insufficient_quota")), @"");
}

#[test]
fn a_packet_over_the_models_window_is_told_as_such() {
    assert_snapshot!(failure(Reply::failed("context_length_exceeded")), @"");
}

#[test]
fn a_failed_response_is_no_verdict() {
    assert_snapshot!(failure(Reply::failed("server_error")), @"");
}

#[test]
fn an_answer_that_was_cut_by_its_length_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("{}").ending(Ending::Incomplete("max_output_tokens".into()))), @"");
}

#[test]
fn a_connection_dropped_before_an_answer_is_no_verdict() {
    assert_snapshot!(failure(Reply::Drop), @"");
}

#[test]
fn a_stream_cut_in_the_middle_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("{}").ending(Ending::Cut)), @"");
}

#[test]
fn a_stream_that_ends_early_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("{}").ending(Ending::Early)), @"");
}

#[test]
fn r08_a_server_that_never_answers_meets_the_wall_clock() {
    let stage = Stage::new(|_| Reply::Hang).with(|policy| policy.timeout_sec = 3);
    assert_snapshot!(stage.failure(), @"");
    assert!(stage.left_over().is_empty());
}

#[test]
fn a_refusal_is_no_verdict() {
    assert_snapshot!(failure(Reply::refusal("I cannot help with that")), @"");
}

#[test]
fn an_empty_completion_is_no_verdict() {
    assert_snapshot!(failure(Reply::empty()), @"");
}

#[test]
fn r06_prose_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("Looks good: {\"verdict\":\"APPROVED\"}")), @"");
}

#[test]
fn r06_two_messages_are_no_verdict() {
    assert_snapshot!(failure(Reply::messages(["{\"verdict\":\"BLOCKED\"}", "{\"verdict\":\"APPROVED\"}"])), @"");
}

#[test]
fn r07_an_answer_without_the_nonce_is_no_verdict() {
    let answer = r#"{"packet":"packet-001","nonce":"guess","verdict":"APPROVED","blockers":[],"non_blocking":[]}"#;
    assert_snapshot!(failure(Reply::message(answer)), @"");
}

#[test]
fn r09_a_tool_call_finds_no_tool() {
    let patch = "*** Begin Patch\n*** Add File: pwned\n+x\n*** End Patch";
    assert_snapshot!(failure(Reply::apply_patch(patch)), @"");
}
