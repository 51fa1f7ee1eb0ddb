//! `configs/ship.toml`, schema 1: which refs are protected, how a review is done, what may be healed.
//!
//! The policy that judges a change is the one the remote had before it, never the one in it.
//!
//! ```toml
//! schema = 1
//!
//! [refs]                       # `*` stays inside a component, `**` crosses
//! protected = ["refs/heads/main", "refs/heads/master", "refs/heads/release/**"]
//! open = ["refs/heads/**", "refs/tags/**"]
//!
//! [tests]
//! required = false             # true: the gate wants every step below in the verdict, with exit code 0
//! [[tests.steps]]
//! name = "unit"
//! argv = ["cargo", "test"]     # never through a shell
//! timeout_sec = 1800           # 1..=7200
//!
//! [review]
//! model = "gpt-5.5"            # default: the reviewer's own
//! effort = "high"              # minimal, low, medium, high, xhigh
//! size_cap_bytes = 204800      # 1,000..=900,000: above it the review is done in packets
//! packet_cap_bytes = 100000    # 1,000..=900,000
//! max_packets = 64             # 1..=1,000
//! parallel = 2                 # 1..=16
//! timeout_sec = 600            # 1..=7200, of one question
//! retries = 2                  # 0..=10, of one question that failed or had an answer that does not count
//! max_tokens = 2000000         # 1,000..=1,000,000,000, of one run
//! codex_version = "0.169.0"    # default: any
//! codex_sha256 = []            # SHA-256 of each allowed program; default: any
//! base_url = "https://host/v1" # default: the reviewer's own; http on loopback only
//!
//! [heal]
//! paths = ["src"]              # directories; default: none, nothing is healed
//! timeout_sec = 900            # 1..=7200
//!
//! [[rules.allow]]
//! rule = "secret"
//! path = "tests/fixtures/**"
//! reason = "made-up keys"
//! ```

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use crate::oid::Sha256;
use crate::pattern::Pattern;
use crate::show;

/// The path of the policy in a repository.
pub const PATH: &str = "configs/ship.toml";
/// The number in a policy's `schema`.
pub const SCHEMA: u32 = 1;
/// The longest policy file, in bytes.
pub const MAX_BYTES: usize = 256 << 10;

const SECONDS: RangeInclusive<u64> = 1..=7_200;
/// What may be shown at once, in bytes. Codex takes at most 1,048,576 characters on stdin; the instructions need room too.
pub const SHOWN_BYTES: RangeInclusive<u64> = 1_000..=900_000;
const MAX_ENTRIES: usize = 100;

/// A policy that was read whole and found consistent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which refs are gated.
    pub refs: Refs,
    /// The test steps of a ship.
    pub tests: Tests,
    /// How a review is done.
    pub review: Review,
    /// What may be healed.
    pub heal: Heal,
    /// Exceptions from the rules.
    pub rules: Rules,
    sha256: Sha256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(default)]
    refs: Refs,
    #[serde(default)]
    tests: Tests,
    #[serde(default)]
    review: Review,
    #[serde(default)]
    heal: Heal,
    #[serde(default)]
    rules: Rules,
}

/// Read first, so that a later format is named as such and not as a list of unknown keys.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// Which refs are gated. A ref that fits neither list is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Refs {
    /// Gated; wins over `open`.
    pub protected: Vec<Pattern>,
    /// Pushed freely.
    pub open: Vec<Pattern>,
}

/// The test steps of a ship.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tests {
    /// The gate wants each step in the verdict, with exit code 0.
    pub required: bool,
    /// Run in this order. Empty: the ship chooses by the kind of project.
    pub steps: Vec<TestStep>,
}

/// One test step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestStep {
    /// Unique among the steps.
    pub name: String,
    /// Program and arguments, not through a shell.
    pub argv: Vec<String>,
    /// When its process group is killed, in seconds.
    #[serde(default = "half_an_hour")]
    pub timeout_sec: u64,
}

/// How a review is done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// The model to ask for; the gate wants the same in the verdict.
    pub model: Option<String>,
    /// How hard the model thinks.
    pub effort: Effort,
    /// The longest bundle shown at once, in bytes.
    pub size_cap_bytes: u64,
    /// The longest packet, in bytes.
    pub packet_cap_bytes: u64,
    /// The most packets of one review.
    pub max_packets: u64,
    /// Questions asked at the same time.
    pub parallel: u64,
    /// The wall clock of one question, in seconds.
    pub timeout_sec: u64,
    /// How often one question is asked again after a failure of the infrastructure or an answer that does not count.
    pub retries: u64,
    /// The budget of one run.
    pub max_tokens: u64,
    /// The only version of the Codex CLI that counts.
    pub codex_version: Option<String>,
    /// The only Codex programs that count; empty: any.
    pub codex_sha256: Vec<Sha256>,
    /// Where the model is asked; the gate wants the same in the verdict.
    pub base_url: Option<String>,
}

/// The reasoning effort asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// `minimal`
    Minimal,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `xhigh`
    Xhigh,
}

/// What may be healed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heal {
    /// Directories, relative to the root of the work tree.
    pub paths: Vec<String>,
    /// The wall clock of one attempt, in seconds.
    pub timeout_sec: u64,
}

/// Exceptions from the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Blockers that become notes, and notes that are left out.
    pub allow: Vec<Allow>,
}

/// Blockers of `rule` in files that match `path` become notes; its notes are left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// The rule's name.
    pub rule: String,
    /// The files.
    pub path: Pattern,
    /// Why, for the next reader.
    pub reason: String,
}

/// How a push of a ref is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefClass {
    /// Only with a verdict.
    Protected,
    /// Freely.
    Open,
    /// Refused: no pattern fits, or the name is made to look like another.
    Unknown,
}

/// Why a file is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Longer than [`MAX_BYTES`].
    #[error("the policy is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not TOML, or with keys or values the format does not have.
    #[error("{0}")]
    Form(String),
    /// Another version of the format.
    #[error("policy schema {0} is not {SCHEMA}")]
    Schema(u32),
    /// A number out of bounds.
    #[error("{field} = {value} is not within {min}..={max}")]
    Bound {
        /// The key.
        field: String,
        /// What stands there.
        value: u64,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// A value that cannot be meant.
    #[error("{field}: {why}")]
    Value {
        /// The key.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] for anything that is not wholly understood: unknown keys, keys that stand twice, numbers out
    /// of bounds, patterns that protect nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_BYTES {
            return Err(PolicyError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::Form(error.to_string()))?;
        let Version { schema } = from_toml(text)?;
        if schema != SCHEMA {
            return Err(PolicyError::Schema(schema));
        }
        let File { _schema, refs, tests, review, heal, rules } = from_toml(text)?;
        refs.check()?;
        tests.check()?;
        review.check()?;
        heal.check()?;
        rules.check()?;
        Ok(Self { refs, tests, review, heal, rules, sha256: Sha256::of(bytes) })
    }

    /// The policy of a repository that has none: every default.
    pub fn built_in() -> Self {
        let bytes = b"schema = 1\n";
        Self {
            refs: Refs::default(),
            tests: Tests::default(),
            review: Review::default(),
            heal: Heal::default(),
            rules: Rules::default(),
            sha256: Sha256::of(bytes),
        }
    }

    /// SHA-256 of the file's bytes.
    pub const fn sha256(&self) -> &Sha256 {
        &self.sha256
    }

    /// How a push of the full name `refname` is treated.
    ///
    /// A name that some file system or reader would take for a protected one (other case, other normalisation,
    /// invisible characters) is [`RefClass::Unknown`], as are names Git would refuse and all of `refs/replace`.
    pub fn classify(&self, refname: &str) -> RefClass {
        let folded = fold(refname);
        let any = |patterns: &[Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name.as_bytes()));
        if !is_full_refname(refname) || folded.starts_with("refs/replace/") {
            RefClass::Unknown
        } else if any(&self.refs.protected, refname) {
            RefClass::Protected
        } else if self.refs.protected.iter().any(|pattern| folds_into(pattern, &folded)) {
            RefClass::Unknown
        } else if any(&self.refs.open, refname) {
            RefClass::Open
        } else {
            RefClass::Unknown
        }
    }

    /// True when a heal may change `path`: a normal path below one of the policy's directories, compared by whole
    /// components, that `is_control_plane` does not claim in this or in lower case.
    pub fn healable(&self, path: &[u8], is_control_plane: &dyn Fn(&[u8]) -> bool) -> bool {
        let below = |dir: &String| path.strip_prefix(dir.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        is_normal(path)
            && self.heal.paths.iter().any(below)
            && !is_control_plane(path)
            && !is_control_plane(&path.to_ascii_lowercase())
    }

    /// The reason why findings of `rule` in `path` are allowed, if there is one.
    pub fn allowed(&self, rule: &str, path: &[u8]) -> Option<&str> {
        let mut allow = self.rules.allow.iter();
        allow.find(|allow| allow.rule == rule && allow.path.matches(path)).map(|allow| allow.reason.as_str())
    }
}

fn from_toml<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, PolicyError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        PolicyError::Form(format!("line {line}: {}", show::clip(error.message(), 300)))
    })
}

impl Default for Refs {
    fn default() -> Self {
        let patterns =
            |all: &[&str]| all.iter().filter_map(|text| Pattern::try_from((*text).to_owned()).ok()).collect();
        Self {
            protected: patterns(&["refs/heads/main", "refs/heads/master", "refs/heads/release/**"]),
            open: patterns(&["refs/heads/**", "refs/tags/**"]),
        }
    }
}

impl Default for Review {
    fn default() -> Self {
        Self {
            model: None,
            effort: Effort::High,
            size_cap_bytes: 204_800,
            packet_cap_bytes: 100_000,
            max_packets: 64,
            parallel: 2,
            timeout_sec: 600,
            retries: 2,
            max_tokens: 2_000_000,
            codex_version: None,
            codex_sha256: Vec::new(),
            base_url: None,
        }
    }
}

impl Default for Heal {
    fn default() -> Self {
        Self { paths: Vec::new(), timeout_sec: 900 }
    }
}

const fn half_an_hour() -> u64 {
    1_800
}

impl Effort {
    /// The word Codex knows it by (`model_reasoning_effort`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
        }
    }
}

impl Refs {
    fn check(&self) -> Result<(), PolicyError> {
        if self.protected.is_empty() {
            return Err(value("refs.protected", "must not be empty: it would turn the gate off"));
        }
        for (field, patterns) in [("refs.protected", &self.protected), ("refs.open", &self.open)] {
            few(field, patterns.len())?;
            if let Some(stray) = patterns.iter().find(|pattern| !is_full_refname(&pattern.as_str().replace('*', "x"))) {
                return Err(value(field, format!("`{}` matches no full ref name (refs/heads/…)", stray.as_str())));
            }
        }
        Ok(())
    }
}

impl Tests {
    fn check(&self) -> Result<(), PolicyError> {
        few("tests.steps", self.steps.len())?;
        if self.required && self.steps.is_empty() {
            return Err(value("tests.steps", "required = true needs at least one step"));
        }
        let mut names = BTreeSet::new();
        for step in &self.steps {
            let field = format!("tests.steps.{}", show::clip(&step.name, 64));
            one_line("tests.steps.name", &step.name, 64)?;
            if !names.insert(&step.name) {
                return Err(value(&field, "stands there twice"));
            }
            step.check(&field)?;
        }
        Ok(())
    }
}

impl TestStep {
    fn check(&self, field: &str) -> Result<(), PolicyError> {
        few(&format!("{field}.argv"), self.argv.len())?;
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(value(&format!("{field}.argv"), "names no program"));
        }
        if self.argv.iter().any(|argument| argument.len() > 4_096 || argument.contains('\0')) {
            return Err(value(&format!("{field}.argv"), "an argument is too long or holds a NUL"));
        }
        bound(&format!("{field}.timeout_sec"), self.timeout_sec, &SECONDS)
    }
}

impl Review {
    fn check(&self) -> Result<(), PolicyError> {
        for (field, number, bounds) in [
            ("size_cap_bytes", self.size_cap_bytes, SHOWN_BYTES),
            ("packet_cap_bytes", self.packet_cap_bytes, SHOWN_BYTES),
            ("max_packets", self.max_packets, 1..=1_000),
            ("parallel", self.parallel, 1..=16),
            ("timeout_sec", self.timeout_sec, SECONDS),
            ("retries", self.retries, 0..=10),
            ("max_tokens", self.max_tokens, 1_000..=1_000_000_000),
        ] {
            bound(&format!("review.{field}"), number, &bounds)?;
        }
        few("review.codex_sha256", self.codex_sha256.len())?;
        if self.codex_version.as_ref().is_some_and(|version| semver::Version::parse(version).is_err()) {
            return Err(value("review.codex_version", "is not a version like 0.169.0"));
        }
        if self.model.as_ref().is_some_and(|model| !is_model_name(model)) {
            return Err(value("review.model", "is not a model's name"));
        }
        if self.base_url.as_ref().is_some_and(|url| !is_safe_base_url(url)) {
            return Err(value("review.base_url", "is not a plain https URL (or http on loopback)"));
        }
        Ok(())
    }
}

impl Heal {
    fn check(&self) -> Result<(), PolicyError> {
        few("heal.paths", self.paths.len())?;
        if let Some(bad) = self.paths.iter().find(|path| !is_normal(path.as_bytes()) || !show::is_line(path)) {
            return Err(value("heal.paths", format!("`{}` is not a relative, normal path", show::clip(bad, 80))));
        }
        bound("heal.timeout_sec", self.timeout_sec, &SECONDS)
    }
}

impl Rules {
    fn check(&self) -> Result<(), PolicyError> {
        few("rules.allow", self.allow.len())?;
        for allow in &self.allow {
            one_line("rules.allow.rule", &allow.rule, 64)?;
            one_line("rules.allow.reason", &allow.reason, 300)?;
        }
        Ok(())
    }
}

fn value(field: &str, why: impl Into<String>) -> PolicyError {
    PolicyError::Value { field: field.to_owned(), why: why.into() }
}

fn few(field: &str, entries: usize) -> Result<(), PolicyError> {
    if entries > MAX_ENTRIES { Err(value(field, format!("more than {MAX_ENTRIES} entries"))) } else { Ok(()) }
}

fn bound(field: &str, value: u64, bounds: &RangeInclusive<u64>) -> Result<(), PolicyError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(PolicyError::Bound { field: field.to_owned(), value, min: *bounds.start(), max: *bounds.end() })
}

fn one_line(field: &str, text: &str, max: usize) -> Result<(), PolicyError> {
    if !text.trim().is_empty() && text.len() <= max && show::is_line(text) {
        Ok(())
    } else {
        Err(value(field, format!("must be one printable line of at most {max} bytes")))
    }
}

/// It becomes an argument of a command: no option, no quote, no white space.
fn is_model_name(model: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    (1..=100).contains(&model.len()) && model.bytes().all(plain) && !model.starts_with('-')
}

/// The reviewer's key is sent there: TLS, or not off this machine. It becomes part of a TOML string: no quote, no
/// backslash, no user information.
fn is_safe_base_url(url: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:/-[]".contains(&byte);
    let host_of = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    let is_host = |host: &str| host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    let is_loopback = |host: &str| {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
            host.strip_prefix(name).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
            })
        })
    };
    let safe = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => is_host(&host_of(rest)),
        (None, Some(rest)) => is_loopback(&host_of(rest)),
        (None, None) => false,
    };
    safe && url.len() <= 300 && url.bytes().all(plain)
}

/// Relative, no empty, `.` or `..` component, nothing that is or looks like `.git`.
fn is_normal(path: &[u8]) -> bool {
    let is_good = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git");
    !path.contains(&0) && path.split(|byte| *byte == b'/').all(is_good)
}

/// The rules of git-check-ref-format(1) for a full name; `refs/` and at least one component.
fn is_full_refname(name: &str) -> bool {
    let forbidden = |char: char| char.is_ascii_control() || " ~^:?*[\\".contains(char);
    let is_good = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.as_bytes().ends_with(b".lock");
    name.starts_with("refs/")
        && name.split('/').all(is_good)
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}

fn folds_into(pattern: &Pattern, folded: &str) -> bool {
    Pattern::try_from(fold(pattern.as_str())).is_ok_and(|pattern| pattern.matches(folded.as_bytes()))
}

/// One spelling for all names a case-insensitive or normalising file system (APFS, HFS+, NTFS) takes for the same,
/// and for those a person would: compatibility decomposition, one case, no invisible characters. Upper case first
/// unites letters that share only that (`ſ` and `s`).
fn fold(name: &str) -> String {
    let visible = name.nfkd().filter(|char| show::is_line(char.encode_utf8(&mut [0; 4])));
    visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd().collect()
}
