//! What is sent to the service: broken, huge, slow, too much at once.

use std::thread;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::{Client, Connection};
use crate::service::{JOBS, Service, Site};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn refused(service: &Service, body: &[u8]) -> String {
    service.client.send("POST", "/jobs", &JSON, body).refusal()
}

#[test]
fn j16_a_body_is_one_document_whose_keys_are_known_and_named_once() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let good = site.ask("hello").to_string();
    let inside = |more: &str| format!("{},{more}}}", good.strip_suffix('}').unwrap());
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let bad: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\"x\"".to_vec(),
        good.replace('{', "{\u{feff}").into_bytes(),
        format!("{good}{good}").into_bytes(),
        format!("{good} x").into_bytes(),
        inside("\"job_type\":\"hello\"").into_bytes(),
        inside("\"timeout_sec\":1").into_bytes(),
        inside("\"params\":{\"a\":\"1\",\"a\":\"2\"}").into_bytes(),
        inside("\"params\":{\"a\":1}").into_bytes(),
        inside("\"params\":[]").into_bytes(),
        inside("\"priority\":1.5").into_bytes(),
        inside("\"priority\":\"1\"").into_bytes(),
        inside("\"priority\":99999999999").into_bytes(),
        inside("\"max_attempts\":-1").into_bytes(),
        inside(&format!("\"params\":{deep}")).into_bytes(),
        deep.into_bytes(),
        good.replace("hello", "\\ud800").into_bytes(),
        [b"{\"job_type\":\"", &[0xff, 0xfe][..], b"\"}"].concat(),
        b"repo_name=project".to_vec(),
        vec![0; 1000],
    ];
    for body in bad {
        assert_eq!(
            refused(&service, &body),
            "400 bad-body",
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(200)])
        );
    }
    let outside = [("priority", 101), ("priority", -101), ("max_attempts", 0), ("max_attempts", 11)];
    for (field, value) in outside {
        assert_eq!(refused(&service, inside(&format!("\"{field}\":{value}")).as_bytes()), "400 out-of-bounds");
    }
    for key in ["", "a\\nb", "a\\u0000b", "\\u202e", &"k".repeat(501)] {
        let body = inside(&format!("\"idempotency_key\":\"{key}\""));
        assert_eq!(refused(&service, body.as_bytes()), "400 bad-idempotency-key", "{key}");
    }
    assert_eq!(refused(&service, &vec![b' '; (64 << 10) + 1]), "413 body-too-large");
    assert_eq!(refused(&service, &vec![b'x'; 3 << 20]), "413 body-too-large");
    assert_eq!(service.get("/jobs").json()["jobs"], json!([]));
}

#[test]
fn j02_j03_j06_what_is_not_allowed_is_refused_with_a_class_and_no_job_is_kept() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let changed = |field: &str, value: Value| {
        let mut asked = site.ask("hello");
        asked[field] = value;
        let answer = service.post("/jobs", &asked);
        let told = format!("{}: {}", answer.refusal(), answer.json()["detail"].as_str().unwrap());
        told.replace(site.path("").to_str().unwrap(), "/")
    };
    assert_snapshot!(changed("repo_name", "../../x".into()), @"400 bad-name: the repository `../../x` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64)");
    assert_snapshot!(changed("job_type", "rm".into()), @"400 unknown-job: there is no job `rm`; known: fail, gate, hello, long");
    assert_snapshot!(changed("sha", "main".into()), @"400 bad-commit: sha `main` is a name, not an id: 40 or 64 lower-case hex digits");
    assert_snapshot!(changed("remote_url", "https://evil.example/x.git".into()), @"400 other-remote-url: remote_url is https://evil.example/x, but the repository `project` is file:///project");
    assert_snapshot!(changed("params", json!({ "since_sha": "--output=F" })), @"400 unknown-param: the job `hello` has no parameter `since_sha`; it has: none");
    assert_snapshot!(changed("repo_name", "\u{1b}[31m<script>".into()), @r"400 bad-name: the repository `\u{1b}[31m<script>` is not a name (letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64)");
    assert_eq!(service.get("/jobs").json()["jobs"], json!([]));
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let unknown = "20260131T235959123Z-0123456789abcdef";
    for id in [unknown, "x", "..", "%2e%2e", "%00", "%F0%9F%A6%80", "20260131T235959123Z-0123456789ABCDEF"] {
        for path in ["", "/events", "/logs", "/logs/stream", "/artifacts", "/artifacts/a/b"] {
            let answer = service.get(&format!("/jobs/{id}{path}"));
            assert_eq!((answer.status, answer.text().as_str()), (404, "{\"detail\":\"Job not found\"}"), "{id}{path}");
            assert_eq!(answer.header("content-type"), "application/json");
        }
        for act in ["cancel", "rerun"] {
            let answer = service.post(&format!("/jobs/{id}/{act}"), &json!({}));
            assert_eq!((answer.status, answer.text().as_str()), (404, "{\"detail\":\"Job not found\"}"), "{id}/{act}");
        }
    }
    for path in
        ["/nothing", "/jobs/", "//jobs", "/jobs/a/b/c", "/ui/nothing", "/ui/assets/x/y", "/JOBS", "/.git/config"]
    {
        assert_eq!(service.get(path).status, 404, "{path}");
    }
    assert_eq!(service.get("/nothing").refusal(), "404 no-route");
    for (method, path) in
        [("DELETE", "/jobs"), ("PUT", "/jobs"), ("POST", "/healthz"), ("GET", "/jobs/x/cancel"), ("TRACE", "/jobs")]
    {
        let answer = service.client.send(method, path, &[], b"");
        assert_eq!(answer.refusal(), "405 no-method", "{method} {path}");
    }
    for path in ["/jobs/%ff", "/jobs/%ff/artifacts/%fe", "/workers/%ff/drain"] {
        let method = if path.ends_with("drain") { "POST" } else { "GET" };
        assert_eq!(service.client.send(method, path, &[], b"").refusal(), "400 bad-path", "{path}");
    }
    for query in
        ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "nonsense=1", "status=odd", "before=x", "limit=%ff"]
    {
        let refusal = service.get(&format!("/jobs?{query}")).refusal();
        assert!(matches!(refusal.as_str(), "400 bad-query" | "400 out-of-bounds"), "{query}: {refusal}");
    }
    assert_eq!(service.post("/workers/nobody/drain", &json!({})).refusal(), "404 no-worker");
}

#[test]
fn a_form_that_is_none_is_a_page_with_the_reason() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let job = service.submit(&site.ask("hello"));
    for (path, form) in [
        ("/ui/login".to_owned(), "tokn=x"),
        ("/ui/login".to_owned(), "token=x&token=y"),
        (format!("/ui/jobs/{job}/cancel"), "why=a&why=b"),
        (format!("/ui/jobs/{job}/cancel"), "what=a"),
    ] {
        let answer = service.client.form(&path, &[("sec-fetch-site", "same-origin")], form);
        assert_eq!(answer.status, 400, "{path} {form}");
        assert!(answer.header("content-type").starts_with("text/html") && answer.text().contains("bad-form"), "{path}");
    }
    let huge = format!("token={}", "x".repeat(1 << 20));
    assert_eq!(service.client.anonymous().form("/ui/login", &[("sec-fetch-site", "same-origin")], &huge).status, 413);
    assert_eq!(service.get("/ui/jobs/%ff").status, 400);
    assert_eq!(service.job(&job)["status"], "queued");
}

#[test]
fn j18_the_same_key_is_the_same_job_and_never_another() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let with = |job: &str, key: &str| {
        let mut asked = site.ask(job);
        asked["idempotency_key"] = key.into();
        asked
    };
    let first = service.post("/jobs", &with("hello", "k"));
    let again = service.post("/jobs", &with("hello", "k"));
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.text(), again.text());
    assert_eq!(service.post("/jobs", &with("fail", "k")).refusal(), "409 idempotency-conflict");
    let mut urgent = with("hello", "k");
    urgent["priority"] = 1.into();
    assert_eq!(service.post("/jobs", &urgent).refusal(), "409 idempotency-conflict");
    let at_once: Vec<u16> = thread::scope(|scope| {
        let submit = || service.post("/jobs", &with("hello", "at once")).status;
        let all: Vec<_> = (0..8).map(|_| scope.spawn(submit)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(at_once.iter().filter(|status| **status == 201).count(), 1, "{at_once:?}");
    assert_eq!(at_once.iter().filter(|status| **status == 200).count(), 7, "{at_once:?}");
    assert_eq!(service.get("/jobs").json()["jobs"].as_array().unwrap().len(), 2);
    // The allowlist may change between two tries of one client.
    site.jobs("[jobs.hello]\nargv = [\"echo\", \"hello again\"]\ntimeout_sec = 60\n");
    assert_eq!(service.post("/jobs", &with("hello", "k")).status, 200);
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let mut connection = service.client.connect();
    let paths = ["/healthz", "/jobs", "/nothing", "/openapi.json", "/jobs/x", "/healthz"];
    let all: String = paths.iter().map(|path| service.client.head("GET", path, &[], 0)).collect();
    connection.say(&all);
    let statuses: Vec<u16> = paths.iter().map(|_| connection.answer().status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 404, 200]);
}

/// Says something, and how long it took until the other side closed.
fn closed_after(client: &Client, said: &str) -> (Duration, String) {
    let mut connection = client.connect();
    let begun = Instant::now();
    connection.say(said);
    let rest = connection.rest();
    (begun.elapsed(), rest)
}

#[test]
fn who_takes_too_long_to_ask_is_not_waited_for() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let nobody = service.client.anonymous();
    let login = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let slow = [
        ("GET /jobs HTTP/1.1\r\nhost: ru".to_owned(), ""),
        (String::new(), ""),
        (service.client.head("POST", "/jobs", &JSON, 1000) + "{", "503"),
        (nobody.head("POST", "/ui/login", &login, 1000) + "token", "503"),
    ];
    thread::scope(|scope| {
        for (said, status) in slow {
            let client = &nobody;
            scope.spawn(move || {
                let (took, answer) = closed_after(client, &said);
                assert!((25..50).contains(&took.as_secs()), "{said}: {took:?}");
                assert!(status.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status} ")), "{said}: {answer}");
            });
        }
    });
}

#[test]
fn j15_who_takes_no_answers_loses_the_connection() {
    const ASKED: usize = 2000;
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let mut connection = service.client.connect();
    connection.say(&service.client.anonymous().head("GET", "/openapi.json", &[], 0).repeat(ASKED));
    thread::sleep(Duration::from_secs(40));
    let got = connection.rest().matches("HTTP/1.1 200").count();
    assert!(got < ASKED, "all was kept for who took nothing");
    assert_eq!(service.get("/healthz").status, 200);
}

#[test]
fn what_is_no_http_is_refused_and_harms_nobody() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let head = "GET /healthz HTTP/1.1\r\nhost: a\r\n";
    let long = format!("{head}x: {}\r\n\r\n", "y".repeat(300_000));
    let many = format!("{head}{}\r\n", "x: y\r\n".repeat(5000));
    let both = "POST /jobs HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello";
    let smuggled =
        "POST /jobs HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n";
    for bad in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long, &many, both, smuggled] {
        let answer = service.client.raw(bad.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(service.get("/healthz").status, 200);
}

#[test]
fn six_hundred_clients_at_once_are_served_and_hold_up_no_shutdown() {
    let site = Site::new(JOBS);
    let mut service = site.serve(&[]);
    let begun: Vec<Connection> = (0..600)
        .map(|_| {
            let mut connection = service.client.connect();
            // Not whole: each holds its place.
            connection.say("GET /healthz HTTP/1.1\r\nhost: runner\r\nconnection: close\r\n");
            connection
        })
        .collect();
    let answered = begun.into_iter().map(|mut connection| {
        connection.say("\r\n");
        connection.answer().status
    });
    assert!(answered.into_iter().all(|status| status == 200));
    let job = service.submit(&site.ask("hello"));
    service.succeeds(&job);
    // Who never ends what they say.
    let head = service.client.head("POST", "/jobs", &JSON, 1000);
    let _slow: Vec<Connection> = (0..600)
        .map(|_| {
            let mut connection = service.client.connect();
            connection.say(&head);
            connection
        })
        .collect();
    let took = service.program.stop();
    assert!(took < Duration::from_secs(10), "{took:?}");
}
