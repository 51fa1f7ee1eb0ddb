//! Logs as they are written, their ends, and what jobs leave.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::auth::token;
use crate::http::{Client, Connection, Event, Live};
use crate::service::{JOBS, PATIENCE, Site, eventually};

const TALK: &str = r#"
[jobs.talk]
argv = ["sh", "-c", "echo one; echo een >&2; until [ -e {GATE}/open ]; do sleep 0.02; done; echo twö; echo twee >&2; exit 7"]
timeout_sec = 60
binds = ["{GATE}"]
"#;

fn texts(events: &[Event], stream: &str) -> String {
    events.iter().filter(|event| event.data["stream"] == stream).map(Event::text).collect()
}

/// The next events, until both logs have their first line.
fn first_lines(live: &mut Live) -> Vec<Event> {
    let mut seen = Vec::new();
    while texts(&seen, "stdout") != "one\n" || texts(&seen, "stderr") != "een\n" {
        seen.push(live.next().expect("more"));
    }
    seen
}

#[test]
fn both_logs_are_shown_while_they_are_written_and_go_on_where_a_reader_was() {
    let site = Site::new(TALK);
    let service = site.serve(&[]);
    let id = service.submit(&site.ask("talk"));
    let mut live = service.live(&id);
    let seen = first_lines(&mut live);
    assert_eq!(service.job(&id)["status"], "running");
    let path = format!("/jobs/{id}/logs/stream");
    let mut resumed = service.client.live(&path, &[("last-event-id", &seen.last().unwrap().id)]);
    let mut one_only = service.client.live(&format!("{path}?stream=stdout&offset=1"), &[]);
    assert_eq!(one_only.next().unwrap().text(), "ne\n");
    site.open_gate();
    let rest = live.rest();
    assert_eq!((texts(&rest, "stdout").as_str(), texts(&rest, "stderr").as_str()), ("twö\n", "twee\n"));
    let end = rest.last().unwrap();
    assert_eq!((end.kind.as_str(), &end.data), ("end", &json!({ "status": "failure", "exit": 7 })));
    assert_eq!(std::iter::from_fn(|| resumed.next()).collect::<Vec<_>>().last(), Some(end));
    let one_only = one_only.rest();
    assert_eq!((texts(&one_only, "stdout").as_str(), texts(&one_only, "stderr").as_str()), ("twö\n", ""));
    // After the end all of it is there at once, and from any event on only what came after that.
    let all = service.live(&id).rest();
    assert_eq!((texts(&all, "stdout").as_str(), texts(&all, "stderr").as_str()), ("one\ntwö\n", "een\ntwee\n"));
    for event in &all {
        let rest = service.client.live(&path, &[("last-event-id", &event.id)]).rest();
        let sent: usize = rest
            .iter()
            .chain(&all[..=all.iter().position(|it| it.id == event.id).unwrap()])
            .map(|it| it.text().len())
            .sum();
        assert_eq!(sent, all.iter().map(|it| it.text().len()).sum::<usize>(), "{}", event.id);
    }
    for odd in ["9-0-0", "1-999999999-18446744073709551615", "x", "1-1", ""] {
        let rest = service.client.live(&path, &[("last-event-id", odd)]).rest();
        assert_eq!(rest.last().unwrap().kind, "end", "{odd}");
    }
    for query in ["stream=stdin", "offset=-1", "offset=x", "offset=1", "tail=x"] {
        assert_eq!(service.get(&format!("{path}?{query}")).refusal(), "400 bad-query", "{query}");
    }
}

#[test]
fn another_attempt_begins_the_logs_anew_and_says_so() {
    let site = Site::new(TALK);
    let lease = ["--lease-ms", "1000"];
    let api = site.serve_alone(&lease);
    let mut worker = site.work(&lease);
    let id = api.submit(&site.ask("talk"));
    let mut live = api.live(&id);
    let seen = first_lines(&mut live);
    assert!(seen.iter().all(|event| event.data["epoch"] == 1));
    worker.kill();
    let _next = site.work(&lease);
    let attempt = live.next().unwrap();
    assert_eq!((attempt.kind.as_str(), &attempt.data), ("attempt", &json!(2)));
    let again = first_lines(&mut live);
    assert!(again.iter().all(|event| event.data["epoch"] == 2));
    site.open_gate();
    assert_eq!(live.rest().last().unwrap().data["exit"], 7);
}

#[test]
fn j15_slow_readers_of_a_huge_log_cost_little_memory_and_hold_up_no_shutdown() {
    let site = Site::new(JOBS);
    let mut service = site.serve(&[]);
    let id = service.submit(&site.ask("hello"));
    service.succeeds(&id);
    let line = format!("{}\u{1b}[1m\n", "0123456789".repeat(10));
    let block = line.repeat(10_000);
    let mut log = File::create(site.state().join("jobs").join(&id).join("1/stdout.log")).unwrap();
    while log.metadata().unwrap().len() < 200 << 20 {
        log.write_all(block.as_bytes()).unwrap();
    }
    let lines = log.metadata().unwrap().len() / line.len() as u64;
    let before = service.program.status("VmRSS");
    let mut slow: Vec<Live> = (0..32).map(|_| service.live(&id)).collect();
    for live in &mut slow {
        assert_eq!(live.next().unwrap().data["offset"], 0);
    }
    let begun = Instant::now();
    let tail = service.get(&format!("/jobs/{id}/logs?tail=10")).json();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((tail["lines"].as_array().unwrap().len(), &tail["total_lines"]), (10, &json!(lines)));
    let many = service.get(&format!("/jobs/{id}/logs?tail=10000")).json();
    assert_eq!(many["lines"].as_array().unwrap().len(), 10_000);
    // Whoever fetches all of it, slowly.
    let mut whole = service.client.connect();
    whole.say(&service.client.head("GET", &format!("/jobs/{id}/artifacts/stdout.log"), &[], 0));
    sleep(Duration::from_secs(1));
    let grown = service.program.status("VmHWM").saturating_sub(before);
    assert!(grown < 80 << 10, "{grown} KiB more");
    assert_eq!(service.get("/healthz").status, 200);
    let took = service.program.stop();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn j15_who_takes_no_large_answers_gets_no_more_of_them_and_others_do() {
    let site = Site::new(JOBS);
    let socket = site.path("api.sock");
    let service = site.serve(&["--socket", socket.to_str().unwrap()]);
    let id = service.submit(&site.ask("hello"));
    service.succeeds(&id);
    let lines = format!("{}\n", "x".repeat(700)).repeat(10_000);
    fs::write(site.state().join("jobs").join(&id).join("1/stdout.log"), lines).unwrap();
    let path = format!("/jobs/{id}/logs?tail=10000");
    // What a socket holds is little beside a log.
    let client = Client::unix(&socket).with_token(service.client.token());
    let unread: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = client.connect();
            connection.say(&client.head("GET", &path, &[], 0));
            assert_eq!(connection.status(), Some(200));
            connection
        })
        .collect();
    let (send, fifth) = mpsc::channel();
    let (same, large) = (client.clone(), path.clone());
    let asks = thread::spawn(move || send.send(same.get(&large)));
    assert!(fifth.recv_timeout(Duration::from_secs(2)).is_err(), "there was room for it");
    assert_eq!(client.get("/workers").status, 200, "what is small needs no room");
    let other = token(&site, &["add", "other", "--scope", "read"]).unwrap();
    let other = client.with_token(&other).get(&path);
    assert_eq!((other.status, other.header("content-length").parse()), (200, Ok(other.body.len())));
    drop(unread);
    assert_eq!(fifth.recv_timeout(PATIENCE).unwrap().body, other.body);
    asks.join().unwrap().unwrap();
}

#[test]
fn j01_a_live_log_ends_when_its_readers_token_is_removed() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let id = service.submit(&site.ask("hello"));
    let reader = service.client.with_token(&token(&site, &["add", "reader", "--scope", "read"]).unwrap());
    let path = format!("/jobs/{id}/logs/stream");
    let (live, mut other) = (reader.live(&path, &[]), service.client.connect());
    other.say(&service.client.head("GET", &path, &[], 0));
    assert_eq!(other.status(), Some(200));
    token(&site, &["remove", "reader"]).unwrap();
    let (send, ended) = mpsc::channel();
    let reads = thread::spawn(move || send.send(live.rest()));
    assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok(Vec::new()));
    reads.join().unwrap().unwrap();
    // That of another goes on to the end of the job.
    service.cancel(&id, "not wanted");
    assert!(other.rest().contains("cancelled"));
}

#[test]
fn open_streams_end_with_the_service_and_are_not_too_many() {
    let site = Site::new(JOBS);
    let mut service = site.serve_alone(&["--rate", "100000"]);
    let id = service.submit(&site.ask("hello"));
    let path = format!("/jobs/{id}/logs/stream");
    let own = |client: &Client| (0..32).map(|_| client.live(&path, &[])).collect::<Vec<Live>>();
    let full = |client: &Client| {
        let refused = client.get(&path);
        assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("503 too-many-streams", "5"));
    };
    let mut streams = own(&service.client);
    full(&service.client);
    for at in 0..7 {
        let name = format!("reader-{at}");
        let reader = service.client.with_token(&token(&site, &["add", &name, "--scope", "read"]).unwrap());
        streams.extend(own(&reader));
    }
    full(&service.client.with_token(&token(&site, &["add", "late", "--scope", "read"]).unwrap()));
    drop(streams.remove(0));
    eventually("its place is free", || {
        let mut connection = service.client.connect();
        connection.say(&service.client.head("GET", &format!("/jobs/{id}/logs/stream"), &[], 0));
        connection.status().filter(|status| *status == 200)
    });
    let took = service.program.stop();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(streams.remove(0).next(), None);
}

#[test]
fn j15_the_end_of_a_log_is_bounded_and_odd_bytes_are_text() {
    let site = Site::new(
        "[jobs.odd]\nargv = [\"sh\", \"-c\", \"printf 'a\\\\n\\\\377\\\\n\\\\000\\\\nno end'\"]\ntimeout_sec = 60\n",
    );
    let service = site.serve(&[]);
    let id = service.submit(&site.ask("odd"));
    service.succeeds(&id);
    let path = format!("/jobs/{id}/logs");
    let lines = |query: &str| service.get(&format!("{path}?{query}")).json();
    assert_eq!(lines("")["lines"], json!(["a", "\u{fffd}", "\0", "no end"]));
    assert_eq!(lines("tail=2"), json!({ "stream": "stdout", "lines": ["\0", "no end"], "total_lines": 4 }));
    assert_eq!(lines("stream=stderr")["total_lines"], 0);
    for (query, refusal) in [
        ("tail=0", "400 out-of-bounds"),
        ("tail=10001", "400 out-of-bounds"),
        ("tail=-1", "400 bad-query"),
        ("tail=1e3", "400 bad-query"),
        ("stream=both", "400 bad-query"),
        ("stream=../stdout", "400 bad-query"),
    ] {
        assert_eq!(service.get(&format!("{path}?{query}")).refusal(), refusal, "{query}");
    }
}

#[test]
fn j14_no_path_leads_out_of_a_jobs_directory() {
    let site = Site::new(
        "[jobs.leave]\nargv = [\"sh\", \"-c\", \"cd $ARTIFACT_DIR; mkdir sub; echo a > sub/a.txt; echo b > 'odd %2e name'; ln -s /etc/passwd link\"]\ntimeout_sec = 60\n",
    );
    let service = site.serve(&[]);
    let (id, other) = (service.submit(&site.ask("leave")), service.submit(&site.ask("leave")));
    service.ended(&id);
    service.ended(&other);
    let dir = site.state().join("jobs").join(&id).join("1");
    let get = |path: &str| service.get(&format!("/jobs/{id}/artifacts/{path}"));
    assert_eq!((get("sub/a.txt").text().as_str(), get("odd%20%252e%20name").text().as_str()), ("a\n", "b\n"));
    symlink("/etc/passwd", dir.join("evil")).unwrap();
    symlink("/etc", dir.join("dir")).unwrap();
    symlink(site.state(), dir.join("state")).unwrap();
    fs::hard_link(site.state().join("token"), dir.join("hard")).unwrap();
    fs::create_dir(dir.join(".scratch")).unwrap();
    fs::write(dir.join(".scratch/x"), "x").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.join("fifo")).status().unwrap().success());
    let outside = [
        "link",
        "evil",
        "dir/passwd",
        "state/token",
        "hard",
        "fifo",
        ".scratch/x",
        ".died.json",
        "",
        "/",
        "sub",
        "sub/",
        "sub//a.txt",
        "./sub/a.txt",
        "../1/sub/a.txt",
        "%2e%2e/1/sub/a.txt",
        "..%2f..%2f..%2ftoken",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2ftoken",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "sub/%2e%2e/%2e%2e/%2e%2e/%2e%2e/token",
        "sub%00/a.txt",
        "sub/a.txt%00",
        "..\\..\\token",
    ];
    for path in outside {
        let answer = get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(!answer.text().contains("root:") && !answer.text().contains("aor_"), "{path}");
    }
    let odd = service.get(&format!("/jobs/{other}/../{id}/artifacts/sub/a.txt"));
    assert_eq!(odd.status, 404);
    let listed = service.get(&format!("/jobs/{id}/artifacts")).text();
    for name in ["evil", "link", "hard", "fifo", "passwd", "token", ".scratch"] {
        assert!(!listed.contains(&format!("\"{name}")), "{listed}");
    }
    fs::remove_file(dir.join("stdout.log")).unwrap();
    symlink("/etc/passwd", dir.join("stdout.log")).unwrap();
    assert_eq!(service.get(&format!("/jobs/{id}/logs")).json()["total_lines"], 0);
    assert_eq!(service.live(&id).rest().len(), 1);
    fs::remove_dir_all(&dir).unwrap();
    symlink(site.state(), &dir).unwrap();
    assert_eq!(get("token").status, 404);
    assert_eq!(service.get(&format!("/jobs/{id}/artifacts")).json()["files"], json!([]));
}

#[test]
fn j14_what_a_job_left_is_data_and_no_page_of_the_service() {
    let script = "cd $ARTIFACT_DIR; for name in a.html a.svg a.xml a.js a.txt a.md a.json a.HTML a a.html.txt; do echo '<script>alert(1)</script>' > $name; done";
    let site = Site::new(&format!("[jobs.leave]\nargv = [\"sh\", \"-c\", \"{script}\"]\ntimeout_sec = 60\n"));
    let service = site.serve(&[]);
    let id = service.submit(&site.ask("leave"));
    service.succeeds(&id);
    let files = service.get(&format!("/jobs/{id}/artifacts")).json();
    let ours = files["files"].as_array().unwrap().iter().filter_map(|file: &Value| file["path"].as_str());
    for path in ours.filter(|path| path.starts_with("a.") || *path == "a") {
        let answer = service.get(&format!("/jobs/{id}/artifacts/{path}"));
        let kind = answer.header("content-type").to_owned();
        assert!(
            matches!(kind.as_str(), "text/plain; charset=utf-8" | "application/json" | "application/octet-stream"),
            "{path}: {kind}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(answer.header("cache-control"), "no-store");
        let shown = answer.header("content-disposition") == "inline";
        assert_eq!(shown, kind != "application/octet-stream", "{path}");
    }
}
