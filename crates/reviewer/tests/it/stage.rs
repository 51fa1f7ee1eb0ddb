//! A stage for one test: the real codex, a scripted model and a directory for state.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fake_model::{FakeModel, Reply, Request};
use host::{Host, Local};
use outcome::Failure;
use reviewer::{Codex, NotReviewed, Options, Part, Program, Progress, Reviewed, Scope, review};
use tempfile::TempDir;
use verdict::policy::{Effort, Review};
use verdict::{Policy, Sha256};
use zeroize::Zeroizing;

/// The model whose tools codex offers by name, which a script can call.
pub(crate) const CLASSIC: &str = "gpt-5.5";

pub(crate) struct Stage {
    pub(crate) host: Local,
    pub(crate) model: FakeModel,
    pub(crate) policy: Review,
    pub(crate) dir: TempDir,
}

/// A key that exists nowhere else.
pub(crate) fn key() -> String {
    ["sk-", "test", "-0123456789abcdef"].concat()
}

/// The real codex; its hash is taken once for all tests of this build.
pub(crate) fn program() -> Program {
    let path = fake_model::codex_binary().unwrap_or_else(|missing| panic!("{missing}"));
    Program::at(&Local::new(), &path).unwrap()
}

pub(crate) fn parts(texts: &[&str]) -> Vec<Part> {
    let part = |(index, text): (usize, &&str)| Part {
        id: format!("packet-{:03}", index + 1),
        scope: Scope::Packet,
        text: (*text).to_owned(),
    };
    texts.iter().enumerate().map(part).collect()
}

impl Stage {
    pub(crate) fn new(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let model = FakeModel::start(script).unwrap();
        let policy = Review {
            model: Some(CLASSIC.into()),
            effort: Effort::High,
            base_url: Some(model.url()),
            retries: 0,
            timeout_sec: 60,
            ..Policy::built_in().review
        };
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { host: Local::new(), model, policy, dir }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Review)) -> Self {
        change(&mut self.policy);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn codex(&self) -> Codex<'_> {
        self.codex_on(&self.host)
    }

    pub(crate) fn codex_on<'a>(&self, host: &'a dyn Host) -> Codex<'a> {
        Codex::new(host, program(), &self.policy, Zeroizing::new(key()), self.path("state")).unwrap()
    }

    pub(crate) fn review(&self, texts: &[&str]) -> Result<Reviewed, NotReviewed> {
        self.review_noting(texts, &mut Vec::new())
    }

    pub(crate) fn review_noting(&self, texts: &[&str], notes: &mut Vec<Progress>) -> Result<Reviewed, NotReviewed> {
        let (policy_sha256, cache, heard) = (Sha256::of(b"policy"), self.path("cache"), Mutex::new(Vec::new()));
        let options = Options::new(&self.policy, &policy_sha256, &cache);
        let note = |progress| heard.lock().unwrap().push(progress);
        let reviewed = review(&self.host, &self.codex(), &parts(texts), options, &note);
        notes.extend(heard.into_inner().unwrap());
        reviewed
    }

    /// The failure as a person reads it, with what differs from run to run taken out, and how often the model was asked.
    pub(crate) fn failure(&self) -> String {
        let failure = Failure::from(self.review(&["+new line\n"]).expect_err("this must not be a review"));
        let text = failure.text().replace(&self.model.url(), "http://MODEL/v1");
        format!("{text}\nexit: {}\nrequests: {}", failure.exit.code(), self.model.requests().len())
    }

    /// What is left of the private directories.
    pub(crate) fn left_over(&self) -> Vec<PathBuf> {
        entries(&self.path("state"))
    }
}

pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}
