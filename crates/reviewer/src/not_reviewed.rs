//! Why there is no review: a type of its own, so that it can never be taken for a BLOCKED verdict or start a heal.

use host::disk_full;
use outcome::Failure;
use verdict::answer::AnswerError;
use verdict::show;

use crate::program::NotReady;

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
    /// The disk filled up under it.
    #[error("the reviewer could not work: {0}")]
    DiskFull(String),
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
            | Self::DiskFull(_)
            | Self::KeyRejected(_)
            | Self::NoQuota(_)
            | Self::TooLong(_)
            | Self::Empty
            | Self::Budget { .. } => false,
        }
    }

    /// The reviewer could not be run for `error`.
    pub(crate) fn not_run(error: &NotReady) -> Self {
        let why = error.to_string();
        if error.is_full() { Self::DiskFull(why) } else { Self::NotRun(why) }
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
        } else if host::says_full(&said) {
            Self::DiskFull(said)
        } else {
            Self::Failed { how, said }
        }
    }
}

impl From<NotReviewed> for Failure {
    fn from(error: NotReviewed) -> Self {
        let reason = show::clip(&error.to_string(), 1000);
        error.why.failure(reason)
    }
}

impl Why {
    /// The failure that this is the reason of, told as `reason`.
    pub(crate) fn failure(self, reason: String) -> Failure {
        match self {
            Self::KeyRejected(_) => Failure::not_ready("key-rejected", reason, "store a valid key: openai-key set"),
            Self::NoQuota(_) => Failure::infrastructure(
                "no-quota",
                reason,
                "add credit to the account or use another key, then try again",
            ),
            Self::TooLong(_) => Failure::infrastructure(
                "packet-too-long",
                reason,
                "lower review.packet_cap_bytes in the policy, then try again",
            ),
            Self::Budget { .. } => Failure::infrastructure(
                "token-budget",
                reason,
                "ship a smaller range, or raise review.max_tokens in the policy; answers so far are kept",
            ),
            Self::TimedOut(_) => Failure::infrastructure(
                "reviewer-timeout",
                reason,
                "try again, or raise review.timeout_sec in the policy",
            ),
            Self::Cancelled => Failure::infrastructure("cancelled", reason, "run it again: answers so far are kept"),
            Self::DiskFull(_) => disk_full(reason),
            Self::NotRun(_) => Failure::not_ready(
                "reviewer-unusable",
                reason,
                "check that codex starts (codex --version), then try again",
            ),
            Self::Empty => Failure::bug("empty-packet", reason, "report this with the range that was reviewed"),
            Self::RateLimited(_) => Failure::infrastructure(
                "rate-limited",
                reason,
                "wait a minute, then try again: answers so far are kept",
            ),
            Self::Failed { .. } => {
                Failure::infrastructure("reviewer-failed", reason, "try again: answers so far are kept")
            }
            Self::Untrusted(_) | Self::Answer { .. } => Failure::infrastructure(
                "reviewer-answer",
                reason,
                "try again, or name another review.model in the policy",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn s05_a_full_disk_is_no_unusable_reviewer() {
        let class = |kind: io::ErrorKind| {
            let error = || NotReady::io("/room")(kind.into());
            let asked = NotReviewed { packet: "bundle".into(), why: Why::not_run(&error()) };
            [Failure::from(error()), asked.into()].map(|failure| (failure.class.into_owned(), failure.exit.code()))
        };
        let full = || ("disk-full".to_owned(), 4);
        assert_eq!(class(io::ErrorKind::StorageFull), [full(), full()]);
        assert_eq!(class(io::ErrorKind::QuotaExceeded), [full(), full()]);
        assert_eq!(
            class(io::ErrorKind::PermissionDenied),
            [("codex-unusable".to_owned(), 3), ("reviewer-unusable".to_owned(), 3)]
        );
        let said = Why::failed("exit 1".into(), "Error: No space left on device (os error 28)");
        assert!(matches!(said, Why::DiskFull(_)), "{said:?}");
    }
}
