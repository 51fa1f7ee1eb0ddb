//! The whole way with every real part, and its single steps as programs of their own.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use fake_model::{Reply, Request};
use insta::assert_snapshot;

use crate::stage::{Said, Setup, Stage, executable, mending, run};

const BASELINE: &str = "chore: advance review baseline";

/// Records what git tells the hook that was there before the gate's: it is run after a push has passed.
fn watch_pushes(stage: &Stage) {
    let script = format!("#!/bin/sh\ncat >>'{}'\n", stage.path("pushes").display());
    executable(&stage.path("work/.git/hooks/pre-push"), &script);
}

fn pushes(stage: &Stage) -> usize {
    fs::read_to_string(stage.path("pushes")).map_or(0, |pushes| pushes.lines().count())
}

/// The names of the events, with what tells them apart.
fn story(said: &Said) -> String {
    let name = |event: &serde_json::Value| {
        let of = |field: &str| event[field].as_str().map(str::to_owned);
        let first = of("event").or_else(|| of("status")).unwrap();
        [Some(first), of("step"), of("verdict"), of("policy")].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    said.events().iter().map(name).collect::<Vec<_>>().join("\n")
}

/// What a review without a push says; a second one finds the approval of the first.
fn reviewed_once(stage: &Stage) -> Said {
    let review = || stage.ship(&["--no-push"]);
    let said = review();
    assert_snapshot!(story(&said), @r"
    range as the remote has it
    step test
    tested
    step review
    planned
    packet
    verdict APPROVED
    approved
    ");
    assert_snapshot!(story(&review()), @r"
    range as the remote has it
    approved
    ");
    said
}

/// The remote and the branch are at one baseline commit on top of `reviewed`.
fn assert_shipped(stage: &Stage, reviewed: &str) {
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), stage.remote_main());
    assert_eq!(stage.git(&["rev-parse", "HEAD^"]), reviewed);
    assert_eq!(
        stage.git(&["show", "--format=%s", "--name-only", "HEAD"]),
        format!("{BASELINE}\n\ndocs/LAST_REVIEWED_SHA.txt")
    );
    assert_eq!(stage.git(&["show", "HEAD:docs/LAST_REVIEWED_SHA.txt"]), reviewed);
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    assert_eq!(stage.left_over(), Vec::<String>::new());
}

#[test]
fn the_whole_way_with_codex_from_a_blocker_to_a_push_through_the_hook() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    watch_pushes(&stage);
    stage.install();
    stage.defect();
    let said = stage.ship(&[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_snapshot!(story(&said), @r"
    range as the remote has it
    step test
    tested
    step review
    planned
    packet
    verdict BLOCKED
    step heal
    healed
    step test
    tested
    step review
    planned
    packet
    verdict APPROVED
    step gate
    step push
    pushed
    step follow
    pushed
    ");
    assert_shipped(&stage, &stage.git(&["rev-parse", "HEAD^"]));
    assert_eq!(
        stage.log("main"),
        format!("{BASELINE}\nfix: autoheal blockers from review verdict\ngreet in another way\nstart")
    );
    assert_eq!(pushes(&stage), 1);
    let asked = stage.model.requests().len();

    assert_snapshot!(story(&stage.ship(&[])), @r"
    range as the remote has it
    nothing_to_do
    ");
    assert_eq!((stage.model.requests().len(), pushes(&stage)), (asked, 1));
    // The way is open for a commit on top, by the same baseline file.
    let head = stage.change();
    assert_eq!(stage.ship(&[]).code, Some(0));
    assert_shipped(&stage, &head);
}

#[test]
fn json_is_an_event_a_line_and_ends_with_the_status() {
    let stage = Stage::with_codex(&Setup::testing("printf '\\033[31mred\\n'; echo two"), mending());
    stage.defect();
    let said = stage.ship(&[]);
    let (end, events) = said.events().split_last().map(|(end, events)| (end.clone(), events.to_vec())).unwrap();
    assert_snapshot!(end.to_string(), @r#"{"schema":1,"status":"pushed"}"#);
    assert!(events.iter().all(|event| event.is_object() && event["event"].is_string()), "{}", said.stdout);
    assert!(!said.stdout.contains('\u{1b}') && said.stderr.is_empty(), "{}{}", said.stdout, said.stderr);
    let failed = run(stage.program("ship").args(["--json", "--remote", "nowhere"]));
    assert_eq!(failed.events().len(), 1);
    assert_snapshot!(failed.end().to_string(), @r#"{"class":"no-remote","next":"git remote add NAME URL, then try again","reason":"there is no remote `nowhere`","schema":1,"status":"not_ready"}"#);
}

#[test]
fn what_a_reviewed_push_leaves_for_people() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.change();
    let said = run(&mut stage.program("ship"));
    let text = stage.redacted(&said.stderr);
    let text: Vec<_> =
        text.lines().filter(|line| !line.contains("passed unit in") && !line.contains("record:")).collect();
    let text = text.join("\n");
    let (before, after) = text.split_once("about ").unwrap();
    let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    assert_snapshot!(format!("{before}about N{after}"), @r"
    shipping ID..ID to origin refs/heads/main (policy: as the remote has it)
    test
    review
      1 packet to review, about N tokens
      reviewed 1 of 1 packets
      APPROVED
    gate
    push
      refs/heads/main is now ID
    follow
    ");
    assert_snapshot!(said.stdout, @"shipped");
    let mut packets = fs::read_dir(stage.path("work/review_packets")).unwrap().map(|entry| entry.unwrap().path());
    let record = packets.find(|path| path.is_dir()).unwrap();
    let mut names: Vec<_> = fs::read_dir(record).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_snapshot!(format!("{names:?}"), @r#"["CODEX_VERDICT.json", "LEDGER.json", "META.json", "RAW_ANSWER_1.txt", "REVIEW_BUNDLE.txt", "VERDICT_1.json"]"#);
}

#[test]
fn g03_a_review_under_the_pinned_policy_alone_stands() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    let policy = fs::read_to_string(stage.path("work/configs/ship.toml")).unwrap();
    stage.write("configs/ship.toml", &(policy + "[refs]\nprotected = [\"refs/heads/prod\"]\n"));
    stage.commit("a policy that stays here");
    stage.install();
    stage.git(&["switch", "--quiet", "--create", "prod", "HEAD^"]);
    stage.git(&["push", "--quiet", "--no-verify", "origin", "prod"]);
    let head = stage.change();
    let review = || story(&stage.ship(&["--no-push"]));
    assert!(review().ends_with("verdict APPROVED\napproved"));
    let asked = stage.model.requests().len();
    assert_snapshot!(review(), @r"
    range as pinned
    approved
    ");
    let finished = run(stage.program("review-finish").arg("--json"));
    assert_eq!((finished.code, stage.model.requests().len()), (Some(0), asked), "{}", finished.stderr);
    assert_eq!(stage.git(&["rev-parse", "HEAD^"]), head);
    assert_eq!(
        stage.git(&["ls-remote", "origin", "prod"]),
        format!("{}\trefs/heads/prod", stage.git(&["rev-parse", "HEAD"]))
    );
}

#[test]
fn a_first_push_is_judged_by_the_pinned_policy() {
    let stage = Stage::empty(&Setup::default(), mending());
    stage.provide_codex();
    stage.start(&Setup::default());
    watch_pushes(&stage);
    stage.install();
    let head = stage.change();
    let said = stage.ship(&[]);
    assert_snapshot!(story(&said), @r"
    range as pinned
    step test
    tested
    step review
    planned
    packet
    verdict APPROVED
    step gate
    step push
    pushed
    step follow
    pushed
    ");
    assert_shipped(&stage, &head);
    assert_eq!(pushes(&stage), 1);
    // A host that deploys begins there, with the policy that was pinned.
    let gates = fs::read_dir(stage.path("home/.local/share/ai-ops-runner/gates")).unwrap();
    let gate = gates.map(|gate| gate.unwrap().path().join("push-gate")).next().unwrap();
    let verified = run(stage.command(gate).args(["verify", "--json", "--range", &format!("{}..HEAD", "0".repeat(40))]));
    assert_eq!((verified.code, &verified.end()["status"]), (Some(0), &"passed".into()), "{}", verified.stderr);
    let prompt = stage.model.requests()[0].prompt();
    assert!(["configs/ship.toml", "src/greet.py", "src/more.py"].iter().all(|path| prompt.contains(path)), "{prompt}");
}

#[test]
fn a_new_branch_that_needs_no_verdict_is_reviewed_from_where_it_left_the_default_branch() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    let start = stage.remote_main();
    stage.git(&["switch", "--quiet", "--create", "topic"]);
    let head = stage.change();
    let remote_topic = || stage.git(&["ls-remote", "origin", "topic"]);
    let said = reviewed_once(&stage);
    assert_eq!((&said.events()[0]["since"], &said.events()[0]["to"]), (&start.into(), &head.clone().into()));
    let prompt = stage.model.requests()[0].prompt();
    assert!(prompt.contains("src/more.py") && !prompt.contains("src/greet.py"), "{prompt}");
    assert_eq!(remote_topic(), "");
    assert_eq!(stage.ship(&[]).code, Some(0));
    assert_eq!((remote_topic(), stage.git(&["rev-parse", "HEAD"])), (format!("{head}\trefs/heads/topic"), head));
    assert_eq!(stage.model.requests().len(), 1);
}

#[test]
fn a_new_name_for_what_the_default_branch_has_is_pushed_without_a_question() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.git(&["switch", "--quiet", "--create", "topic"]);
    assert_snapshot!(story(&stage.ship(&[])), @r"
    range as the remote has it
    step gate
    step push
    pushed
    step follow
    pushed
    ");
    assert_eq!(stage.model.requests().len(), 0);
}

#[test]
fn g03_a_new_branch_that_is_protected_is_reviewed_whole() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.install();
    stage.git(&["switch", "--quiet", "--create", "release/1"]);
    stage.change();
    assert_snapshot!(stage.ship(&["--no-push"]).events()[0]["since"], @r#""0000000000000000000000000000000000000000""#);
    let prompt = stage.model.requests()[0].prompt();
    assert!(prompt.contains("src/more.py") && prompt.contains("src/greet.py"), "{prompt}");

    // Protected by the policy of the default branch alone.
    let policy = fs::read_to_string(stage.path("work/configs/ship.toml")).unwrap();
    stage.git(&["switch", "--quiet", "main"]);
    stage.write("configs/ship.toml", &(policy + "[refs]\nprotected = [\"refs/heads/prod\"]\n"));
    stage.commit("protect prod");
    stage.git(&["push", "--quiet", "--no-verify", "origin", "main"]);
    stage.git(&["switch", "--quiet", "--create", "prod"]);
    stage.change();
    assert_snapshot!(stage.ship(&["--no-push"]).events()[0]["since"], @r#""0000000000000000000000000000000000000000""#);
}

#[test]
fn an_approved_range_is_pushed_later_and_asked_about_once() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    let head = stage.change();
    reviewed_once(&stage);
    assert_eq!(stage.log("origin/main"), "start");
    assert_snapshot!(story(&stage.ship(&[])), @r"
    range as the remote has it
    step gate
    step push
    pushed
    step follow
    pushed
    ");
    assert_shipped(&stage, &head);
    assert_eq!(stage.model.requests().len(), 1);
}

#[test]
fn review_auto_reviews_and_finishes() {
    let stage = Stage::with_codex(&Setup::testing("touch ../tested"), mending());
    let head = stage.change();
    let review = |args: &[&str]| run(stage.program("review-auto").arg("--json").args(args));
    assert_snapshot!(story(&review(&["--no-push"])), @r"
    range as the remote has it
    step review
    planned
    packet
    verdict APPROVED
    approved
    ");
    assert_snapshot!(story(&review(&[])), @r"
    range as the remote has it
    step gate
    step push
    pushed
    step follow
    pushed
    ");
    assert_shipped(&stage, &head);
    assert_snapshot!(story(&review(&[])), @r"
    range as the remote has it
    nothing_to_do
    ");
    assert!(!stage.path("tested").exists());
}

#[test]
fn review_auto_asks_nothing_where_the_policy_requires_tests() {
    let stage = Stage::empty(&Setup::default(), mending());
    stage.provide_codex();
    stage.start(&Setup::default());
    let policy = fs::read_to_string(stage.path("work/configs/ship.toml")).unwrap();
    stage.write("configs/ship.toml", &policy.replace("schema = 1\n", "schema = 1\n[tests]\nrequired = true\n"));
    stage.commit("require tests");
    stage.git(&["push", "--quiet", "origin", "main"]);
    let head = stage.change();
    let review = |args: &[&str]| run(stage.program("review-auto").arg("--json").args(args));
    assert_snapshot!(review(&[]).text(&stage), @r"
    exit 1 tests-required: the policy requires tests, and a review without them is no approval
    next: run ship; to push nothing, ship --no-push
    ");
    assert_eq!(review(&["--no-push"]).end(), review(&[]).end());
    assert_eq!(stage.model.requests().len(), 0);
    assert_eq!(stage.ship(&["--no-push"]).code, Some(0));
    assert_eq!(review(&[]).code, Some(0), "what was tested and approved is finished");
    assert_shipped(&stage, &head);
}

#[test]
fn g12_finishing_after_a_failed_push_stacks_nothing() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.install();
    let finish = || run(stage.program("review-finish").arg("--json"));
    let head = stage.change();
    assert_snapshot!(finish().text(&stage), @r"
    exit 1 not-reviewed: there is no approving verdict that the gate accepts for this range
    next: run ship, or review-auto
    ");
    assert_eq!(stage.ship(&["--no-push"]).code, Some(0));

    stage.remote_hook(
        "update",
        &format!("echo \"$3\" >>'{}'; echo not today >&2; exit 1", stage.path("refused").display()),
    );
    assert_snapshot!(finish().text(&stage), @r"
    exit 1 remote-declined: the remote declined refs/heads/main (hook declined): remote: not today
    remote: error: hook declined to update refs/heads/main
    error: failed to push some refs to 'STAGE/remote.git'
    next: do what the remote says, then try again
    ");
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), head, "the branch waits for the remote");
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    assert_eq!(finish().code, Some(1));
    let refused = fs::read_to_string(stage.path("refused")).unwrap();
    let refused: Vec<_> = refused.lines().collect();
    assert_eq!((refused.len(), refused[0]), (2, refused[1]), "the same commit again");

    fs::remove_file(stage.path("remote.git/hooks/update")).unwrap();
    assert_snapshot!(story(&finish()), @r"
    range as the remote has it
    step gate
    step push
    pushed
    step follow
    pushed
    ");
    assert_shipped(&stage, &head);
    assert_eq!(stage.remote_main(), refused[0]);
    assert_snapshot!(story(&finish()), @r"
    range as the remote has it
    nothing_to_do
    ");
    assert_eq!(stage.model.requests().len(), 1);
}

#[test]
fn s06_a_remote_that_moves_during_a_run_is_not_overwritten() {
    let stage = Stage::with_codex(&Setup::testing("exec ../move"), mending());
    let git = stage.path("bin/git");
    let script = format!(
        "#!/bin/sh\ncd ../remote.git && id=$('{git}' commit-tree -p main -m theirs 'main^{{tree}}') && '{git}' update-ref refs/heads/main $id\n",
        git = git.display()
    );
    executable(&stage.path("move"), &script);
    stage.change();
    assert_snapshot!(stage.ship(&[]).text(&stage), @r"
    exit 1 remote-moved: refs/heads/main of origin has commits that are not here
    next: git pull --rebase origin main, then ship again
    ");
    assert_eq!(stage.git(&["-C", "../remote.git", "log", "--format=%s", "main"]), "theirs\nstart");
    assert_eq!(stage.log("main"), "more\nstart");
    assert_snapshot!(stage.ship(&[]).text(&stage), @r"
    exit 1 remote-moved: refs/heads/main of origin has commits that are not here
    next: git pull --rebase origin main, then ship again
    ");
}

#[test]
fn a_hook_that_was_there_before_the_gate_and_refuses_is_named() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    executable(&stage.path("work/.git/hooks/pre-push"), "#!/bin/sh\necho not on a Friday\nexit 3\n");
    stage.install();
    let (before, head) = (stage.remote_main(), stage.change());
    assert_snapshot!(stage.ship(&[]).text(&stage), @r"
    exit 1 former-hook: the pre-push hook refused: not on a Friday
    former-hook: STAGE/work/.git/hooks/pre-push.former: it ended with exit code 3
    next: see what that hook said; it was there before the gate
    error: failed to push some refs to 'STAGE/remote.git'
    next: do what the hook says that was there before the gate, then try again
    ");
    assert_eq!((stage.remote_main(), stage.git(&["rev-parse", "HEAD"])), (before, head));
}

#[test]
fn a_plain_git_push_of_what_was_not_reviewed_is_blocked_by_the_hook() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    stage.install();
    stage.change();
    let push = |args: &[&str]| stage.command("git").arg("push").args(args).output().unwrap();
    let output = push(&["origin", "main"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("PUSH BLOCKED"), "{output:?}");
    assert!(!push(&["origin", ":main"]).status.success(), "G04");
    assert_eq!(stage.ship(&[]).code, Some(0));
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), stage.remote_main());
}

/// The figures of the last record.
fn tokens(stage: &Stage) -> String {
    let packets = fs::read_dir(stage.path("work/review_packets")).unwrap().map(|entry| entry.unwrap().path());
    let last = packets.filter(|path| path.is_dir()).max().unwrap();
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(last.join("META.json")).unwrap()).unwrap();
    let figure = |name: &str| meta["tokens"][name].to_string();
    format!("input {} output {} spent {}", figure("input"), figure("output"), figure("spent"))
}

#[test]
fn what_a_heal_costs_is_counted_and_recorded() {
    let mend = mending();
    let script = move |request: &Request| {
        if request.tools().is_empty() { mend(request) } else { mend(request).usage(2000, 200) }
    };
    let stage = Stage::with_codex(&Setup::default(), script);
    stage.defect();
    assert_eq!(stage.ship(&[]).code, Some(0));
    // Two reviews, and a heal of two requests.
    assert_snapshot!(tokens(&stage), @"input 1000 output 100 spent 6600");
}

#[test]
fn a_budget_that_ends_within_a_review_ends_the_run_and_the_answers_are_kept() {
    let review = "max_tokens = 70000\nparallel = 1\nsize_cap_bytes = 1000\npacket_cap_bytes = 1500\n";
    let mend = mending();
    let stage = Stage::with_codex(&Setup { review, ..Setup::default() }, move |request| mend(request).usage(65_000, 0));
    stage.write("src/more.py", &"MORE = 1\n".repeat(150));
    let head = stage.commit("more");
    let before = stage.remote_main();
    let said = stage.ship(&[]);
    assert_eq!((said.code, said.end()["class"].as_str()), (Some(4), Some("token-budget")), "{}", said.stdout);
    assert!(said.events().iter().any(|event| event["event"] == "packet"), "{}", said.stdout);
    assert_eq!((stage.model.requests().len(), stage.heals().len()), (1, 0));
    assert_eq!((stage.remote_main(), stage.git(&["rev-parse", "HEAD"])), (before, head));
    assert_eq!((stage.left_over(), stage.git(&["status", "--porcelain"])), (vec![], String::new()));
}

#[test]
fn every_step_every_packet_and_every_retry_is_told_as_it_comes() {
    let asked = AtomicUsize::new(0);
    let mend = mending();
    let script = move |request: &Request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::message("prose"),
        _ => mend(request),
    };
    let review = "parallel = 1\nsize_cap_bytes = 1000\npacket_cap_bytes = 1500\n";
    let stage = Stage::empty(&Setup::default(), script);
    stage.provide_codex();
    stage.start(&Setup { review, ..Setup::default() });
    let policy = fs::read_to_string(stage.path("work/configs/ship.toml")).unwrap();
    let second = "[[tests.steps]]\nname = \"second\"\nargv = [\"false\"]\n[review]";
    let policy = policy.replace("retries = 0", "retries = 1");
    stage.write("configs/ship.toml", &policy.replace("[review]", second));
    stage.commit("policy");
    stage.git(&["push", "--quiet", "origin", "main"]);
    stage.write("src/more.py", &"MORE = 1\n".repeat(150));
    stage.commit("more");
    assert_snapshot!(story(&stage.ship(&["--no-heal"])), @r"
    range as the remote has it
    step test
    tested
    test_failed
    refused
    ");
    let review = run(stage.program("review-auto").args(["--json", "--no-push"]));
    assert_snapshot!(story(&review), @r"
    range as the remote has it
    step review
    planned
    again
    packet
    packet
    packet
    packet
    packet
    verdict APPROVED
    approved
    ");
    let again = review.events().into_iter().find(|event| event["event"] == "again").unwrap();
    assert_snapshot!(stage.redacted(&again.to_string()), @r#"{"event":"again","packet":"packet-ID","reason":"the answer is not exactly one document of the schema: expected value at line 1 column 1"}"#);
}

#[test]
fn odd_names_are_shown_escaped_and_pushed_as_they_are() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    let name = std::ffi::OsStr::from_bytes(b"src/a\nb \"q\" 'r' \xff.py");
    fs::write(stage.path("work").join(name), "ODD = 1\n").unwrap();
    let head = stage.commit("odd names");
    let said = stage.ship(&[]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert_shipped(&stage, &head);
    let pushed =
        stage.git(&["-c", "core.quotePath=true", "-C", "../remote.git", "ls-tree", "--name-only", "main", "src/"]);
    assert_eq!(pushed, "\"src/a\\nb \\\"q\\\" 'r' \\377.py\"\nsrc/greet.py");
    let prompt = stage.model.requests()[0].prompt();
    assert!(prompt.contains(r"\u{a}") && prompt.contains(r"\x{ff}"), "{prompt}");
}

#[test]
fn a_merge_with_a_rename_a_mode_and_a_link_in_the_place_of_a_file_is_pushed() {
    let stage = Stage::with_codex(&Setup::default(), mending());
    for file in ["moved", "flipped", "linked"] {
        stage.write(&format!("src/{file}.py"), &format!("{file} = 1\n").repeat(20));
    }
    stage.commit("files");
    stage.git(&["push", "--quiet", "--no-verify", "origin", "main"]);
    stage.git(&["switch", "--quiet", "--create", "side"]);
    stage.git(&["mv", "src/moved.py", "src/elsewhere.py"]);
    stage.git(&["update-index", "--chmod=+x", "src/flipped.py"]);
    fs::set_permissions(stage.path("work/src/flipped.py"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(stage.path("work/src/linked.py")).unwrap();
    symlink("greet.py", stage.path("work/src/linked.py")).unwrap();
    stage.commit("move, flip and link");
    stage.git(&["switch", "--quiet", "main"]);
    stage.change();
    stage.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
    let head = stage.git(&["rev-parse", "HEAD"]);
    let said = stage.ship(&[]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert_shipped(&stage, &head);
    assert_snapshot!(stage.git(&["-C", "../remote.git", "ls-tree", "--format=%(objectmode) %(path)", "main", "src/"]), @r"
    100644 src/elsewhere.py
    100755 src/flipped.py
    100644 src/greet.py
    120000 src/linked.py
    100644 src/more.py
    ");
}
