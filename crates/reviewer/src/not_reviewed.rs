//! Why there is no review: a type of its own, so that it can never be taken for a BLOCKED verdict or start a heal.

use outcome::Failure;
use verdict::answer::AnswerError;
use verdict::show;

/// A packet, and so the whole range, was not reviewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{packet} was not reviewed: {why}")]
pub struct NotReviewed {
    /// The packet's id.
    pub packet: String,
    /// What went wrong.
    pub why: Why,
}

/// What went wrong with one question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The wall clock ran out.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// The program was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The reviewer could not be run.
    #[error("the reviewer could not be run: {0}")]
    NotRun(String),
    /// It ended in another way than by exit code 0 after a completed turn.
    #[error("the reviewer failed ({how}): {said}")]
    Failed {
        /// The exit code or signal.
        how: String,
        /// Its last words, made safe to print.
        said: String,
    },
    /// The service does not take the key.
    #[error("the service rejected the key: {0}")]
    KeyRejected(String),
    /// The account has no quota left.
    #[error("the account has no quota left: {0}")]
    NoQuota(String),
    /// The service wants fewer requests.
    #[error("the service is limiting requests: {0}")]
    RateLimited(String),
    /// More than the model can read.
    #[error("more than the model can read: {0}")]
    TooLong(String),
    /// The signs of a completed turn do not agree.
    #[error("the reviewer's answer cannot be trusted: {0}")]
    Untrusted(String),
    /// The last message is not the answer that was asked for.
    #[error("{error}")]
    Answer {
        /// What is wrong with it.
        error: AnswerError,
        /// The message as it came, for the record.
        raw: String,
    },
    /// A packet without content can only be approved by mistake.
    #[error("the packet is empty")]
    Empty,
    /// Asking would go over the run's budget.
    #[error("the budget of {max} tokens does not allow {needed} more after {spent}")]
    Budget {
        /// The run's budget.
        max: u64,
        /// Spent or promised before.
        spent: u64,
        /// The estimate for what was to be asked.
        needed: u64,
    },
}

impl Why {
    /// Asking once more may help.
    pub const fn is_worth_retrying(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::Failed { .. }
            | Self::RateLimited(_)
            | Self::Untrusted(_)
            | Self::Answer { .. } => true,
            Self::Cancelled
            | Self::NotRun(_)
            | Self::KeyRejected(_)
            | Self::NoQuota(_)
            | Self::TooLong(_)
            | Self::Empty
            | Self::Budget { .. } => false,
        }
    }

    /// A failure by its text. Only which failure it is depends on it, never whether it is one.
    pub(crate) fn failed(how: String, said: &str) -> Self {
        let said = show::clip(said, 500);
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["401 Unauthorized", "403 Forbidden", "Missing environment variable"]) {
            Self::KeyRejected(said)
        } else if has(&["Quota exceeded", "insufficient_quota", "usage limit"]) {
            Self::NoQuota(said)
        } else if has(&["context window", "context_length_exceeded", "input_too_large", "exceeds the maximum length"]) {
            Self::TooLong(said)
        } else if has(&["429 Too Many Requests", "rate limit", "Rate limit"]) {
            Self::RateLimited(said)
        } else {
            Self::Failed { how, said }
        }
    }
}

impl From<NotReviewed> for Failure {
    fn from(error: NotReviewed) -> Self {
        let reason = show::clip(&error.to_string(), 1000);
        match error.why {
            Why::KeyRejected(_) => Self::not_ready("key-rejected", reason, "store a valid key: openai-key set"),
            Why::NoQuota(_) => {
                Self::infrastructure("no-quota", reason, "add credit to the account or use another key, then try again")
            }
            Why::TooLong(_) => Self::infrastructure(
                "packet-too-long",
                reason,
                "lower review.packet_cap_bytes in the policy, then try again",
            ),
            Why::Budget { .. } => Self::infrastructure(
                "token-budget",
                reason,
                "ship a smaller range, or raise review.max_tokens in the policy; answers so far are kept",
            ),
            Why::TimedOut(_) => {
                Self::infrastructure("reviewer-timeout", reason, "try again, or raise review.timeout_sec in the policy")
            }
            Why::Cancelled => Self::infrastructure("cancelled", reason, "run it again: answers so far are kept"),
            Why::NotRun(_) => Self::not_ready(
                "reviewer-unusable",
                reason,
                "check that codex starts (codex --version), then try again",
            ),
            Why::Empty => Self::bug("empty-packet", reason, "report this with the range that was reviewed"),
            Why::RateLimited(_) => {
                Self::infrastructure("rate-limited", reason, "wait a minute, then try again: answers so far are kept")
            }
            Why::Failed { .. } => Self::infrastructure("reviewer-failed", reason, "try again: answers so far are kept"),
            Why::Untrusted(_) | Why::Answer { .. } => {
                Self::infrastructure("reviewer-answer", reason, "try again, or name another review.model in the policy")
            }
        }
    }
}
