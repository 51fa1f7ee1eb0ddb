//! A service in the middle of its work: jobs in every state, workers, a queue.

use std::collections::BTreeMap;

use job::{Artifact, Cancelled, Ending, Event, Id, Job, Kind, Life, Request, Status, Step, Time};
use runner_page::{ErrorPage, Filter, Frame, JobPage, JobsPage, LoginPage, QueuePage, Viewer, WorkersPage};
use runner_wire::{ArtifactFile, JobView, Jobs, LogTail, Problem, Queue, RepoQueue, Stream, Worker};

/// When the pages of the scene are looked at.
const NOW: i64 = 1_769_860_800_000;
const SHA: &str = "89e6c98d92887913cadf06b2adb97f26cde4849b";
pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;

/// So many milliseconds before now.
pub(crate) fn ago(ms: i64) -> Time {
    Time::from_millis(NOW - ms).unwrap()
}

pub(crate) fn viewer() -> Viewer {
    Viewer { login: "alice".into(), may_submit: true, may_admin: false }
}

/// A job and all that is known of it.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) view: JobView,
    pub(crate) events: Vec<Event>,
    pub(crate) artifact: Option<Artifact>,
    pub(crate) files: Vec<ArtifactFile>,
    pub(crate) logs: Vec<LogTail>,
}

impl Told {
    /// A job that was submitted `age` milliseconds ago.
    pub(crate) fn new(age: i64, job_type: &str, repo_name: &str) -> Self {
        let at = ago(age);
        let job = Job {
            job_id: Id::new(at, age.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()),
            request: Request {
                job_type: job_type.into(),
                repo_name: repo_name.into(),
                sha: SHA.into(),
                params: BTreeMap::new(),
            },
            priority: 0,
            submitted_by: "nightly-bot".into(),
            queued_at: at,
            trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
            rerun_of: None,
            life: Life::new(at, 3),
        };
        let artifact_dir = format!("/jobs/{}/artifacts", job.job_id);
        let submitted = Event { at, kind: Kind::Submitted, text: "by nightly-bot".into() };
        Self {
            view: JobView { job, artifact_dir, waiting: None, duration_ms: None },
            events: vec![submitted],
            artifact: None,
            files: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// After a step, so many milliseconds ago.
    pub(crate) fn then(mut self, age: i64, step: &Step) -> Self {
        let (life, events) = self.view.job.life.step(step, ago(age)).unwrap();
        let ran = life.finished_at.unwrap_or(ago(0)).as_millis() - life.started_at.map_or(0, Time::as_millis);
        self.view.duration_ms = life.started_at.map(|_| ran.unsigned_abs());
        self.view.job.life = life;
        self.events.extend(events);
        self
    }

    pub(crate) fn claimed(self, age: i64) -> Self {
        self.then(age, &Step::Claim { worker: "runner-1".into() })
    }

    pub(crate) fn ended(self, age: i64, status: Status, ending: Ending) -> Self {
        self.then(age, &Step::End { status, ending, retry: false })
    }

    pub(crate) fn waits(mut self, why: &str) -> Self {
        self.view.waiting = Some(why.into());
        self.events.push(Event { at: self.view.job.queued_at, kind: Kind::Waiting, text: why.into() });
        self
    }

    pub(crate) fn page(&self, show: impl FnOnce(JobPage<'_>) -> String) -> String {
        self.page_for(&viewer(), show)
    }

    pub(crate) fn page_for(&self, viewer: &Viewer, show: impl FnOnce(JobPage<'_>) -> String) -> String {
        show(JobPage {
            frame: Frame { viewer, now: ago(0) },
            view: &self.view,
            events: &self.events,
            artifact: self.artifact.as_ref(),
            files: &self.files,
            logs: &self.logs,
        })
    }
}

pub(crate) fn well() -> Ending {
    Ending { exit_code: 0, exit: 0, class: None, reason: None, next: None }
}

pub(crate) fn badly(exit_code: i32, class: &str, reason: &str, next: &str) -> Ending {
    Ending { exit_code, exit: 1, class: Some(class.into()), reason: Some(reason.into()), next: Some(next.into()) }
}

pub(crate) fn queued() -> Told {
    Told::new(40 * SECOND, "orb_score_run", "algo-nt8-orb").waits("2 of 2 jobs of algo-nt8-orb run already")
}

/// A job whose first attempt failed and whose second runs.
pub(crate) fn running() -> Told {
    let broke = badly(-1, "fetch-failed", "the remote hung up after 12 MiB", "try again");
    let mut told = Told::new(4 * MINUTE, "orb_review_bundle", "algo-nt8-orb")
        .claimed(4 * MINUTE - SECOND)
        .then(3 * MINUTE, &Step::End { status: Status::Error, ending: broke, retry: true })
        .claimed(2 * MINUTE);
    told.view.job.request.params.insert("since_sha".into(), "2b66fd261ee5c6cfc8de7fa466bab600bcfe4f69".into());
    told.logs = vec![
        LogTail {
            stream: Stream::Stdout,
            lines: vec!["since 2b66fd26".into(), "packet 1 of 7".into()],
            total_lines: 2,
        },
        LogTail { stream: Stream::Stderr, lines: vec!["warning: 3 binary files".into()], total_lines: 1 },
    ];
    told
}

/// A job that changed the tree that it was only to read.
pub(crate) fn mutated() -> Told {
    let ending = badly(
        0,
        "mutation-detected",
        "README.md was changed",
        "let the job write below $ARTIFACT_DIR and $TMPDIR alone; invariants.changed_files names what it changed",
    );
    let told = Told::new(26 * MINUTE, "orb_doctor", "algo-nt8-orb").claimed(26 * MINUTE).ended(
        25 * MINUTE,
        Status::Failure,
        ending,
    );
    told.with_artifact(&["README.md", "ops/score_run.sh"])
}

pub(crate) fn succeeded() -> Told {
    let mut told = Told::new(61 * MINUTE, "orb_review_bundle", "algo-nt8-orb").claimed(61 * MINUTE).ended(
        60 * MINUTE - 20 * SECOND,
        Status::Success,
        well(),
    );
    told.view.job.rerun_of = Some(Id::new(ago(90 * MINUTE), [7; 8]));
    told.with_artifact(&[])
}

impl Told {
    fn with_artifact(mut self, changed: &[&str]) -> Self {
        let mut artifact = Artifact::parse(include_bytes!("../samples/artifact.json")).unwrap();
        let life = &self.view.job.life;
        let ending = life.ending.clone().unwrap();
        (artifact.status, artifact.exit_code) = (life.status, ending.exit_code);
        (artifact.class, artifact.reason, artifact.next) = (ending.class, ending.reason, ending.next);
        artifact.invariants.clean_tree_ok = changed.is_empty();
        artifact.invariants.changed_files = changed.iter().map(|path| (*path).to_owned()).collect();
        artifact.invariants.reason = (!changed.is_empty()).then(|| "MUTATION_DETECTED".into());
        artifact.check().unwrap();
        self.artifact = Some(artifact);
        let files = [
            ("artifact.json", 3120),
            ("out/DOCTOR OUTPUT #1.txt", 1834),
            ("stderr.log", 16_777_216),
            ("stdout.log", 2120),
        ];
        self.files = files.map(|(path, bytes)| ArtifactFile { path: path.into(), bytes }).into();
        self
    }
}

/// Jobs in every state, the newest first.
pub(crate) fn told() -> Vec<Told> {
    let stop = Cancelled { by: "bob".into(), why: "the wrong commit".into() };
    let timeout = badly(
        -1,
        "timeout",
        "the job ran longer than its 600 s and was killed",
        "make it faster, or raise timeout_sec",
    );
    let lost = badly(
        -1,
        "checkout-failed",
        "no space left on device while the checkout of tree 2b66fd261ee5 was made",
        "free some space below the state directory",
    );
    let mut urgent = Told::new(5 * SECOND, "orb_doctor", "payments-gateway").waits("it is next when a slot is free");
    urgent.view.job.submitted_by = "alice".into();
    vec![
        urgent,
        queued(),
        running(),
        Told::new(11 * MINUTE, "orb_ops_selftests", "algo-nt8-orb")
            .claimed(9 * MINUTE)
            .then(8 * SECOND, &Step::Cancel(stop.clone())),
        mutated(),
        Told::new(40 * MINUTE, "orb_score_run", "market-data-archive").claimed(40 * MINUTE).ended(
            30 * MINUTE,
            Status::Timeout,
            timeout,
        ),
        Told::new(50 * MINUTE, "orb_score_run", "market-data-archive").then(49 * MINUTE, &Step::Cancel(stop)),
        succeeded(),
        Told::new(150 * MINUTE, "orb_doctor", "market-data-archive").claimed(149 * MINUTE).ended(
            148 * MINUTE,
            Status::Error,
            lost,
        ),
        Told::new(3000 * MINUTE, "orb_doctor", "payments-gateway").claimed(2999 * MINUTE).ended(
            2992 * MINUTE,
            Status::Success,
            well(),
        ),
    ]
}

pub(crate) fn queue() -> Queue {
    let repo =
        |name: &str, queued, running, max_running| RepoQueue { repo_name: name.into(), queued, running, max_running };
    let repos =
        vec![repo("algo-nt8-orb", 3, 2, 2), repo("market-data-archive", 0, 1, 2), repo("payments-gateway", 1, 0, 1)];
    Queue { queued: 4, running: 3, max_running: 4, repos }
}

pub(crate) fn workers() -> Vec<Worker> {
    let worker = |name: &str, seen, alive, draining, running: Vec<Id>| Worker {
        name: name.into(),
        version: "0.1.0".into(),
        started_at: ago(3 * 24 * 60 * MINUTE),
        seen_at: ago(seen),
        alive,
        draining,
        slots: 2,
        running,
        policy_sha256: "6".repeat(64),
    };
    let ids: Vec<Id> = told().iter().skip(2).take(3).map(|told| told.view.job.job_id.clone()).collect();
    let mut old = worker("runner-3", 3 * SECOND, true, true, vec![ids[2].clone()]);
    old.policy_sha256 = "5".repeat(64);
    vec![
        worker("runner-1", 2 * SECOND, true, false, ids[..2].to_vec()),
        worker("runner-2", 34 * MINUTE, false, false, Vec::new()),
        old,
    ]
}

/// The list of jobs as the filter wants it.
pub(crate) fn jobs_page(filter: &Filter, show: impl FnOnce(JobsPage<'_>) -> String) -> String {
    let fits = |view: &JobView| {
        filter.status.is_none_or(|status| view.job.life.status == status)
            && filter.repo_name.as_ref().is_none_or(|name| view.job.request.repo_name == *name)
            && filter.job_type.as_ref().is_none_or(|name| view.job.request.job_type == *name)
    };
    let jobs: Vec<JobView> = told().into_iter().map(|told| told.view).filter(fits).collect();
    let next = jobs.get(9).map(|view| view.job.job_id.clone());
    let viewer = viewer();
    let frame = Frame { viewer: &viewer, now: ago(0) };
    show(JobsPage { frame, filter, jobs: &Jobs { jobs, next }, queue: &queue() })
}

pub(crate) fn workers_page(show: impl FnOnce(WorkersPage<'_>) -> String) -> String {
    let viewer = viewer();
    show(WorkersPage { frame: Frame { viewer: &viewer, now: ago(0) }, workers: &workers() })
}

pub(crate) fn queue_page(show: impl FnOnce(QueuePage<'_>) -> String) -> String {
    let viewer = viewer();
    show(QueuePage { frame: Frame { viewer: &viewer, now: ago(0) }, queue: &queue() })
}

pub(crate) fn error_page() -> String {
    let problem = Problem {
        detail: "there is no job 20260131T115959123Z-0123456789abcdef".into(),
        class: Some("unknown-job".into()),
        next: Some("look for it in the list; jobs are kept for 30 days".into()),
    };
    ErrorPage { viewer: Some(&viewer()), code: 404, problem: &problem }.render()
}

/// Every page, by the name of its screenshots.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("jobs", jobs_page(&Filter::default(), |page| page.render())),
        (
            "jobs-none",
            jobs_page(&Filter { repo_name: Some("no-such".into()), ..Filter::default() }, |page| page.render()),
        ),
        ("job-queued", queued().page(|page| page.render())),
        ("job-running", running().page(|page| page.render())),
        ("job-mutated", mutated().page(|page| page.render())),
        ("job-success", succeeded().page(|page| page.render())),
        ("workers", workers_page(|page| page.render())),
        ("queue", queue_page(|page| page.render())),
        ("login", LoginPage::default().render()),
        ("login-refused", LoginPage { error: Some("no such token; ask for a new one") }.render()),
        ("error", error_page()),
    ]
}

/// Every fragment.
pub(crate) fn fragments() -> Vec<(&'static str, String)> {
    vec![
        ("jobs-fragment", jobs_page(&Filter::default(), |page| page.fragment())),
        ("job-running-fragment", running().page(|page| page.fragment())),
        ("job-mutated-fragment", mutated().page(|page| page.fragment())),
        ("workers-fragment", workers_page(|page| page.fragment())),
        ("queue-fragment", queue_page(|page| page.fragment())),
    ]
}
