//! What breaks, and what becomes of jobs then.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use real_parts::{Network, Postgres};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::service::{JOBS, PATIENCE, Program, Service, Site, eventually, worker_program};

/// A job that leaves processes behind it, and ends when the gate is open.
const GATE: &str = r#"
[jobs.gate]
argv = ["sh", "-c", "sleep {MARK} & echo begun; until [ -e {GATE}/open ]; do sleep 0.02; done; echo done"]
timeout_sec = 60
binds = ["{GATE}"]
"#;
const LEASE: [&str; 2] = ["--lease-ms", "1500"];

/// That a job ended once, and how often it was begun.
fn ended_once(service: &Service, id: &str) -> usize {
    let timeline = service.timeline(id);
    assert_eq!(timeline.matches("ended: ").count(), 1, "{timeline}");
    timeline.matches("started: ").count()
}

/// Nothing runs, and nothing says that it does.
fn all_is_quiet(site: &Site, service: &Service) {
    site.nothing_runs();
    assert_eq!(service.get("/queue").json()["running"], 0);
    let running = site.state().join("running");
    if let Ok(markers) = fs::read_dir(&running) {
        let markers: Vec<_> = markers.map(|entry| entry.unwrap().file_name()).collect();
        assert!(markers.is_empty(), "{markers:?}");
    }
}

#[test]
fn j19_killed_at_any_moment_the_service_begins_again_and_each_job_ends_once() {
    let site = Site::new("[jobs.short]\nargv = [\"sh\", \"-c\", \"sleep 0.05; echo done\"]\ntimeout_sec = 60\n");
    let mut ids = Vec::new();
    let mut asked = site.ask("short");
    asked["max_attempts"] = 10.into();
    for round in 0..16 {
        let mut service = site.serve(&["--slots", "4"]);
        ids.extend((0..2).map(|_| service.submit(&asked)));
        sleep(Duration::from_millis(round * 15));
        service.program.kill();
    }
    let service = site.serve(&["--slots", "4"]);
    let mut begun = 0;
    for id in &ids {
        let job = service.succeeds(id);
        begun += ended_once(&service, id);
        let log = service.get(&format!("/jobs/{id}/logs")).json();
        assert_eq!(log["lines"], json!(["done"]), "what counts is of the last attempt alone");
        let proof = service.get(&format!("/jobs/{id}/artifacts/artifact.json")).json();
        assert_eq!((&proof["status"], &proof["exit_code"]), (&job["status"], &job["exit_code"]));
    }
    assert!(begun > ids.len(), "nothing was broken off");
    all_is_quiet(&site, &service);
}

#[test]
fn j13_j19_nothing_of_a_job_outlives_the_service_that_was_killed() {
    let site = Site::new(GATE);
    let mut service = site.serve(&[]);
    let id = service.submit(&site.ask("gate"));
    eventually("it runs", || (!site.marked().is_empty()).then_some(()));
    service.program.kill();
    site.nothing_runs();
    let service = site.serve(&[]);
    eventually("it runs again", || (!site.marked().is_empty()).then_some(()));
    site.open_gate();
    service.succeeds(&id);
    assert_snapshot!(service.timeline(&id), @"
    submitted: by operator
    started: attempt 1 of 3 on WORKER
    lost: nothing was heard of WORKER for too long; it is begun again
    started: attempt 2 of 3 on WORKER
    ended: success with exit code 0
    ");
    all_is_quiet(&site, &service);
    let first = site.state().join("jobs").join(&id).join("1/artifact.json");
    let first: Value = serde_json::from_slice(&fs::read(first).unwrap()).unwrap();
    assert_eq!(first["class"], "interrupted", "also the attempt that was broken off has its proof");
}

/// Both engines, the second of which lives as long as it is held.
fn on_each_engine(scenario: impl Fn(&Site, &[&str])) {
    let site = Site::new(GATE);
    scenario(&site, &LEASE);
    let postgres = Postgres::start().unwrap();
    let url = postgres.database("runner").unwrap();
    let site = Site::new(GATE);
    scenario(&site, &[&LEASE[..], &["--store", &url]].concat());
}

#[test]
fn j19_another_worker_takes_over_what_a_killed_one_ran() {
    on_each_engine(|site, args| {
        let api = site.serve_alone(args);
        let mut one = site.work_as("one", args);
        let id = api.submit(&site.ask("gate"));
        api.becomes(&id, "running");
        let _other = site.work_as("other", args);
        one.kill();
        api.until(&id, |job| job["epoch"] == 2);
        site.open_gate();
        api.succeeds(&id);
        insta::allow_duplicates! { assert_snapshot!(api.timeline(&id), @"
        submitted: by operator
        started: attempt 1 of 3 on WORKER
        lost: nothing was heard of WORKER for too long; it is begun again
        started: attempt 2 of 3 on WORKER
        ended: success with exit code 0
        ") };
        all_is_quiet(site, &api);
    });
}

#[test]
fn j19_with_no_worker_left_a_lost_job_waits_again_and_can_be_stopped() {
    let site = Site::new(GATE);
    let api = site.serve_alone(&LEASE);
    let mut worker = site.work(&LEASE);
    let [again, stopped] = [(); 2].map(|()| {
        let id = api.submit(&site.ask("gate"));
        api.becomes(&id, "running");
        id
    });
    worker.kill();
    assert_eq!(api.cancel(&stopped, "not wanted").status, 202);
    // A program of another version keeps its hands off what is lost.
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (99999999999999, 'newer', true, 'x', 1)";
    sql(&site, newer);
    sleep(Duration::from_secs(4));
    assert_eq!((&api.job(&again)["status"], &api.job(&stopped)["status"]), (&json!("running"), &json!("running")));
    sql(&site, "DELETE FROM _sqlx_migrations WHERE description = 'newer'");
    assert_eq!(api.becomes(&again, "queued")["epoch"], 1);
    api.becomes(&stopped, "cancelled");
    site.nothing_runs();
}

/// Does something to the queue behind the back of the service.
fn sql(site: &Site, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite:{}", site.state().join("queue.db").display());
        let mut queue = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(statement).execute(&mut queue).await.unwrap();
        queue.close().await.unwrap();
    });
}

#[test]
fn j19_a_worker_that_slept_too_long_kills_its_job_and_what_it_says_counts_for_nothing() {
    on_each_engine(|site, args| {
        let api = site.serve_alone(args);
        let one = site.work_as("one", args);
        let id = api.submit(&site.ask("gate"));
        api.becomes(&id, "running");
        let first = eventually("it runs", || Some(site.marked()).filter(|pids| !pids.is_empty()));
        let _other = site.work_as("other", args);
        one.signal(Signal::STOP);
        api.until(&id, |job| job["epoch"] == 2);
        eventually("both run", || (site.marked().len() > first.len()).then_some(()));
        one.signal(Signal::CONT);
        eventually("the first is killed", || site.marked().iter().all(|pid| !first.contains(pid)).then_some(()));
        assert_eq!(api.job(&id)["status"], "running");
        site.open_gate();
        api.succeeds(&id);
        assert_eq!(ended_once(&api, &id), 2);
        eventually("the first knows", || one.log().contains("was given to another worker").then_some(()));
        all_is_quiet(site, &api);
    });
}

#[test]
fn a_worker_that_stops_hands_back_what_it_cannot_end_and_no_attempt_is_spent() {
    on_each_engine(|site, args| {
        let api = site.serve_alone(args);
        let mut one = site.work_as("one", &[args, &["--grace", "1"]].concat());
        let id = api.submit(&site.ask("gate"));
        eventually("it runs", || (!site.marked().is_empty()).then_some(()));
        let took = one.stop();
        assert!((1..12).contains(&took.as_secs()), "{took:?}");
        site.nothing_runs();
        assert_eq!((&api.job(&id)["status"], &api.job(&id)["attempt"]), (&json!("queued"), &json!(0)));
        let _other = site.work_as("other", args);
        eventually("it runs again", || (!site.marked().is_empty()).then_some(()));
        site.open_gate();
        api.succeeds(&id);
        insta::allow_duplicates! { assert_snapshot!(api.timeline(&id), @"
        submitted: by operator
        started: attempt 1 of 3 on WORKER
        released: WORKER handed it back: it stops
        started: attempt 1 of 3 on WORKER
        ended: success with exit code 0
        ") };
    });
}

#[test]
fn a_worker_that_stops_lets_end_what_ends_soon_and_a_second_signal_ends_it_at_once() {
    let site = Site::new(GATE);
    let api = site.serve_alone(&[]);
    let mut one = site.work_as("one", &[]);
    let id = api.submit(&site.ask("gate"));
    eventually("it runs", || (!site.marked().is_empty()).then_some(()));
    one.signal(Signal::TERM);
    one.says(" INFO stops");
    site.open_gate();
    assert_eq!(one.wait().code(), Some(0));
    api.succeeds(&id);
    fs::remove_file(site.path("gate/open")).unwrap();
    let mut other = site.work_as("other", &[]);
    let id = api.submit(&site.ask("gate"));
    eventually("it runs", || (!site.marked().is_empty()).then_some(()));
    other.signal(Signal::TERM);
    other.says(" INFO stops");
    let begun = Instant::now();
    other.signal(Signal::TERM);
    assert_eq!(other.wait().code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(5));
    site.nothing_runs();
    // Whoever has that name next knows that it runs no more.
    let _next = site.work_as("one", &[]);
    site.open_gate();
    api.succeeds(&id);
}

#[test]
fn j19_a_job_that_waits_for_a_mirror_is_handed_back_too() {
    let site = Site::new(JOBS);
    let api = site.serve_alone(&[]);
    let mut one = site.work_as("one", &["--grace", "0"]);
    let first = api.submit(&site.ask("hello"));
    api.succeeds(&first);
    let mirrors = fs::read_dir(site.state().join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    let in_use = mirrors.into_iter().find(|path| path.extension().is_some_and(|it| it == "use")).unwrap();
    let held = fs::File::open(in_use).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let mut asked = site.ask("hello");
    // What would be an error without another attempt.
    asked["max_attempts"] = 1.into();
    let id = api.submit(&asked);
    api.becomes(&id, "running");
    one.stop();
    assert_eq!((&api.job(&id)["status"], &api.job(&id)["attempt"]), (&json!("queued"), &json!(0)));
    drop(held);
    let _other = site.work_as("other", &[]);
    api.succeeds(&id);
}

#[test]
fn j20_a_worker_whose_machine_can_begin_no_job_takes_none_and_ends_none() {
    let site = Site::new(JOBS);
    let api = site.serve(&LEASE);
    eventually("it is ready", || api.unready().is_empty().then_some(()));
    let private = |mode| fs::set_permissions(site.state(), fs::Permissions::from_mode(mode)).unwrap();
    private(0o777);
    let mut asked = site.ask("hello");
    asked["max_attempts"] = 1.into();
    let ids: Vec<_> = (0..20).map(|_| api.submit(&asked)).collect();
    eventually("it says so", || api.unready().contains(&"worker".to_owned()).then_some(()));
    sleep(Duration::from_secs(1));
    let handed_back = |id: &String| api.timeline(id).matches("handed it back: it cannot begin jobs").count();
    let times: usize = ids.iter().map(handed_back).sum();
    assert!((1..20).contains(&times), "{times}");
    assert!(ids.iter().all(|id| api.job(id)["status"] == "queued" && api.job(id)["attempt"] == 0));
    private(0o700);
    for id in &ids {
        api.succeeds(id);
    }
    eventually("it is ready", || api.unready().is_empty().then_some(()));
}

/// A site where many jobs may run at one time.
fn roomy(jobs: &str) -> Site {
    let site = Site::new(jobs);
    site.repos("[queue]\nmax_running = 60\nmax_running_per_repo = 60\n");
    site
}

#[test]
fn j19_a_server_that_is_killed_while_fifty_jobs_run_loses_none_of_them() {
    let mut postgres = Postgres::start().unwrap();
    let url = postgres.database("runner").unwrap();
    let site = roomy("[jobs.nap]\nargv = [\"sleep\", \"1.5\"]\ntimeout_sec = 60\n");
    let store = ["--store", url.as_str()];
    let api = site.serve_alone(&store);
    let worker = site.work(&[&store[..], &["--slots", "50"]].concat());
    let ids: Vec<String> = (0..50).map(|_| api.submit(&site.ask("nap"))).collect();
    eventually("many run", || (api.get("/queue").json()["running"].as_u64() >= Some(20)).then_some(()));
    postgres.kill();
    // Some end while nobody can be told.
    sleep(Duration::from_secs(2));
    postgres.restart().unwrap();
    let submitted: Vec<String> = (0..10).map(|_| submit_until_kept(&api, &site.ask("nap"))).collect();
    for _ in 0..3 {
        postgres.drop_connections().unwrap();
        sleep(Duration::from_millis(200));
    }
    for id in ids.iter().chain(&submitted) {
        eventually("it ends well", || {
            let answer = api.get(&format!("/jobs/{id}"));
            (answer.status == 200 && answer.json()["status"] == "success").then_some(())
        });
        assert_eq!(ended_once(&api, id), 1, "no lease ran out");
    }
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
    assert_eq!(api.get("/queue").json()["running"], 0);
}

/// As a client does that has a key.
fn submit_until_kept(api: &Service, asked: &Value) -> String {
    let mut asked = asked.clone();
    asked["idempotency_key"] = format!("{:?}", Instant::now()).into();
    eventually("it is kept", || {
        let answer = api.post("/jobs", &asked);
        match answer.status {
            200 | 201 => Some(answer.json()["job_id"].as_str().unwrap().to_owned()),
            503 => None,
            _ => panic!("{}", answer.text()),
        }
    })
}

#[test]
fn a_queue_that_does_not_answer_stops_neither_a_shutdown_nor_the_end_of_a_lost_job() {
    let mut postgres = Postgres::start().unwrap();
    let url = postgres.database("runner").unwrap();
    let site = Site::new(GATE);
    let args = [&LEASE[..], &["--store", &url, "--grace", "1"]].concat();
    let api = site.serve_alone(&args[..4]);
    let worker = site.work_as("one", &args);
    let id = api.submit(&site.ask("gate"));
    eventually("it runs", || (!site.marked().is_empty()).then_some(()));
    // As when a cable is pulled: nobody answers, and nobody says so.
    postgres.stop();
    site.nothing_runs();
    eventually("the worker gives it up", || worker.log().contains("was given to another worker").then_some(()));
    stops_soon(worker);
    postgres.cont();
    let worker = site.work_as("other", &args);
    eventually("it runs again", || (!site.marked().is_empty()).then_some(()));
    postgres.kill();
    assert_eq!((api.get("/readyz").status, api.get("/healthz").status), (503, 200));
    let refused = api.post("/jobs", &site.ask("gate"));
    assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("503 store-unavailable", "1"));
    stops_soon(worker);
    site.nothing_runs();
    postgres.restart().unwrap();
    let _worker = site.work_as("other", &args);
    site.open_gate();
    eventually("it ends well", || (api.get(&format!("/jobs/{id}")).text().contains("success")).then_some(()));
    assert_eq!(ended_once(&api, &id), 3);
}

fn stops_soon(mut worker: Program) {
    let begun = Instant::now();
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

/// Adds copies of the only job that waits.
fn multiply(site: &Site, copies: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite:{}", site.state().join("queue.db").display());
        let mut queue = SqliteConnection::connect(&url).await.unwrap();
        let copy = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < $1),
                copy (id, i) AS (SELECT substr(id, 1, 20) || printf('%016x', i), i FROM jobs, n)
            INSERT INTO jobs (id, status, repo, job_type, priority, not_before, epoch, submitted_by, request_hash, doc)
            SELECT copy.id, status, repo, job_type, priority, not_before, epoch, submitted_by, request_hash,
                json_set(doc, '$.job_id', copy.id)
            FROM jobs, copy ORDER BY copy.i";
        sqlx::query(copy).bind(copies).execute(&mut queue).await.unwrap();
        queue.close().await.unwrap();
    });
}

#[test]
fn ten_thousand_jobs_wait_and_the_service_answers_as_before() {
    let site = Site::new(JOBS);
    {
        let mut api = site.serve_alone(&[]);
        api.submit(&site.ask("hello"));
        multiply(&site, 9_999);
        api.program.stop();
    }
    let mut service = site.serve(&["--slots", "2"]);
    let mut times = Vec::new();
    let mut measure = |ask: &dyn Fn() -> u16, want: u16| {
        let begun = Instant::now();
        assert_eq!(ask(), want);
        times.push(begun.elapsed());
    };
    for _ in 0..25 {
        measure(&|| service.post("/jobs", &site.ask("hello")).status, 201);
        measure(&|| service.get("/jobs?limit=50").status, 200);
        measure(&|| service.get("/queue").status, 200);
        measure(&|| service.get("/").status, 200);
    }
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(median < Duration::from_millis(200) && longest < Duration::from_secs(3), "{median:?} {longest:?}");
    let done = eventually("some are done", || {
        let done = service.get("/jobs?status=success&limit=200").json()["jobs"].as_array().unwrap().len();
        (done >= 10).then_some(done)
    });
    service.program.stop();
    let service = site.serve_alone(&[]);
    let queue = service.get("/queue").json();
    assert_eq!(queue["running"], 0);
    let queued = queue["queued"].as_u64().unwrap();
    assert!(queued <= 10_025 - done as u64 && queued > 5_000, "{queued}");
    for status in ["failure", "error", "timeout", "cancelled"] {
        assert_eq!(service.get(&format!("/jobs?status={status}")).json()["jobs"], json!([]), "{status}");
    }
}

#[test]
fn two_workers_on_one_mirror_run_two_hundred_jobs_and_none_fails_for_it() {
    let site = Site::new(JOBS);
    site.repos("max_running = 8\n");
    let api = site.serve_alone(&["--rate", "100000"]);
    let ids: Vec<String> = (0..200).map(|_| api.submit(&site.ask("hello"))).collect();
    let _workers = ["one", "other"].map(|name| site.work_as(name, &["--slots", "2"]));
    let mut of = std::collections::BTreeMap::<String, u32>::new();
    for id in &ids {
        let job = api.succeeds(id);
        assert_eq!((&job["attempt"], ended_once(&api, id)), (&json!(1), 1));
        *of.entry(job["worker"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(of.len() == 2 && of.values().all(|count| *count > 10), "{of:?}");
}

#[test]
fn j19_workers_on_two_machines_share_a_queue_and_its_limits() {
    let network = Network::of(3).unwrap();
    let [one, other, server] = network.hosts() else { unreachable!("three were asked for") };
    let postgres = Postgres::builder().on(server).start().unwrap();
    let url = postgres.database("runner").unwrap();
    let remote = format!("postgres://postgres@{}/runner", server.address());
    let nap = "[\"sh\", \"-c\", \"echo out; echo err >&2; echo left > $ARTIFACT_DIR/left.txt; sleep 0.1\"]";
    let site = Site::new(&format!("[jobs.nap]\nargv = {nap}\ntimeout_sec = 60\n"));
    site.repos("max_running = 3\n");
    fs::create_dir(site.path("shared")).unwrap();
    let files = format!("file://{}", site.path("shared").display());
    let api = site.serve_alone(&["--store", &url, "--files", &files, "--rate", "100000"]);
    let worker = |host: &real_parts::Host, name: &str| {
        let state: PathBuf = site.path(&format!("state-{name}"));
        let args = ["--store", &remote, "--files", &files, "--slots", "3", "--state", state.to_str().unwrap()];
        let program =
            Program::start(site.on(host.command(worker_program()), &args), &site.path(&format!("{name}.log")));
        program.says("runs jobs as ");
        program
    };
    let _workers = [worker(one, "one"), worker(other, "other")];
    let ids: Vec<String> = (0..40).map(|_| api.submit(&site.ask("nap"))).collect();
    let mut most = 0;
    let until = Instant::now() + PATIENCE;
    loop {
        let queue = api.get("/queue").json();
        most = most.max(queue["running"].as_u64().unwrap());
        if queue["queued"] == 0 && queue["running"] == 0 {
            break;
        }
        assert!(Instant::now() < until, "{queue}");
    }
    assert!((1..=3).contains(&most), "{most} ran at one time");
    let mut workers = std::collections::BTreeSet::new();
    for id in &ids {
        let job = api.succeeds(id);
        assert_eq!(ended_once(&api, id), 1);
        // Neither machine's state is the service's own.
        let log = api.live(id).rest();
        assert_eq!(log.iter().map(crate::http::Event::text).collect::<Vec<_>>(), ["out\n", "err\n", ""]);
        assert_eq!(api.get(&format!("/jobs/{id}/artifacts/left.txt")).text(), "left\n");
        let proof = api.get(&format!("/jobs/{id}/artifacts/artifact.json")).json();
        assert_eq!((&proof["status"], &proof["job_id"]), (&json!("success"), &json!(id)));
        workers.insert(job["worker"].as_str().unwrap().to_owned());
    }
    assert_eq!(workers.len(), 2, "{workers:?}");
}

#[test]
fn j23_a_full_disk_is_told_and_passes() {
    let site = Site::new(JOBS);
    fs::create_dir(site.state()).unwrap();
    // A disk of its own, for the service alone.
    let mount = "mount -t tmpfs -o size=48m,mode=700 tmpfs \"$0\"; exec \"$@\"";
    let mut alone = std::process::Command::new("unshare");
    alone.args(["--mount", "--propagation=private", "sh", "-ec", mount]).arg(site.state());
    alone.arg(env!("CARGO_BIN_EXE_runner-api"));
    let program = Program::start(site.on(alone, &["--with-worker", "--listen", "127.0.0.1:0"]), &site.path("api.log"));
    let address = program.says("listens on http://").parse().unwrap();
    // The way into another's mounts.
    let state = PathBuf::from(format!("/proc/{}/root{}", program.pid(), site.state().display()));
    let token = fs::read_to_string(state.join("token")).unwrap();
    let service = Service { program, client: crate::http::Client::tcp(address).with_token(token.trim()) };
    eventually("only the disk is bad", || (service.unready() == ["disk"]).then_some(()));
    service.succeeds(&service.submit(&site.ask("hello")));
    let filler = state.join("filler");
    let error = fs::write(&filler, vec![0; 64 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let refused = eventually("nothing more is kept", || {
        let answer = service.post("/jobs", &site.ask("hello"));
        (answer.status != 201).then_some(answer)
    });
    assert_eq!(refused.refusal(), "503 disk-full");
    assert_eq!(service.get("/healthz").status, 200);
    fs::remove_file(&filler).unwrap();
    let id = eventually("there is room again", || {
        let answer = service.post("/jobs", &site.ask("hello"));
        (answer.status == 201).then(|| answer.json()["job_id"].as_str().unwrap().to_owned())
    });
    service.succeeds(&id);
}
