//! A clone with a bare remote and the gate installed in it.

use std::path::{Path, PathBuf};

use hooks::{PinnedPolicy, Programs, Site, install};
use host::{Cmd, Host, Local};
use repo::testing::Fixture;
use repo::{PolicySource, VerdictStore, policy_bytes};
use serde_json::Value;
use verdict::Oid;

/// A repository whose pushes go through the hook that was installed, and the remote's commit at the start.
pub(crate) struct Scene {
    pub(crate) f: Fixture,
    pub(crate) site: Site,
    /// What the remote's `main` has; zeros for nothing.
    pub(crate) old: Oid,
}

impl Scene {
    /// The remote has one commit.
    pub(crate) fn new() -> Self {
        Self::around(Fixture::pushed())
    }

    /// The same, and the remote's commit has this policy.
    pub(crate) fn under(policy: &str) -> Self {
        let f = Fixture::new();
        f.write("configs/ship.toml", policy);
        f.commit("policy");
        f.git(&["push", "-q", "origin", "main"]);
        Self::around(f)
    }

    /// Installs the gate as `install-hooks` does.
    pub(crate) fn around(f: Fixture) -> Self {
        let site = install_in(&f, &f.work());
        let main = f.git_in(&f.remote(), &["for-each-ref", "--format=%(objectname)", "refs/heads/main"]);
        let old = main.parse().unwrap_or_else(|_| f.repo().objects().zero());
        Self { f, site, old }
    }

    /// Commits one changed file.
    pub(crate) fn work(&self) -> Oid {
        self.f.write("work", "done\n");
        self.f.commit("work")
    }

    /// A verdict that approves the range, as a review leaves it.
    pub(crate) fn verdict(&self, since: &Oid, to: &Oid) -> Value {
        let pinned = self.pinned();
        serde_json::to_value(self.f.approval(since, to, PolicySource { pinned: pinned.as_deref() })).unwrap()
    }

    /// Puts a verdict into the store as a review does. Returns the file.
    pub(crate) fn approve(&self, since: &Oid, to: &Oid) -> PathBuf {
        let pinned = self.pinned();
        self.f.approve(since, to, PolicySource { pinned: pinned.as_deref() })
    }

    fn pinned(&self) -> Option<Vec<u8>> {
        std::fs::read(self.site.policy()).ok()
    }

    /// Puts any text where the gate looks for the verdicts of a range, as an attacker would.
    pub(crate) fn plant(&self, since: &Oid, to: &Oid, name: &str, text: impl AsRef<[u8]>) {
        let dir = VerdictStore::of(&self.f.repo()).dir(since, to);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
    }

    /// `git push` in the work tree.
    pub(crate) fn pushing(&self, args: &[&str]) -> Cmd {
        self.git_in(&self.f.work(), &["push", "-q", "origin"]).args(args.iter().copied())
    }

    /// git, with an empty home and no configuration but the repository's.
    pub(crate) fn git_in(&self, dir: &Path, args: &[&str]) -> Cmd {
        self.program("git").dir(dir).args(args.iter().copied())
    }

    pub(crate) fn program(&self, program: impl Into<std::ffi::OsString>) -> Cmd {
        let home = self.f.dir().join("home");
        let cmd = Cmd::new(program).env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1");
        cmd.env("GIT_CONFIG_GLOBAL", "/dev/null")
    }

    /// What came of it: `pushed`, `passed` when nothing arrived and nothing was refused, or the gate's reasons, a
    /// line each. A refused push has changed nothing on the remote.
    pub(crate) fn run(&self, push: &Cmd) -> String {
        let refs = || self.f.git_in(&self.f.remote(), &["for-each-ref"]);
        let before = refs();
        let output = Local::new().run(push).unwrap();
        let arrived = before != refs();
        match (output.success(), arrived) {
            (true, true) => "pushed".to_owned(),
            (true, false) => "passed".to_owned(),
            (false, false) => self.reasons(&output.stderr_text()),
            (false, true) => panic!("refused, and yet it arrived: {}", output.stderr_text()),
        }
    }

    pub(crate) fn push(&self, args: &[&str]) -> String {
        self.run(&self.pushing(args))
    }

    /// What the hook says to this input, as git would give it.
    pub(crate) fn hook(&self, stdin: String) -> String {
        let hook = self.program(self.site.default_dir().join("pre-push")).args(["origin", "url"]);
        self.run(&hook.dir(self.f.work()).stdin(stdin))
    }

    /// `push-gate verify` by the installed gate: `passed`, or the reasons.
    pub(crate) fn verify(&self, range: &str, more: &[&str]) -> String {
        let gate = self.program(self.site.gate()).args(["verify", "--range", range]).args(more.iter().copied());
        let output = Local::new().run(&gate.dir(self.f.work())).unwrap();
        if output.success() { "passed".to_owned() } else { self.reasons(&output.stderr_text()) }
    }

    /// What a push of `HEAD` to the protected branch comes to; `verify` decides the same.
    pub(crate) fn decision(&self) -> String {
        let verified = self.verify(&format!("{}..HEAD", self.old), &[]);
        let pushed = self.push(&["HEAD:refs/heads/main"]);
        let reason = |line: &str| line.split_once(": ").map_or("passed", |(_, reason)| reason).to_owned();
        let [by_verify, by_push] = [&verified, &pushed].map(|said| said.lines().map(reason).collect::<Vec<_>>());
        assert_eq!(by_verify, by_push, "verify: {verified}\npush: {pushed}");
        pushed
    }

    /// The gate's reasons without what to do about them; all that was said when the gate did not refuse.
    fn reasons(&self, said: &str) -> String {
        let Some((_, reasons)) = said.split_once("PUSH BLOCKED\n") else { return self.shown(said) };
        let reasons = reasons.lines().take_while(|line| !line.starts_with("next: "));
        let reasons: Vec<&str> = reasons.filter(|line| !line.starts_with("  next: ")).collect();
        self.shown(&reasons.join("\n"))
    }

    /// Without what differs from run to run.
    pub(crate) fn shown(&self, text: &str) -> String {
        let text = text.replace(&self.f.dir().canonicalize().unwrap().display().to_string(), "~");
        let mut shown = String::new();
        let mut rest = &*text;
        while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
            let digits = rest[at..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - at);
            shown.push_str(&rest[..at]);
            shown.push_str(if digits >= 32 { "<id>" } else { &rest[at..at + digits] });
            rest = &rest[at + digits..];
        }
        shown + rest
    }
}

/// Installs the gate in the repository that `dir` is in, with the policy that is committed there.
pub(crate) fn install_in(f: &Fixture, dir: &Path) -> Site {
    let repo = repo::Repo::open(dir).unwrap();
    let head = repo.head().unwrap();
    let bytes = head.id().and_then(|head| policy_bytes(repo.objects(), head).unwrap());
    let site = Site::observe(f.host(), dir).unwrap();
    let programs = Programs { push_gate: env!("CARGO_BIN_EXE_push-gate").into(), ship: None };
    install(f.host(), &site, &programs, &PinnedPolicy { bytes, repin: false }).unwrap();
    site
}
