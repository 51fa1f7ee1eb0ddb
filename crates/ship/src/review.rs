//! One review: the bundle, the rules, the reviewer, the verdict, and their record.

use jiff::Timestamp;
use outcome::Failure;
use repo::{Collected, Commit, new_commits};
use review_bundle::{Bundle, Ledger, Limits, Packet, Packets};
use reviewer::{Answered, Codex, Options, Part, Program, Reviewer, Scope};
use rules::{Finding, Rule, Severity};
use verdict::aggregate::{self, Aggregate, RuleFindings};
use verdict::schema::{self, CodexCli, Decision, Meta, ReviewMode, ReviewerId, TestRun, Verdict};
use verdict::{Oid, Sha256, policy, show};

use crate::progress::Progress;
use crate::record::{self, Record, Tokens};
use crate::session::{Session, cache_dir, state_dir};

/// What a review said.
#[derive(Debug)]
pub(crate) struct Reviewed {
    /// The verdict, as it is stored.
    pub(crate) verdict: Verdict,
    /// A change to the healable files can remove every blocker of the rules.
    pub(crate) healable: bool,
    /// A blocker is in the history, where no further commit removes it.
    pub(crate) in_history: bool,
    /// Tokens spent by this run so far.
    pub(crate) spent: u64,
}

/// How a review is done in this run.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Ask no reviewer: the verdict is simulated and good for no push.
    pub simulated: bool,
    /// Show the range whole up to this many bytes, instead of the policy's.
    pub size_cap: Option<u64>,
    /// Someone can type a key.
    pub interactive: bool,
}

/// The parts of the range that are asked about, and the proof that they are all of it.
struct Plan {
    mode: ReviewMode,
    parts: Vec<Part>,
    ledger: Ledger,
}

/// Who decided, and what it took.
struct Decided {
    aggregate: Aggregate,
    reviewer: Option<ReviewerId>,
    codex_cli: Option<CodexCli>,
    answered: Vec<Answered>,
    tokens: Tokens,
    spent: u64,
}

/// Has the range of `session` reviewed. `tests` are the steps that really ran.
///
/// # Errors
/// When there is no verdict: an infrastructure failure, a missing part, an empty range, too many packets.
pub(crate) fn review(
    session: &Session<'_>,
    manner: Manner,
    tests: Vec<TestRun>,
    spent: u64,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Reviewed, Failure> {
    let objects = session.repo.objects();
    let collected = repo::collect(objects, session.since.as_ref(), &session.head, &session.policy)?;
    if collected.bundle.is_empty() {
        return Err(empty(session)?);
    }
    let plan = plan(&collected.bundle, &session.policy.review, manner.size_cap)?;
    let now = timestamp(session)?;
    let record = Record::create(session.host, &session.root, now)?;
    write_asked(session, &record, &collected.bundle, &plan)?;
    let decided = decide(session, manner, &collected, &plan, spent, told)?;
    let verdict = verdict_of(session, manner, &collected, &plan, now, tests, &decided);
    write_answered(session, &record, &verdict, &plan, &decided)?;
    session.store().keep(session.host, &verdict, record.stamp())?;
    told(Progress::Verdict {
        verdict: verdict.verdict,
        simulated: verdict.meta.simulated,
        blockers: verdict.blockers.clone(),
        non_blocking: verdict.non_blocking.clone(),
        record: record.dir().strip_prefix(&session.root).unwrap_or(record.dir()).to_owned(),
    });
    let (healable, in_history) = (healable(&collected, &session.policy), in_history(&collected));
    Ok(Reviewed { healable, in_history, spent: decided.spent, verdict })
}

/// Why there is nothing to review, and what to do about it.
fn empty(session: &Session<'_>) -> Result<Failure, Failure> {
    let since = session.since.as_ref();
    let tree = |id: &Oid| Commit::read(session.repo.objects(), id).map(|commit| commit.tree());
    let nothing = session.repo.objects().empty_tree();
    let mut changes = false;
    for commit in new_commits(session.repo.objects(), since, &session.head)? {
        let before = commit.parents().first().map_or_else(|| Ok(nothing.clone()), tree)?;
        changes |= before != commit.tree();
    }
    let (reason, next) = match since {
        Some(since) if changes => (
            "the commits undo each other: together they change nothing".to_owned(),
            format!("commit what is to stay, or drop them all (git reset --keep {since}), then ship again"),
        ),
        _ => ("the commits change nothing".to_owned(), "drop the empty commits, then ship again".to_owned()),
    };
    Ok(Failure::refused("empty-range", reason, next))
}

fn timestamp(session: &Session<'_>) -> Result<Timestamp, Failure> {
    Timestamp::try_from(session.host.now()).map_err(|error| {
        Failure::not_ready("clock", format!("the clock is off: {error}"), "set the clock, then try again")
    })
}

/// One part while the range fits, else packets and a look across them.
fn plan(bundle: &Bundle, policy: &policy::Review, size_cap: Option<u64>) -> Result<Plan, Failure> {
    let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let whole = bytes(size_cap.unwrap_or(policy.size_cap_bytes));
    if bundle.len() <= whole {
        // One of the change, one of the overview: the ledger is of both, though one question shows it all.
        let packets = repo::packets(bundle, Limits { packet_cap: usize::MAX, max_packets: 2 })?;
        let parts = vec![Part { id: "bundle".to_owned(), scope: Scope::Whole, text: bundle.shown() }];
        return Ok(Plan { mode: ReviewMode::Bundle, parts, ledger: packets.ledger });
    }
    let limits = Limits { packet_cap: bytes(policy.packet_cap_bytes), max_packets: bytes(policy.max_packets) };
    let Packets { packets, overviews, ledger } = repo::packets(bundle, limits)?;
    let part = |scope| move |packet: Packet| Part::new(scope, packet.text);
    let overviews = overviews.into_iter().map(part(Scope::Overview));
    let parts = packets.into_iter().map(part(Scope::Packet)).chain(overviews).collect();
    Ok(Plan { mode: ReviewMode::Packet, parts, ledger })
}

/// The rules first, since they can only block; then the reviewer, unless it is simulated.
fn decide(
    session: &Session<'_>,
    manner: Manner,
    collected: &Collected,
    plan: &Plan,
    spent: u64,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Decided, Failure> {
    let found = || RuleFindings { blockers: collected.blockers(), notices: collected.notices() };
    if let Some(aggregate) = aggregate::by_rules(found()) {
        let reviewer = (!manner.simulated).then(by_rules);
        return Ok(Decided {
            aggregate,
            reviewer,
            codex_cli: None,
            answered: vec![],
            tokens: Tokens { spent, ..Tokens::default() },
            spent,
        });
    }
    if manner.simulated {
        let aggregate = Aggregate { verdict: Decision::Approved, blockers: vec![], non_blocking: found().notices };
        return Ok(Decided {
            aggregate,
            reviewer: None,
            codex_cli: None,
            answered: vec![],
            tokens: Tokens { spent, ..Tokens::default() },
            spent,
        });
    }
    let codex = codex(session, manner.interactive)?;
    let answers = state_dir(session.repo).join("answers");
    let options = Options { spent, ..Options::new(&session.policy.review, session.policy.sha256(), &answers) };
    let progress = |progress| tell(&progress, told);
    let reviewed = reviewer::review(session.host, &codex, &plan.parts, options, &progress)?;
    let expected: Vec<&str> = plan.parts.iter().map(|part| part.id.as_str()).collect();
    let answers: Vec<_> = reviewed.answers.iter().map(|answered| answered.answer.clone()).collect();
    let aggregate = aggregate::aggregate(&expected, &answers, found()).map_err(|missing| {
        Failure::bug("review-incomplete", missing.to_string(), "report this with the command you ran")
    })?;
    let tokens = tokens(&reviewed);
    Ok(Decided {
        aggregate,
        reviewer: Some(codex.identity()),
        codex_cli: Some(codex.cli()),
        spent: reviewed.spent,
        answered: reviewed.answers,
        tokens,
    })
}

/// What a review will need is here, so that nobody waits for tests to learn that it is not. No model is asked, and the
/// key is let go again: what is asked for at a terminal is asked for then.
///
/// # Errors
/// Not ready, as [`codex`].
pub(crate) fn check_reviewer(session: &Session<'_>, interactive: bool) -> Result<(), Failure> {
    let host = session.host;
    Program::find(host)?.check_pins(&session.policy.review)?;
    match openai_key::find(host, &openai_key::Keyring::of_session(host)) {
        Err(openai_key::KeyError::Missing(_)) if interactive => Ok(()),
        found => Ok(found.map(drop)?),
    }
}

/// The Codex CLI of this machine, with the key, as the policy wants it used.
pub(crate) fn codex<'a>(session: &Session<'a>, interactive: bool) -> Result<Codex<'a>, Failure> {
    let host = session.host;
    let program = Program::find(host)?;
    program.check_pins(&session.policy.review)?;
    let found = openai_key::find_or_ask(host, &openai_key::Keyring::of_session(host), interactive)?;
    let state = cache_dir(host)?.join("codex");
    Ok(Codex::new(host, program, &session.policy.review, found.key.expose(), state)?)
}

fn by_rules() -> ReviewerId {
    ReviewerId {
        name: schema::RULES.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary_sha256: None,
        prompt_sha256: None,
        model: None,
        endpoint: None,
    }
}

/// That a question is asked for the first time says no more than how many have an answer.
fn tell(progress: &reviewer::Progress, told: &(dyn Fn(Progress) + Sync)) {
    match progress {
        reviewer::Progress::Planned { parts, kept, tokens } => {
            told(Progress::Planned { total: *parts, kept: *kept, tokens: *tokens });
        }
        reviewer::Progress::Again { packet, why } => {
            told(Progress::Again { packet: packet.clone(), reason: show::clip(&why.to_string(), 300) });
        }
        reviewer::Progress::Answered { done, of, .. } => told(Progress::Packet { done: *done, total: *of }),
        reviewer::Progress::Asking { .. } => {}
    }
}

fn tokens(reviewed: &reviewer::Reviewed) -> Tokens {
    Tokens {
        estimated_input: reviewed.answers.iter().map(|answered| answered.tokens).sum(),
        input: reviewed.usage.input,
        output: reviewed.usage.output,
        spent: reviewed.spent,
        cached_packets: reviewed.answers.iter().filter(|answered| answered.kept).count() as u64,
    }
}

fn verdict_of(
    session: &Session<'_>,
    manner: Manner,
    collected: &Collected,
    plan: &Plan,
    now: Timestamp,
    tests_run: Vec<TestRun>,
    decided: &Decided,
) -> Verdict {
    Verdict {
        schema: schema::SCHEMA,
        verdict: decided.aggregate.verdict,
        blockers: decided.aggregate.blockers.clone(),
        non_blocking: decided.aggregate.non_blocking.clone(),
        tests_run,
        meta: Meta {
            since_sha: session.since_or_zero(),
            to_sha: collected.to.clone(),
            to_tree: collected.to_tree.clone(),
            generated_at: now.to_string(),
            review_mode: plan.mode,
            simulated: manner.simulated,
            codex_cli: decided.codex_cli.clone(),
            bundle_sha256: bundle_sha256(&collected.bundle),
            policy_sha256: session.policy.sha256().clone(),
            reviewer: decided.reviewer.clone(),
        },
    }
}

fn bundle_sha256(bundle: &Bundle) -> Sha256 {
    bundle.sha256().parse().expect("a bundle's hash is a SHA-256")
}

fn write_asked(session: &Session<'_>, record: &Record, bundle: &Bundle, plan: &Plan) -> Result<(), Failure> {
    let host = session.host;
    record.write(host, "REVIEW_BUNDLE.txt", bundle.shown().as_bytes())?;
    record.write_json(host, "LEDGER.json", &plan.ledger)?;
    if plan.mode == ReviewMode::Packet {
        for (number, part) in (1..).zip(&plan.parts) {
            record.write(host, &format!("PACKET_{number}.txt"), part.text.as_bytes())?;
        }
    }
    Ok(())
}

fn write_answered(
    session: &Session<'_>,
    record: &Record,
    verdict: &Verdict,
    plan: &Plan,
    decided: &Decided,
) -> Result<(), Failure> {
    let host = session.host;
    for (number, answered) in (1..).zip(&decided.answered) {
        record.write_json(host, &format!("VERDICT_{number}.json"), &answered.answer)?;
        record.write(host, &format!("RAW_ANSWER_{number}.txt"), answered.raw.as_bytes())?;
    }
    let text = verdict.to_json().map_err(|error| Failure::bug("verdict", error.to_string(), "report this"))?;
    record.write(host, "CODEX_VERDICT.json", text.as_bytes())?;
    let mode = match plan.mode {
        ReviewMode::Bundle => "bundle",
        ReviewMode::Packet => "packet",
    };
    let decision = match verdict.verdict {
        Decision::Approved => "APPROVED",
        Decision::Blocked => "BLOCKED",
    };
    let meta = record::Meta {
        since_sha: verdict.meta.since_sha.as_str(),
        head_sha: verdict.meta.to_sha.as_str(),
        timestamp: &verdict.meta.generated_at,
        mode,
        verdict: decision,
        tokens: decided.tokens,
    };
    record.write_json(host, "META.json", &meta)
}

/// What is in the history stays there whatever is committed on top, and what may not be healed cannot be.
pub(crate) fn healable(collected: &Collected, policy: &verdict::Policy) -> bool {
    let may_be_healed = |path: &[u8]| policy.healable(path, &|path| rules::is_protected_from_heal(path));
    blockers(collected).all(|finding| !is_in_history(finding) && may_be_healed(&finding.path))
}

/// A blocker is in the history, where no further commit removes it.
pub(crate) fn in_history(collected: &Collected) -> bool {
    blockers(collected).any(is_in_history)
}

fn is_in_history(finding: &Finding) -> bool {
    finding.rule == Rule::Secret
}

fn blockers(collected: &Collected) -> impl Iterator<Item = &Finding> {
    collected.findings.iter().filter(|finding| finding.severity == Severity::Blocker)
}
