//! Each way a model or a server can answer, and what becomes of it: an answer or a failure of the infrastructure.

use fake_model::{Ending, Reply};
use insta::assert_snapshot;

use crate::stage::Stage;

fn failure(reply: Reply) -> String {
    Stage::new(move |_| reply.clone()).failure()
}

#[test]
fn r13_a_server_error_is_no_verdict() {
    assert_snapshot!(failure(Reply::status(500)), @r"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): We’re currently experiencing high demand, which may cause temporary errors.
    next: try again: answers so far are kept
    exit: 4
    requests: 9
    ");
}

#[test]
fn a_rejected_key_is_not_ready() {
    assert_snapshot!(failure(Reply::status(401)), @r"
    key-rejected: packet-001 was not reviewed: the service rejected the key: unexpected status 401 Unauthorized: scripted 401, url: http://MODEL/v1/responses
    next: store a valid key: openai-key set
    exit: 3
    requests: 3
    ");
}

#[test]
fn a_rate_limit_is_told_as_such() {
    assert_snapshot!(failure(Reply::status(429).retry_after(0)), @r"
    rate-limited: packet-001 was not reviewed: the service is limiting requests: exceeded retry limit, last status: 429 Too Many Requests
    next: wait a minute, then try again: answers so far are kept
    exit: 4
    requests: 3
    ");
}

#[test]
fn a_bad_request_is_asked_once() {
    assert_snapshot!(failure(Reply::status(400)), @r#"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): {"error":{"code":"scripted 400","message":"scripted 400"}}
    next: try again: answers so far are kept
    exit: 4
    requests: 1
    "#);
}

#[test]
fn no_quota_is_told_as_such() {
    assert_snapshot!(failure(Reply::failed("insufficient_quota")), @r"
    no-quota: packet-001 was not reviewed: the account has no quota left: Quota exceeded. Check your plan and billing details.
    next: add credit to the account or use another key, then try again
    exit: 4
    requests: 1
    ");
}

#[test]
fn a_packet_over_the_models_window_is_told_as_such() {
    assert_snapshot!(failure(Reply::failed("context_length_exceeded")), @r"
    packet-too-long: packet-001 was not reviewed: more than the model can read: Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying.
    next: lower review.packet_cap_bytes in the policy, then try again
    exit: 4
    requests: 1
    ");
}

#[test]
fn a_failed_response_is_no_verdict() {
    assert_snapshot!(failure(Reply::failed("server_error")), @r"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): stream disconnected before completion: scripted server_error
    next: try again: answers so far are kept
    exit: 4
    requests: 3
    ");
}

#[test]
fn an_answer_that_was_cut_by_its_length_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("{}").ending(Ending::Incomplete("max_output_tokens".into()))), @r"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): Incomplete response returned, reason: max_output_tokens
    next: try again: answers so far are kept
    exit: 4
    requests: 1
    ");
}

#[test]
fn a_connection_dropped_before_an_answer_is_no_verdict() {
    assert_snapshot!(failure(Reply::Drop), @r"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): stream disconnected before completion: error sending request
    next: try again: answers so far are kept
    exit: 4
    requests: 9
    ");
}

#[test]
fn a_stream_cut_in_the_middle_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("{}").ending(Ending::Cut)), @r"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): stream disconnected before completion: Transport error: network error: error decoding response body
    next: try again: answers so far are kept
    exit: 4
    requests: 3
    ");
}

#[test]
fn a_stream_that_ends_early_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("{}").ending(Ending::Early)), @r"
    reviewer-failed: packet-001 was not reviewed: the reviewer failed (exit 1): stream disconnected before completion: stream closed before response.completed
    next: try again: answers so far are kept
    exit: 4
    requests: 3
    ");
}

#[test]
fn r08_a_server_that_never_answers_meets_the_wall_clock() {
    let stage = Stage::new(|_| Reply::Hang).with(|policy| policy.timeout_sec = 3);
    assert_snapshot!(stage.failure(), @r"
    reviewer-timeout: packet-001 was not reviewed: no answer within 3 s
    next: try again, or raise review.timeout_sec in the policy
    exit: 4
    requests: 1
    ");
    assert!(stage.left_over().is_empty());
}

#[test]
fn a_refusal_is_no_verdict() {
    assert_snapshot!(failure(Reply::refusal("I cannot help with that")), @r"
    reviewer-answer: packet-001 was not reviewed: the reviewer's answer cannot be trusted: it said nothing
    next: try again, or name another review.model in the policy
    exit: 4
    requests: 1
    ");
}

#[test]
fn an_empty_completion_is_no_verdict() {
    assert_snapshot!(failure(Reply::empty()), @r"
    reviewer-answer: packet-001 was not reviewed: the reviewer's answer cannot be trusted: it said nothing
    next: try again, or name another review.model in the policy
    exit: 4
    requests: 1
    ");
}

#[test]
fn r06_prose_is_no_verdict() {
    assert_snapshot!(failure(Reply::message("Looks good: {\"verdict\":\"APPROVED\"}")), @r"
    reviewer-answer: packet-001 was not reviewed: the answer is not exactly one document of the schema: expected value at line 1 column 1
    next: try again, or name another review.model in the policy
    exit: 4
    requests: 1
    ");
}

#[test]
fn r06_two_messages_are_no_verdict() {
    assert_snapshot!(failure(Reply::messages(["{\"verdict\":\"BLOCKED\"}", "{\"verdict\":\"APPROVED\"}"])), @r"
    reviewer-answer: packet-001 was not reviewed: the reviewer's answer cannot be trusted: it said 2 messages
    next: try again, or name another review.model in the policy
    exit: 4
    requests: 1
    ");
}

#[test]
fn r07_an_answer_without_the_nonce_is_no_verdict() {
    let answer = r#"{"packet":"packet-001","nonce":"guess","verdict":"APPROVED","blockers":[],"non_blocking":[]}"#;
    assert_snapshot!(failure(Reply::message(answer)), @r"
    reviewer-answer: packet-001 was not reviewed: the answer does not carry this question's nonce
    next: try again, or name another review.model in the policy
    exit: 4
    requests: 1
    ");
}

#[test]
fn r09_a_tool_call_finds_no_tool() {
    for call in [Reply::apply_patch("*** Begin Patch\n*** Add File: x\n+x\n*** End Patch"), Reply::exec_command("id")] {
        let stage = Stage::new(move |request| match request.tool_outputs().as_slice() {
            [] => call.clone(),
            outputs => Reply::message(outputs.concat()),
        });
        let failure = stage.failure();
        assert!(failure.contains("reviewer-answer"), "{failure}");
        let outputs = stage.model.requests().last().unwrap().tool_outputs().concat();
        assert!(outputs.contains("unsupported"), "{outputs}");
    }
}
