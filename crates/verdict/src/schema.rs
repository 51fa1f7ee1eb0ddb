//! The verdict file, schema 2: what a review of one range said, about which content, under which policy, by whom.
//!
//! A file that is well-formed proves nothing about who wrote it. What binds it to a push is checked by
//! [`gate`](crate::gate): range, tree, bundle and policy are computed again from the objects that are pushed.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oid::{Oid, Sha256};
use crate::{show, strict};

/// The number in a verdict's `schema`.
pub const SCHEMA: u32 = 2;
/// The longest verdict file, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// The most entries in `blockers`, and in `non_blocking`.
pub const MAX_FINDINGS: usize = 10_000;
/// The most entries in `tests_run`.
pub const MAX_TESTS: usize = 100;
/// The reviewer's name when the deterministic rules alone decided; they can only block.
pub const RULES: &str = "rules";
/// The reviewer's name of the Codex CLI.
pub const CODEX: &str = "codex";

const MAX_TITLE: usize = 300;
const MAX_DETAIL: usize = 8_000;
const MAX_PATH: usize = 16_384;
const MAX_NAME: usize = 200;
const MAX_ARGUMENTS: usize = 1_000;
const MAX_ARGUMENT: usize = 131_072;

/// What a review decided about one range of commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Always 2.
    pub schema: u32,
    /// The decision.
    pub verdict: Decision,
    /// What has to be mended before a push. Empty exactly when approved.
    pub blockers: Vec<Finding>,
    /// What is worth knowing and blocks nothing.
    pub non_blocking: Vec<Finding>,
    /// The test steps that really ran, by the program that ran them; never a reviewer's claim.
    pub tests_run: Vec<TestRun>,
    /// What the decision is about and who made it.
    pub meta: Meta,
}

/// Approved or blocked. An infrastructure failure is neither and has no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Decision {
    /// Nothing blocks.
    Approved,
    /// At least one blocker.
    Blocked,
}

/// One thing found in the reviewed range. Text is one line and free of invisible characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Who found it.
    pub source: Source,
    /// The file, escaped for show.
    pub path: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// What is wrong, in a few words.
    pub title: String,
    /// Why, and how to mend it.
    pub detail: String,
}

/// Who found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A model that was asked.
    Reviewer,
    /// A deterministic rule.
    Rule,
}

/// One test step that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRun {
    /// The step's name in the policy.
    pub name: String,
    /// What was run, not through a shell.
    pub argv: Vec<String>,
    /// Its exit code; negative when a signal or the time limit ended it.
    pub exit_code: i32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// What a verdict is about and who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The commit the remote had; zeros on a first push.
    pub since_sha: Oid,
    /// The commit that was reviewed.
    pub to_sha: Oid,
    /// That commit's tree.
    pub to_tree: Oid,
    /// When, as RFC 3339. For people: nothing is decided by it.
    pub generated_at: String,
    /// Whether the reviewer saw one bundle or several packets.
    pub review_mode: ReviewMode,
    /// True when no reviewer was asked (`CODEX_SKIP=1`); never good for a push.
    pub simulated: bool,
    /// The Codex CLI that was run; null for every other reviewer.
    pub codex_cli: Option<CodexCli>,
    /// SHA-256 of the shown text of the reviewed bundle.
    pub bundle_sha256: Sha256,
    /// SHA-256 of the policy in force.
    pub policy_sha256: Sha256,
    /// Who reviewed; null only when simulated.
    pub reviewer: Option<ReviewerId>,
}

/// How the range was shown to the reviewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReviewMode {
    /// All of it at once.
    Bundle,
    /// In packets, each changed byte in exactly one.
    Packet,
}

/// The Codex CLI that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodexCli {
    /// Its version, e.g. `0.169.0`.
    pub version: String,
    /// The program's path.
    pub command: String,
}

/// Who reviewed, precisely enough to ask the same one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewerId {
    /// `codex`, `rules`, or another reviewer's name.
    pub name: String,
    /// Its version, a semantic version.
    pub version: String,
    /// SHA-256 of the program that was run; null only for `rules`.
    pub binary_sha256: Option<Sha256>,
    /// SHA-256 of the instructions it was given; null only for `rules`.
    pub prompt_sha256: Option<Sha256>,
    /// The model that was asked for; null for the reviewer's own default.
    pub model: Option<String>,
    /// The base URL that was asked; null for the reviewer's own.
    pub endpoint: Option<String>,
}

/// Why a document is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Not one JSON document of the schema's form.
    #[error("not a verdict: {0}")]
    Form(String),
    /// Another version of the format.
    #[error("verdict schema {0} is not {SCHEMA}")]
    Schema(u32),
    /// Approved and yet with blockers.
    #[error("APPROVED with blockers")]
    ApprovedWithBlockers,
    /// Blocked by nothing.
    #[error("BLOCKED without a blocker")]
    BlockedWithoutBlockers,
    /// Says both that a CLI was run and that it was not.
    #[error("simulated, yet it names a codex_cli")]
    SimulatedWithCodex,
    /// Not simulated, and nobody reviewed.
    #[error("not simulated, yet it names no reviewer")]
    NoReviewer,
    /// The reviewer's version says nothing.
    #[error("`{0}` is not a reviewer's version")]
    Version(String),
    /// `codex_cli` and `reviewer` name different things.
    #[error("codex_cli and reviewer do not agree")]
    CodexDisagrees,
    /// Rules can block and never approve.
    #[error("APPROVED by rules alone")]
    ApprovedByRules,
    /// A model reviewer without the hashes of program and prompt.
    #[error("the reviewer is not bound to a binary and a prompt")]
    UnboundReviewer,
    /// The ids cannot be those of one range.
    #[error("the ids in meta are not those of one range")]
    Range,
    /// Not a time.
    #[error("generated_at is not RFC 3339")]
    Time,
    /// Too long, empty where it must not be, or with characters that must not reach a terminal.
    #[error("{0} is empty, too long or not printable")]
    Text(&'static str),
    /// A list is too long.
    #[error("{0} has too many entries")]
    TooMany(&'static str),
}

impl Verdict {
    /// Reads a verdict file.
    ///
    /// # Errors
    /// [`Invalid`] unless `bytes` are one JSON document, exactly as [`Verdict::json_schema`] says, that [`Verdict::check`]
    /// finds consistent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let verdict: Self = strict::parse(bytes, MAX_BYTES).map_err(Invalid::Form)?;
        verdict.check()?;
        Ok(verdict)
    }

    /// The file's text: indented JSON with a final newline.
    ///
    /// # Errors
    /// [`Invalid`] for a verdict that [`Verdict::parse`] would refuse.
    pub fn to_json(&self) -> Result<String, Invalid> {
        self.check()?;
        let json = serde_json::to_string_pretty(self).map_err(|error| Invalid::Form(error.to_string()))? + "\n";
        if json.len() > MAX_BYTES {
            return Err(Invalid::Form(format!("longer than {MAX_BYTES} bytes")));
        }
        Ok(json)
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// The first [`Invalid`] that holds.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.schema != SCHEMA {
            return Err(Invalid::Schema(self.schema));
        }
        match (self.verdict, self.blockers.is_empty()) {
            (Decision::Approved, false) => return Err(Invalid::ApprovedWithBlockers),
            (Decision::Blocked, true) => return Err(Invalid::BlockedWithoutBlockers),
            (Decision::Approved, true) | (Decision::Blocked, false) => {}
        }
        check_findings("blockers", &self.blockers)?;
        check_findings("non_blocking", &self.non_blocking)?;
        check_tests(&self.tests_run)?;
        self.meta.check()?;
        if self.meta.is_by_rules() && self.verdict == Decision::Approved {
            return Err(Invalid::ApprovedByRules);
        }
        Ok(())
    }

    /// The JSON Schema of the file, shipped as `docs/schemas/verdict.schema.json`.
    pub fn json_schema() -> Value {
        let settings = SchemaSettings::draft2020_12().with_transform(strict::require_every_key);
        settings.into_generator().into_root_schema_for::<Self>().to_value()
    }
}

impl Meta {
    fn check(&self) -> Result<(), Invalid> {
        let to = &self.to_sha;
        let one_format = self.since_sha.same_format(to) && self.to_tree.same_format(to);
        if !one_format || to.is_zero() || self.to_tree.is_zero() || self.since_sha == *to {
            return Err(Invalid::Range);
        }
        if !is_rfc3339(&self.generated_at) {
            return Err(Invalid::Time);
        }
        if let Some(codex) = &self.codex_cli {
            check_text("codex_cli.command", &codex.command, 1, MAX_PATH)?;
        }
        if let Some(reviewer) = &self.reviewer {
            reviewer.check()?;
        }
        self.check_who()
    }

    fn check_who(&self) -> Result<(), Invalid> {
        match (&self.reviewer, &self.codex_cli) {
            (_, Some(_)) if self.simulated => Err(Invalid::SimulatedWithCodex),
            (_, None) if self.simulated => Ok(()),
            (None, _) => Err(Invalid::NoReviewer),
            (Some(reviewer), Some(codex)) if reviewer.name == CODEX && reviewer.version == codex.version => Ok(()),
            (Some(reviewer), None) if reviewer.name != CODEX => Ok(()),
            (Some(_), _) => Err(Invalid::CodexDisagrees),
        }
    }

    fn is_by_rules(&self) -> bool {
        self.reviewer.as_ref().is_some_and(|reviewer| reviewer.name == RULES)
    }
}

impl ReviewerId {
    fn check(&self) -> Result<(), Invalid> {
        check_text("reviewer.name", &self.name, 1, MAX_NAME)?;
        check_text("reviewer.model", self.model.as_deref().unwrap_or("-"), 1, MAX_NAME)?;
        check_text("reviewer.endpoint", self.endpoint.as_deref().unwrap_or("-"), 1, MAX_PATH)?;
        if semver::Version::parse(&self.version).is_err() {
            return Err(Invalid::Version(show::clip(&self.version, MAX_NAME)));
        }
        let bound = self.binary_sha256.is_some() && self.prompt_sha256.is_some();
        if bound || self.name == RULES { Ok(()) } else { Err(Invalid::UnboundReviewer) }
    }
}

impl Finding {
    /// A finding whose text is safe to print: each part on one line, escaped, and cut to what a verdict may hold.
    pub fn new(source: Source, path: Option<&str>, line: Option<u64>, title: &str, detail: &str) -> Self {
        Self {
            source,
            path: path.filter(|path| !path.is_empty()).map(|path| show::clip(path, MAX_PATH)),
            line,
            title: show::clip(if title.trim().is_empty() { "(no title)" } else { title }, MAX_TITLE),
            detail: show::clip(detail, MAX_DETAIL),
        }
    }

    /// The same for the same source, path, line and title: 12 hex digits.
    pub fn id(&self) -> String {
        let place = (self.source, &self.path, self.line, &self.title);
        let bytes = serde_json::to_vec(&place).unwrap_or_default();
        Sha256::of(&bytes).as_str()[..12].to_owned()
    }

    /// `path:line: title`, for a list of reasons.
    pub fn summary(&self) -> String {
        let title = show::clip(&self.title, MAX_TITLE);
        let path = self.path.as_deref().map(|path| show::clip(path, MAX_PATH));
        match (path, self.line) {
            (Some(path), Some(line)) => format!("{path}:{line}: {title}"),
            (Some(path), None) => format!("{path}: {title}"),
            (None, _) => title,
        }
    }
}

fn check_findings(field: &'static str, findings: &[Finding]) -> Result<(), Invalid> {
    if findings.len() > MAX_FINDINGS {
        return Err(Invalid::TooMany(field));
    }
    for finding in findings {
        check_text(field, &finding.title, 1, MAX_TITLE)?;
        check_text(field, &finding.detail, 0, MAX_DETAIL)?;
        check_text(field, finding.path.as_deref().unwrap_or("-"), 1, MAX_PATH)?;
    }
    Ok(())
}

fn check_tests(tests: &[TestRun]) -> Result<(), Invalid> {
    if tests.len() > MAX_TESTS {
        return Err(Invalid::TooMany("tests_run"));
    }
    for test in tests {
        check_text("tests_run.name", &test.name, 1, MAX_NAME)?;
        if test.argv.is_empty() || test.argv.len() > MAX_ARGUMENTS {
            return Err(Invalid::TooMany("tests_run.argv"));
        }
        if test.argv.iter().any(|argument| argument.len() > MAX_ARGUMENT) {
            return Err(Invalid::Text("tests_run.argv"));
        }
    }
    Ok(())
}

/// Refuses text that has fewer than `min` or more than `max` characters, or that [`show::line()`] would change.
fn check_text(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), Invalid> {
    let fits = (min..=max).contains(&text.chars().count());
    if fits && show::is_line(text) { Ok(()) } else { Err(Invalid::Text(field)) }
}

/// jiff reads more than RFC 3339 (white space for `T`, a zone in brackets), so the characters are looked at first.
fn is_rfc3339(text: &str) -> bool {
    let plain = |byte| matches!(byte, b'0'..=b'9' | b'-' | b':' | b'.' | b'+' | b'T' | b'Z');
    (20..=40).contains(&text.len()) && text.bytes().all(plain) && text.parse::<jiff::Timestamp>().is_ok()
}

/// Written by hand so that it is a plain `enum`: OpenAI's strict mode knows no `oneOf`.
impl JsonSchema for Decision {
    fn schema_name() -> Cow<'static, str> {
        "Decision".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["APPROVED", "BLOCKED"] })
    }
}
