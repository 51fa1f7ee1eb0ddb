//! A machine whose sshd the whole internet reaches: found, locked down, confirmed, and once not confirmed.
//!
//! systemd, sshd and the programs are the real ones, on a machine of the demo's own with two networks. Tailscale is a
//! stand-in, since no registry has it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use outcome::Failure;
use real_parts::{Broken, Host, Machine, Tree};

use super::say;
use crate::workshop::{Workshop, unusable};
use crate::{programs, setup};

/// The machine's address in the public network and in the tailnet.
const WAN: &str = "203.0.113.1";
const TAILNET: &str = "100.64.0.1";
const PROGRAMS: [&str; 2] = ["port-audit", "sshd-fix"];
const BIN: &str = "/usr/local/bin";
/// Longer than the time that the demo gives itself to confirm, and never does.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Runs the demo in `dir`.
///
/// # Errors
/// The failure of the first step that does not end as it should.
pub(super) fn run(workshop: &Workshop, dir: &Path) -> Result<(), Failure> {
    setup::machines(workshop)?;
    programs::build(workshop, &["port-audit-cli", "sshd-fix-cli"])?;
    let keygen = workshop.tool("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).args([dir.join("id")]);
    keygen.run("demo", "see above")?;
    let path = dir.join("id.pub");
    let key = fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
    let machine = booted(workshop, &key).map_err(|error| {
        Failure::not_ready("testhost", error.to_string(), "mend what it names, then run it again: cargo xtask setup")
    })?;
    Demo { machine, dir }.run()
}

fn booted(workshop: &Workshop, key: &str) -> Result<Machine, Broken> {
    let builder = Machine::builder(&Tree::debian()?)?.file("/root/.ssh/authorized_keys", key)?;
    let builder = PROGRAMS.iter().try_fold(builder, |builder, name| {
        builder.program(&programs::built(workshop, name), &format!("{BIN}/{name}"))
    })?;
    // As on many a rented machine: what it does is to be seen in the plan.
    builder
        .prepared("chmod 700 /root/.ssh; systemctl disable --quiet ssh.service; systemctl enable --quiet ssh.socket")?
        .boot()
}

struct Demo<'a> {
    machine: Machine,
    dir: &'a Path,
}

impl Demo<'_> {
    fn run(&self) -> Result<(), Failure> {
        say("1. A machine with a public network and a tailnet; its sshd is started by a socket of systemd");
        self.gets_in(self.machine.wan(), WAN, true)?;
        self.gets_in(self.machine.tailnet(), TAILNET, true)?;
        say("2. The audit finds it");
        self.on_it(&["port-audit"], 1)?;
        say("3. What would be done, and what puts it back");
        self.on_it(&["sshd-fix", "plan"], 0)?;
        say("4. Done, and nobody confirms: it comes back by itself");
        self.on_it(&["sshd-fix", "apply", "--no-wait", "--within", "10s"], 0)?;
        self.gets_in(self.machine.wan(), WAN, false)?;
        self.comes_back()?;
        say("5. Done again");
        self.on_it(&["sshd-fix", "apply", "--no-wait"], 0)?;
        self.gets_in(self.machine.wan(), WAN, false)?;
        say("6. Who is on the machine already cannot confirm; who comes in anew over the tailnet can");
        self.on_it(&["sshd-fix", "confirm"], 1)?;
        println!("$ ssh root@{TAILNET} sshd-fix confirm");
        expect(self.ssh(self.machine.tailnet(), TAILNET).arg("sshd-fix confirm"), 0)?;
        say("7. It stays, the audit is content, and doing it again does nothing");
        self.gets_in(self.machine.wan(), WAN, false)?;
        self.gets_in(self.machine.tailnet(), TAILNET, true)?;
        self.on_it(&["port-audit"], 0)?;
        self.on_it(&["sshd-fix", "apply"], 0)
    }

    /// Runs a program on the machine.
    fn on_it(&self, words: &[&str], code: i32) -> Result<(), Failure> {
        println!("$ {}", words.join(" "));
        let mut command = self.machine.command(format!("{BIN}/{}", words[0]));
        expect(command.args(&words[1..]), code)
    }

    fn gets_in(&self, from: &Host, to: &str, expected: bool) -> Result<(), Failure> {
        let gets_in = self.answers(from, to)?;
        let network = if to == WAN { "public network" } else { "tailnet" };
        println!("from the {network}: ssh root@{to} {}", if gets_in { "gets in" } else { "does not get in" });
        if gets_in == expected { Ok(()) } else { Err(wrong("it is reached otherwise than it should be")) }
    }

    fn answers(&self, from: &Host, to: &str) -> Result<bool, Failure> {
        let output = self.ssh(from, to).arg("true").output();
        output.map(|output| output.status.success()).map_err(|error| unusable(Path::new("ssh"), &error))
    }

    fn comes_back(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < BACK_WITHIN {
            if !self.machine.exists("/var/lib/sshd-fix/pending") {
                return self.gets_in(self.machine.wan(), WAN, true);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Err(wrong("it did not come back"))
    }

    fn ssh(&self, from: &Host, to: &str) -> Command {
        let mut ssh = from.command("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i"]).arg(self.dir.join("id"));
        ssh.arg(format!("root@{to}"));
        ssh
    }
}

fn expect(command: &mut Command, code: i32) -> Result<(), Failure> {
    let status = command.status().map_err(|error| unusable(Path::new("nsenter"), &error))?;
    if status.code() == Some(code) {
        Ok(())
    } else {
        Err(wrong(&format!("it ended with {status} and not with {code}")))
    }
}

fn wrong(what: &str) -> Failure {
    Failure::bug("demo", what, "report this with the output above")
}
