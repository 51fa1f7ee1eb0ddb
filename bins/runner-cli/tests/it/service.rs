//! The commands for a service, against the real one.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use insta::assert_snapshot;
use orb::testing::{Kind, Orb};

use crate::serving::{Served, Serving, beside, interrupt, normal, told, until};
use crate::stage::{Said, Stage};

const LONG: &str = "echo begun; exec sleep 600";

#[test]
fn a_job_is_submitted_and_watched_and_ends_with_its_own_code() {
    let served = Served::script("echo out; echo err >&2; exit 3");
    let said = served.submit(&["--wait"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(3), "out\n"));
    // Whether the log or the end of the timeline is told first is a matter of moments.
    let mut lines: Vec<String> = normal(&said.stderr).lines().map(str::to_owned).collect();
    lines[2..5].sort();
    assert_snapshot!(lines.join("\n"), @"
    job JOB
    TIME submitted: by operator
    TIME ended: failure with exit code 3: job-failed: the job exited with 3
    TIME started: attempt 1 of 3 on WORKER
    err
    script on project COMMI: failure after N ms
    job-failed: the job exited with 3
    next: read stdout.log, stderr.log and the outputs
    ");
    assert_snapshot!(normal(&served.submit(&["--wait", "--json"]).stdout), @r#"{"schema":1,"job_id":"JOB","job_type":"script","repo_name":"project","sha":"COMMIT","params":{},"priority":0,"submitted_by":"operator","queued_at":"TIME","trace_id":"TRACE","status":"failure","epoch":1,"attempt":1,"max_attempts":3,"not_before":"TIME","worker":"WORKER","started_at":"TIME","finished_at":"TIME","exit_code":3,"exit":3,"class":"job-failed","reason":"the job exited with 3","next":"read stdout.log, stderr.log and the outputs","artifact_dir":"/jobs/JOB/artifacts","duration_ms":N}"#);
}

#[test]
fn the_codes_of_jobs_are_handed_on() {
    for (script, code, status) in
        [("exit 0", 0, "success"), ("kill -9 $$", 137, "failure"), ("exit 255", 255, "failure")]
    {
        let served = Served::script(script);
        assert_eq!(served.submit(&["--wait"]).code, Some(code), "{script}");
        let id = served.ended();
        let said = served.runner(&["watch", &id, "--json"]);
        assert_eq!(said.code, Some(code));
        let last: serde_json::Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last, serde_json::json!({"event": "end", "status": status, "exit": code}));
        assert_eq!(served.runner(&["logs", "-f", &id]).code, Some(code), "{script}");
    }
}

#[test]
fn j21_jobs_that_ended_leave_the_queue_and_one_that_runs_stays() {
    let served = Served::script(LONG);
    let (ended, runs) = (served.job(), served.job());
    served.runner(&["cancel", &ended]);
    served.runner(&["watch", &ended]);
    let pruned = served.stage.runner(&["prune", "--days", "0", "--json"]);
    let pruned: serde_json::Value = serde_json::from_str(&pruned.stdout).unwrap();
    assert_eq!((&pruned["jobs"], &pruned["queue"]), (&1.into(), &1.into()));
    assert!(served.runner(&["show", &ended]).stderr.starts_with("no-job: "));
    assert_eq!(served.json(&["show", &runs])["job_id"], runs);
    // It was looked for in a queue that cannot be had: all else is pruned.
    let pruned = served.stage.runner(&["prune", "--store", "sqlite:/nowhere/queue.db"]);
    assert_eq!(pruned.code, Some(2), "{}", pruned.stderr);
}

#[test]
fn what_became_of_a_job_is_shown_and_listed() {
    let served = Served::script("echo out; echo err >&2; echo x > $ARTIFACT_DIR/left; exit 3");
    let id = served.ended();
    assert_snapshot!(told(&served.runner(&["show", &id])), @"
    exit 0
    script on project COMMI: failure after N ms
    job-failed: the job exited with 3
    next: read stdout.log, stderr.log and the outputs

    job  JOB
    commit  COMMIT
    asked by  operator with priority 0
    attempt  1 of 3 on WORKER
    exit code  3
    invariant  clean_tree_ok: true
    invariant  read_only_ok: true
    trace  TRACE

    TIME submitted: by operator
    TIME started: attempt 1 of 3 on WORKER
    TIME ended: failure with exit code 3: job-failed: the job exited with 3
    ---
    ");
    let shown = served.json(&["show", &id]);
    assert_eq!((&shown["schema"], &shown["exit_code"], &shown["status"]), (&1.into(), &3.into(), &"failure".into()));
    assert_eq!(shown["invariants"]["clean_tree_ok"], true);
    assert_eq!(shown["timeline"].as_array().unwrap().len(), 3);
    assert_snapshot!(told(&served.runner(&["list"])), @"
    exit 0
    JOB  STATUS  TYPE  REPO  COMMIT  TIME  WHY
    JOB  failure  script  project  COMMI  N ms  job-failed
    ---
    ");
    assert_eq!(served.json(&["list", "--status", "failure", "--limit", "1"])["jobs"][0]["job_id"], *id);
    assert_eq!(served.json(&["list", "--status", "queued"])["jobs"], serde_json::json!([]));
    assert_eq!(served.json(&["list", "--repo", "other"])["jobs"], serde_json::json!([]));
    assert_snapshot!(told(&served.runner(&["logs", &id])), @"
    exit 0
    out
    ---
    err
    ");
    assert_snapshot!(told(&served.runner(&["logs", &id, "--stream", "stderr", "--json"])), @r#"
    exit 0
    {"schema":1,"logs":[{"stream":"stderr","lines":["err"],"total_lines":1}]}
    ---
    "#);
    let queue = served.runner(&["queue"]);
    assert_snapshot!(told(&queue), @"
    exit 0
    REPOSITORY  QUEUED  RUNNING
    all  0  0 of 16
    ---
    ");
    let workers = served.json(&["workers"]);
    assert_eq!((&workers["schema"], &workers["workers"][0]["alive"]), (&1.into(), &true.into()));
    assert!(served.runner(&["workers"]).stdout.contains("takes jobs  0 of "));
}

#[test]
fn what_is_written_is_seen_while_the_job_runs_and_who_stopped_it_is_told() {
    let served = Served::script(LONG);
    let id = served.job();
    let (watch, _) = until(served.command(&["watch", &id]), "begun");
    let (logs, mut rest) = until(served.command(&["logs", "-f", &id]), "begun");
    assert_eq!(served.json(&["show", &id])["status"], "running");
    let stopped = served.runner(&["cancel", &id, "--why", "it is not wanted"]);
    assert_snapshot!(told(&stopped), @"
    exit 0
    script on project COMMI: running after N ms
    operator wants it stopped: it is not wanted
    ---
    ");
    let said = Said::from(watch.wait_with_output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(normal(&said.stderr).contains("operator wants it stopped: it is not wanted"), "{}", said.stderr);
    assert_eq!((rest.next(), Said::from(logs.wait_with_output().unwrap()).code), (None, Some(1)));
    assert_snapshot!(told(&served.runner(&["cancel", &id])), @"
    exit 1
    ---
    job-ended: the job ended before: cancelled
    next: there is nothing to stop
    ");
}

#[test]
fn the_last_lines_are_followed_and_nobody_who_reads_ends_it() {
    let served = Served::script("seq 1 500; echo more; exec sleep 600");
    let id = served.job();
    drop(until(served.command(&["logs", "-f", &id]), "more"));
    let (mut logs, rest) = until(served.command(&["logs", "-f", &id, "--tail", "3"]), "499");
    assert_eq!(rest.take(2).collect::<Vec<_>>(), ["500", "more"]);
    logs.kill().unwrap();
    let script = format!("runner logs -f {id} | head -1");
    let mut shell = served.stage.clean(Command::new("sh"));
    shell.args(["-c", &script]).env("STATE_DIRECTORY", served.stage.path("state"));
    shell.env("PATH", format!("{}:/usr/bin:/bin", beside().display()));
    assert_eq!(Said::from(shell.output().unwrap()).stdout, "1\n");
}

#[test]
fn who_waits_no_longer_stops_no_job() {
    let served = Served::script(LONG);
    let mut command = served.command(&["submit", "script", "--repo", "project", "--wait"]);
    command.args(["--sha", &served.stage.head()]);
    let (child, _) = until(command, "begun");
    interrupt(&child);
    let said = Said::from(child.wait_with_output().unwrap());
    let last: Vec<String> = normal(&said.stderr).lines().rev().take(2).map(str::to_owned).collect();
    assert_snapshot!(format!("exit {}\n{}\n{}", said.code.unwrap(), last[1], last[0]), @"
    exit 4
    interrupted: stopped waiting for the job, which goes on
    next: see on: runner watch JOB; or stop it: runner cancel JOB
    ");
    let id = served.json(&["list"])["jobs"][0]["job_id"].as_str().unwrap().to_owned();
    assert_eq!(served.json(&["show", &id])["status"], "running");
    assert_eq!(served.runner(&["cancel", &id]).code, Some(0));
}

#[test]
fn a_killed_api_is_waited_for_and_nothing_is_lost_or_told_twice() {
    let mut served = Served::script("echo begun; sleep 2; echo done; exit 3");
    let head = served.stage.head();
    let submit = served.command(&["submit", "script", "--repo", "project", "--sha", &head, "--wait"]);
    let (submit, submitted) = until(submit, "begun");
    let id = served.json(&["list"])["jobs"][0]["job_id"].as_str().unwrap().to_owned();
    let (logs, followed) = until(served.command(&["logs", "-f", &id]), "begun");
    served.kill_and_restart();
    // The worker died with the API: the job is run again.
    assert_eq!(submitted.collect::<Vec<_>>(), ["begun", "done"]);
    assert_eq!(followed.collect::<Vec<_>>(), ["begun", "done"]);
    let (submit, logs) = (Said::from(submit.wait_with_output().unwrap()), Said::from(logs.wait_with_output().unwrap()));
    assert_eq!((submit.code, logs.code), (Some(3), Some(3)));
    for said in [submit, logs] {
        assert_eq!(said.stderr.matches("the connection is lost and tried again: ").count(), 1, "{}", said.stderr);
        assert_eq!(said.stderr.matches("attempt 2: the logs begin anew\n").count(), 1, "{}", said.stderr);
    }
    assert_eq!(served.json(&["list"])["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn an_ended_job_is_run_once_more_and_the_same_key_is_the_same_job() {
    let served = Served::script("echo again; exit 4");
    let id = served.ended();
    let said = served.runner(&["rerun", &id, "--why", "once more", "--wait"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(4), "again\n"));
    let jobs = served.json(&["list"])["jobs"].clone();
    assert_eq!(jobs[0]["rerun_of"], *id);
    let keyed = |more: &[&str]| served.submit(&[&["--key", "k"], more].concat());
    assert_eq!(keyed(&[]).stdout, keyed(&[]).stdout);
    assert_snapshot!(told(&keyed(&["--priority", "-5"])), @"
    exit 1
    ---
    idempotency-conflict: the idempotency key was used for another request, of job JOB
    next: use a new key for a new request
    ");
}

#[test]
fn what_the_service_refuses_is_told_with_its_class() {
    let served = Served::script("exit 0");
    let head = served.stage.head();
    let unknown = served.runner(&["submit", "scrpt", "--repo", "project", "--sha", &head]);
    assert_snapshot!(told(&unknown), @"
    exit 1
    ---
    unknown-job: there is no job `scrpt` (did you mean `script`?); known: script
    next: name one of the list, or have it added to the allowlist
    ");
    assert_snapshot!(told(&served.submit(&["--priority", "1000", "--json"])), @r#"
    exit 2
    {"schema":1,"status":"usage","class":"out-of-bounds","reason":"priority 1000 is not within -100..=100","next":"send a number within the bounds"}
    ---
    out-of-bounds: priority 1000 is not within -100..=100
    next: send a number within the bounds
    "#);
    assert_snapshot!(told(&served.submit(&["--remote-url", "https://example.com/elsewhere"])), @"
    exit 1
    ---
    other-remote-url: remote_url is https://example.com/elsewhere, but the repository `project` is file://STAGE/project
    next: leave remote_url out: the URL of the allowlist is the one that is fetched
    ");
    let nobody = "20260131T235959123Z-0123456789abcdef";
    for command in [&["show", nobody][..], &["watch", nobody], &["logs", "-f", nobody], &["artifacts", nobody]] {
        let said = served.runner(command);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{command:?}");
        assert_eq!(said.stderr, "no-job: Job not found\nnext: see which there are: runner list\n");
    }
    assert_eq!(served.runner(&["show", "../../etc"]).code, Some(2));
    assert_snapshot!(told(&served.runner(&["drain", "no/such"])), @"
    exit 1
    ---
    no-worker: there is no such worker
    next: see the list: GET /workers
    ");
}

#[test]
fn a_worker_that_drains_begins_no_job_and_that_is_why_it_waits() {
    let served = Served::script("exit 0");
    served.ended();
    let worker = served.json(&["workers"])["workers"][0]["name"].as_str().unwrap().to_owned();
    assert!(served.runner(&["drain", &worker]).stdout.contains("drains"));
    let id = served.job();
    let shown = served.runner(&["show", &id]);
    assert!(shown.stdout.contains(": queued: every worker that is there drains\n"), "{}", shown.stdout);
    assert_eq!(served.json(&["drain", &worker, "--undo"])["workers"][0]["draining"], false);
    assert_eq!(served.runner(&["watch", &id]).code, Some(0));
}

#[test]
fn who_may_not_is_told_what_is_missing() {
    let served = Served::script("exit 0");
    let with =
        |token: &str, args: &[&str]| Said::from(served.command(args).env("RUNNER_TOKEN", token).output().unwrap());
    let unknown = with(&format!("aor_{}", "0".repeat(64)), &["list"]);
    assert_snapshot!(told(&unknown), @"
    exit 3
    ---
    unauthenticated: that token is not known, or it expired
    next: send `Authorization: Bearer TOKEN`; the first token is in the file `token` of the state directory
    ");
    let mut add = served.stage.clean(Command::new(beside().join("runner-api")));
    add.args(["token", "add", "reader", "--scope", "read", "--state"]).arg(served.stage.path("state"));
    let reader = Said::from(add.output().unwrap());
    assert_eq!(reader.code, Some(0), "{}", reader.stderr);
    let reader = reader.stdout.trim();
    assert_eq!(with(reader, &["list"]).code, Some(0));
    let head = served.stage.head();
    assert_snapshot!(told(&with(reader, &["submit", "script", "--repo", "project", "--sha", &head])), @"
    exit 3
    ---
    scope-missing: reader may not do this: it takes the scope submit
    next: use a token that has it
    ");
    fs::set_permissions(served.stage.path("state/token"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_snapshot!(told(&served.here(&["list"]).output().unwrap().into()), @"
    exit 3
    ---
    token-unsafe: STAGE/state/token is no file of yours that only you can read
    next: start the service with a new one: runner-api token remove operator
    ");
}

#[test]
fn j01_the_token_of_the_state_directory_is_sent_to_no_port() {
    let mut served = Served::script("exit 0");
    assert_eq!(served.here(&["list"]).output().unwrap().status.code(), Some(0));
    // Whoever comes first listens there.
    served.service.take().unwrap().kill();
    let other = TcpListener::bind(served.api.strip_prefix("http://").unwrap()).unwrap();
    other.set_nonblocking(true).unwrap();
    assert_snapshot!(told(&served.here(&["list"]).env("API_BASE", &served.api).output().unwrap().into()), @"
    exit 3
    ---
    no-token: RUNNER_TOKEN is not set, and the token of the state directory is sent to sockets alone
    next: start the service here: runner-api --with-worker; or set RUNNER_TOKEN: runner-api token add NAME --scope submit,read
    ");
    assert_snapshot!(told(&served.here(&["list"]).output().unwrap().into()), @"
    exit 4
    ---
    api-unreachable: unix:STAGE/state/api.sock: Connection refused (os error 111)
    next: start it: runner-api --with-worker
    ");
    fs::remove_file(served.stage.path("state/api.sock")).unwrap();
    assert_snapshot!(told(&served.here(&["list"]).output().unwrap().into()), @"
    exit 3
    ---
    no-token: RUNNER_TOKEN is not set, and the token of the state directory is sent to sockets alone
    next: start the service here: runner-api --with-worker; or set RUNNER_TOKEN: runner-api token add NAME --scope submit,read
    ");
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody asked");
}

#[test]
fn where_no_service_is_or_may_be_that_is_told() {
    let mut served = Served::script("exit 0");
    let socket = format!("unix:{}", served.stage.path("api.sock").display());
    assert_eq!(served.command(&["list"]).args(["--api", &socket]).output().unwrap().status.code(), Some(0));
    served.service.take().unwrap().kill();
    let said = served.submit(&["--wait"]);
    assert_snapshot!(told(&said), @"
    exit 4
    ---
    api-unreachable: API: tcp connect error: Connection refused (os error 111)
    next: start it: runner-api --with-worker
    ");
    assert_eq!(served.command(&["list"]).args(["--api", &socket]).output().unwrap().status.code(), Some(4));
    let said = served.command(&["list", "--json", "--api", "http://192.0.2.1:8000"]).output().unwrap();
    assert_snapshot!(told(&said.into()), @r#"
    exit 1
    {"schema":1,"status":"refused","class":"insecure-api","reason":"http://192.0.2.1:8000 is another machine: a token would go there for all to read","next":"name it as https://HOST, as `tailscale serve` serves it"}
    ---
    insecure-api: http://192.0.2.1:8000 is another machine: a token would go there for all to read
    next: name it as https://HOST, as `tailscale serve` serves it
    "#);
    let said = served.command(&["list", "--api", "https://127.0.0.1:1"]).env("RUNNER_TOKEN", "a").output().unwrap();
    assert_eq!(said.status.code(), Some(4));
}

#[test]
fn what_a_job_left_is_fetched_and_nothing_is_replaced() {
    let served = Served::script("mkdir $ARTIFACT_DIR/sub; echo a > $ARTIFACT_DIR/sub/a; echo b > $ARTIFACT_DIR/b");
    let id = served.ended();
    let listed = served.json(&["artifacts", &id]);
    let names: Vec<&str> =
        listed["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["artifact.json", "artifact.json.sha256", "b", "job.json", "stderr.log", "stdout.log", "sub/a"]);
    let dir = served.stage.path("fetched");
    let fetch = |paths: &[&str]| {
        let mut command = served.command(&["artifacts", &id]);
        Said::from(command.arg("-o").arg(&dir).args(paths).output().unwrap())
    };
    assert_eq!(fetch(&["b", "sub/a"]).code, Some(0));
    assert_eq!(fs::read_to_string(dir.join("sub/a")).unwrap(), "a\n");
    assert_eq!(fs::metadata(dir.join("b")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = fetch(&[]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.starts_with("already-there: "), "{}", again.stderr);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "nothing was begun");
    assert_snapshot!(told(&served.runner(&["artifacts", &id, "no/such"])), @"
    exit 1
    ---
    no-artifact: the job has no artifact `no/such`
    next: see the list: runner artifacts JOB
    ");
}

/// A server that answers each request, by its first line, with a status and a body.
fn server(answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut asked) = (stream.unwrap(), [0; 4096]);
            let read = stream.read(&mut asked).unwrap();
            let asked = String::from_utf8_lossy(&asked[..read]);
            let (status, body) = answer(asked.lines().next().unwrap_or_default());
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
    api
}

/// A server that says of every job that it left a file of this name.
fn liar(name: &'static str) -> String {
    server(move |asked| {
        let list = serde_json::json!({"files": [{"path": name, "bytes": 1}]});
        ("200 OK", if asked.contains("/artifacts ") { list.to_string() } else { "x".into() })
    })
}

/// A server whose jobs all end with this code, and that knows nobody any more when they have.
fn forgetful(exit: u8) -> String {
    server(move |asked| match asked {
        asked if asked.starts_with("POST /jobs ") => {
            let id = "20260131T235959123Z-0123456789abcdef";
            ("201 Created", format!(r#"{{"job_id":"{id}","artifact_dir":"/jobs/{id}/artifacts","status":"queued"}}"#))
        }
        asked if asked.contains("/logs/stream") => {
            let status = if exit == 0 { "success" } else { "failure" };
            ("200 OK", format!("event: end\ndata: {{\"status\":\"{status}\",\"exit\":{exit}}}\n\n"))
        }
        _ => ("401 Unauthorized", r#"{"detail":"gone","class":"unauthenticated","next":"sign in"}"#.into()),
    })
}

#[test]
fn the_longest_artifact_json_hides_no_job() {
    let job = r#"{"job_id":"20260131T235959123Z-0123456789abcdef","job_type":"script","repo_name":"project","sha":"0","params":{},"priority":0,"submitted_by":"operator","queued_at":"2026-01-31T23:59:59.123Z","trace_id":"0","status":"success","epoch":1,"attempt":1,"max_attempts":3,"not_before":"2026-01-31T23:59:59.123Z","artifact_dir":"/jobs/x/artifacts"}"#;
    let long = format!(r#"{{"outputs":["{}"],"invariants":{{"clean_tree_ok":true}}}}"#, "x".repeat(100 << 20));
    let api = server(move |asked| match asked {
        asked if asked.contains("/events ") => ("200 OK", r#"{"events":[]}"#.into()),
        asked if asked.contains("/artifact.json ") => ("200 OK", long.clone()),
        _ => ("200 OK", job.into()),
    });
    let stage = Stage::new(&Stage::script("exit 0"));
    let mut command = stage.clean(Command::new(stage.program()));
    command.args(["show", "20260131T235959123Z-0123456789abcdef", "--api", &api]).env("RUNNER_TOKEN", "aor_0");
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("invariant   clean_tree_ok: true\n"), "{}", said.stdout);
}

#[test]
fn a_job_s_code_is_not_lost_with_the_words_about_it() {
    let stage = Stage::new(&Stage::script("exit 0"));
    let sha = "0".repeat(40);
    let submit = ["submit", "script", "--repo", "project", "--sha", &sha, "--wait"];
    let orb = ["orb", "doctor", "--sha", &sha];
    // What was to be printed takes the place of a success alone.
    for (args, json, ended, code) in [
        (&submit[..], false, 0, 0),
        (&submit, false, 7, 7),
        (&submit, true, 0, 3),
        (&submit, true, 7, 7),
        (&orb, false, 0, 3),
        (&orb, false, 7, 7),
        (&orb, true, 7, 7),
    ] {
        let mut command = stage.clean(Command::new(stage.program()));
        command.args(args).args(json.then_some("--json")).env("RUNNER_TOKEN", "aor_0");
        let said = Said::from(command.env("API_BASE", forgetful(ended)).output().unwrap());
        assert_eq!(said.code, Some(code), "{args:?} {json} {ended}: {}", said.stderr);
        let told = if json { &said.stdout } else { &said.stderr };
        assert_eq!(told.matches("unauthenticated").count(), 1, "{args:?} {json} {ended}: {told}");
    }
}

#[test]
fn a_server_that_lies_writes_nothing_elsewhere() {
    let stage = Stage::new(&Stage::script("exit 0"));
    let dir = stage.path("fetched");
    for name in ["../outside", "/tmp/outside", "a/../../outside", "\u{1b}[2Jx", "a\nb", "a//b", ""] {
        let mut command = stage.clean(Command::new(stage.program()));
        command.args(["artifacts", "20260131T235959123Z-0123456789abcdef", "--api", &liar(name), "-o"]).arg(&dir);
        let said = Said::from(command.env("RUNNER_TOKEN", "aor_0").output().unwrap());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{name:?}: {}", said.stderr);
        assert!(said.stderr.starts_with("hostile-name: "), "{}", said.stderr);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
    let mut command = stage.clean(Command::new(stage.program()));
    command.args(["artifacts", "20260131T235959123Z-0123456789abcdef", "--api", &liar("good"), "-o"]).arg(&dir);
    let said = Said::from(command.env("RUNNER_TOKEN", "aor_0").output().unwrap());
    assert_eq!((said.code, fs::read_to_string(dir.join("good")).unwrap().as_str()), (Some(0), "x"), "{}", said.stderr);
}

/// A service that has an ORB repository, with the jobs that are allowed where nobody wrote a file of them.
struct Scene {
    orb: Orb,
    dir: tempfile::TempDir,
    _service: Serving,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let (orb, dir) = (Orb::new(kind), tempfile::TempDir::new().unwrap());
        let remote = orb.remote();
        let allow = ["allow", remote.to_str().unwrap(), "--name", "algo-nt8-orb", "--branch", "main"];
        let mut command = Self::program(&dir, "runner");
        assert!(command.args(allow).output().unwrap().status.success());
        let service = Serving::start(Self::program(&dir, "runner-api"), "127.0.0.1:0");
        Self { orb, dir, _service: service }
    }

    fn program(dir: &tempfile::TempDir, name: &str) -> Command {
        let mut command = Command::new(beside().join(name));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", dir.path());
        command
    }

    fn orb(&self, args: &[&str]) -> Said {
        let mut command = Self::program(&self.dir, "runner");
        command.arg("orb").args(args).output().unwrap().into()
    }
}

#[test]
fn the_orb_jobs_print_what_they_left() {
    let scene = Scene::new(Kind::Healthy);
    let said = scene.orb(&["doctor"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("18/18"), "{}", said.stdout);
    assert!(said.stderr.contains(&format!(" is at {}\n", scene.orb.head())), "{}", said.stderr);
    let said = scene.orb(&["review", "--since", &scene.orb.since().to_string(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&told["output"], &told["status"]), (&"REVIEW_BUNDLE.txt".into(), &"success".into()));
    assert!(told["text"].as_str().unwrap().contains("OpeningRange"));
    let remote = format!("file://{}", scene.orb.remote().display());
    let said = scene.orb(&["score", "--logs-day", "2026-01-31", "--run-id", "r1", "--remote-url", &remote]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("scoring day 2026-01-31, run r1"), "{}", said.stdout);
    assert_eq!(scene.orb(&["review"]).code, Some(2));
    let elsewhere = scene.orb(&["doctor", "--remote-url", "file:///no/such/repository"]);
    assert_eq!(elsewhere.code, Some(4));
    assert!(elsewhere.stderr.starts_with("remote-unreachable: "), "{}", elsewhere.stderr);
    let unknown = scene.orb(&["doctor", "--repo", "other"]);
    assert!(unknown.stderr.starts_with("unknown-repo: "), "{}", unknown.stderr);
}

#[test]
fn over_the_size_cap_the_orb_review_says_where_the_packets_are() {
    let scene = Scene::new(Kind::OverTheCap);
    let said = scene.orb(&["review", "--since", &scene.orb.since().to_string()]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("packet"), "{}", said.stdout);
    assert!(said.stderr.contains("over the size cap; its packets: runner artifacts "), "{}", said.stderr);
}

#[test]
fn what_the_orb_repository_lacks_is_printed_and_ends_with_the_job_s_code() {
    let scene = Scene::new(Kind::WithoutDoctor);
    let said = scene.orb(&["doctor"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("SCRIPT_NOT_FOUND"), "{}", said.stdout);
}

#[test]
fn a_shell_completes_the_commands() {
    let stage = Stage::new(&Stage::script("exit 0"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = Command::new(stage.program()).args(["completions", shell]).output().unwrap();
        assert!(said.status.success() && String::from_utf8(said.stdout).unwrap().contains("rerun"), "{shell}");
    }
}
