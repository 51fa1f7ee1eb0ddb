//! A machine with sshd and this program, and who wants to get in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use real_parts::{Host, Machine, MachineBuilder, Tree};
use tempfile::TempDir;

/// The machine in the public network and in the tailnet.
pub(crate) const WAN: &str = "203.0.113.1";
pub(crate) const TAILNET: &str = "100.64.0.1";
/// Where it is in the tree.
pub(crate) const PROGRAM: &str = "/opt/ai-ops-runner/bin/sshd-fix";

pub(crate) struct Scene {
    pub(crate) machine: Machine,
    key: TempDir,
}

/// How a program ended and what it said.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// It did what it should.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    /// It exited with that, and said why.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self.err
    }
}

impl Scene {
    /// A plain Debian.
    pub(crate) fn new() -> Self {
        Self::built(|builder| builder)
    }

    /// One whose sshd is started by a socket of systemd.
    pub(crate) fn by_socket() -> Self {
        Self::built(|builder| builder.prepared("systemctl disable ssh.service; systemctl enable ssh.socket").unwrap())
    }

    /// One that is changed before it boots.
    pub(crate) fn built(change: impl FnOnce(MachineBuilder) -> MachineBuilder) -> Self {
        Self::on(&Tree::debian().unwrap(), change)
    }

    /// The same of another release.
    pub(crate) fn on(tree: &Tree, change: impl FnOnce(MachineBuilder) -> MachineBuilder) -> Self {
        let key = tempfile::tempdir().unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key.path().join("id"));
        assert!(keygen.status().unwrap().success());
        let public = fs::read_to_string(key.path().join("id.pub")).unwrap();
        let builder = Machine::builder(tree).unwrap();
        let builder = builder
            .program(Path::new(env!("CARGO_BIN_EXE_sshd-fix")), PROGRAM)
            .unwrap()
            .file("/root/.ssh/authorized_keys", public)
            .unwrap()
            .prepared("chmod 700 /root/.ssh; ln -sf /opt/ai-ops-runner/bin/sshd-fix /usr/local/bin/")
            .unwrap();
        Self { machine: change(builder).boot().unwrap(), key }
    }

    /// The program, at the console.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.machine.command(PROGRAM).args(args))
    }

    /// Somebody who logs in from there; what they run there is to be added.
    pub(crate) fn client(&self, from: &Host, to: &str) -> Command {
        let mut ssh = from.command("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i"]).arg(self.key.path().join("id"));
        ssh.arg(format!("root@{to}"));
        ssh
    }

    /// A command of the shell on it, by somebody who logs in from there.
    pub(crate) fn ssh(&self, from: &Host, to: &str, command: &str) -> Ran {
        Ran::of(self.client(from, to).arg(command))
    }

    /// Lets root on the machine log in to it.
    pub(crate) fn give_key(&self) {
        self.machine.write("/root/id", fs::read(self.key.path().join("id")).unwrap()).unwrap();
        self.machine.sh("chmod 600 /root/id").unwrap();
    }

    /// Locks it down and confirms.
    pub(crate) fn lock_down(&self) {
        self.run(&["apply", "--no-wait"]).done();
        self.ssh(self.machine.tailnet(), TAILNET, "sshd-fix confirm").done();
    }

    pub(crate) fn wan_gets_in(&self) -> bool {
        self.ssh(self.machine.wan(), WAN, "true").code == Some(0)
    }

    pub(crate) fn tailnet_gets_in(&self) -> bool {
        self.ssh(self.machine.tailnet(), TAILNET, "true").code == Some(0)
    }

    /// Everything that a change is about, as it is now: to see that all of it is back.
    pub(crate) fn state(&self) -> String {
        self.machine
            .sh("cat /etc/ssh/sshd_config /etc/ssh/sshd_config.d/* 2>/dev/null | sha256sum
                ls -A /etc/ssh /etc/ssh/sshd_config.d /etc/systemd/system /etc/systemd/system/*
                for unit in ssh.service sshd.service ssh.socket; do
                    echo $unit $(systemctl is-enabled $unit 2>&1) $(systemctl is-active $unit)
                done
                ss -Htln 'sport = :22' | awk '{print $4}' | sort")
            .unwrap()
    }

    /// Waits until a change is no longer pending.
    pub(crate) fn wait(&self) {
        let gone = || !self.machine.exists("/var/lib/sshd-fix/pending");
        assert!(
            (0..240).any(|_| gone() || {
                thread::sleep(Duration::from_millis(250));
                false
            }),
            "{}",
            self.machine.journal()
        );
        // What follows it is a matter of milliseconds.
        self.machine.sh("while systemctl is-active --quiet sshd-fix-revert.service; do sleep 0.1; done").unwrap();
    }
}
