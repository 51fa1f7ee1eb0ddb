//! The client against servers that answer as they should, break off, and lie.

#![allow(clippy::unwrap_used, reason = "a server that cannot be started fails its test")]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use host::Cancel;
use job::Id;
use runner_client::{Base, Client, News};
use runner_wire::{Stream, Submit};

const SECRET: &str = "aor_secret";

/// A server that answers the request of each connection, whose number is counted from 0, and what it was asked.
fn server(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> (Client, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = asked.send(request(&mut stream));
            answer(number, &mut stream);
        }
    });
    (Client::new(Base::parse(&base).unwrap(), Some(SECRET)).unwrap(), requests)
}

/// The text of a request.
fn request(stream: &mut impl std::io::Read) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn answer(stream: &mut impl std::io::Write, status: &str, headers: &str, body: &str) {
    let length = body.len();
    // A client that went away is none of the server's business.
    let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}");
}

fn id() -> Id {
    "20260131T235959123Z-0123456789abcdef".parse().unwrap()
}

const SUBMITTED: &str =
    r#"{"job_id":"20260131T235959123Z-0123456789abcdef","artifact_dir":"/jobs/x/artifacts","status":"queued"}"#;
const QUEUE: &str = r#"{"queued":0,"running":0,"max_running":16,"repos":[]}"#;

/// How a request fails that is answered so.
fn failure(status: &'static str, headers: &'static str, body: &'static str) -> String {
    let (client, _) = server(move |_, stream| answer(stream, status, headers, body));
    let failure = client.queue().unwrap_err();
    format!("{} {}", failure.exit.code(), failure.text().replace(&client.base().to_string(), "API"))
}

#[test]
fn what_the_service_says_is_what_the_failure_says() {
    let problem = r#"{"detail":"why","class":"the-class","next":"do that"}"#;
    for (status, code) in [
        ("400 Bad Request", 1),
        ("401 Unauthorized", 3),
        ("403 Forbidden", 3),
        ("404 Not Found", 1),
        ("409 Conflict", 1),
        ("413 Payload Too Large", 2),
        ("500 Internal Server Error", 4),
    ] {
        assert_eq!(failure(status, "", problem), format!("{code} the-class: why\nnext: do that"), "{status}");
    }
    let bounds = r#"{"detail":"why","class":"out-of-bounds","next":"do that"}"#;
    assert_eq!(failure("400 Bad Request", "", bounds), "2 out-of-bounds: why\nnext: do that");
    assert_eq!(
        failure("404 Not Found", "", r#"{"detail":"Job not found"}"#),
        "1 no-job: Job not found\nnext: see which there are: runner list"
    );
}

#[test]
fn what_is_no_api_is_not_taken_for_one() {
    for (status, body) in [("200 OK", "<html>"), ("200 OK", "{}"), ("404 Not Found", "<html>"), ("302 Found", "")] {
        let said = failure(status, "", body);
        assert!(said.starts_with("4 not-the-api: what answers at API is not the runner's API: "), "{said}");
    }
    let hostile = r#"{"detail":"\u001b[2J","class":"Not A\nclass","next":"\u202e"}"#;
    assert_eq!(failure("400 Bad Request", "", hostile), "1 api-refused: \\u{1b}[2J\nnext: \\u{202e}");
}

#[test]
fn a_token_follows_no_redirect() {
    let (elsewhere, visits) = server(|_, stream| answer(stream, "200 OK", "", QUEUE));
    let location = format!("location: {}/queue\r\n", elsewhere.base());
    let (client, requests) = server(move |_, stream| answer(stream, "307 Temporary Redirect", &location, ""));
    assert_eq!(client.queue().unwrap_err().class, "not-the-api");
    assert!(requests.recv().unwrap().contains(&format!("authorization: Bearer {SECRET}\r\n")));
    assert!(visits.try_recv().is_err());
}

#[test]
fn an_answer_without_an_end_is_not_read_for_ever() {
    let (headers, _) = server(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
    });
    assert_eq!(headers.rerun(&id(), None).unwrap_err().class, "api-broken");
    let (body, _) = server(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    let failure = body.queue().unwrap_err();
    assert!(failure.reason.contains("more than 67108864 bytes"), "{failure}");
}

#[test]
fn the_longest_list_of_files_that_a_job_can_leave_is_read() {
    // What artifact.json has room for: half of it, each path twice.
    let path = "x".repeat(3_000);
    let files: Vec<_> = (0..10_000).map(|_| serde_json::json!({ "path": path, "bytes": u64::MAX })).collect();
    let list = serde_json::json!({ "files": files }).to_string();
    assert!(list.len() > 29 << 20);
    let (client, _) = server(move |_, stream| answer(stream, "200 OK", "", &list));
    assert_eq!(client.artifacts(&id()).unwrap().files.len(), 10_000);
}

#[test]
fn a_request_whose_answer_was_lost_is_sent_again_and_is_the_same() {
    let (client, requests) = server(|number, stream| {
        if number > 0 {
            answer(stream, "201 Created", "", SUBMITTED);
        }
    });
    assert_eq!(client.submit(&Submit::default()).unwrap().job_id, id());
    let sent: Vec<String> = [requests.recv().unwrap(), requests.recv().unwrap()]
        .map(|request| request.split_once("\r\n\r\n").unwrap().1.to_owned())
        .to_vec();
    assert_eq!(sent[0], sent[1]);
    assert!(sent[0].contains("idempotency_key"), "{}", sent[0]);
}

#[test]
fn what_would_be_another_job_is_asked_for_once() {
    let (client, requests) = server(|_, _| {});
    assert_eq!(client.rerun(&id(), Some("why")).unwrap_err().class, "api-broken");
    assert!(requests.recv().unwrap().ends_with(r#"{"why":"why"}"#));
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_service_that_has_no_time_is_asked_again() {
    let busy = r#"{"detail":"too slow","class":"too-slow","next":"try again"}"#;
    let (client, requests) = server(move |number, stream| match number {
        0 => answer(stream, "503 Service Unavailable", "retry-after: 0\r\n", busy),
        1 => answer(stream, "429 Too Many Requests", "retry-after: 1\r\n", busy),
        _ => answer(stream, "200 OK", "", QUEUE),
    });
    assert_eq!(client.queue().unwrap().max_running, 16);
    assert_eq!(requests.try_iter().count(), 3);
}

#[test]
fn a_service_that_is_not_ready_says_why_and_is_waited_for() {
    let not = r#"{"ok":false,"checks":[{"name":"worker","ok":false,"detail":"no worker"}]}"#;
    let (client, _) = server(move |number, stream| match number {
        0 | 1 => answer(stream, "503 Service Unavailable", "retry-after: 1\r\n", not),
        _ => answer(stream, "200 OK", "", r#"{"ok":true,"checks":[]}"#),
    });
    assert_eq!(client.ready().unwrap().checks[0].detail, "no worker");
    assert!(client.ready_within(Duration::from_secs(60)).unwrap().ok);
}

#[test]
fn where_nobody_listens_nobody_is_waited_for() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(Base::parse(&format!("http://{address}")).unwrap(), None).unwrap();
    let failure = client.health().unwrap_err();
    assert_eq!((failure.exit.code(), &*failure.class), (4, "api-unreachable"));
    assert_eq!(failure.next, "start it: runner-api --with-worker");
    assert!(failure.reason.contains("Connection refused"), "{failure}");
}

#[test]
fn who_wants_to_stop_waits_no_longer() {
    let (stop, hangs) = channel::<()>();
    let (client, requests) = server(move |_, _| {
        let _ = hangs.recv();
    });
    let cancel = Cancel::default();
    let client = client.cancelled_by(cancel.clone());
    let stopper = std::thread::spawn(move || {
        requests.recv().unwrap();
        cancel.cancel();
    });
    assert_eq!(client.queue().unwrap_err().class, "interrupted");
    stopper.join().unwrap();
    drop(stop);
}

#[test]
fn a_socket_is_an_api_too() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = request(&mut stream);
        answer(&mut stream, "200 OK", "", QUEUE);
        asked
    });
    let client = Client::new(Base::parse(&format!("unix:{}", path.display())).unwrap(), Some(SECRET)).unwrap();
    assert!(client.queue().is_ok());
    assert!(server.join().unwrap().starts_with("GET /queue HTTP/1.1\r\n"));
}

#[test]
fn no_more_of_a_file_is_taken_than_was_wanted() {
    let (client, requests) = server(|_, stream| answer(stream, "200 OK", "", "0123456789"));
    let mut bytes = Vec::new();
    assert_eq!(client.download(&id(), "a b/c%", 10, &mut bytes).unwrap(), 10);
    assert_eq!(bytes, b"0123456789");
    let path = format!("GET /jobs/{}/artifacts/a%20b/c%25 HTTP/1.1\r\n", id());
    assert!(requests.recv().unwrap().starts_with(&path));
    assert_eq!(client.download(&id(), "a", 9, &mut bytes).unwrap_err().class, "artifact-too-large");
    let (short, _) = server(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234");
    });
    assert_eq!(short.download(&id(), "a", 10, &mut bytes).unwrap_err().class, "api-broken");
}

fn begin(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n");
}

/// An event of a log, and where the stream goes on behind it.
fn log(epoch: u32, stream: &str, offset: usize, text: &str) -> String {
    let end = offset + text.len();
    let at = if stream == "stdout" { format!("{epoch}-{end}-0") } else { format!("{epoch}-0-{end}") };
    let piece = format!(r#"{{"stream":"{stream}","epoch":{epoch},"offset":{offset},"end":{end},"text":"{text}"}}"#);
    format!("event: log\nid: {at}\ndata: {piece}\n\n")
}

const END: &str = "event: end\ndata: {\"status\":\"failure\",\"exit\":3}\n\n";

fn told(client: &Client) -> String {
    let id = id();
    let news = client.follow(&id, None).map(|news| match news {
        Ok(News::Log(piece)) => format!("{:?} {} {}", piece.stream, piece.epoch, piece.text),
        Ok(News::Attempt(attempt)) => format!("attempt {attempt}"),
        Ok(News::Lost(_)) => "lost".to_owned(),
        Ok(News::End(end)) => format!("{} {}", end.status.as_str(), end.exit),
        Ok(News::Quiet) => "quiet".to_owned(),
        Err(failure) => failure.class.into_owned(),
    });
    news.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_stream_that_breaks_goes_on_where_it_was() {
    let (client, requests) = server(|number, stream| {
        begin(stream);
        let text = match number {
            0 => log(1, "stdout", 0, "one") + ": keep-alive\n\n" + &log(1, "stdout", 3, "two")[..40],
            1 => log(1, "stdout", 0, "one") + &log(1, "stdout", 3, "two") + "event: new\ndata: x\n\n",
            2 => "event: attempt\nid: 2-0-0\ndata: 2\n\n".to_owned(),
            _ => log(2, "stdout", 0, "again") + &log(2, "stderr", 0, "err") + END,
        };
        let _ = stream.write_all(text.as_bytes());
    });
    assert_eq!(
        told(&client),
        "Stdout 1 one, lost, Stdout 1 two, lost, attempt 2, lost, Stdout 2 again, Stderr 2 err, failure 3"
    );
    let begun = requests
        .try_iter()
        .map(|request| request.lines().find_map(|line| line.strip_prefix("last-event-id: ")).unwrap_or("-").to_owned());
    assert_eq!(begun.collect::<Vec<_>>(), ["-", "1-3-0", "1-6-0", "2-0-0"]);
}

#[test]
fn a_stream_of_which_nothing_comes_is_broken() {
    let (stop, hangs) = channel::<()>();
    let (client, _) = server(move |number, stream| {
        begin(stream);
        if number == 0 {
            let _ = hangs.recv();
        } else {
            let _ = stream.write_all(END.as_bytes());
        }
    });
    let client = client.silence(Duration::from_secs(2));
    let id = id();
    let mut follow = client.follow(&id, Some(Stream::Stdout));
    assert_eq!(follow.next(), Some(Ok(News::Quiet)));
    let lost = follow.next().unwrap().unwrap();
    assert!(matches!(&lost, News::Lost(why) if why.ends_with("nothing came for 2 s")), "{lost:?}");
    drop(stop);
    assert!(matches!(follow.next(), Some(Ok(News::End(_)))));
    assert_eq!(follow.next(), None);
}

#[test]
fn a_stream_that_tells_nonsense_is_left() {
    for nonsense in ["event: log\ndata: {}\n\n", "event: end\ndata: x\n\n"] {
        let (client, _) = server(move |_, stream| {
            begin(stream);
            let _ = stream.write_all(nonsense.as_bytes());
        });
        assert_eq!(told(&client), "not-the-api");
    }
    let (endless, _) = server(|_, stream| {
        begin(stream);
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(told(&endless), "not-the-api");
    let (refused, _) = server(|_, stream| answer(stream, "404 Not Found", "", r#"{"detail":"Job not found"}"#));
    assert_eq!(told(&refused), "no-job");
}
