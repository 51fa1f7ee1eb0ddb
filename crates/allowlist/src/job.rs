//! One job: what runs, for how long, with what it may see, and what may vary.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::limits::Limits;
use crate::param::{self, Param};
use crate::section::{Entry, Section};
use crate::{bind, name, show, variable};

/// The longest argument, in bytes.
const MAX_ARGUMENT: usize = 4_096;

/// `[jobs.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Program and arguments, as they are run: no shell, and nothing is put into them.
    pub argv: Vec<String>,
    /// The wall clock, in seconds.
    pub timeout_sec: u64,
    /// What the job may do to the tree.
    pub tree: TreeMode,
    /// The job has the host's network.
    pub network: bool,
    /// Variables passed through from the runner's environment, sorted.
    pub env: Vec<String>,
    /// Host paths mounted read-only at the same place, sorted.
    pub binds: Vec<String>,
    /// The only repositories it runs for, sorted; `None`: every one of the list.
    pub repos: Option<Vec<String>>,
    /// What it may take.
    pub limits: Limits,
    /// What a request may vary.
    pub params: BTreeMap<String, Param>,
}

/// What a job may do to the tree it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeMode {
    /// Writing fails.
    ReadOnly,
    /// Writing goes to a layer that is recorded and thrown away.
    Capture,
}

impl TreeMode {
    /// `read_only` or `capture`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Capture => "capture",
        }
    }
}

impl Job {
    /// Reads a job; `repos` are the names of the other file, unless that could not be read.
    pub(crate) fn read(name: &str, mut section: Section<'_, '_>, repos: Option<&[String]>) -> Self {
        if !name::is_name(name) {
            section.problem_here(format!("the name of a job must be {}", name::RULE));
        }
        let modes = [TreeMode::ReadOnly, TreeMode::Capture].map(|mode| (mode.as_str(), mode));
        let env = section.set("env", check_env);
        let job = Self {
            argv: read_argv(&mut section),
            timeout_sec: section.number("timeout_sec", &(1..=86_400), None),
            tree: section.word("tree", &modes, TreeMode::ReadOnly),
            network: section.flag("network", false),
            binds: read_binds(&mut section),
            repos: read_repos(&mut section, repos),
            limits: Limits::read(section.section("limits")),
            params: read_params(&mut section, &env),
            env,
        };
        section.finish();
        job
    }
}

fn read_argv(section: &mut Section<'_, '_>) -> Vec<String> {
    section.require_list("argv");
    let arguments = section.list("argv");
    for (index, Entry { value, place }) in arguments.iter().enumerate() {
        if value.len() > MAX_ARGUMENT {
            section.problem(place, format!("is longer than {MAX_ARGUMENT} bytes"));
        }
        if value.contains('\0') {
            section.problem(place, "holds a NUL");
        }
        if index == 0 && (value.is_empty() || value.starts_with('-') || !show::is_line(value)) {
            section.problem(place, "is not the name or path of a program");
        }
    }
    arguments.into_iter().map(|argument| argument.value).collect()
}

fn check_env(name: &str) -> Result<(), String> {
    let shown = show::value(name);
    if !variable::is_name(name) {
        return Err(format!("{shown} is not the name of a variable"));
    }
    variable::reserved(name).map_or(Ok(()), |why| Err(format!("{shown} {why}")))
}

fn read_binds(section: &mut Section<'_, '_>) -> Vec<String> {
    let place = section.place_of("binds");
    let binds = section.set("binds", bind::check);
    for (inner, outer) in binds.iter().flat_map(|inner| binds.iter().map(move |outer| (inner, outer))) {
        if inner != outer && bind::is_within(inner, outer) {
            section.problem(&place, format!("`{inner}` lies within `{outer}`, which is bound already"));
        }
    }
    binds
}

fn read_repos(section: &mut Section<'_, '_>, known: Option<&[String]>) -> Option<Vec<String>> {
    let present = section.has("repos");
    if present {
        section.require_list("repos");
    }
    let unknown = |repo: &str| known.is_some_and(|known| !known.iter().any(|name| name == repo));
    let repos = section.set("repos", |repo| {
        if !unknown(repo) {
            return Ok(());
        }
        let near = name::near(repo, known.unwrap_or_default().iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(format!("{} is not in the list of repositories{hint}", show::value(repo)))
    });
    present.then_some(repos)
}

fn read_params(section: &mut Section<'_, '_>, env: &[String]) -> BTreeMap<String, Param> {
    let params = section.sections("params", param::MAX).into_iter().filter_map(|(key, mut section)| {
        let param = Param::read(&key, &mut section, env);
        section.finish();
        Some((key, param?))
    });
    params.collect()
}
