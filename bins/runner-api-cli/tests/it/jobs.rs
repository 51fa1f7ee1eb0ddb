//! Jobs, from their submission to their end.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::service::{JOBS, Site, eventually, told};

#[test]
fn a_job_ends_as_its_program_does_and_its_timeline_tells_how() {
    let site = Site::new(JOBS);
    let service = site.serve(&[]);
    let (hello, fail) = (service.submit(&site.ask("hello")), service.submit(&site.ask("fail")));
    let job = service.ended(&hello);
    assert_eq!((&job["status"], &job["exit_code"], &job["exit"]), (&json!("success"), &json!(0), &json!(0)));
    assert_snapshot!(service.timeline(&hello), @"
    submitted: by operator
    started: attempt 1 of 3 on WORKER
    ended: success with exit code 0
    ");
    assert_snapshot!(told(&service.ended(&fail)), @"failure 42 job-failed: the job exited with 42");
    assert_snapshot!(service.timeline(&fail), @"
    submitted: by operator
    started: attempt 1 of 3 on WORKER
    ended: failure with exit code 42: job-failed: the job exited with 42
    ");
    let artifacts = service.get(&format!("/jobs/{hello}/artifacts")).json();
    let files: Vec<&str> =
        artifacts["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["artifact.json", "artifact.json.sha256", "job.json", "stderr.log", "stdout.log"]);
    let artifact = service.get(&format!("/jobs/{hello}/artifacts/artifact.json"));
    assert_eq!(artifact.header("content-type"), "application/json");
    let artifact = artifact.json();
    assert_eq!(artifact["job_id"], hello.as_str());
    assert_eq!(artifact["trace_id"], job["trace_id"]);
    let stderr = service.get(&format!("/jobs/{fail}/logs?stream=stderr&tail=5")).json();
    assert_eq!(stderr, json!({ "stream": "stderr", "lines": ["err"], "total_lines": 1 }));
}

#[test]
fn j13_a_job_over_its_time_is_killed_with_all_it_started() {
    let site = Site::new(
        "[jobs.slow]\nargv = [\"sh\", \"-c\", \"trap '' TERM; setsid sh -c 'trap \\\"\\\" TERM; sleep {MARK}; true' & sleep {MARK}; sleep {MARK}\"]\ntimeout_sec = 1\n[jobs.slow.limits]\ngrace_sec = 1\n",
    );
    let service = site.serve(&[]);
    let job = service.submit(&site.ask("slow"));
    eventually("it runs", || (site.marked().len() >= 2).then_some(()));
    let job = service.ended(&job);
    assert_snapshot!(told(&job), @"timeout -1 timeout: the job ran longer than its 1 s and was killed");
    site.nothing_runs();
}

#[test]
fn j13_a_job_that_is_stopped_is_told_then_killed_and_who_and_why_is_kept() {
    let site = Site::new("
[jobs.polite]
argv = [\"sh\", \"-c\", \"trap 'echo told; exit 0' TERM; sleep {MARK} & wait\"]
timeout_sec = 60
[jobs.stubborn]
argv = [\"sh\", \"-c\", \"trap 'echo told' TERM; setsid sh -c 'trap : TERM; while :; do sleep {MARK}; done' & while :; do sleep {MARK}; done\"]
timeout_sec = 60
[jobs.stubborn.limits]
grace_sec = 1
");
    let service = site.serve(&[]);
    for job in ["polite", "stubborn"] {
        let id = service.submit(&site.ask(job));
        eventually("it runs", || (!site.marked().is_empty()).then_some(()));
        let begun = Instant::now();
        assert_eq!(service.cancel(&id, "not wanted any more").status, 202);
        assert_eq!(service.cancel(&id, "a second wish").status, 202);
        let job = service.ended(&id);
        assert_eq!((&job["status"], &job["exit_code"]), (&json!("cancelled"), &json!(-1)));
        assert_eq!(job["reason"], "operator stopped it: not wanted any more");
        assert!(begun.elapsed() < Duration::from_secs(8));
        site.nothing_runs();
        let log = service.get(&format!("/jobs/{id}/logs")).json();
        assert!(log["lines"].as_array().unwrap().contains(&json!("told")), "{log}");
        insta::allow_duplicates! { assert_snapshot!(service.timeline(&id), @"
        submitted: by operator
        started: attempt 1 of 3 on WORKER
        cancel_requested: operator wants it stopped: not wanted any more
        ended: cancelled: it was stopped
        ") };
        assert_eq!(service.cancel(&id, "again").refusal(), "409 job-ended");
        // Whose first answer was lost asks the same again.
        let again = service.cancel(&id, "not wanted any more");
        assert_eq!((again.status, &again.json()["status"]), (202, &json!("cancelled")));
    }
}

#[test]
fn a_job_that_waits_is_stopped_before_it_begins() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let id = service.submit(&site.ask("hello"));
    assert_eq!(service.post(&format!("/jobs/{id}/rerun"), &json!({})).refusal(), "409 job-not-ended");
    for why in ["a\nb", "\u{202e}", &"x".repeat(501)] {
        assert_eq!(service.cancel(&id, why).refusal(), "400 bad-reason");
    }
    let stopped = service.cancel(&id, "").json();
    assert_eq!((&stopped["status"], &stopped["epoch"]), (&json!("cancelled"), &json!(0)));
    let again = service.cancel(&id, "");
    assert_eq!((again.status, again.json()), (202, stopped));
    assert_eq!(service.cancel(&id, "another wish").refusal(), "409 job-ended");
    assert_snapshot!(service.timeline(&id), @"
    submitted: by operator
    cancel_requested: operator wants it stopped: no reason was given
    ended: cancelled: it was not begun
    ");
    assert_eq!(service.get(&format!("/jobs/{id}/artifacts")).json(), json!({ "files": [] }));
    assert_eq!(service.get(&format!("/jobs/{id}/logs")).json()["total_lines"], 0);
    assert_eq!(service.live(&id).rest().last().unwrap().kind, "end");
}

#[test]
fn a_job_is_run_again_with_what_it_was_asked_for() {
    let site = Site::new(JOBS);
    let service = site.serve(&[]);
    let mut asked = site.ask("fail");
    (asked["priority"], asked["max_attempts"]) = (7.into(), 2.into());
    let first = service.submit(&asked);
    service.ended(&first);
    let answer = service.post(&format!("/jobs/{first}/rerun"), &json!({ "why": "to see it again" }));
    assert_eq!(answer.status, 201);
    let again = service.ended(answer.json()["job_id"].as_str().unwrap());
    assert_ne!(again["job_id"], first.as_str());
    assert_eq!((&again["rerun_of"], &again["priority"]), (&json!(first), &json!(7)));
    assert_eq!((&again["max_attempts"], &again["exit_code"]), (&json!(2), &json!(42)));
    site.jobs("[jobs.hello]\nargv = [\"true\"]\ntimeout_sec = 60\n");
    let refused = service.post(&format!("/jobs/{first}/rerun"), &json!({}));
    assert_eq!(refused.refusal(), "400 unknown-job");
}

#[test]
fn jobs_over_a_limit_wait_say_why_and_are_all_run() {
    let site = Site::new(JOBS);
    site.git(&["clone", "-q", "--bare", ".", "../other"]);
    let other = format!(
        "[repos.other]\nurl = \"file://{}\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\n",
        site.path("other").display()
    );
    site.repos(&format!("{other}[queue]\nmax_running = 3\nmax_running_per_repo = 2\n"));
    let service = site.serve(&["--slots", "8"]);
    let of = |repo: &str| {
        let mut asked = site.ask("gate");
        asked["repo_name"] = repo.into();
        asked
    };
    let jobs: Vec<String> = (0..4).map(|_| service.submit(&of("project"))).collect();
    for id in &jobs[..2] {
        service.becomes(id, "running");
    }
    let fifth = service.submit(&of("project"));
    assert_eq!(service.job(&fifth)["waiting"], "repository project has 2 of 2 running");
    assert_snapshot!(service.timeline(&fifth), @"
    submitted: by operator
    waiting: repository project has 2 of 2 running
    ");
    let others: Vec<String> = (0..2).map(|_| service.submit(&of("other"))).collect();
    service.becomes(&others[0], "running");
    sleep(Duration::from_millis(500));
    assert_eq!(service.job(&others[1])["waiting"], "3 of 3 jobs are running");
    let queue = service.get("/queue").json();
    assert_eq!((&queue["queued"], &queue["running"], &queue["max_running"]), (&json!(4), &json!(3), &json!(3)));
    assert_eq!(queue["repos"][1], json!({ "repo_name": "project", "queued": 3, "running": 2, "max_running": 2 }));
    let metrics = service.get("/metrics").text();
    assert!(metrics.contains("ai_ops_runner_jobs{repo_name=\"project\",status=\"queued\"} 3\n"), "{metrics}");
    assert!(metrics.contains("ai_ops_runner_jobs_submitted_total 7\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    site.open_gate();
    for id in jobs.iter().chain(&others).chain([&fifth]) {
        service.succeeds(id);
    }
    assert_eq!(service.get("/queue").json()["queued"], 0);
}

#[test]
fn the_most_urgent_job_is_begun_first_and_of_those_the_oldest() {
    let site = Site::new(JOBS);
    let service = site.serve(&["--slots", "1"]);
    let first = service.submit(&site.ask("gate"));
    service.becomes(&first, "running");
    let with = |priority: i32| {
        let mut asked = site.ask("hello");
        asked["priority"] = priority.into();
        service.submit(&asked)
    };
    let ids = [with(0), with(-100), with(100), with(0), with(5)];
    site.open_gate();
    let ended: Vec<Value> = ids.iter().map(|id| service.ended(id)).collect();
    let mut order: Vec<usize> = (0..5).collect();
    order.sort_by_key(|at| ended[*at]["started_at"].as_str().unwrap().to_owned());
    assert_eq!(order, [2, 4, 0, 3, 1]);
}

#[test]
fn a_worker_that_drains_ends_what_it_runs_and_takes_no_more_until_it_resumes() {
    let site = Site::new(JOBS);
    let service = site.serve(&["--slots", "1"]);
    let first = service.submit(&site.ask("gate"));
    service.becomes(&first, "running");
    let name = service.get("/workers").json()["workers"][0]["name"].as_str().unwrap().to_owned();
    let path = |act: &str| format!("/workers/{}/{act}", name.replace('/', "%2F"));
    let drained = service.post(&path("drain"), &json!({})).json();
    assert_eq!(drained["workers"][0]["draining"], true);
    assert_eq!(drained["workers"][0]["running"], json!([first]));
    assert_eq!(service.unready(), ["worker"]);
    let second = service.submit(&site.ask("hello"));
    site.open_gate();
    service.succeeds(&first);
    sleep(Duration::from_millis(700));
    let job = service.job(&second);
    assert_eq!((&job["status"], &job["waiting"]), (&json!("queued"), &json!("every worker that is there drains")));
    assert_eq!(service.post(&path("resume"), &json!({})).status, 200);
    service.succeeds(&second);
    assert!(service.unready().is_empty());
}

#[test]
fn the_allowlists_may_change_while_jobs_run_and_wait() {
    let site = Site::new(JOBS);
    let service = site.serve(&["--slots", "1"]);
    let running = service.submit(&site.ask("gate"));
    service.becomes(&running, "running");
    let gone = service.submit(&site.ask("fail"));
    let stays = service.submit(&site.ask("hello"));
    let hello = "[jobs.hello]\nargv = [\"echo\", \"hello\"]\ntimeout_sec = 60\n";
    site.jobs(hello);
    site.open_gate();
    service.succeeds(&running);
    assert_snapshot!(told(&service.ended(&gone)), @"error -1 unknown-job: there is no job `fail`; known: hello");
    service.succeeds(&stays);
    assert_eq!(service.post("/jobs", &site.ask("fail")).refusal(), "400 unknown-job");
    // Broken, no job is begun, and whoever looks is told.
    site.jobs("nonsense");
    assert_eq!(service.unready(), ["policy"]);
    assert_eq!(service.post("/jobs", &site.ask("hello")).refusal(), "503 bad-allowlist");
    assert_eq!(service.get("/queue").json()["max_running"], 0);
    assert_eq!((service.get("/").status, service.get("/metrics").status), (200, 200));
    site.jobs(hello);
    let waits = service.submit(&site.ask("hello"));
    service.succeeds(&waits);
}

#[test]
fn a_job_that_waits_while_the_allowlists_are_broken_is_begun_when_they_are_mended() {
    let site = Site::new(JOBS);
    let api = site.serve_alone(&[]);
    let id = api.submit(&site.ask("hello"));
    site.jobs("nonsense");
    let worker = site.work(&[]);
    sleep(Duration::from_secs(1));
    let job = api.job(&id);
    assert_eq!(job["status"], "queued");
    assert_eq!(job["waiting"], "the allowlists cannot be read: no job is begun");
    assert_eq!(worker.log().matches("takes no job").count(), 1, "it is told once");
    site.jobs(JOBS);
    api.succeeds(&id);
}

#[test]
fn j20_readiness_is_what_would_become_of_a_job() {
    let site = Site::new(JOBS);
    let lease = ["--lease-ms", "600"];
    let service = site.serve_alone(&lease);
    assert_eq!(service.get("/healthz").text(), "{\"ok\":true}");
    assert_eq!(service.unready(), ["worker"]);
    let waits = service.submit(&site.ask("hello"));
    assert_eq!(service.job(&waits)["waiting"], "no worker is there");
    let mut worker = site.work(&lease);
    service.succeeds(&waits);
    eventually("it is ready", || service.unready().is_empty().then_some(()));
    worker.signal(Signal::STOP);
    eventually("the worker is missed", || (service.unready() == ["worker"]).then_some(()));
    worker.signal(Signal::CONT);
    eventually("it is back", || service.unready().is_empty().then_some(()));
    worker.kill();
    eventually("the worker is missed", || (service.unready() == ["worker"]).then_some(()));
    let mut worker = site.work(&lease);
    eventually("it is back", || service.unready().is_empty().then_some(()));
    worker.stop();
    assert_eq!(service.unready(), ["worker"], "one that stops says so");
    fs::remove_file(site.path("configs/repo_allowlist.toml")).unwrap();
    assert_eq!(service.unready(), ["worker", "policy"]);
}

#[test]
fn jobs_are_listed_by_pages_and_by_what_they_are() {
    let site = Site::new(JOBS);
    let service = site.serve(&["--slots", "1"]);
    let mut ids: Vec<String> =
        (0..5).map(|n| service.submit(&site.ask(if n == 2 { "fail" } else { "hello" }))).collect();
    for id in &ids {
        service.ended(id);
    }
    ids.reverse();
    let list = |query: &str| {
        let page = service.get(&format!("/jobs?{query}")).json();
        let jobs = page["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned());
        (jobs.collect::<Vec<_>>(), page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(list(""), (ids.clone(), None));
    let (page, next) = list("limit=2");
    assert_eq!(page, ids[..2]);
    let (page, next) = list(&format!("limit=2&before={}", next.unwrap()));
    assert_eq!(page, ids[2..4]);
    assert_eq!(list(&format!("limit=2&before={}", next.unwrap())), (vec![ids[4].clone()], None));
    assert_eq!(list("status=failure"), (vec![ids[2].clone()], None));
    assert_eq!(list("job_type=fail&repo_name=project&status=failure").0.len(), 1);
    assert_eq!(list("repo_name=other").0.len(), 0);
}
