//! A machine with the program, and what is on a host that is as it should be.

use std::path::Path;
use std::process::Command;

use real_parts::{Machine, MachineBuilder, Tree};

/// Where it is in the tree.
pub(crate) const PROGRAM: &str = "/opt/ai-ops-runner/bin/openclaw-doctor";

const TAILSCALE: &str = r#"#!/bin/sh
# Stands for Tailscale, which no registry has: answers from files.
case "$1" in
status) exec cat /var/lib/tailscale-stub/status.json ;;
serve) exec cat /var/lib/tailscale-stub/serve.json ;;
esac
exit 1
"#;
const STATUS: &str =
    r#"{"BackendState":"Running","TailscaleIPs":["100.64.0.1","fd7a:115c:a1e0::1"],"Self":{"Online":true}}"#;
const SERVE: &str = r#"{"TCP":{"443":{"HTTPS":true}},"Web":{"vps.tail.ts.net:443":{"Handlers":{"/":{"Proxy":"http://127.0.0.1:8000"}}}}}"#;

/// Stands for the runner's API: what it says is in a file, so that a test can change it.
const API: &str = r#"#!/usr/bin/python3
import http.server, json

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answers = json.load(open("/var/lib/api-stub.json"))
        code, body = answers.get(self.path, [404, {"detail": "no", "class": "no-route", "next": ""}])
        body = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", 8000), Answers).serve_forever()
"#;
const ANSWERS: &str = r#"{"/healthz":[200,{"ok":true}],"/readyz":[200,{"ok":true,"checks":[{"name":"worker","ok":true,"detail":"1 worker takes jobs"}]}]}"#;
const API_UNIT: &str = "[Service]\nExecStart=/usr/local/bin/api-stub\n[Install]\nWantedBy=multi-user.target\n";
/// A machine of tests has no server of time.
const TIMEDATECTL: &str = "#!/bin/sh\nprintf 'NTP=yes\\nNTPSynchronized=yes\\n'\n";

/// The stack of a host.
pub(crate) const COMPOSE: &str = "/opt/ai-ops-runner/compose.yaml";

pub(crate) struct Scene {
    pub(crate) machine: Machine,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// With its exit code, and without what is another with each run: processes, times, what there is of disks.
    pub(crate) fn told(&self) -> String {
        let Self { code, out, err } = self;
        let lines = [out, err].into_iter().flat_map(|text| text.lines()).map(|line| same(line) + "\n");
        format!("exit {}\n{}", code.unwrap_or(-1), lines.collect::<String>())
    }
}

fn same(line: &str) -> String {
    let disk = |check: &&str| check.ends_with(" disk:") || check.ends_with(" inodes:");
    if let Some((check, _)) = line.split_once(" /: ").filter(|(check, _)| disk(check)) {
        return format!("{check} /");
    }
    if let Some((clock, _)) = line.split_once("; it is 2") {
        return clock.to_owned();
    }
    let mut same = String::new();
    for part in line.split_inclusive('(') {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        same += if rest.len() < part.len() && rest.starts_with(')') { "N" } else { &part[..part.len() - rest.len()] };
        same += rest;
    }
    same
}

impl Scene {
    /// A host where all is as it should be but sshd, which is public as Debian has it.
    pub(crate) fn new() -> Self {
        Self::built(|builder| builder)
    }

    /// The same, changed before it boots.
    pub(crate) fn built(change: impl FnOnce(MachineBuilder) -> MachineBuilder) -> Self {
        Self::on(&Tree::debian().unwrap(), change)
    }

    /// The same, with Docker, an image `base` that has `sleep`, and a stack of that.
    pub(crate) fn docker(stack: &str) -> Self {
        let scene = Self::on(&Tree::docker().unwrap(), |builder| builder.file(COMPOSE, stack).unwrap());
        scene.sh("cd /; tar -c bin lib lib64 usr/bin/sleep usr/lib64 usr/lib/*/ld-linux-*.so.2 usr/lib/*/libc.so.6 |
            docker import - base; cd /opt/ai-ops-runner; docker compose up --detach --pull never");
        scene
    }

    fn on(tree: &Tree, change: impl FnOnce(MachineBuilder) -> MachineBuilder) -> Self {
        let builder = Machine::builder(tree).unwrap();
        let files = [
            ("/usr/bin/tailscale", TAILSCALE),
            ("/var/lib/tailscale-stub/status.json", STATUS),
            ("/var/lib/tailscale-stub/serve.json", SERVE),
            ("/usr/local/bin/api-stub", API),
            ("/var/lib/api-stub.json", ANSWERS),
            ("/etc/systemd/system/runner-api.service", API_UNIT),
            ("/usr/bin/timedatectl", TIMEDATECTL),
        ];
        let builder = builder.program(Path::new(env!("CARGO_BIN_EXE_openclaw-doctor")), PROGRAM).unwrap();
        let builder = files.into_iter().fold(builder, |builder, (path, text)| builder.file(path, text).unwrap());
        let builder = builder
            .prepared(
                "chmod 755 /usr/bin/tailscale /usr/bin/timedatectl /usr/local/bin/*; systemctl enable runner-api
                 mkdir -p /var/lib/ai-ops-runner; ufw allow in on tailscale0
                 sed -i s/ENABLED=no/ENABLED=yes/ /etc/ufw/ufw.conf; systemctl enable ufw",
            )
            .unwrap();
        let machine = change(builder).boot().unwrap();
        machine.sh("until ss -Htln 'sport = :8000' | grep -q .; do sleep 0.1; done").unwrap();
        Self { machine }
    }

    /// The program, at the console.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.machine.command(PROGRAM).args(args))
    }

    /// What it tells of these checks, with its exit code.
    pub(crate) fn only(&self, checks: &[&str]) -> String {
        let args: Vec<_> = checks.iter().flat_map(|check| ["--only", check]).collect();
        self.run(&args).told()
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        self.machine.sh(script).unwrap()
    }

    /// Puts a program there.
    pub(crate) fn script(&self, path: &str, text: &str) {
        self.machine.write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        self.sh(&format!("chmod 755 {path}"));
    }
}
