//! Heals: what the healer is told, what is accepted, and that anything else leaves the user's tree as it was.

use std::fs;
use std::os::unix::fs::symlink;

use fake_model::{Brain, Reply, Request};
use insta::assert_snapshot;

use crate::stage::{DEFECT, Said, Setup, Stage, mending, run};

/// A model that blocks on the defect and lets `heal` answer the first request of a heal.
fn healing(heal: Reply) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let brain = Brain::approving().blocking_on(DEFECT);
    move |request| {
        let is_first = !request.tools().is_empty() && request.tool_outputs().is_empty();
        if is_first { heal.clone() } else { brain.reply(request) }
    }
}

/// Ships a defect that `heal` does not mend as it should: nothing of it may stay.
fn rejected(paths: &[&'static str], reply: Reply) -> String {
    let stage = Stage::new(&Setup { heal: paths.to_vec(), ..Setup::default() }, healing(reply));
    stage.provide_codex();
    let head = stage.defect();
    let before = stage.remote_main();
    let said = stage.ship(&[]);
    assert_eq!(stage.remote_main(), before);
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    assert_eq!(stage.left_over(), Vec::<String>::new());
    said.text(&stage)
}

fn patch(path: &str) -> Reply {
    Reply::apply_patch(format!("*** Begin Patch\n*** Add File: {path}\n+healed\n*** End Patch"))
}

#[test]
fn a07_a_heal_that_changes_nothing_is_none() {
    assert_snapshot!(rejected(&["src"], Reply::message("all is well")), @r"
    exit 1 heal-without-change: the healer changed nothing
    next: mend it yourself, commit, then ship again
    ");
}

#[test]
fn a01_a_heal_cannot_write_outside_its_directories() {
    let outside =
        "echo x >outside.py; echo x >README.md; echo x >srcery.py; mkdir .git; git add --all; echo x >../../x";
    assert_snapshot!(rejected(&["src"], Reply::exec_command(outside)), @r"
    exit 1 heal-without-change: the healer changed nothing
    next: mend it yourself, commit, then ship again
    ");
}

#[test]
fn a05_a_heal_of_the_policy_is_rejected_as_a_whole_even_where_the_policy_allows_its_directory() {
    let both = "echo x >src/more.py; echo 'schema = 1' >configs/ship.toml";
    assert_snapshot!(rejected(&["src", "configs"], Reply::exec_command(both)), @r"
    exit 1 heal-rejected: the heal was rejected as a whole: configs/ship.toml may not be healed
    next: mend it yourself, commit, then ship again
    ");
}

#[test]
fn a05_a_heal_of_instructions_for_agents_is_rejected_as_a_whole() {
    assert_snapshot!(rejected(&["src"], patch("src/AGENTS.md")), @r"
    exit 1 heal-rejected: the heal was rejected as a whole: src/AGENTS.md may not be healed
    next: mend it yourself, commit, then ship again
    ");
}

#[test]
fn a_link_out_of_the_tree_that_a_heal_makes_is_blocked_by_rule() {
    let stage = Stage::with_codex(&Setup::default(), healing(Reply::exec_command("ln -s /etc/passwd src/passwd")));
    stage.defect();
    let said = run(stage.program("ship").args(["--json", "--max-attempts", "2"]));
    let verdicts: Vec<_> = said.events().into_iter().filter(|event| event["event"] == "verdict").collect();
    assert_eq!(verdicts.last().unwrap()["blockers"][0]["path"], "src/passwd");
    assert_snapshot!(said.text(&stage), @r"
    exit 1 blocked: the review has 1 blocker
    - src/passwd: escaping-symlink: the symbolic link's target is absolute
    next: mend what the verdict names, commit, then ship again
    ");
    assert_eq!(stage.log("origin/main"), "start");
}

#[test]
fn a06_a_healer_that_fails_is_no_heal() {
    assert_snapshot!(rejected(&["src"], Reply::status(400)), @r#"
    exit 4 heal-failed: the heal failed: the reviewer failed (exit 1): {"error":{"code":"scripted 400","message":"scripted 400"}}
    next: try again, or mend the blockers yourself
    "#);
}

#[test]
fn where_nothing_may_be_healed_the_failure_is_what_a_heal_would_have_been_for() {
    assert_snapshot!(rejected(&[], Reply::status(400)), @r"
    exit 1 blocked: the review has 1 blocker
    - eval( must not be here: +    return eval('name')
    next: mend what the verdict names, commit, then ship again; the policy lets nothing be healed (heal.paths in configs/ship.toml)
    ");
    let script = "seq 100 120; echo 'greet.py:2: eval is forbidden'; exit 1";
    let stage = Stage::with_codex(&Setup { heal: vec![], ..Setup::testing(script) }, mending());
    stage.defect();
    assert_snapshot!(stage.ship(&[]).text(&stage), @r"
    exit 1 tests-failed: test step `unit` (sh -c seq 100 120; echo 'greet.py:2: eval is forbidden'; exit 1) failed: exit 1
    112
    113
    114
    115
    116
    117
    118
    119
    120
    greet.py:2: eval is forbidden
    next: mend the tests, commit, then ship again; the policy lets nothing be healed (heal.paths in configs/ship.toml)
    ");
    assert_eq!(stage.model.requests().len(), 0);
}

#[test]
fn a_heal_is_one_commit_of_what_it_changed() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.write("ignored.log", "mine\n");
    stage.write(".gitignore", "ignored.log\n");
    stage.git(&["add", ".gitignore"]);
    stage.git(&["commit", "--quiet", "--message", "ignore"]);
    stage.defect();
    let said = stage.ship(&["--no-push"]);
    assert_snapshot!(said.text(&stage), @"exit 0 approved");
    assert_snapshot!(stage.git(&["show", "--format=%an <%ae>: %s", "--name-status", "HEAD"]), @r"
    ai-ops-runner <ai-ops-runner@localhost>: fix: autoheal blockers from review verdict

    M	src/greet.py
    ");
    assert_eq!(
        fs::read_to_string(stage.path("work/src/greet.py")).unwrap(),
        "def greet(name):\n    # As told.\n    return name\n"
    );
    assert_eq!(fs::read_to_string(stage.path("work/ignored.log")).unwrap(), "mine\n");
    assert_eq!(stage.left_over(), Vec::<String>::new());
}

#[test]
fn heals_are_bounded() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let brain = Brain::approving().blocking_on("return");
    let script = move |request: &Request| {
        if request.tools().is_empty() || !request.tool_outputs().is_empty() {
            return brain.reply(request);
        }
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        patch(&format!("src/healed_{number}.py"))
    };
    let stage = Stage::with_codex(&Setup::default(), script);
    stage.defect();
    assert_snapshot!(stage.ship(&[]).text(&stage), @r"
    exit 1 blocked: the review has 1 blocker
    - return must not be here: +    return eval('name')
    next: mend what the verdict names, commit, then ship again
    ");
    assert_snapshot!(stage.log("HEAD"), @r"
    fix: autoheal blockers from review verdict
    fix: autoheal blockers from review verdict
    greet in another way
    start
    ");
    assert_eq!(stage.log("origin/main"), "start");
}

#[test]
fn a_run_that_may_not_heal_stops_at_the_blocker() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.defect();
    assert_snapshot!(stage.ship(&["--no-heal"]).text(&stage), @r"
    exit 1 blocked: the review has 1 blocker
    - eval( must not be here: +    return eval('name')
    next: mend what the verdict names, commit, then ship again
    ");
    let once = |stage: &Stage| run(stage.program("ship").arg("--json").env("SHIP_MAX_ATTEMPTS", "1"));
    assert_eq!(once(&stage).text(&stage), stage.ship(&["--no-heal"]).text(&stage));
    assert_eq!((stage.heals().len(), stage.model.requests().len()), (0, 1));
}

#[test]
fn a08_failed_tests_are_healed_by_their_output() {
    let setup = Setup::testing("grep -q eval src/greet.py || exit 0; echo 'greet.py:2: eval is forbidden'; exit 1");
    let stage = Stage::with_codex(&setup, mending());
    stage.defect();
    assert_snapshot!(stage.ship(&[]).text(&stage), @"exit 0 pushed");
    let heals = stage.heals();
    assert!(heals[0].prompt().contains("greet.py:2: eval is forbidden"), "{}", heals[0].prompt());
    assert_eq!(
        stage.log("main"),
        "chore: advance review baseline\nfix: autoheal blockers from review verdict\ngreet in another way\nstart"
    );
}

#[test]
fn autoheal_mends_what_the_verdict_for_head_blocks() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.defect();
    let autoheal = |stage: &Stage| -> Said { run(stage.program("autoheal").arg("--json")) };
    assert_snapshot!(autoheal(&stage).text(&stage), @r"
    exit 1 nothing-to-heal: no verdict blocks HEAD
    next: run ship --no-push --no-heal first
    ");
    let review = run(stage.program("review-auto").args(["--json", "--no-push"]));
    assert_eq!((review.code, review.end()["class"].as_str()), (Some(1), Some("blocked")));
    let said = autoheal(&stage);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(
        (&said.end()["status"], &said.end()["commit"]),
        (&"healed".into(), &stage.git(&["rev-parse", "HEAD"]).into())
    );
    assert_eq!(stage.log("main"), "fix: autoheal blockers from review verdict\ngreet in another way\nstart");
    // What was healed is another commit: no verdict blocks it.
    assert_eq!(autoheal(&stage).end()["class"], "nothing-to-heal");
}

#[test]
fn autoheal_in_a_simulated_run_asks_no_model() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.defect();
    run(stage.program("review-auto").args(["--json", "--no-push"]));
    let asked = stage.model.requests().len();
    let said = run(stage.program("autoheal").arg("--json").env("CODEX_SKIP", "1"));
    assert_snapshot!(said.text(&stage), @r"
    exit 1 simulated-heal: a simulated run asks no model, and a heal needs one
    next: unset CODEX_SKIP, then run autoheal
    ");
    assert_eq!((asked, stage.model.requests().len()), (1, 1));
}

#[test]
fn autoheal_asks_for_nothing_that_no_heal_can_do() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    symlink("/etc/passwd", stage.path("work/passwd")).unwrap();
    stage.commit("a link out of the tree, where nothing may be healed");
    let review = run(stage.program("review-auto").args(["--json", "--no-push"]));
    assert_eq!(review.end()["class"], "blocked");
    let said = run(stage.program("autoheal").arg("--json"));
    assert_snapshot!(said.text(&stage), @r"
    exit 1 not-healable: the rules block a file that may not be healed
    next: mend what the verdict names, commit, then ship again
    ");
    assert_eq!(stage.model.requests().len(), 0);
}
