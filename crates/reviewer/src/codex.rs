//! The Codex CLI as a reviewer: one process a question, alone in an empty room, without tools.
//!
//! What each flag and setting is for was verified with codex 0.169.0 and a scripted model server; the tests of this crate do
//! it again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Cmd, Host, Output};
use serde_json::json;
use tempfile::TempDir;
use verdict::answer;
use verdict::policy::Review;
use verdict::schema::{CODEX, CodexCli, ReviewerId};
use zeroize::Zeroizing;

use crate::acceptance::{self, Reply};
use crate::catalog::{Model, Tools};
use crate::not_reviewed::Why;
use crate::program::{NotReady, Program, private_dir};
use crate::prompt::{Prompt, instructions_sha256};
use crate::review::Reviewer;

/// OpenAI's own service, where the policy names no other.
const OPENAI: &str = "https://api.openai.com/v1";
/// The variable that carries the key to the child.
const KEY: &str = "CODEX_API_KEY";
/// What codex takes on stdin (`input_too_large` above it).
const MAX_CHARACTERS: usize = 1 << 20;
/// The file in a room that its run holds locked.
const LOCK: &str = "lock";
/// Bytes of events kept of a run; more than this is no answer.
const OUTPUT_CAP: usize = 16 << 20;
/// How long `codex debug models` may take.
const CATALOG_TIME: Duration = Duration::from_secs(30);
/// How often codex itself repeats a request or a broken stream, inside the wall clock.
const ATTEMPTS: u32 = 2;

/// Tools, helpers and habits of codex that neither a review nor a heal needs.
const OFF: [&str; 12] = [
    "unbounded_connection_retries",
    "goals",
    "multi_agent",
    "multi_agent_v2",
    "plugins",
    "apps",
    "image_generation",
    "view_image",
    "tool_suggest",
    "skill_search",
    "sleep_tool",
    "hooks",
];
/// What a review does not need either.
const OFF_IN_REVIEW: [&str; 2] = ["shell_tool", "unified_exec"];
/// Settings of every run: nothing of the directory, the user or the machine becomes an instruction.
const SETTINGS: [&str; 9] = [
    "project_doc_max_bytes=0",
    "project_root_markers=[]",
    "skills.include_instructions=false",
    "include_environment_context=false",
    "include_collaboration_mode_instructions=false",
    "tools.experimental_request_user_input={enabled=false}",
    "allow_login_shell=false",
    "web_search=\"disabled\"",
    "analytics.enabled=false",
];

/// The Codex CLI, ready to be asked.
pub struct Codex<'a> {
    host: &'a dyn Host,
    program: Program,
    model: Model,
    effort: &'static str,
    base_url: Option<String>,
    timeout: Duration,
    key: Zeroizing<String>,
    state: PathBuf,
}

impl<'a> Codex<'a> {
    /// `program` as `policy` wants it used, with `key` for the service. Every run gets a private directory of its own
    /// under `state`, which is removed after it.
    ///
    /// # Errors
    /// [`NotReady`] when the program is not the pinned one, does not describe its models, or `state` cannot be made.
    pub fn new(
        host: &'a dyn Host,
        program: Program,
        policy: &Review,
        key: Zeroizing<String>,
        state: impl Into<PathBuf>,
    ) -> Result<Self, NotReady> {
        program.check_pins(policy)?;
        let state = state.into();
        private_dir(&state)?;
        let state = state.canonicalize().map_err(NotReady::io(&state))?;
        let room = Room::new(&state)?;
        let asked = room.cmd(&program).args(["debug", "models", "--bundled"]).timeout(CATALOG_TIME);
        let listed = host.run(&asked.output_cap(OUTPUT_CAP))?;
        let model = Model::choose(&listed.stdout, policy.model.as_deref()).map_err(NotReady::Catalog)?;
        let (effort, timeout) = (policy.effort.as_str(), Duration::from_secs(policy.timeout_sec));
        Ok(Self { host, program, model, effort, base_url: policy.base_url.clone(), timeout, key, state })
    }

    /// What a verdict records as `codex_cli`.
    pub fn cli(&self) -> CodexCli {
        CodexCli { version: self.program.version().to_owned(), command: self.program.path().display().to_string() }
    }

    pub(crate) const fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) const fn host(&self) -> &'a dyn Host {
        self.host
    }

    pub(crate) fn room(&self) -> Result<Room, NotReady> {
        Room::new(&self.state)
    }

    /// A run of `codex exec` in `room`, with the prompt on stdin.
    pub(crate) fn exec(&self, room: &Room, tools: Tools, prompt: &str) -> Result<Cmd, NotReady> {
        let mut cmd = room.cmd(&self.program).args(EXEC).args(["--model", &self.model.slug]);
        for feature in OFF.iter().chain(if tools == Tools::None { OFF_IN_REVIEW.as_slice() } else { &[] }) {
            cmd = cmd.args(["--disable", feature]);
        }
        for setting in SETTINGS.iter().map(ToString::to_string).chain(self.settings()) {
            cmd = cmd.args(["--config", &setting]);
        }
        if let Some(catalog) = self.model.catalog(tools) {
            let file = room.write(self.host, "models.json", catalog.as_bytes())?;
            cmd = cmd.args(["--config".into(), setting("model_catalog_json", &file.to_string_lossy())]);
        }
        Ok(cmd.secret_env(KEY, self.key.clone()).stdin(prompt).output_cap(OUTPUT_CAP).timeout(self.timeout))
    }

    fn settings(&self) -> [String; 3] {
        let url = json!(self.base_url.as_deref().unwrap_or(OPENAI));
        [
            setting("model_reasoning_effort", self.effort),
            setting("model_provider", "review"),
            format!(
                "model_providers.review={{name=\"review\",base_url={url},env_key=\"{KEY}\",\
                 request_max_retries={ATTEMPTS},stream_max_retries={ATTEMPTS}}}"
            ),
        ]
    }

    /// Runs `cmd`; the key is taken out of what it printed.
    pub(crate) fn run(&self, cmd: &Cmd) -> Result<Output, Why> {
        let mut output = self.host.run(cmd).map_err(|error| Why::not_run(&error.into()))?;
        for stream in [&mut output.stdout, &mut output.stderr] {
            scrub(stream, self.key.as_bytes());
        }
        Ok(output)
    }

    fn answer(&self, prompt: &Prompt) -> Result<Reply, Why> {
        let unusable = |error: NotReady| Why::not_run(&error);
        if prompt.text.chars().count() > MAX_CHARACTERS {
            return Err(Why::TooLong(format!("{} bytes for {}", prompt.text.len(), prompt.packet)));
        }
        let room = self.room().map_err(unusable)?;
        let schema = room.write(self.host, "schema.json", answer::json_schema().to_string().as_bytes());
        let schema = schema.map_err(unusable)?;
        let said = room.path("answer.json");
        let cmd = self.exec(&room, Tools::None, &prompt.text).map_err(unusable)?.dir(room.path("empty"));
        let cmd = cmd.args(["--config", "shell_environment_policy={inherit=\"none\"}", "--sandbox", "read-only"]);
        let cmd = cmd.args([OsString::from("--output-schema"), schema.into()]);
        let output = self.run(&cmd.args([OsString::from("--output-last-message"), said.clone().into()]))?;
        let said = self.host.read(&said).map_err(|error| Why::not_run(&error.into()))?;
        Ok(acceptance::accept(&output, said))
    }
}

impl Reviewer for Codex<'_> {
    fn identity(&self) -> ReviewerId {
        ReviewerId {
            name: CODEX.to_owned(),
            version: self.program.version().to_owned(),
            binary_sha256: Some(self.program.sha256().clone()),
            prompt_sha256: Some(instructions_sha256()),
            model: Some(self.model.slug.clone()),
            endpoint: self.base_url.clone(),
        }
    }

    fn settings(&self) -> String {
        format!("effort={}", self.effort)
    }

    fn ask(&self, prompt: &Prompt) -> Reply {
        self.answer(prompt).unwrap_or_else(|why| Reply { text: Err(why), usage: None })
    }
}

/// The prompt on stdin, events on stdout, no file of the user's or the project's read.
const EXEC: [&str; 9] = [
    "exec",
    "-",
    "--json",
    "--color=never",
    "--ephemeral",
    "--ignore-user-config",
    "--ignore-rules",
    "--skip-git-repo-check",
    "--strict-config",
];

/// A private directory for one run of codex, removed with everything in it: `home` (its `CODEX_HOME`), `tmp`, and
/// `empty`, the directory it works in. It is locked while its run lives, so that one whose run was killed is told apart.
pub(crate) struct Room {
    dir: TempDir,
    _lock: File,
}

impl Room {
    fn new(state: &Path) -> Result<Self, NotReady> {
        // Between making a room and locking it, nobody looks for abandoned ones.
        let doorway = locked(&state.with_extension("lock"))?;
        sweep(state)?;
        let dir = tempfile::Builder::new().prefix("codex-").tempdir_in(state).map_err(NotReady::io(state))?;
        let lock = locked(&dir.path().join(LOCK))?;
        drop(doorway);
        let room = Self { dir, _lock: lock };
        for name in ["home", "tmp", "empty"] {
            private_dir(&room.path(name))?;
        }
        Ok(room)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, host: &dyn Host, name: &str, bytes: &[u8]) -> Result<PathBuf, NotReady> {
        let path = self.path(name);
        host.write_atomic(&path, bytes, 0o600)?;
        Ok(path)
    }

    /// `program` in an environment that has nothing of the user's but the way to the network.
    pub(crate) fn cmd(&self, program: &Program) -> Cmd {
        Cmd::new(program.path())
            .dir(self.path("empty"))
            .env("PATH", "/usr/bin:/bin")
            // Codex tells its service remotes and commit of a repository that it finds above the directory it works in.
            .env("GIT_DIR", "/dev/null")
            .env("HOME", self.path("home"))
            .env("CODEX_HOME", self.path("home"))
            // Codex does not put its helpers into a home under the temporary directory.
            .env("TMPDIR", self.path("tmp"))
            // A proxy for TLS sees no more than the network does; one for plain HTTP would.
            .inherit(&["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"])
    }
}

fn locked(path: &Path) -> Result<File, NotReady> {
    let file = File::create(path).map_err(NotReady::io(path))?;
    file.lock().map_err(NotReady::io(path))?;
    Ok(file)
}

/// Removes the rooms whose run was killed: nobody holds their lock.
fn sweep(state: &Path) -> Result<(), NotReady> {
    for entry in fs::read_dir(state).map_err(NotReady::io(state))? {
        let room = entry.map_err(NotReady::io(state))?.path();
        if File::open(room.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What cannot be removed now, such as by a codex that outlived its run, is removed by a later run.
            let _ = fs::remove_dir_all(&room);
        }
    }
    Ok(())
}

/// `name="value"` in TOML; what JSON escapes in a string, TOML reads the same.
pub(crate) fn setting(name: &str, value: &str) -> String {
    format!("{name}={}", json!(value))
}

/// Overwrites every occurrence of `secret`.
fn scrub(bytes: &mut [u8], secret: &[u8]) {
    if secret.is_empty() {
        return;
    }
    let mut start = 0;
    while let Some(found) = bytes[start..].windows(secret.len()).position(|window| window == secret) {
        start += found;
        bytes[start..start + secret.len()].fill(b'*');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k01_a_key_that_is_echoed_is_taken_out() {
        let mut bytes = b"a key-1 b key-1key-1".to_vec();
        scrub(&mut bytes, b"key-1");
        assert_eq!(bytes, b"a ***** b **********");
        scrub(&mut bytes, b"");
    }

    #[test]
    fn a_value_cannot_end_its_string() {
        assert_eq!(setting("a", "x\"\ny\\"), r#"a="x\"\ny\\""#);
    }
}
