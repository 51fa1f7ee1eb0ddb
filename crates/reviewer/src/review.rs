//! A review: every part of the range is asked about, in parallel, until each has an accepted answer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use host::Host;
use verdict::Sha256;
use verdict::answer::{self, Answer};
use verdict::policy;
use verdict::schema::ReviewerId;

use crate::acceptance::Reply;
use crate::cache::{self, Cache, Entry};
use crate::events::Usage;
use crate::not_reviewed::{NotReviewed, Why};
use crate::prompt::{Part, Prompt};
use crate::tokens::{self, Budget};

/// Something that reads a prompt and answers it.
pub trait Reviewer: Sync {
    /// Who it is, precisely enough to ask the same one again.
    fn identity(&self) -> ReviewerId;

    /// What else decides its answers, for the key under which they are kept.
    fn settings(&self) -> String;

    /// Its last message on `prompt`, not yet parsed, or [`Why`] for anything but one complete, undisturbed answer; and
    /// what it cost.
    fn ask(&self, prompt: &Prompt) -> Reply;
}

/// The bounds of a review.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Questions asked at the same time.
    pub parallel: usize,
    /// How often one question is asked again after a failure of the infrastructure or an answer that does not count.
    pub retries: usize,
    /// The budget of the run in tokens.
    pub max_tokens: u64,
    /// What the run has spent of it before.
    pub spent: u64,
    /// Where accepted answers are kept.
    pub cache: &'a Path,
    /// The policy in force; another policy asks again.
    pub policy_sha256: &'a Sha256,
}

impl<'a> Options<'a> {
    /// What `policy` wants, with nothing spent yet.
    pub fn new(policy: &policy::Review, policy_sha256: &'a Sha256, cache: &'a Path) -> Self {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            parallel: count(policy.parallel),
            retries: count(policy.retries),
            max_tokens: policy.max_tokens,
            spent: 0,
            cache,
            policy_sha256,
        }
    }
}

/// What a review is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Before the first question.
    Planned {
        /// Parts of the range.
        parts: usize,
        /// Of those, answered before.
        kept: usize,
        /// The estimate of what the questions cost.
        tokens: u64,
    },
    /// A part is asked about.
    Asking {
        /// Its id.
        packet: String,
        /// From 1.
        attempt: usize,
    },
    /// A question failed and is asked again.
    Again {
        /// The part's id.
        packet: String,
        /// Why it failed.
        why: Why,
    },
    /// An answer was accepted.
    Answered {
        /// The part's id.
        packet: String,
        /// Parts that have an answer now.
        done: usize,
        /// All parts.
        of: usize,
    },
}

/// A finished review: an accepted answer for each part, in the order of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// One for each part.
    pub answers: Vec<Answered>,
    /// Tokens as counted by the service in this review, rejected answers too; answers that were kept cost nothing.
    pub usage: Usage,
    /// Tokens against the budget after this review: counted where the service told, estimated where not.
    pub spent: u64,
}

/// One accepted answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// The reviewer's last message as it came.
    pub raw: String,
    /// Tokens it cost when it was asked.
    pub usage: Option<Usage>,
    /// The estimate of the prompt's tokens.
    pub tokens: u64,
    /// It was kept from an earlier review of the same text.
    pub kept: bool,
}

/// Asks `reviewer` about every one of `parts`.
///
/// # Errors
/// [`NotReviewed`] with the first part that has no accepted answer. Answers accepted until then are kept, so that the
/// next review asks only for the rest.
pub fn review(
    host: &dyn Host,
    reviewer: &dyn Reviewer,
    parts: &[Part],
    options: Options<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Reviewed, NotReviewed> {
    if let Some(empty) = parts.iter().find(|part| part.text.trim().is_empty()) {
        return Err(NotReviewed { packet: empty.id.clone(), why: Why::Empty });
    }
    let round = Round {
        host,
        reviewer,
        options,
        progress,
        cache: Cache::new(host, options.cache),
        budget: Budget::new(options.max_tokens, options.spent),
        usage: Mutex::default(),
        done: AtomicUsize::new(0),
        of: parts.len(),
    };
    let questions: Vec<_> = parts.iter().map(|part| round.question(part)).collect();
    round.plan(&questions)?;
    let answers = round.answer_all(&questions)?;
    let usage = round.usage.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Reviewed { answers, usage, spent: round.budget.spent() })
}

/// One review while it runs.
struct Round<'a> {
    host: &'a dyn Host,
    reviewer: &'a dyn Reviewer,
    options: Options<'a>,
    progress: &'a (dyn Fn(Progress) + Sync),
    cache: Cache<'a>,
    budget: Budget,
    usage: Mutex<Usage>,
    done: AtomicUsize,
    of: usize,
}

/// A part with what is known before it is asked.
struct Question {
    key: Sha256,
    prompt: Prompt,
    tokens: u64,
    kept: Option<Answered>,
}

impl Round<'_> {
    fn question(&self, part: &Part) -> Question {
        let key = self.key(part);
        let prompt = Prompt::new(part, &self.host.random_hex(16));
        let tokens = tokens::estimate(&prompt.text);
        let kept = self.cache.get(&key, &part.id).map(|(entry, answer)| Answered {
            answer,
            raw: entry.raw,
            usage: entry.usage,
            tokens,
            kept: true,
        });
        Question { key, prompt, tokens, kept }
    }

    /// Everything that goes into an answer, except the nonce and the id: an answer about another id is no answer.
    fn key(&self, part: &Part) -> Sha256 {
        let who = self.reviewer.identity();
        let hash = |digest: &Option<Sha256>| digest.as_ref().map_or("", Sha256::as_str).to_owned();
        cache::key(&[
            &who.name,
            &who.version,
            &hash(&who.binary_sha256),
            &hash(&who.prompt_sha256),
            who.model.as_deref().unwrap_or(""),
            who.endpoint.as_deref().unwrap_or(""),
            &self.reviewer.settings(),
            self.options.policy_sha256.as_str(),
            part.scope.name(),
            &part.text,
        ])
    }

    /// Refuses a review that the budget cannot pay before the first question is asked.
    fn plan(&self, questions: &[Question]) -> Result<(), NotReviewed> {
        let open = || questions.iter().filter(|question| question.kept.is_none());
        let tokens = open().map(|question| question.tokens).sum();
        (self.progress)(Progress::Planned { parts: self.of, kept: self.of - open().count(), tokens });
        match (self.budget.check(tokens), open().next()) {
            (Err(why), Some(first)) => Err(NotReviewed { packet: first.prompt.packet.clone(), why }),
            _ => Ok(()),
        }
    }

    fn answer_all(&self, questions: &[Question]) -> Result<Vec<Answered>, NotReviewed> {
        let results: Vec<Mutex<Option<Result<Answered, Why>>>> = questions.iter().map(|_| Mutex::default()).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            while !stop.load(Ordering::SeqCst) {
                let index = next.fetch_add(1, Ordering::SeqCst);
                let Some(question) = questions.get(index) else { return };
                let result = self.answer(question);
                stop.fetch_or(result.is_err(), Ordering::SeqCst);
                *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.options.parallel.clamp(1, questions.len().max(1)) {
                scope.spawn(work);
            }
        });
        collect(questions, results)
    }

    fn answer(&self, question: &Question) -> Result<Answered, Why> {
        let answered = match &question.kept {
            Some(kept) => kept.clone(),
            None => self.ask_until_accepted(question)?,
        };
        let done = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        (self.progress)(Progress::Answered { packet: question.prompt.packet.clone(), done, of: self.of });
        Ok(answered)
    }

    fn ask_until_accepted(&self, question: &Question) -> Result<Answered, Why> {
        let packet = || question.prompt.packet.clone();
        let mut attempt = 1;
        loop {
            (self.progress)(Progress::Asking { packet: packet(), attempt });
            match self.ask_once(question) {
                Ok(answered) => return Ok(answered),
                Err(why) if why.is_worth_retrying() && attempt <= self.options.retries => {
                    (self.progress)(Progress::Again { packet: packet(), why });
                    attempt += 1;
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// Where the service does not tell, what was `reserved` is taken as spent.
    fn pay(&self, reserved: u64, usage: Option<Usage>) {
        self.budget.settle(reserved, usage.map_or(reserved, Usage::total));
        let mut sum = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = sum.plus(usage.unwrap_or_default());
    }

    fn ask_once(&self, question: &Question) -> Result<Answered, Why> {
        let Question { prompt, tokens, .. } = question;
        self.budget.reserve(*tokens)?;
        let Reply { text, usage } = self.reviewer.ask(prompt);
        self.pay(*tokens, usage);
        let (answer, raw) = read(&text?, prompt)?;
        let entry = Entry::new(question.key.clone(), prompt.nonce.clone(), raw, usage);
        // An answer that cannot be kept is still an answer; the next review asks again.
        let _ = self.cache.put(&entry);
        Ok(Answered { answer, raw: entry.raw, usage, tokens: *tokens, kept: false })
    }
}

/// The answer and the text it stood in.
fn read(text: &[u8], prompt: &Prompt) -> Result<(Answer, String), Why> {
    let raw = String::from_utf8_lossy(text).into_owned();
    match answer::parse(text, &prompt.packet, &prompt.nonce) {
        Ok(answer) => Ok((answer, raw)),
        Err(error) => Err(Why::Answer { error, raw }),
    }
}

/// All answers, or the first failure in the order of the parts. What was not asked after a failure has neither.
fn collect(
    questions: &[Question],
    results: Vec<Mutex<Option<Result<Answered, Why>>>>,
) -> Result<Vec<Answered>, NotReviewed> {
    let results = results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    let mut answers = Vec::with_capacity(questions.len());
    let mut unasked = None;
    for (question, result) in questions.iter().zip(results) {
        let packet = || question.prompt.packet.clone();
        match result {
            Some(Ok(answered)) => answers.push(answered),
            Some(Err(why)) => return Err(NotReviewed { packet: packet(), why }),
            None => unasked = unasked.or_else(|| Some(packet())),
        }
    }
    match unasked {
        None => Ok(answers),
        Some(packet) => Err(NotReviewed { packet, why: Why::Cancelled }),
    }
}
