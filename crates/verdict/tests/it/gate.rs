//! The gate: one clean push of a protected ref, one change a test, the whole decision as a snapshot.

use insta::assert_snapshot;
use verdict::gate::{
    BASELINE_MESSAGE, BASELINE_PATH, Base, BaselineFile, Content, PushFacts, RangeFacts, ReviewFacts, Tip, Unseen,
    Update, UpdateFacts, judge, judge_range, parse_pre_push,
};
use verdict::schema::{CodexCli, Invalid, Meta, ReviewMode, ReviewerId, Source, TestRun};
use verdict::{Decision, Finding, Oid, Policy, Sha256, Verdict};

const POLICY: &str = r#"
schema = 1
[refs]
protected = ["refs/heads/main", "refs/heads/release/*"]
open = ["refs/heads/**", "refs/tags/**"]
[tests]
required = true
steps = [{ name = "unit", argv = ["cargo", "test"] }]
[review]
model = "gpt-5.5"
codex_version = "0.169.0"
codex_sha256 = ["9999999999999999999999999999999999999999999999999999999999999999"]
base_url = "https://models.example/v1"
"#;

/// The parts of a push; each test changes one.
struct Push {
    policy: Policy,
    update: Update,
    base: Base,
    shallow: bool,
    tip: Tip,
    content: Content,
    verdicts: Vec<Result<Verdict, Invalid>>,
}

fn oid(digit: char) -> Oid {
    digit.to_string().repeat(40).parse().unwrap()
}

fn sha(digit: char) -> Sha256 {
    digit.to_string().repeat(64).parse().unwrap()
}

fn blocker() -> Finding {
    Finding::new(Source::Rule, Some("src/key.rs"), Some(3), "secret", "")
}

fn approved(policy: &Policy) -> Verdict {
    Verdict {
        schema: 2,
        verdict: Decision::Approved,
        blockers: vec![],
        non_blocking: vec![],
        tests_run: vec![TestRun {
            name: "unit".into(),
            argv: vec!["cargo".into(), "test".into()],
            exit_code: 0,
            duration_ms: 7,
        }],
        meta: Meta {
            since_sha: oid('a'),
            to_sha: oid('b'),
            to_tree: oid('c'),
            generated_at: "2026-11-22T20:00:00Z".into(),
            review_mode: ReviewMode::Bundle,
            simulated: false,
            codex_cli: Some(CodexCli { version: "0.169.0".into(), command: "/opt/codex".into() }),
            bundle_sha256: sha('d'),
            policy_sha256: policy.sha256().clone(),
            reviewer: Some(ReviewerId {
                name: "codex".into(),
                version: "0.169.0".into(),
                binary_sha256: Some(sha('9')),
                prompt_sha256: Some(sha('8')),
                model: Some("gpt-5.5".into()),
                endpoint: Some("https://models.example/v1".into()),
            }),
        },
    }
}

fn clean() -> Push {
    let policy = Policy::parse(POLICY.as_bytes()).unwrap();
    Push {
        update: Update { local_ref: "HEAD".into(), new: oid('b'), remote_ref: "refs/heads/main".into(), old: oid('a') },
        base: Base::Ancestor,
        shallow: false,
        tip: Tip {
            pushed: oid('b'),
            commit: oid('b'),
            parents: vec![oid('a')],
            changed: vec![b"src/lib.rs".to_vec()],
            message: b"any\n".to_vec(),
            baseline: None,
        },
        content: Content {
            since: oid('a'),
            to: oid('b'),
            to_tree: oid('c'),
            bundle_sha256: sha('d'),
            rule_blockers: vec![],
        },
        verdicts: vec![Ok(approved(&policy))],
        policy,
    }
}

impl Push {
    fn facts(self) -> UpdateFacts {
        let Self { policy, update, base, shallow, tip, content, verdicts } = self;
        let review = ReviewFacts {
            base: Ok(base),
            shallow: Ok(shallow),
            tip: Ok(tip),
            content: Ok(content),
            verdicts: Ok(verdicts),
        };
        UpdateFacts { update, policy: Ok(policy), review: Ok(review) }
    }

    /// The approved commit gets a baseline commit on top, which is pushed.
    fn with_baseline(&mut self) {
        self.update.new = oid('e');
        self.tip = Tip {
            pushed: oid('e'),
            commit: oid('e'),
            parents: vec![oid('b')],
            changed: vec![BASELINE_PATH.into()],
            message: BASELINE_MESSAGE.into(),
            baseline: Some(BaselineFile { mode: 0o100_644, content: format!("{}\n", oid('b')).into_bytes() }),
        };
    }

    fn verdict(&mut self) -> &mut Verdict {
        self.verdicts[0].as_mut().unwrap()
    }

    fn meta(&mut self) -> &mut Meta {
        &mut self.verdict().meta
    }

    fn reviewer(&mut self) -> &mut ReviewerId {
        self.meta().reviewer.as_mut().unwrap()
    }
}

fn decision(updates: Vec<UpdateFacts>) -> String {
    match judge(&PushFacts { updates }) {
        Ok(pass) => {
            let short = |id: &Oid| id.as_str()[..4].to_owned();
            let line = |update: &verdict::gate::Approved| {
                format!(
                    "{} {}..{} may be pushed",
                    update.remote_ref(),
                    short(update.expected_old()),
                    short(update.new_id())
                )
            };
            pass.updates().iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(refusals) => refusals.to_string(),
    }
}

fn push(change: impl FnOnce(&mut Push)) -> String {
    let mut push = clean();
    change(&mut push);
    decision(vec![push.facts()])
}

/// One of the facts could not be seen.
fn unseen(change: impl FnOnce(&mut ReviewFacts)) -> String {
    let mut facts = clean().facts();
    change(facts.review.as_mut().unwrap());
    decision(vec![facts])
}

fn gone<T>(what: &str) -> Result<T, Unseen> {
    Err(Unseen(what.into()))
}

#[test]
fn an_approved_push_passes() {
    assert_snapshot!(push(|_| {}), @"refs/heads/main aaaa..bbbb may be pushed");
}

#[test]
fn g06_nothing_to_push_passes() {
    assert_snapshot!(decision(vec![]), @"");
}

#[test]
fn g01_a_verdict_for_another_range_is_refused() {
    assert_snapshot!(push(|p| p.meta().since_sha = oid('9')), @r"
    refs/heads/main: the verdict is about another range [other-range]
      next: review exactly this range under the policy in force: ship
    ");
    assert_snapshot!(push(|p| p.meta().to_sha = oid('9')), @r"
    refs/heads/main: the verdict is about another range [other-range]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g01_a_verdict_for_another_tree_is_refused() {
    assert_snapshot!(push(|p| p.meta().to_tree = oid('9')), @r"
    refs/heads/main: the verdict is about another tree [other-tree]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g01_a_verdict_for_other_content_is_refused() {
    assert_snapshot!(push(|p| p.meta().bundle_sha256 = sha('0')), @r"
    refs/heads/main: the verdict is about other content [other-content]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g01_a_verdict_under_another_policy_is_refused() {
    assert_snapshot!(push(|p| p.meta().policy_sha256 = sha('0')), @r"
    refs/heads/main: the verdict was given under another policy [other-policy]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g02_approved_with_blockers_is_refused_even_when_not_read_from_a_file() {
    assert_snapshot!(push(|p| p.verdict().blockers.push(blocker())), @r"
    refs/heads/main: a verdict for this range is invalid: APPROVED with blockers [invalid-verdict]
      next: look at the verdict file, remove it if it is not a review's, then: ship
    ");
}

#[test]
fn g02_an_invalid_verdict_refuses_beside_an_approved_one() {
    assert_snapshot!(push(|p| p.verdicts.push(Err(Invalid::Schema(1)))), @r"
    refs/heads/main: a verdict for this range is invalid: verdict schema 1 is not 2 [invalid-verdict]
      next: look at the verdict file, remove it if it is not a review's, then: ship
    ");
}

#[test]
fn g03_every_protected_pattern_is_gated() {
    assert_snapshot!(push(|p| { p.update.remote_ref = "refs/heads/release/1".into(); p.verdicts.clear(); }), @r"
    refs/heads/release/1: no verdict for this range [no-verdict]
      next: review this range: ship
    ");
}

#[test]
fn g03_an_unknown_ref_is_refused() {
    for name in ["refs/heads/Main", "refs/replace/x", "refs/notes/x", "main", "HEAD"] {
        let told = push(|p| p.update.remote_ref = name.into());
        assert!(told.starts_with(&format!("{name}: the policy knows no such ref [unknown-ref]")), "{told}");
    }
    assert_snapshot!(push(|p| p.update.remote_ref = "refs/heads/\u{1b}[2J".into()), @r"
    refs/heads/\u{1b}[2J: the policy knows no such ref [unknown-ref]
      next: push a ref that [refs] in configs/ship.toml names, spelled as there
    ");
}

#[test]
fn an_open_ref_is_pushed_and_deleted_freely() {
    let mut facts = clean().facts();
    facts.update.remote_ref = "refs/heads/topic/x".into();
    facts.review = gone("nothing");
    assert_snapshot!(decision(vec![facts.clone()]), @"refs/heads/topic/x aaaa..bbbb may be pushed");
    facts.update.new = oid('0');
    assert_snapshot!(decision(vec![facts]), @"refs/heads/topic/x aaaa..0000 may be pushed");
}

#[test]
fn g04_deleting_main_is_refused() {
    assert_snapshot!(push(|p| p.update.new = oid('0')), @r"
    refs/heads/main: a protected ref would be deleted [protected-deletion]
      next: do not delete it; take it out of `protected` in a reviewed change first
    ");
}

#[test]
fn g05_a_rewind_is_refused() {
    assert_snapshot!(push(|p| p.base = Base::NotAncestor), @r"
    refs/heads/main: not a fast-forward of what the remote has [not-fast-forward]
      next: git fetch and rebase, then review again: ship
    ");
}

#[test]
fn g06_every_update_is_judged_and_every_reason_told() {
    let mut open = clean().facts();
    open.update.remote_ref = "refs/tags/v1".into();
    let mut deletion = clean().facts();
    deletion.update.new = oid('0');
    let mut unapproved = clean();
    unapproved.update.remote_ref = "refs/heads/release/2".into();
    unapproved.base = Base::NotAncestor;
    unapproved.shallow = true;
    unapproved.content.rule_blockers.push(blocker());
    unapproved.verdicts.clear();
    assert_snapshot!(decision(vec![deletion, unapproved.facts(), open]), @r"
    refs/heads/main: a protected ref would be deleted [protected-deletion]
      next: do not delete it; take it out of `protected` in a reviewed change first
    refs/heads/release/2: not a fast-forward of what the remote has [not-fast-forward]
      next: git fetch and rebase, then review again: ship
    refs/heads/release/2: the history of the range is shallow [shallow-history]
      next: git fetch --unshallow, then push again
    refs/heads/release/2: the rules block: src/key.rs:3: secret [rule-blockers]
      next: take it out of every commit of the range, or allow it in a reviewed [[rules.allow]]
    refs/heads/release/2: no verdict for this range [no-verdict]
      next: review this range: ship
    ");
}

#[test]
fn g06_a_ref_that_stands_there_twice_is_refused() {
    assert_snapshot!(decision(vec![clean().facts(), clean().facts()]), @r"
    refs/heads/main: the ref stands there twice [ref-twice]
      next: push each ref once
    ");
}

#[test]
fn g06_several_good_updates_pass_together() {
    let mut tag = clean().facts();
    tag.update.remote_ref = "refs/tags/v1".into();
    assert_snapshot!(decision(vec![clean().facts(), tag]), @r"
    refs/heads/main aaaa..bbbb may be pushed
    refs/tags/v1 aaaa..bbbb may be pushed
    ");
}

#[test]
fn g06_an_annotated_tag_on_a_protected_ref_is_judged_by_its_commit() {
    assert_snapshot!(push(|p| { p.update.new = oid('7'); p.tip.pushed = oid('7'); }), @"refs/heads/main aaaa..7777 may be pushed");
}

#[test]
fn g07_a_base_that_is_not_here_is_refused() {
    assert_snapshot!(push(|p| p.base = Base::Missing), @r"
    refs/heads/main: the remote's commit is not in this repository [base-missing]
      next: git fetch, then review again: ship
    ");
}

#[test]
fn g07_content_since_another_commit_than_the_remotes_is_refused() {
    assert_snapshot!(push(|p| { p.content.since = oid('9'); p.meta().since_sha = oid('9'); }), @r"
    refs/heads/main: what was looked at is not what is pushed [other-facts]
      next: push again; if it stays, report it as a bug
    ");
}

#[test]
fn g07_a_first_push_has_no_base_and_needs_a_verdict_of_everything() {
    let first = |p: &mut Push| {
        p.update.old = oid('0');
        p.base = Base::Missing;
        p.content.since = oid('0');
    };
    assert_snapshot!(push(first), @r"
    refs/heads/main: the verdict is about another range [other-range]
      next: review exactly this range under the policy in force: ship
    ");
    assert_snapshot!(push(|p| { first(p); p.meta().since_sha = oid('0'); }), @"refs/heads/main 0000..bbbb may be pushed");
}

#[test]
fn g10_an_older_approval_counts_whatever_was_written_after_it() {
    let later = |p: &mut Push, change: fn(&mut Verdict)| {
        let mut verdict = approved(&p.policy);
        change(&mut verdict);
        p.verdicts.push(Ok(verdict));
    };
    assert_snapshot!(push(|p| {
        later(p, |v| v.meta.bundle_sha256 = sha('0'));
        later(p, |v| { v.meta.simulated = true; v.meta.codex_cli = None; });
        later(p, |v| { v.verdict = Decision::Blocked; v.blockers.push(blocker()); v.meta.bundle_sha256 = sha('0'); });
    }), @"refs/heads/main aaaa..bbbb may be pushed");
}

#[test]
fn g10_objections_to_several_verdicts_are_told_once() {
    assert_snapshot!(push(|p| {
        p.meta().to_tree = oid('9');
        let again = p.verdicts[0].clone();
        p.verdicts.push(again);
        p.meta().bundle_sha256 = sha('0');
    }), @r"
    refs/heads/main: the verdict is about another tree [other-tree]
      next: review exactly this range under the policy in force: ship
    refs/heads/main: the verdict is about other content [other-content]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g10_a_range_without_a_verdict_is_refused() {
    assert_snapshot!(push(|p| p.verdicts.clear()), @r"
    refs/heads/main: no verdict for this range [no-verdict]
      next: review this range: ship
    ");
}

#[test]
fn g16_a_real_block_of_the_same_content_is_sticky() {
    let blocked = |p: &mut Push| {
        let mut verdict = approved(&p.policy);
        verdict.verdict = Decision::Blocked;
        verdict.blockers = vec![blocker()];
        p.verdicts.insert(0, Ok(verdict));
    };
    assert_snapshot!(push(blocked), @r"
    refs/heads/main: the review BLOCKED it: src/key.rs:3: secret [review-blocked]
      next: mend the blockers in a new commit, then: ship
    ");
    assert_snapshot!(push(|p| { blocked(p); p.meta().policy_sha256 = sha('0'); }), @r"
    refs/heads/main: the review BLOCKED it: src/key.rs:3: secret [review-blocked]
      next: mend the blockers in a new commit, then: ship
    ");
}

#[test]
fn a_simulated_block_is_not_sticky_and_no_approval() {
    let blocked = |p: &mut Push| {
        let mut verdict = approved(&p.policy);
        verdict.verdict = Decision::Blocked;
        verdict.blockers = vec![blocker(); 7];
        verdict.meta.simulated = true;
        verdict.meta.codex_cli = None;
        p.verdicts.push(Ok(verdict));
    };
    assert_snapshot!(push(blocked), @"refs/heads/main aaaa..bbbb may be pushed");
    assert_snapshot!(push(|p| { blocked(p); drop(p.verdicts.remove(0)); }), @r"
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    ");
}

#[test]
fn g11_a_baseline_commit_on_the_approved_one_passes() {
    assert_snapshot!(push(Push::with_baseline), @"refs/heads/main aaaa..eeee may be pushed");
}

/// A baseline commit with one thing changed.
fn baseline(change: impl FnOnce(&mut Tip)) -> String {
    push(|p| {
        p.with_baseline();
        change(&mut p.tip);
    })
}

#[test]
fn g11_a_baseline_commit_changes_nothing_else() {
    assert_snapshot!(baseline(|t| t.changed.push(b"src/evil.rs".to_vec())), @r"
    refs/heads/main: the last commit is no baseline commit: it changes more than docs/LAST_REVIEWED_SHA.txt [bad-baseline]
      next: drop that commit; review-finish makes the right one
    ");
}

#[test]
fn g11_a_baseline_commit_does_not_delete_its_file() {
    assert_snapshot!(baseline(|t| t.baseline = None), @r"
    refs/heads/main: the last commit is no baseline commit: it deletes docs/LAST_REVIEWED_SHA.txt [bad-baseline]
      next: drop that commit; review-finish makes the right one
    ");
}

#[test]
fn g11_a_baseline_file_is_a_plain_file() {
    assert_snapshot!(baseline(|t| t.baseline.as_mut().unwrap().mode = 0o120_000), @r"
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt has not mode 100644 [bad-baseline]
      next: drop that commit; review-finish makes the right one
    ");
}

#[test]
fn g11_a_baseline_file_holds_the_parents_id_and_a_line_feed() {
    for content in [format!("{}\n", oid('a')), oid('b').to_string(), format!("{}\n\n", oid('b'))] {
        let told = baseline(|t| t.baseline.as_mut().unwrap().content = content.into_bytes());
        assert!(told.contains("docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]"), "{told}");
    }
}

#[test]
fn g11_a_baseline_commit_says_nothing_of_its_own() {
    assert_snapshot!(baseline(|t| t.message.extend(b"\nsmuggled\n")), @r"
    refs/heads/main: the last commit is no baseline commit: its message is not `chore: advance review baseline` [bad-baseline]
      next: drop that commit; review-finish makes the right one
    ");
}

/// The same commit, looked at as one that needs a review of its own.
fn no_baseline(change: impl FnOnce(&mut Tip)) -> String {
    push(|p| {
        p.with_baseline();
        p.content.to = oid('e');
        change(&mut p.tip);
    })
}

#[test]
fn g11_a_merge_or_a_root_is_no_baseline_commit_and_needs_its_own_verdict() {
    let merge = no_baseline(|t| t.parents.push(oid('9')));
    assert_snapshot!(merge, @r"
    refs/heads/main: the verdict is about another range [other-range]
      next: review exactly this range under the policy in force: ship
    ");
    assert_eq!(no_baseline(|t| t.parents.clear()), merge);
}

#[test]
fn g11_a_commit_that_leaves_the_baseline_file_alone_needs_its_own_verdict() {
    assert_snapshot!(no_baseline(|t| t.changed = vec![b"docs/other".to_vec()]), @r"
    refs/heads/main: the verdict is about another range [other-range]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn a_baseline_commit_on_what_the_remote_has_is_refused() {
    assert_snapshot!(push(|p| {
        p.with_baseline();
        p.update.old = oid('b');
        p.content.since = oid('b');
        p.verdicts.clear();
    }), @r"
    refs/heads/main: there is no reviewed commit to push [nothing-reviewed]
      next: drop the baseline commit, or commit something and ship it
    refs/heads/main: no verdict for this range [no-verdict]
      next: review this range: ship
    ");
}

#[test]
fn g13_a_rule_blocks_an_approved_push() {
    assert_snapshot!(push(|p| p.content.rule_blockers.push(blocker())), @r"
    refs/heads/main: the rules block: src/key.rs:3: secret [rule-blockers]
      next: take it out of every commit of the range, or allow it in a reviewed [[rules.allow]]
    ");
}

#[test]
fn many_blockers_are_counted() {
    assert_snapshot!(push(|p| p.content.rule_blockers = vec![Finding::new(Source::Rule, None, None, "x", ""); 8]), @r"
    refs/heads/main: the rules block: x; x; x; x; x; and 3 more [rule-blockers]
      next: take it out of every commit of the range, or allow it in a reviewed [[rules.allow]]
    ");
    assert!(!push(|p| p.content.rule_blockers = vec![blocker(); 5]).contains("more"));
}

#[test]
fn g14_a_simulated_approval_is_refused() {
    assert_snapshot!(push(|p| { p.meta().simulated = true; p.meta().codex_cli = None; }), @r"
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    ");
    assert_snapshot!(push(|p| { p.meta().simulated = true; p.meta().codex_cli = None; p.meta().reviewer = None; }), @r"
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    ");
}

#[test]
fn g14_an_approval_from_another_endpoint_is_refused() {
    assert_snapshot!(push(|p| p.reviewer().endpoint = None), @r"
    refs/heads/main: the reviewer was asked at another endpoint than the policy's [other-endpoint]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g14_an_endpoint_the_policy_does_not_name_is_refused() {
    assert_snapshot!(push(|p| p.policy.review.base_url = None), @r"
    refs/heads/main: the reviewer was asked at another endpoint than the policy's [other-endpoint]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g14_an_approval_by_another_model_is_refused() {
    assert_snapshot!(push(|p| p.reviewer().model = None), @r"
    refs/heads/main: another model reviewed than the policy's [other-model]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g15_a_shallow_range_is_refused() {
    assert_snapshot!(push(|p| p.shallow = true), @r"
    refs/heads/main: the history of the range is shallow [shallow-history]
      next: git fetch --unshallow, then push again
    ");
}

#[test]
fn r08_an_unpinned_codex_version_is_refused() {
    assert_snapshot!(push(|p| {
        p.meta().codex_cli.as_mut().unwrap().version = "0.168.0".into();
        p.reviewer().version = "0.168.0".into();
    }), @r"
    refs/heads/main: the reviewer is not the Codex version the policy pins [codex-version]
      next: install the Codex CLI the policy pins, then: ship
    ");
}

#[test]
fn r08_an_unpinned_codex_program_is_refused() {
    assert_snapshot!(push(|p| p.reviewer().binary_sha256 = Some(sha('0'))), @r"
    refs/heads/main: the reviewer is not a program the policy pins [codex-binary]
      next: install the Codex CLI the policy pins, then: ship
    ");
}

#[test]
fn r08_another_reviewer_passes_only_without_a_codex_pin() {
    let other = |p: &mut Push| {
        p.meta().codex_cli = None;
        p.reviewer().name = "claude-code".into();
    };
    assert_snapshot!(push(other), @r"
    refs/heads/main: the reviewer is not the Codex version the policy pins [codex-version]
      next: install the Codex CLI the policy pins, then: ship
    ");
    assert_snapshot!(push(|p| { other(p); p.policy.review.codex_version = None; }), @"refs/heads/main aaaa..bbbb may be pushed");
}

#[test]
fn without_pins_any_version_program_and_model_passes() {
    assert_snapshot!(push(|p| {
        p.policy.review.codex_version = None;
        p.policy.review.codex_sha256.clear();
        p.policy.review.model = None;
        p.reviewer().binary_sha256 = Some(sha('0'));
        p.reviewer().model = Some("other".into());
    }), @"refs/heads/main aaaa..bbbb may be pushed");
}

#[test]
fn r10_a_required_step_that_did_not_run_or_pass_is_refused() {
    let told = push(|p| p.verdict().tests_run.clear());
    assert_snapshot!(told, @r"
    refs/heads/main: required test step `unit` did not pass [test-not-passed]
      next: make the step pass, then: ship
    ");
    assert_eq!(push(|p| p.verdict().tests_run[0].exit_code = 1), told);
    assert_eq!(push(|p| p.verdict().tests_run[0].argv = vec!["true".into()]), told);
    assert_eq!(push(|p| p.verdict().tests_run[0].name = "other".into()), told);
    assert_eq!(
        push(|p| {
            let mut run = p.verdict().tests_run[0].clone();
            run.exit_code = -1;
            p.verdict().tests_run.push(run);
        }),
        told
    );
}

#[test]
fn tests_that_are_not_required_may_be_missing() {
    assert_snapshot!(push(|p| { p.policy.tests.required = false; p.verdict().tests_run.clear(); }), @"refs/heads/main aaaa..bbbb may be pushed");
}

#[test]
fn r11_facts_about_another_commit_are_refused() {
    assert_snapshot!(push(|p| p.tip.pushed = oid('9')), @r"
    refs/heads/main: what was looked at is not what is pushed [other-facts]
      next: push again; if it stays, report it as a bug
    ");
    assert_snapshot!(push(|p| { p.tip.commit = oid('9'); }), @r"
    refs/heads/main: what was looked at is not what is pushed [other-facts]
      next: push again; if it stays, report it as a bug
    ");
}

#[test]
fn g18_what_cannot_be_seen_refuses() {
    let mut facts = clean().facts();
    facts.policy = gone("the policy");
    assert_snapshot!(decision(vec![facts]), @r"
    refs/heads/main: could not see the policy [unseen]
      next: mend what could not be read, then push again
    ");
    let mut facts = clean().facts();
    facts.review = gone("the objects\u{1b}[2J");
    assert_snapshot!(decision(vec![facts]), @r"
    refs/heads/main: could not see the objects\u{1b}[2J [unseen]
      next: mend what could not be read, then push again
    ");
    assert_snapshot!(unseen(|r| r.base = gone("the base")), @r"
    refs/heads/main: could not see the base [unseen]
      next: mend what could not be read, then push again
    ");
    assert_snapshot!(unseen(|r| r.shallow = gone("the shallow file")), @r"
    refs/heads/main: could not see the shallow file [unseen]
      next: mend what could not be read, then push again
    ");
    assert_snapshot!(unseen(|r| r.tip = gone("the tip")), @r"
    refs/heads/main: could not see the tip [unseen]
      next: mend what could not be read, then push again
    ");
    assert_snapshot!(unseen(|r| r.content = gone("the bundle")), @r"
    refs/heads/main: could not see the bundle [unseen]
      next: mend what could not be read, then push again
    ");
    // The reason why no commit could have been reviewed is told, not that its content was not seen.
    let without_commit = |r: &mut ReviewFacts| (r.tip, r.content) = (gone("the tip"), gone("what the tip is"));
    assert_snapshot!(unseen(without_commit), @r"
    refs/heads/main: could not see the tip [unseen]
      next: mend what could not be read, then push again
    ");
    assert_snapshot!(unseen(|r| r.verdicts = gone("the verdicts")), @r"
    refs/heads/main: could not see the verdicts [unseen]
      next: mend what could not be read, then push again
    ");
}

fn range(change: impl FnOnce(&mut Push)) -> String {
    let mut push = clean();
    change(&mut push);
    let UpdateFacts { update, policy, review } = push.facts();
    match judge_range(&RangeFacts { since: update.old, to: update.new, policy, review: review.unwrap() }) {
        Ok(()) => "may be pushed".into(),
        Err(refusals) => refusals.to_string(),
    }
}

#[test]
fn a_range_is_judged_like_a_push() {
    assert_snapshot!(range(|_| {}), @"may be pushed");
    assert_snapshot!(range(Push::with_baseline), @"may be pushed");
    assert_snapshot!(range(|p| { p.base = Base::NotAncestor; p.meta().to_tree = oid('9'); }), @r"
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb: not a fast-forward of what the remote has [not-fast-forward]
      next: git fetch and rebase, then review again: ship
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb: the verdict is about another tree [other-tree]
      next: review exactly this range under the policy in force: ship
    ");
}

#[test]
fn g18_a_range_without_a_policy_is_refused() {
    let UpdateFacts { update, review, .. } = clean().facts();
    let facts = RangeFacts { since: update.old, to: update.new, policy: gone("the policy"), review: review.unwrap() };
    let refusals = judge_range(&facts).unwrap_err();
    let classes: Vec<_> = refusals.into_iter().map(|refusal| refusal.reason.class()).collect();
    assert_eq!(classes, ["unseen"]);
}

fn parsed(stdin: &str) -> String {
    match parse_pre_push(stdin.as_bytes()) {
        Ok(updates) => updates
            .iter()
            .map(|u| format!("{} {} {} {}\n", u.local_ref, &u.new.as_str()[..2], u.remote_ref, &u.old.as_str()[..2]))
            .collect(),
        Err(malformed) => malformed.to_string(),
    }
}

#[test]
fn g06_every_line_is_an_update() {
    let [a, b, zero] = ['a', 'b', '0'].map(oid);
    assert_snapshot!(parsed(&format!(
        "HEAD~1 {b} refs/heads/main {a}\n(delete) {zero} refs/heads/old {a}\n:/fix it {b} refs/heads/x {zero}\n")), @r"
    HEAD~1 bb refs/heads/main aa
    (delete) 00 refs/heads/old aa
    :/fix it bb refs/heads/x 00
    ");
    assert_snapshot!(parsed(&format!("HEAD {b} refs/heads/main {a}")), @"HEAD bb refs/heads/main aa");
    assert_eq!(parsed(""), "");
}

#[test]
fn g06_sha256_ids_are_read() {
    let [a, zero] = ["a", "0"].map(|digit| digit.repeat(64));
    assert_snapshot!(parsed(&format!("HEAD {a} refs/heads/main {zero}\n")), @"HEAD aa refs/heads/main 00");
}

#[test]
fn g06_one_malformed_line_refuses_the_whole_push() {
    let [a, b] = ['a', 'b'].map(oid);
    let good = format!("HEAD {b} refs/heads/main {a}\n");
    assert_snapshot!(parsed(&format!("{good}\n")), @"pre-push input, line 2: not four fields");
    assert_snapshot!(parsed(&format!("{good}{b} refs/heads/main {a}\n")), @"pre-push input, line 2: not four fields");
    assert_snapshot!(parsed(&format!("HEAD {b}  {a}\n")), @"pre-push input, line 1: not four fields");
    assert_snapshot!(parsed(&format!("HEAD {b} refs/heads/main {a}\r\n")), @"pre-push input, line 1: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ` is not a full object id (40 or 64 lower-case hex digits)");
    assert_snapshot!(parsed("HEAD abc refs/heads/main def\n"), @"pre-push input, line 1: `def` is not a full object id (40 or 64 lower-case hex digits)");
    assert_snapshot!(parsed(&format!("HEAD {b} refs/heads/main {}\n", "a".repeat(64))), @"pre-push input, line 1: ids of two hash functions");
    assert_eq!(parse_pre_push(b"\xff\n").unwrap_err().to_string(), "pre-push input, line 1: not UTF-8");
}

#[test]
fn a_flood_of_lines_is_refused() {
    let line = format!("HEAD {} refs/heads/main {}\n", oid('b'), oid('a'));
    let flood = line.repeat(verdict::gate::MAX_STDIN / line.len() + 1);
    assert_snapshot!(parsed(&flood), @"pre-push input, line 1: longer than 16777216 bytes in all");
    let full = format!("{}{line}", "x".repeat(verdict::gate::MAX_STDIN - line.len()));
    assert!(parse_pre_push(full.as_bytes()).is_ok());
}
