//! What a job, a repository or a person wrote is shown and never obeyed.

use job::{Ending, Event, Kind, Status};
use runner_page::{ErrorPage, Filter, Frame, JobsPage, LoginPage, QueuePage, Viewer, WorkersPage};
use runner_wire::{ArtifactFile, Jobs, LogTail, Problem, Stream};

use super::markup::tags;
use super::scene::{self, SECOND, ago};

const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&#x202e;\u{202e}\u{1b}[2J\u{0}\r\u{200b}\u{e0041}{{7*7}}\
                    averyveryverylongnamewithoutanyplacewhereitcouldbebrokenintotwolinesaveryveryverylongnamewithoutany";

/// Every page, with [`EVIL`] wherever text can be.
pub(crate) fn pages() -> Vec<String> {
    let evil = || EVIL.to_owned();
    let viewer = Viewer { login: evil(), may_submit: true, may_admin: true };
    let frame = Frame { viewer: &viewer, now: ago(0) };
    let mut told = scene::mutated();
    let job = &mut told.view.job;
    (job.submitted_by, job.trace_id) = (evil(), evil());
    (job.request.job_type, job.request.repo_name, job.request.sha) = (evil(), evil(), evil());
    job.request.params.insert(evil(), evil());
    job.life.worker = Some(evil());
    job.life.ending =
        Some(Ending { exit_code: 1, exit: 1, class: Some(evil()), reason: Some(evil()), next: Some(evil()) });
    told.view.waiting = Some(evil());
    told.events = Kind::ALL.map(|kind| Event { at: ago(SECOND), kind, text: evil() }).into();
    told.files = vec![ArtifactFile { path: format!("a/{EVIL}/../b"), bytes: u64::MAX }];
    told.logs =
        [Stream::Stdout, Stream::Stderr].map(|stream| LogTail { stream, lines: vec![evil()], total_lines: 1 }).into();
    let artifact = told.artifact.as_mut().unwrap();
    artifact.hostname = evil();
    artifact.argv.push(evil());
    artifact.warnings.push(evil());
    (artifact.invariants.reason, artifact.invariants.details) = (Some(evil()), Some(evil()));
    artifact.invariants.changed_files = vec![evil(); 1000];
    artifact.evidence.as_mut().unwrap().insert(evil(), serde_json::json!({ EVIL: [EVIL] }));
    let tree = artifact.tree.as_mut().unwrap();
    (tree.id, tree.made, tree.verified) = (evil(), evil(), evil());
    let refused = &mut artifact.collected.as_mut().unwrap().refused[0];
    (refused.path, refused.reason) = (evil(), evil());

    let mut queue = scene::queue();
    queue.repos[0].repo_name = evil();
    let mut workers = scene::workers();
    (workers[0].name, workers[0].version, workers[0].policy_sha256) = (evil(), evil(), evil());
    let jobs = Jobs { jobs: vec![told.view.clone()], next: Some(told.view.job.job_id.clone()) };
    let filter = Filter {
        status: Some(Status::Failure),
        repo_name: Some(evil()),
        job_type: Some(evil()),
        before: jobs.next.clone(),
    };
    let problem = Problem { detail: evil(), class: Some(evil()), next: Some(evil()) };
    let list = JobsPage { frame, filter: &filter, jobs: &jobs, queue: &queue };
    vec![
        list.render(),
        list.fragment(),
        told.page(|page| page.render()),
        told.page(|page| page.fragment()),
        WorkersPage { frame, workers: &workers }.render(),
        QueuePage { frame, queue: &queue }.render(),
        LoginPage { error: Some(EVIL) }.render(),
        ErrorPage { viewer: Some(&viewer), code: 500, problem: &problem }.render(),
    ]
}

#[test]
fn no_text_becomes_markup() {
    for page in pages() {
        let tags = tags(&page);
        assert!(!page.contains("<script>") && !page.contains("<img"));
        assert!(tags.iter().all(|tag| tag.get("onerror").is_none() && tag.get("src") != Some("x")));
    }
}

#[test]
fn no_character_hides_or_steers() {
    for page in pages() {
        assert_eq!(outcome::printable(&page), page);
        assert!(page.contains(r"\u{202e}\u{1b}[2J\u{0}\u{d}\u{200b}\u{e0041}"), "it is shown");
        assert!(page.contains("&#38;#x202e;"), "a reference is text too");
    }
}

#[test]
fn text_in_a_url_is_encoded() {
    let urls: Vec<String> = pages()
        .iter()
        .flat_map(|page| tags(page))
        .flat_map(|tag| ["href", "hx-get"].map(|name| tag.get(name).map(str::to_owned)))
        .flatten()
        .filter(|url| url.contains("alert"))
        .collect();
    assert!(urls.len() > 5);
    for url in urls {
        assert!(url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/?=&#;-_.~%".contains(&byte)), "{url}");
        assert!(url.contains("%22%27%3E%3Cscript%3Ealert%281%29"), "{url}");
        assert!(url.contains("%E2%80%AE%1B%5B2J%00%0D%E2%80%8B"), "{url}");
    }
}

#[test]
fn a_list_without_an_end_is_cut_and_says_so() {
    let mut told = scene::mutated();
    told.files = (0..100_000).map(|n| ArtifactFile { path: format!("out/{n}"), bytes: n }).collect();
    let page = told.page(|page| page.render());
    assert!(page.len() < 100_000, "{} bytes", page.len());
    assert!(page.contains("and 99800 more"));
}
