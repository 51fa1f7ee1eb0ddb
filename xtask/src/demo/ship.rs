//! The whole way of a branch from commit to push.
//!
//! A bare repository stands in for the remote and a clone for the agent's. What runs in them are the real programs,
//! the real hook and, in the last part, the real Codex CLI in front of the project's fake model server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fake_model::{Brain, FakeModel, codex_binary};
use outcome::Failure;

use super::{say, tool, write};
use crate::programs;
use crate::workshop::{Tool, Workshop, unusable};

/// What the fake model blocks, and how it heals it.
const MARKER: &str = "eval(";
const HEAL: &str = "*** Begin Patch
*** Update File: src/greet.py
@@
-    return eval(\"'hello ' + name\")
+    return 'hello ' + name
*** End Patch";

/// Runs the demo in `dir`.
///
/// # Errors
/// The failure of the first step that does not end as it should.
pub(super) fn run(workshop: &Workshop, dir: &Path) -> Result<(), Failure> {
    programs::build(workshop, &["ship-cli", "push-gate", "install-hooks"])?;
    Demo::new(workshop, dir)?.run()
}

struct Demo<'a> {
    workshop: &'a Workshop,
    dir: &'a Path,
    model: FakeModel,
}

impl<'a> Demo<'a> {
    fn new(workshop: &'a Workshop, dir: &'a Path) -> Result<Self, Failure> {
        let brain = Brain::approving().blocking_on(MARKER).healing_with(HEAL);
        let model = FakeModel::start(move |request| brain.reply(request))
            .map_err(|error| Failure::not_ready("loopback", error.to_string(), "allow listening on 127.0.0.1"))?;
        Ok(Self { workshop, dir, model })
    }

    fn run(&self) -> Result<(), Failure> {
        say("A remote with one commit, its policy and a clone with the gate installed");
        self.prepare()?;

        say("1. An agent commits a key: the rules block it, no model is asked");
        let key = ["AKIA", "Z7VRSQ5TJN2XMPLA"].concat();
        self.write("src/config.py", &format!("AWS_ACCESS_KEY_ID = '{key}'\n"))?;
        self.commit("add configuration")?;
        self.ship(1, &[("CODEX_SKIP", "1")])?;
        self.git(&["reset", "--quiet", "--hard", "origin/main"])?;

        say("2. A clean commit gets a simulated verdict: the gate refuses to push it and says why");
        self.write("src/greet.py", "def greet(name):\n    return eval(\"'hello ' + name\")\n")?;
        self.commit("greet by name")?;
        self.ship(1, &[("CODEX_SKIP", "1")])?;

        let Ok(codex) = codex_binary() else {
            say("3. needs the Codex CLI: cargo xtask setup, then run the demo again");
            return Ok(());
        };
        say("3. The real Codex CLI with a fake model: blocked, healed, approved, pushed through the hook");
        self.provide(&codex)?;
        self.ship(0, &[("OPENAI_API_KEY", &["sk-", "demo-0123456789abcdef0123456789"].concat())])?;
        self.git(&["log", "--oneline", "origin/main"])?;

        say("4. Once more: there is nothing to do");
        self.ship(0, &[])
    }

    fn prepare(&self) -> Result<(), Failure> {
        for dir in ["home", "bin", "clone/configs", "clone/src"] {
            fs::create_dir_all(self.path(dir)).map_err(|error| unusable(&self.path(dir), &error))?;
        }
        self.tool("git")
            .dir(self.dir)
            .args(["init", "--quiet", "--bare", "--initial-branch=main", "remote"])
            .run("demo", "see above")?;
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        self.git(&["remote", "add", "origin", "../remote"])?;
        self.write("Makefile", "test:\n\tpython3 -c 'import ast; ast.parse(open(\"src/greet.py\").read())'\n")?;
        self.write("src/greet.py", "def greet():\n    return 'hello'\n")?;
        let policy = format!("schema = 1\n[review]\nbase_url = \"{}\"\n[heal]\npaths = [\"src\"]\n", self.model.url());
        self.write("configs/ship.toml", &policy)?;
        self.commit("start")?;
        self.git(&["push", "--quiet", "--set-upstream", "origin", "main"])?;
        self.program("install-hooks").run("demo", "see above")
    }

    /// Puts the Codex CLI on the programs' search path.
    fn provide(&self, codex: &Path) -> Result<(), Failure> {
        let link = self.path("bin/codex");
        symlink(codex, &link).map_err(|error| unusable(&link, &error))
    }

    fn ship(&self, code: u8, variables: &[(&str, &str)]) -> Result<(), Failure> {
        println!("$ ship");
        let tool = variables.iter().fold(self.program("ship"), |tool, (name, value)| tool.env(name, value));
        let exit = tool.exit_code()?;
        if exit == Some(i32::from(code)) {
            return Ok(());
        }
        Err(Failure::bug("demo", format!("ship exited with {exit:?}, not {code}"), "report this with the output above"))
    }

    fn commit(&self, message: &str) -> Result<(), Failure> {
        println!("$ git commit -m {message:?}");
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        write(&self.path("clone").join(name), text)
    }

    fn git(&self, args: &[&str]) -> Result<(), Failure> {
        self.tool("git").args(args).run("demo", "see above")
    }

    fn program(&self, name: &str) -> Tool {
        self.tool(programs::built(self.workshop, name))
    }

    /// A tool in the clone, with a home and a git configuration of the demo's own.
    fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Tool {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.path("bin").display());
        tool(self.workshop, program, &self.path("clone"), &self.path("home")).env("PATH", path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
