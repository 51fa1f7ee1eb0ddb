//! The server as a client sees it, over a real socket.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::io::{Read, Write};
use std::net::TcpStream;

use fake_model::{Brain, Ending, FakeModel, Reply, Request};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// Sends one request and returns everything that comes back, with CR removed.
fn post(model: &FakeModel, head: &str, body: &Value) -> String {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let url = model.url();
    let address = url.trim_start_matches("http://").trim_end_matches("/v1");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head} HTTP/1.1\r\nContent-Length: {}\r\nAuthorization: Bearer k\r\n\r\n{body}", body.len())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace('\r', "")
}

fn answer(reply: Reply) -> String {
    let model = FakeModel::start(move |_| reply.clone()).unwrap();
    post(&model, "POST /v1/responses", &json!({}))
}

fn prompt(text: &str) -> Value {
    json!({"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]})
}

fn think(brain: Brain, text: &str) -> String {
    let model = FakeModel::start(move |request| brain.reply(request)).unwrap();
    let answer = post(&model, "POST /v1/responses", &prompt(text));
    let data = answer.lines().filter_map(|line| line.strip_prefix("data: ")).nth(1).unwrap().to_owned();
    let event: Value = serde_json::from_str(&data).unwrap();
    let item = &event["item"];
    item["content"][0]["text"].as_str().or(item["input"].as_str()).unwrap().to_owned()
}

#[test]
fn a_message_is_two_events_and_the_end() {
    assert_snapshot!(answer(Reply::message("hello").usage(3, 4)), @r#"
    HTTP/1.1 200 scripted
    content-type: text/event-stream
    content-length: 490
    connection: close

    event: response.created
    data: {"response":{"id":"r"},"type":"response.created"}

    event: response.output_item.done
    data: {"item":{"content":[{"text":"hello","type":"output_text"}],"role":"assistant","type":"message"},"type":"response.output_item.done"}

    event: response.completed
    data: {"response":{"id":"r","usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":7}},"type":"response.completed"}
    "#);
}

#[test]
fn a_status_carries_retry_after() {
    assert_snapshot!(answer(Reply::status(429).retry_after(2)), @r#"
    HTTP/1.1 429 scripted
    content-type: application/json
    content-length: 58
    retry-after: 2
    connection: close

    {"error":{"code":"scripted 429","message":"scripted 429"}}
    "#);
}

#[test]
fn a_drop_sends_nothing_and_a_cut_less_than_it_announced() {
    assert_eq!(answer(Reply::Drop), "");
    let cut = answer(Reply::message("x").ending(Ending::Cut));
    let announced: usize = cut.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert!(cut.len() < announced && !cut.contains("response.completed"));
}

#[test]
fn every_request_is_kept_with_its_headers() {
    let model = FakeModel::start(|_| Reply::empty()).unwrap();
    post(&model, "GET /v1/models", &Value::Null);
    post(&model, "POST /v1/responses", &prompt("review this"));
    let requests: Vec<Request> = model.requests();
    assert_eq!(requests.len(), 1, "only requests for an answer count");
    assert_eq!(requests[0].prompt(), "review this");
    assert_eq!(requests[0].header("authorization"), Some("Bearer k"));
}

const REVIEW: &str = "packet: packet-001\nnonce: abc\n===== abc =====\n-old BOOM\n+new\n===== abc =====\n";

#[test]
fn the_brain_approves_by_packet_and_nonce() {
    assert_snapshot!(think(Brain::approving().blocking_on("BOOM"), REVIEW),
        @r#"{"blockers":[],"non_blocking":[],"nonce":"abc","packet":"packet-001","verdict":"APPROVED"}"#);
}

#[test]
fn the_brain_blocks_an_added_marker_inside_the_fence() {
    assert_snapshot!(think(Brain::approving().blocking_on("BOOM"), &REVIEW.replace("+new", "+BOOM")),
        @r#"{"blockers":[{"detail":"+BOOM","line":null,"path":null,"title":"BOOM must not be here"}],"non_blocking":[],"nonce":"abc","packet":"packet-001","verdict":"BLOCKED"}"#);
}

#[test]
fn the_brain_heals_what_is_not_a_review() {
    assert_snapshot!(think(Brain::approving().healing_with("*** Begin Patch"), "mend this"), @"*** Begin Patch");
}

#[test]
fn tools_are_found_in_both_places() {
    let body = json!({"tools": [{"type": "function", "name": "a"}], "input": [{"type": "additional_tools",
        "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "b"}]}, {"type": "web_search"}]}]});
    let request = Request { method: String::new(), path: String::new(), headers: vec![], body };
    assert_eq!(request.tools(), ["b", "web_search", "a"]);
}
