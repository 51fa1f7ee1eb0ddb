//! A reviewer's answer about one packet: exactly one JSON document, about that packet and no other.
//!
//! Whatever is not exactly that is an infrastructure failure: neither approved nor blocked. An answer in prose, in a
//! code fence or after an echoed sample is therefore never searched for the part that looks like a verdict.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::{Decision, Finding, Source};
use crate::{show, strict};

/// The longest answer, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The most entries in `blockers`, and in `non_blocking`.
pub const MAX_FINDINGS: usize = 200;

/// What a reviewer says about one packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The id of the packet, as it stands in the instructions.
    pub packet: String,
    /// The nonce, as it stands in the instructions.
    pub nonce: String,
    /// BLOCKED if and only if there is a blocker.
    pub verdict: Decision,
    /// What has to be mended before this change may be pushed.
    pub blockers: Vec<AnswerFinding>,
    /// What is worth knowing and blocks nothing.
    pub non_blocking: Vec<AnswerFinding>,
}

/// One thing the reviewer found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerFinding {
    /// The file as the packet names it; null for the change as a whole.
    pub path: Option<String>,
    /// The line in the new file, from 1; null when no line fits.
    pub line: Option<u64>,
    /// What is wrong, in a few words.
    pub title: String,
    /// Why it is wrong and how to mend it.
    pub detail: String,
}

/// Why a text is not the answer that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Only white space.
    #[error("the answer is empty")]
    Empty,
    /// Not one JSON document of the schema's form.
    #[error("the answer is not exactly one document of the schema: {0}")]
    Form(String),
    /// About another packet.
    #[error("the answer is about packet `{0}`")]
    OtherPacket(String),
    /// Without the nonce of this question.
    #[error("the answer does not carry this question's nonce")]
    OtherNonce,
    /// Approved and yet with blockers.
    #[error("APPROVED with blockers")]
    ApprovedWithBlockers,
    /// Blocked by nothing.
    #[error("BLOCKED without a blocker")]
    BlockedWithoutBlockers,
    /// More findings than a person would read.
    #[error("more than {MAX_FINDINGS} findings")]
    TooMany,
    /// A finding that says nothing.
    #[error("a finding without a title")]
    NoTitle,
}

/// Reads the reviewer's last message as the answer about `packet`, which was asked with `nonce`.
///
/// # Errors
/// [`AnswerError`] for everything that is not exactly one consistent answer to exactly this question.
pub fn parse(text: &[u8], packet: &str, nonce: &str) -> Result<Answer, AnswerError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(AnswerError::Empty);
    }
    let answer: Answer = strict::parse(text, MAX_BYTES).map_err(AnswerError::Form)?;
    if answer.packet != packet {
        return Err(AnswerError::OtherPacket(show::clip(&answer.packet, 80)));
    }
    if answer.nonce != nonce {
        return Err(AnswerError::OtherNonce);
    }
    answer.check()?;
    Ok(answer)
}

/// The JSON Schema to ask with, in the form OpenAI's strict mode takes: every key required, no other key, nothing
/// but `type`, `enum`, `properties`, `items` and `description`.
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        settings.transforms = vec![Box::new(strict::require_every_key) as _, Box::new(OpenAiStrict) as _];
    });
    settings.into_generator().into_root_schema_for::<Answer>().to_value()
}

impl Answer {
    fn check(&self) -> Result<(), AnswerError> {
        match (self.verdict, self.blockers.is_empty()) {
            (Decision::Approved, false) => return Err(AnswerError::ApprovedWithBlockers),
            (Decision::Blocked, true) => return Err(AnswerError::BlockedWithoutBlockers),
            (Decision::Approved, true) | (Decision::Blocked, false) => {}
        }
        if self.blockers.len() > MAX_FINDINGS || self.non_blocking.len() > MAX_FINDINGS {
            return Err(AnswerError::TooMany);
        }
        let mut findings = self.blockers.iter().chain(&self.non_blocking);
        if findings.any(|finding| finding.title.trim().is_empty()) { Err(AnswerError::NoTitle) } else { Ok(()) }
    }
}

impl AnswerFinding {
    /// The finding with its text made safe to print, cut to what a verdict may hold.
    pub fn to_finding(&self) -> Finding {
        Finding::new(Source::Reviewer, self.path.as_deref(), self.line, &self.title, &self.detail)
    }
}

/// Takes out what OpenAI's strict mode does not know.
#[derive(Clone)]
struct OpenAiStrict;

impl Transform for OpenAiStrict {
    fn transform(&mut self, schema: &mut Schema) {
        for keyword in ["format", "minimum", "title"] {
            schema.remove(keyword);
        }
        transform_subschemas(self, schema);
    }
}
