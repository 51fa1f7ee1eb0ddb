//! One parameter of a job: it reaches the job as an environment variable and in no other way.

use serde::Serialize;

use crate::pattern::Pattern;
use crate::section::Section;
use crate::{show, variable};

/// The longest value, in bytes.
pub const MAX_BYTES: usize = 1_000;
/// The most parameters of one job.
pub(crate) const MAX: usize = 16;

/// `[jobs.NAME.params.KEY]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    pattern: Pattern,
    required: bool,
}

/// Its settings, for the hash of the policy.
impl Serialize for Param {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut param = serializer.serialize_struct("Param", 2)?;
        param.serialize_field("pattern", self.pattern.as_str())?;
        param.serialize_field("required", &self.required)?;
        param.end()
    }
}

impl Param {
    /// The regular expression of the whole value, as it was written.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// A request without it is refused.
    pub const fn required(&self) -> bool {
        self.required
    }

    /// The variable that carries the parameter `key`: the key in upper case.
    pub fn variable(key: &str) -> String {
        key.to_ascii_uppercase()
    }

    /// Judges a value.
    ///
    /// # Errors
    /// Why it is not allowed, in words; the value itself is not part of them.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.len() > MAX_BYTES {
            Err(format!("is longer than {MAX_BYTES} bytes"))
        } else if !show::is_line(value) {
            Err("holds a line break, a control or an invisible character".into())
        } else if !self.pattern.matches(value) {
            Err(format!("does not match `{}`", self.pattern.as_str()))
        } else {
            Ok(())
        }
    }

    /// Reads the parameter `key`; `env` are the variables the job gets already.
    pub(crate) fn read(key: &str, section: &mut Section<'_, '_>, env: &[String]) -> Option<Self> {
        check_key(key, section, env);
        let required = section.flag("required", false);
        let written = section.required_text("pattern")?;
        match Pattern::new(written.value) {
            Ok(pattern) => Some(Self { pattern, required }),
            Err(why) => {
                section.problem(&written.place, why);
                None
            }
        }
    }
}

fn check_key(key: &str, section: &Section<'_, '_>, env: &[String]) {
    let lower = key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let variable = Param::variable(key);
    if !lower || !variable::is_name(key) {
        let max = variable::MAX_BYTES;
        section.problem_here(format!("the key must be `[a-z][a-z0-9_]*` of at most {max} bytes"));
    } else if let Some(why) = variable::reserved(&variable) {
        section.problem_here(format!("its variable {variable} {why}"));
    } else if env.contains(&variable) {
        section.problem_here(format!("its variable {variable} is passed through by `env` already"));
    }
}
