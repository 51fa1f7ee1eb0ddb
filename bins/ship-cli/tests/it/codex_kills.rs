//! S05: a run that is killed or interrupted at any step leaves nothing half, and the next one ends well.

use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fake_model::{Reply, Request};
use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Said, Setup, Stage, executable, mending, real_git, until};

/// A stage whose remote counts what it takes, with a ship in which something holds.
struct Scene {
    stage: Stage,
    /// The model holds requests for a review.
    reviews: Arc<AtomicBool>,
    /// The model holds requests for a heal.
    heals: Arc<AtomicBool>,
}

impl Scene {
    fn new() -> Self {
        Self::tested_by(&Setup::default())
    }

    fn tested_by(setup: &Setup) -> Self {
        let (reviews, heals) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let held = (Arc::clone(&reviews), Arc::clone(&heals));
        let mend = mending();
        let script = move |request: &Request| {
            let holds = if request.tools().is_empty() { &held.0 } else { &held.1 };
            if holds.load(Ordering::SeqCst) { Reply::Hang } else { mend(request) }
        };
        let stage = Stage::empty(setup, script);
        stage.provide_codex();
        stage.holder();
        stage.start(setup);
        stage.git(&["push", "--quiet", "origin", "main"]);
        stage.install();
        let taken = format!("while read -r line; do echo \"$line\" >>'{}'; done", stage.path("taken").display());
        stage.remote_hook("post-receive", &taken);
        Self { stage, reviews, heals }
    }

    /// Git is held before (or after) it does what has `word` among its arguments.
    fn hold_git(&self, word: &str, after: bool) {
        let (git, hold, real) = (self.stage.path("bin/git"), self.stage.path("bin/hold"), real_git());
        let (hold, real) = (hold.display(), real.display());
        let step =
            if after { format!("'{real}' \"$@\"; '{hold}'; exit") } else { format!("'{hold}'; exec '{real}' \"$@\"") };
        fs::remove_file(&git).unwrap();
        executable(
            &git,
            &format!(
                "#!/bin/sh\nfor word; do\nif [ \"$word\" = {word} ]; then {step}; fi\ndone\nexec '{real}' \"$@\"\n"
            ),
        );
    }

    fn hold_remote(&self, hook: &str) {
        let mut script = format!("'{}' || exit 1", self.stage.path("bin/hold").display());
        if let Ok(present) = fs::read_to_string(self.stage.path("remote.git/hooks").join(hook)) {
            script = format!("{}\n{script}", present.trim_start_matches("#!/bin/sh\n"));
        }
        self.stage.remote_hook(hook, &script);
    }

    /// Starts a ship, waits until it stands in `state` and the holder holds, and kills it alone: its children live on.
    fn killed_while(&self, state: &str) -> i32 {
        self.stage.hold();
        let ship = self.stage.start_ship(&[]);
        let holder = self.stage.held();
        self.kill(ship, state);
        holder
    }

    /// The same, when the model was asked `requests` times.
    fn killed_while_asked(&self, state: &str, requests: usize) {
        let ship = self.stage.start_ship(&[]);
        until("the model is asked", || (self.stage.model.requests().len() == requests).then_some(()));
        self.kill(ship, state);
        self.reviews.store(false, Ordering::SeqCst);
        self.heals.store(false, Ordering::SeqCst);
    }

    fn kill(&self, mut ship: Child, state: &str) {
        assert_eq!(self.stage.journal().as_deref(), Some(state));
        ship.kill().unwrap();
        ship.wait().unwrap();
    }

    /// Ships again: pushed once, one baseline commit on a linear history, nothing left. Returns how it went.
    fn ships_again(&self, subjects: &[&str]) -> String {
        let said = self.stage.ship(&[]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        self.assert_shipped(subjects);
        let resumed =
            said.events().iter().find(|event| event["event"] == "resumed").map(|event| event["at"]["at"].to_string());
        format!("{} (resumed at {})", said.end()["status"], resumed.unwrap_or_else(|| "nothing".to_owned()))
    }

    fn assert_shipped(&self, subjects: &[&str]) {
        let stage = &self.stage;
        assert_eq!(stage.git(&["rev-parse", "HEAD"]), stage.remote_main());
        let log = [&["chore: advance review baseline"], subjects, &["start"]].concat();
        assert_eq!(stage.log("main"), log.join("\n"));
        assert_eq!(stage.git(&["rev-list", "--min-parents=2", "main"]), "");
        let taken = fs::read_to_string(stage.path("taken")).unwrap();
        assert_eq!(
            taken.lines().filter(|line| line.ends_with("refs/heads/main")).count(),
            1,
            "pushed more than once: {taken}"
        );
        assert_eq!(stage.git(&["status", "--porcelain"]), "");
        assert_eq!(stage.left_over(), Vec::<String>::new());
    }
}

const MORE: &[&str] = &["more"];
const HEALED: &[&str] = &["fix: autoheal blockers from review verdict", "greet in another way"];

fn end(holder: i32) {
    // The holder may have ended with its group before.
    let _ = kill_process(Pid::from_raw(holder).unwrap(), Signal::KILL);
}

#[test]
fn s05_killed_while_observing() {
    let scene = Scene::new();
    scene.stage.change();
    scene.hold_git("ls-remote", false);
    scene.stage.hold();
    let mut ship = scene.stage.start_ship(&[]);
    scene.stage.held();
    ship.kill().unwrap();
    ship.wait().unwrap();
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at nothing)"#);
}

#[test]
fn s05_killed_while_testing() {
    let scene = Scene::tested_by(&Setup { test: vec!["hold".into()], ..Setup::default() });
    scene.stage.change();
    scene.killed_while("testing");
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at "testing")"#);
}

#[test]
fn s05_killed_while_reviewing() {
    let scene = Scene::new();
    scene.stage.change();
    scene.reviews.store(true, Ordering::SeqCst);
    scene.killed_while_asked("reviewing", 1);
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at "reviewing")"#);
}

#[test]
fn s05_killed_while_the_healer_works() {
    let scene = Scene::new();
    scene.stage.defect();
    scene.heals.store(true, Ordering::SeqCst);
    scene.killed_while_asked("healing", 2);
    let copies = || scene.stage.left_over().into_iter().filter(|name| name.starts_with("heal/")).collect::<Vec<_>>();
    assert_eq!(copies().len(), 1, "the copy that the killed run left: {:?}", copies());
    // What a healer that outlived its ship still writes there must not become part of another heal.
    let stale = walk(&scene.stage.path("home/.cache/ai-ops-runner").join(&copies()[0]));
    fs::write(stale.join("src/stale.py"), "stale\n").unwrap();
    assert_snapshot!(scene.ships_again(HEALED), @r#""pushed" (resumed at "healing")"#);
    assert!(!scene.stage.git(&["ls-files"]).contains("stale"));
    assert_eq!(copies(), Vec::<String>::new());
}

/// The directory with the tree in a copy's place.
fn walk(copy: &std::path::Path) -> std::path::PathBuf {
    let inner = fs::read_dir(copy).unwrap().map(|entry| entry.unwrap().path());
    if copy.join("src").is_dir() { copy.to_owned() } else { inner.into_iter().find(|path| path.is_dir()).unwrap() }
}

#[test]
fn s05_killed_before_a_heal_is_taken_over() {
    let scene = Scene::new();
    scene.stage.defect();
    scene.hold_git("merge", false);
    let holder = scene.killed_while("healing");
    end(holder);
    scene.stage.release("go");
    assert_eq!(scene.stage.log("main"), "greet in another way\nstart");
    assert_snapshot!(scene.ships_again(HEALED), @r#""pushed" (resumed at "healing")"#);
}

#[test]
fn s05_killed_after_a_heal_is_taken_over() {
    let scene = Scene::new();
    scene.stage.defect();
    scene.hold_git("merge", true);
    let holder = scene.killed_while("healing");
    end(holder);
    scene.stage.release("go");
    assert_eq!(scene.stage.log("main"), [HEALED, &["start"]].concat().join("\n"));
    assert_snapshot!(scene.ships_again(HEALED), @r#""pushed" (resumed at "healing")"#);
}

#[test]
fn s05_killed_while_advancing() {
    let scene = Scene::new();
    scene.stage.change();
    scene.hold_git("commit-tree", false);
    let holder = scene.killed_while("advancing");
    end(holder);
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at "advancing")"#);
}

#[test]
fn s05_killed_while_the_installed_hook_decides() {
    let scene = Scene::new();
    let (before, head) = (scene.stage.remote_main(), scene.stage.change());
    let hold = scene.stage.path("bin/hold");
    executable(
        &scene.stage.path("work/.git/hooks/pre-push.former"),
        &format!("#!/bin/sh\nexec '{}'\n", hold.display()),
    );
    let holder = scene.killed_while("pushing");
    end(holder);
    until("the push has ended", || scene.stage.processes().is_empty().then_some(()));
    assert_eq!((scene.stage.remote_main(), scene.stage.git(&["rev-parse", "HEAD"])), (before, head));
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at "pushing")"#);
}

#[test]
fn s05_killed_before_the_remote_took_the_push() {
    let scene = Scene::new();
    scene.stage.change();
    scene.hold_remote("update");
    scene.killed_while("pushing");
    // The push that the killed run began is refused now.
    scene.stage.release("no");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at "pushing")"#);
}

#[test]
fn s05_killed_while_a_push_goes_on_that_ends_after_the_next_one() {
    let scene = Scene::new();
    scene.stage.change();
    scene.hold_remote("update");
    scene.killed_while("pushing");
    let hold = scene.stage.path("hold");
    fs::rename(&hold, scene.stage.path("aside")).unwrap();
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at "pushing")"#);
    fs::rename(scene.stage.path("aside"), hold).unwrap();
    scene.stage.release("go");
    until("the late push has ended", || scene.stage.processes().is_empty().then_some(()));
    scene.assert_shipped(MORE);
}

#[test]
fn s05_killed_after_the_remote_took_the_push() {
    let scene = Scene::new();
    let head = scene.stage.change();
    scene.hold_remote("post-receive");
    scene.killed_while("pushing");
    assert_eq!(scene.stage.git(&["rev-parse", "HEAD"]), head);
    assert_ne!(scene.stage.remote_main(), head);
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""nothing_to_do" (resumed at nothing)"#);
}

#[test]
fn s05_killed_while_following() {
    let scene = Scene::new();
    scene.stage.change();
    scene.hold_git("merge", false);
    let holder = scene.killed_while("following");
    end(holder);
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""nothing_to_do" (resumed at nothing)"#);
}

/// Interrupts a ship as Ctrl-C does, when the holder or the model holds it.
fn interrupted(scene: &Scene, ship: Child) -> String {
    kill_process(Pid::from_child(&ship), Signal::INT).unwrap();
    let said = Said::from(ship.wait_with_output().unwrap());
    assert_eq!(scene.stage.processes(), Vec::<String>::new());
    assert_eq!(scene.stage.left_over(), Vec::<String>::new());
    assert_eq!(scene.stage.git(&["status", "--porcelain"]), "");
    said.text(&scene.stage)
}

#[test]
fn s05_interrupted_while_testing() {
    let scene = Scene::tested_by(&Setup { test: vec!["hold".into()], ..Setup::default() });
    scene.stage.change();
    scene.stage.hold();
    let ship = scene.stage.start_ship(&[]);
    scene.stage.held();
    assert_snapshot!(interrupted(&scene, ship), @r"
    exit 4 interrupted: the run was asked to stop
    next: ship again: it goes on where it can
    ");
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at nothing)"#);
}

#[test]
fn s05_interrupted_while_reviewing() {
    let scene = Scene::new();
    scene.stage.change();
    scene.reviews.store(true, Ordering::SeqCst);
    let ship = scene.stage.start_ship(&[]);
    until("the model is asked", || (scene.stage.model.requests().len() == 1).then_some(()));
    assert_snapshot!(interrupted(&scene, ship), @r"
    exit 4 interrupted: stopped by a signal (cancelled)
    next: run it again: it goes on where it can
    ");
    scene.reviews.store(false, Ordering::SeqCst);
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at nothing)"#);
}

#[test]
fn s05_interrupted_while_healing() {
    let scene = Scene::new();
    let head = scene.stage.defect();
    scene.heals.store(true, Ordering::SeqCst);
    let ship = scene.stage.start_ship(&[]);
    until("the model is asked", || (scene.stage.model.requests().len() == 2).then_some(()));
    assert_snapshot!(interrupted(&scene, ship), @r"
    exit 4 interrupted: stopped by a signal (heal-failed)
    next: run it again: it goes on where it can
    ");
    assert_eq!(scene.stage.git(&["rev-parse", "HEAD"]), head);
    scene.heals.store(false, Ordering::SeqCst);
    assert_snapshot!(scene.ships_again(HEALED), @r#""pushed" (resumed at nothing)"#);
}

#[test]
fn s05_interrupted_while_pushing() {
    let scene = Scene::new();
    let head = scene.stage.change();
    scene.hold_remote("update");
    scene.stage.hold();
    let ship = scene.stage.start_ship(&[]);
    scene.stage.held();
    assert_snapshot!(interrupted(&scene, ship), @r"
    exit 4 interrupted: stopped by a signal (git-remote-failed)
    next: run it again: it goes on where it can
    ");
    assert_eq!(scene.stage.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(scene.stage.log("origin/main"), "start");
    scene.stage.release("go");
    assert_snapshot!(scene.ships_again(MORE), @r#""pushed" (resumed at nothing)"#);
}
