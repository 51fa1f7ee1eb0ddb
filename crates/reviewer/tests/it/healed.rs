//! What a heal can touch: the allowed directories, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fake_model::{Brain, Reply};
use reviewer::heal::{Healed, Wound, heal};

use crate::stage::{Stage, key};

const MEND: &str = "*** Begin Patch\n*** Update File: src/a.txt\n@@\n-old\n+new\n*** End Patch";

/// A work tree with `src/a.txt`, `other/b.txt` and `.git/config`.
fn tree(stage: &Stage) -> PathBuf {
    let tree = stage.path("tree");
    for (name, text) in
        [("src/a.txt", "old\n"), ("other/b.txt", "old\n"), (".git/config", "[core]\n"), ("top.txt", "old\n")]
    {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    tree
}

fn run(stage: &Stage) -> Result<Healed, String> {
    let tree = tree(stage);
    let writable = ["src".to_owned()];
    let wound = Wound {
        tree: &tree,
        writable: &writable,
        complaint: "src/a.txt says old",
        timeout: Duration::from_secs(60),
        max_tokens: 100_000,
        spent: 0,
    };
    heal(&stage.codex(), wound).map_err(|error| error.to_string())
}

/// Lets the model run one shell command, and returns what it saw of it.
fn shell(command: String) -> (Stage, String) {
    let stage = Stage::new(move |request| match request.tool_outputs().as_slice() {
        [] => Reply::exec_command(&command),
        _ => Reply::message("done"),
    });
    run(&stage).unwrap();
    let seen = stage.model.requests().iter().flat_map(fake_model::Request::tool_outputs).collect();
    (stage, seen)
}

#[test]
fn a_patch_inside_the_allowed_directory_is_made() {
    let stage = Stage::new(|request| Brain::approving().healing_with(MEND).reply(request));
    let healed = run(&stage).unwrap();
    assert_eq!(fs::read_to_string(stage.path("tree/src/a.txt")).unwrap(), "new\n");
    assert_eq!(healed.said, "done");
    assert!(stage.left_over().is_empty());
}

#[test]
fn a01_a_patch_outside_is_not_made() {
    let stage = Stage::new(|request| Brain::approving().healing_with(MEND.replace("src/a", "other/b")).reply(request));
    run(&stage).unwrap();
    assert_eq!(fs::read_to_string(stage.path("tree/other/b.txt")).unwrap(), "old\n");
}

#[test]
fn a01_a_command_writes_inside_and_nowhere_else() {
    let (stage, seen) = shell(
        "echo in > src/in; for f in top.txt other/x .git/hooks/x ../escape /tmp/escape-of-heal; do echo out > $f; done; \
         ln -s ../other src/link; echo out > src/link/y; ln other/b.txt src/hard && echo out > src/hard; true"
            .to_owned(),
    );
    let tree = stage.path("tree");
    assert_eq!(fs::read_to_string(tree.join("src/in")).unwrap_or(seen), "in\n");
    assert_eq!(fs::read_to_string(tree.join("top.txt")).unwrap(), "old\n");
    assert_eq!(fs::read_to_string(tree.join("other/b.txt")).unwrap(), "old\n");
    for outside in ["other/x", "other/y", ".git/hooks/x", "../escape"] {
        assert!(!tree.join(outside).exists(), "{outside}");
    }
    assert!(!PathBuf::from("/tmp/escape-of-heal").exists());
}

#[test]
fn k01_a_command_sees_no_key() {
    let (_, seen) = shell("env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; true".to_owned());
    assert!(seen.contains("PATH=") && !seen.contains(&key()), "{seen}");
}

#[test]
fn a06_a_failed_run_is_a_failed_heal() {
    let stage = Stage::new(|_| Reply::status(400));
    assert!(run(&stage).unwrap_err().starts_with("the heal failed: the reviewer failed (exit 1)"));
}

#[test]
fn a_heal_that_the_budget_does_not_allow_asks_nobody() {
    let stage = Stage::new(|_| Reply::message("done"));
    let (tree, writable) = (stage.path("tree"), ["src".to_owned()]);
    fs::create_dir_all(tree.join("src")).unwrap();
    let (timeout, max_tokens, spent) = (Duration::from_secs(60), 10_000, 5_000);
    let wound = Wound { tree: &tree, writable: &writable, complaint: "src is old", timeout, max_tokens, spent };
    let failure = outcome::Failure::from(heal(&stage.codex(), wound).unwrap_err());
    assert_eq!((&*failure.class, failure.exit.code(), stage.model.requests().len()), ("token-budget", 4, 0));
}
