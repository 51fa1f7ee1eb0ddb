//! The pages in a real Chromium: what it complains of, how they look, and that they work by keyboard, without JavaScript
//! and on a phone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use job::Status;
use runner_page::testing::Browser;
use runner_page::{CSP, Filter, asset, path};
use runner_wire::{LogPiece, Stream};

use super::server::{Answer, Request, Server};
use super::{hostile, scene};

/// That nothing has to be scrolled sideways.
fn fits(browser: &mut Browser, page: &str) {
    let fits = browser.eval("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
    let wide = "[...document.querySelectorAll('main *, header *')]\
                .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth)\
                .map((element) => `${element.tagName} ${element.id} ${element.className}`).slice(0, 9)";
    assert_eq!(fits, true, "{page}: too wide: {}", browser.eval(wide));
}

/// A service whose answers a test may change.
#[derive(Default)]
struct Stage {
    /// How often the stream of a log was asked for.
    streams: AtomicUsize,
    /// How often the fragment of the running job was.
    fragments: AtomicUsize,
    /// From which of them on it has ended; never where this is 0.
    ends_at: AtomicUsize,
    /// Each stream of its log, in turn; the last of them again and again.
    script: Vec<Turn>,
}

/// One connection of the stream of a log.
#[derive(Clone)]
enum Turn {
    /// Events; then the connection is lost.
    Cut(String),
    /// Events; then nothing more happens.
    Hold(String),
    /// Not now.
    Refuse,
}

fn html(page: String) -> Answer {
    answer("200 OK", "text/html; charset=utf-8", page.into_bytes())
}

fn answer(status: &'static str, content_type: &str, body: Vec<u8>) -> Answer {
    let headers = vec![
        ("Content-Type", content_type.to_owned()),
        ("Content-Security-Policy", CSP.to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
    ];
    Answer { status, headers, body, held: false }
}

fn moved(to: &str) -> Answer {
    Answer { status: "303 See Other", headers: vec![("Location", to.to_owned())], body: Vec::new(), held: false }
}

impl Stage {
    fn start(self) -> (Server, Arc<Self>) {
        let stage = Arc::new(self);
        let serving = Arc::clone(&stage);
        (Server::start(move |request| serving.answer(request)), stage)
    }

    fn answer(&self, request: &Request) -> Answer {
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method.as_str(), &parts[..]) {
            ("GET", [""]) => html(scene::jobs_page(&filter(request), |page| page.render())),
            ("GET", ["ui", "fragments", "jobs"]) => html(scene::jobs_page(&filter(request), |page| page.fragment())),
            ("GET", ["ui", "fragments", "jobs", _]) => html(self.fragment()),
            ("GET", ["ui", "fragments", "workers"]) => html(scene::workers_page(|page| page.fragment())),
            ("GET", ["ui", "fragments", "queue"]) => html(scene::queue_page(|page| page.fragment())),
            ("GET", ["ui", "jobs", id]) => html(job(id).page(|page| page.render())),
            ("GET", ["hostile", at]) => html(hostile::pages().swap_remove(at.parse().unwrap())),
            ("GET", ["pages", name]) => html(scene::pages().into_iter().find(|(page, _)| page == name).unwrap().1),
            ("GET", ["ui", "assets", hash, name]) => {
                let asset = asset(name).filter(|asset| asset.hash() == *hash).unwrap();
                answer("200 OK", asset.content_type, asset.bytes.to_vec())
            }
            ("GET", ["jobs", _, "logs", "stream"]) => self.stream(),
            ("GET", _) => answer("404 Not Found", "text/html; charset=utf-8", scene::error_page().into_bytes()),
            (_, ["ui", "jobs", id, _]) => moved(&format!("/ui/jobs/{id}")),
            (_, ["ui", "login"]) => moved("/"),
            (_, ["ui", "logout"]) => moved("/pages/login"),
            _ => answer("405 Method Not Allowed", "text/plain", Vec::new()),
        }
    }

    fn fragment(&self) -> String {
        let asked = self.fragments.fetch_add(1, Ordering::SeqCst) + 1;
        let ends_at = self.ends_at.load(Ordering::SeqCst);
        if ends_at > 0 && asked >= ends_at {
            return scene::running().ended(0, Status::Success, scene::well()).page(|page| page.fragment());
        }
        // Never the same twice, so that each is swapped in.
        let mut told = scene::running();
        told.view.duration_ms = told.view.duration_ms.map(|ms| ms + 1000 * u64::try_from(asked).unwrap());
        told.page(|page| page.fragment())
    }

    fn stream(&self) -> Answer {
        let turn = self.streams.fetch_add(1, Ordering::SeqCst).min(self.script.len().saturating_sub(1));
        let (body, held) = match self.script.get(turn) {
            Some(Turn::Refuse) => return answer("503 Service Unavailable", "text/plain", Vec::new()),
            Some(Turn::Cut(body)) => (body.clone(), false),
            Some(Turn::Hold(body)) => (body.clone(), true),
            None => (": nothing\n\n".to_owned(), true),
        };
        let events = answer("200 OK", "text/event-stream", format!("retry: 50\n\n{body}").into_bytes());
        Answer { held, ..events }
    }
}

fn filter(request: &Request) -> Filter {
    serde_json::from_value(serde_json::to_value(&request.fields).unwrap()).unwrap()
}

fn job(id: &str) -> scene::Told {
    scene::told().into_iter().find(|told| told.view.job.job_id.as_str() == id).unwrap()
}

fn path_of(told: &scene::Told) -> String {
    path::job(&told.view.job.job_id)
}

/// A piece of the log that begins at `offset`.
fn piece(id: u32, stream: Stream, offset: u64, text: &str) -> String {
    let end = offset + u64::try_from(text.len()).unwrap();
    let piece = LogPiece { stream, epoch: 2, offset, end, text: text.into() };
    format!("id: {id}\nevent: log\ndata: {}\n\n", serde_json::to_string(&piece).unwrap())
}

/// What a job would say, a packet a line.
fn long_log() -> String {
    let line = |n: u32| format!("packet {n:>3} of 120: {} bytes, sha256 {:064x}\n", 40_000 + 31 * n, n * 7919);
    (1..=120).map(line).collect()
}

fn shot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots").join(format!("{name}.png"))
}

#[test]
fn chromium_complains_of_no_page_in_light_in_dark_and_on_a_phone() {
    let stderr = "warning: 3 binary files are named and not shown\n";
    let log = piece(1, Stream::Stdout, 0, &long_log()) + &piece(2, Stream::Stderr, 0, stderr);
    let (server, _) = Stage { script: vec![Turn::Hold(log)], ..Stage::default() }.start();
    let mut browser = Browser::start();
    let mut grounds = Vec::new();
    let modes = [
        ("light", false, 1440, 900),
        ("dark", true, 1440, 900),
        ("tablet", false, 820, 1180),
        ("phone", false, 360, 740),
        ("phone-dark", true, 360, 740),
    ];
    for (mode, dark, width, height) in modes {
        browser.size(width, height);
        browser.dark(dark);
        for (name, _) in scene::pages() {
            browser.open(&server.url(&format!("/pages/{name}")));
            if name == "job-running" {
                browser.wait_for("document.getElementById('stderr').textContent.includes('binary')");
            }
            fits(&mut browser, &format!("{name} in {mode}"));
            assert_eq!(browser.nameless(), Vec::<String>::new(), "{name} in {mode}");
            browser.screenshot(&shot(&format!("{name}-{mode}")));
        }
        assert_eq!(browser.console_errors(), Vec::<String>::new(), "in {mode}");
        grounds.push(browser.eval("getComputedStyle(document.documentElement).backgroundColor"));
    }
    assert_eq!(grounds[0], "rgb(244, 245, 247)");
    assert_eq!(grounds[1], "rgb(14, 17, 22)");
}

#[test]
fn hostile_text_does_nothing_and_breaks_no_page() {
    let (server, _) = Stage::default().start();
    let mut browser = Browser::start();
    for (mode, width) in [("wide", 1440), ("tablet", 820), ("phone", 360)] {
        browser.size(width, 740);
        // A fragment has no style for itself.
        for (at, _) in hostile::pages().iter().enumerate().filter(|(_, page)| page.starts_with("<!doctype")) {
            browser.open(&server.url(&format!("/hostile/{at}")));
            fits(&mut browser, &format!("{at} in {mode}"));
        }
    }
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn what_the_policy_forbids_is_a_complaint() {
    let server =
        Server::start(|_| html("<!doctype html><title>a</title><p style=\"color: red\" onclick=\"a()\">a".into()));
    let mut browser = Browser::start();
    browser.open(&server.url("/"));
    assert!(!browser.console_errors().is_empty());
}

#[test]
fn a_log_goes_on_where_it_was_when_the_connection_is_cut_and_when_it_is_refused() {
    let first = piece(1, Stream::Stdout, 0, "one\n") + &piece(2, Stream::Stdout, 4, "two \u{1b}[1m\u{202e}\n");
    let two = "two \u{1b}[1m\u{202e}\n".len() as u64;
    let anew =
        piece(1, Stream::Stdout, 0, "one\ntwo \u{1b}[1m\u{202e}\nthr") + &piece(3, Stream::Stderr, 0, "careful\n");
    let rest = piece(4, Stream::Stdout, 7 + two, "ee\n");
    let last = piece(5, Stream::Stdout, 10 + two + 1000, "after the gap\n") + "event: end\ndata: {}\n\n";
    let script = vec![
        Turn::Cut(first),
        Turn::Refuse,
        // The browser gave up and the page began again: all of it, from the start, and cut elsewhere.
        Turn::Cut(anew + &rest),
        Turn::Hold(last),
    ];
    let (server, stage) = Stage { script, ..Stage::default() }.start();
    let mut browser = Browser::start();
    let job = scene::running();
    browser.open(&server.url(&path_of(&job)));
    browser.wait_for("document.getElementById('log-state').textContent === 'complete'");
    let gap = "1000 bytes are left out here; the whole log is among the artifacts";
    let log = format!("one\ntwo \\u{{1b}}[1m\\u{{202e}}\nthree\n{gap}after the gap\n");
    assert_eq!(browser.eval("stdout.textContent"), log);
    assert_eq!(browser.text("#stderr"), "careful\n");
    let asked: Vec<_> = server.requests().into_iter().filter(|request| request.path.ends_with("/stream")).collect();
    let ids: Vec<_> = asked.iter().map(|request| request.headers.get("last-event-id").map(String::as_str)).collect();
    assert_eq!(ids, [None, Some("2"), None, Some("4")]);
    assert_eq!(stage.streams.load(Ordering::SeqCst), 4);
    let complaints = browser.console_errors();
    assert!(complaints.len() == 1 && complaints[0].contains("503"), "{complaints:?}");
}

#[test]
fn what_hides_in_a_log_is_shown_as_in_the_rest_of_the_page() {
    let text: String = ('\0'..='\u{ffff}').chain('\u{e0000}'..='\u{e00ff}').collect();
    let (server, _) =
        Stage { script: vec![Turn::Hold(piece(1, Stream::Stdout, 0, &text))], ..Stage::default() }.start();
    let mut browser = Browser::start();
    browser.open(&server.url(&path_of(&scene::running())));
    browser.wait_for("stdout.textContent.length > 60000");
    let shown = browser.eval("stdout.textContent");
    assert!(shown == outcome::printable(&text), "the page and the program differ in what hides");
}

#[test]
fn a_new_attempt_begins_the_log_anew() {
    let events = piece(1, Stream::Stdout, 0, "of the first\n")
        + "event: attempt\ndata: {}\n\n"
        + &piece(2, Stream::Stdout, 0, "of the second\n");
    let (server, _) = Stage { script: vec![Turn::Hold(events)], ..Stage::default() }.start();
    let mut browser = Browser::start();
    browser.open(&server.url(&path_of(&scene::running())));
    browser.wait_for("document.getElementById('stdout').textContent === 'of the second\\n'");
    assert_eq!(browser.eval("stderr.childNodes.length"), 0);
}

#[test]
fn a_log_without_an_end_stays_bounded_and_follows_until_somebody_reads() {
    let text = long_log().repeat(2);
    let length = text.len() as u64;
    let events: String = (0..60).map(|n| piece(n, Stream::Stdout, u64::from(n) * length, &text)).collect();
    let (server, _) = Stage { script: vec![Turn::Hold(events)], ..Stage::default() }.start();
    let mut browser = Browser::start();
    browser.open(&server.url(&path_of(&scene::running())));
    browser.wait_for("document.getElementById('stdout').textContent.includes('earlier characters are not kept')");
    browser.wait_for("stdout.scrollHeight - stdout.scrollTop - stdout.clientHeight < 24 && stdout.scrollTop > 0");
    assert_eq!(browser.eval("stdout.textContent.length < 450000 && stdout.childNodes.length < 500"), true);
    browser.size(700, 800);
    browser.wait_for("innerWidth === 700 && stdout.scrollHeight - stdout.scrollTop - stdout.clientHeight < 24");
    assert_eq!(browser.eval("document.getElementById('log-follow').getAttribute('aria-pressed')"), "true");
    browser.eval("stdout.scrollTop = 0");
    browser.wait_for("document.getElementById('log-follow').getAttribute('aria-pressed') === 'false'");
    browser.tab_to("log-follow");
    browser.press(&["Space"]);
    browser.wait_for("stdout.scrollHeight - stdout.scrollTop - stdout.clientHeight < 24");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn a_page_changes_by_itself_and_takes_nothing_from_who_writes() {
    let (server, stage) = Stage::default().start();
    let mut browser = Browser::start();
    browser.open(&server.url(&path_of(&scene::running())));
    browser.tab_to("cancel-why");
    browser.write("the wrong comm");
    let before = browser.text("#state");
    browser.wait_for(&format!("document.getElementById('state').innerText !== {}", serde_json::json!(before)));
    assert_eq!(browser.focused(), "cancel-why");
    browser.write("it");
    browser.eval("getSelection().selectAllChildren(document.getElementById('timeline-title'))");
    let asked = stage.fragments.load(Ordering::SeqCst);
    browser.eval("window.since = Date.now()");
    browser.wait_for("Date.now() - window.since > 3000");
    assert!(stage.fragments.load(Ordering::SeqCst) > asked);
    assert_eq!(browser.eval("getSelection().toString()"), "Timeline");
    browser.eval("getSelection().removeAllRanges()");
    assert_eq!(browser.eval("document.getElementById('cancel-why').value"), "the wrong commit");
    stage.ends_at.store(stage.fragments.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    browser.wait_for("document.querySelector('#state .badge').innerText === 'success'");
    browser.wait_for("document.getElementById('say').textContent === 'orb_review_bundle is success'");
    assert_eq!(browser.eval("document.getElementById('cancel-why') === null"), true);
    assert_eq!(browser.eval("document.getElementById('rerun-why') !== null"), true);
    assert!(browser.text("#timeline").contains("Ended"));
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn a_filter_and_an_action_work_by_keyboard() {
    let (server, _) = Stage::default().start();
    let mut browser = Browser::start();
    browser.open(&server.url("/"));
    browser.press(&["Tab"]);
    assert_eq!(browser.focused(), "Skip to content");
    browser.tab_to("f-status");
    browser.press(&["ArrowDown", "ArrowDown"]);
    browser.press(&["Tab"]);
    browser.write("algo-nt8-orb");
    browser.press_and_leave(&["Enter"]);
    assert_eq!(browser.eval("location.search"), "?status=running&repo_name=algo-nt8-orb&job_type=");
    assert_eq!(browser.eval("document.querySelectorAll('tbody tr').length"), 2);
    let running = scene::running();
    browser.tab_to(&format!("job-{}", running.view.job.job_id));
    browser.press_and_leave(&["Enter"]);
    browser.tab_to("cancel-why");
    browser.write("it is no longer wanted");
    browser.press_and_leave(&["Enter"]);
    let sent = server.requests().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(sent.path, format!("{}/cancel", path_of(&running)));
    assert_eq!(sent.fields["why"], "it is no longer wanted");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn somebody_signs_in_and_out_by_keyboard() {
    let (server, _) = Stage::default().start();
    let mut browser = Browser::start();
    browser.open(&server.url("/pages/login"));
    browser.wait_for("document.activeElement.id === 'token'");
    browser.write("secret");
    browser.press_and_leave(&["Enter"]);
    assert_eq!(browser.eval("location.pathname"), "/");
    while browser.focused() != "Sign out" {
        browser.press(&["Tab"]);
    }
    browser.press_and_leave(&["Enter"]);
    let posts: Vec<_> = server.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(posts.iter().map(|post| post.path.as_str()).collect::<Vec<_>>(), [path::LOGIN, path::LOGOUT]);
    assert_eq!(posts[0].fields["token"], "secret");
}

#[test]
fn without_javascript_the_log_is_shown_and_a_form_is_sent() {
    let (server, _) = Stage::default().start();
    let mut browser = Browser::start();
    browser.scripts(false);
    browser.open(&server.url(&path_of(&scene::running())));
    assert!(browser.text("#stdout").contains("packet 1 of 7"));
    browser.tab_to("cancel-why");
    browser.press_and_leave(&["Enter"]);
    assert!(server.requests().iter().any(|request| request.method == "POST"));
}

#[test]
fn nobody_is_asked_while_nobody_looks() {
    let (server, stage) = Stage::default().start();
    let mut browser = Browser::start();
    browser.open(&server.url(&path_of(&scene::running())));
    browser.eval("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })");
    let asked = stage.fragments.load(Ordering::SeqCst);
    browser.eval("window.since = Date.now()");
    browser.wait_for("Date.now() - window.since > 5000");
    // One may have been on its way.
    assert!(stage.fragments.load(Ordering::SeqCst) <= asked + 1);
    let before = browser.text("#state");
    browser.eval("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
    browser.wait_for(&format!("document.getElementById('state').innerText !== {}", serde_json::json!(before)));
}

#[test]
fn a_server_that_does_not_answer_is_said_to() {
    let (server, _) = Stage::default().start();
    let mut browser = Browser::start();
    browser.open(&server.url("/"));
    assert_eq!(browser.eval("document.getElementById('lost').hidden"), true);
    drop(server);
    browser.wait_for("document.getElementById('lost').innerText.startsWith('The server does not answer')");
    browser.screenshot(&shot("jobs-lost-light"));
}
