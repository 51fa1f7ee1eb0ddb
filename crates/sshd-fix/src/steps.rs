//! A change, step by step, and what puts it back.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use plan::{Effect, Expect, Plan, Step};

use crate::config::candidate_main;
use crate::facts::{Kept, Sshd};
use crate::journal::Journal;
use crate::paths::{
    BOOT_UNIT, BOOT_WANTED, CANDIDATE, DROP_IN, PENDING, PROGRAM, REVERT_UNIT, RUNTIME, STATE, TIMER_UNIT,
    TIMER_WANTED, unit_drop_in,
};
use crate::texts;
use crate::units::Unit;

/// A change and what is known of it before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub plan: Plan,
    /// What is kept of it.
    pub journal: Journal,
}

/// What sshd is to be.
pub(crate) struct Wanted<'a> {
    pub(crate) at: SocketAddrV4,
    pub(crate) interface: &'a str,
    pub(crate) sshd: &'a Sshd,
    pub(crate) before: BTreeSet<SocketAddr>,
    pub(crate) within: Duration,
    pub(crate) program: &'a Path,
}

impl Wanted<'_> {
    fn line(&self) -> String {
        format!("listenaddress {}", self.at)
    }

    fn drop_in(&self) -> String {
        texts::drop_in(*self.at.ip())
    }

    /// Everything is as a change would leave it.
    pub(crate) fn is_there(&self) -> bool {
        let Sshd { service, sockets, effective, drop_in, unit_drop_in, .. } = self.sshd;
        let text = |kept: &Option<Kept>| kept.as_ref().map(|kept| kept.text.clone());
        text(drop_in) == Some(self.drop_in())
            && text(unit_drop_in).as_deref() == Some(texts::UNIT_DROP_IN)
            && *effective == Ok([self.line()].into())
            && sockets.iter().all(is_out_of_the_way)
            && service.unit.active
            && service.unit.is("enabled")
            && self.before == [SocketAddr::V4(self.at)].into()
    }

    pub(crate) fn change(&self) -> Change {
        let (files, units) = (self.files_back(), self.units_back());
        let service = &self.sshd.service.unit.name;
        let journal = Journal::new(
            service,
            self.at,
            self.interface,
            self.within.as_secs(),
            self.before.clone(),
            files.clone(),
            units.clone(),
        );
        let steps = [self.candidate(), self.arm(&journal), self.files(), self.units()].concat();
        let rollback = [files, units, disarm()].concat();
        Change { plan: Plan { steps, rollback }, journal }
    }

    /// sshd's own words on the configuration that begins at `main`.
    fn judged(&self, main: Option<String>) -> [Effect; 2] {
        let named = main.map(|main| ["-f".to_owned(), main]).into_iter().flatten();
        let call = |mode: &str| {
            let own = self.sshd.service.arguments.iter().cloned();
            Effect::run(
                [self.sshd.service.program.clone(), mode.to_owned()].into_iter().chain(named.clone()).chain(own),
            )
        };
        let listens = Expect::Lines { starting: ["listenaddress".to_owned()].into(), exactly: [self.line()].into() };
        [call("-t"), call("-T").expecting(listens)]
    }

    fn candidate(&self) -> Vec<Step> {
        let clear = Effect::run(["rm", "-rf", CANDIDATE]);
        let mut steps = vec![
            step(
                "runtime-dir",
                Effect::run(["install", "-d", "-m", "0755", RUNTIME]),
                "sshd checks nothing without it",
            ),
            step("candidate-clear", clear, "of an earlier run"),
        ];
        for file in self.sshd.config.candidate(&self.drop_in()) {
            steps.push(step(
                "candidate",
                Effect::write(file.path, 0o600, file.text),
                "to be judged before it is in use",
            ));
        }
        let [valid, listens] = self.judged(Some(candidate_main()));
        steps.push(step("candidate-valid", valid, "a configuration that does not hold would leave no listener"));
        steps.push(step("candidate-listens", listens, "whatever else the files say must not bind sshd elsewhere"));
        steps
    }

    fn arm(&self, journal: &Journal) -> Vec<Step> {
        let names: Vec<&str> = self.sshd.sockets.iter().map(|socket| socket.name.as_str()).collect();
        let units = [&[self.sshd.service.unit.name.as_str()], names.as_slice()].concat().join(" ");
        let program = self.program.display().to_string();
        let enabled = Effect::run(["systemctl", "enable", "sshd-fix-boot.service", "sshd-fix-revert.timer"]);
        let within = self.within.as_secs();
        vec![
            step("state-dir", Effect::run(["install", "-d", "-m", "0700", STATE]), "what puts back is kept here"),
            step(
                "program",
                Effect::run(["install", "-m", "0755", &program, PROGRAM]),
                "the one that runs may be gone by then",
            ),
            step("arm-boot", Effect::write(BOOT_UNIT, 0o644, texts::boot_unit(&units)), "a reboot puts back"),
            step(
                "arm-revert",
                Effect::write(REVERT_UNIT, 0o644, texts::revert_unit(&units)),
                "and looks whether it is",
            ),
            step(
                "arm-timer",
                Effect::write(TIMER_UNIT, 0o644, texts::timer_unit(within)),
                "as does the time that passes",
            ),
            step("arm-read", Effect::run(["systemctl", "daemon-reload"]), "so that systemd knows them"),
            step("arm-enable", enabled, "also after a reboot"),
            step("arm-sync", Effect::run(["sync"]), "and after a power cut"),
            step(
                "pending",
                Effect::write(PENDING, 0o600, journal.text()),
                "what was there before; from here on it comes back",
            ),
            step("arm-start", Effect::run(["systemctl", "start", "sshd-fix-revert.timer"]), "the time begins"),
            step(
                "armed",
                Effect::run(["systemctl", "is-active", "sshd-fix-revert.timer"]),
                "nothing is changed while nothing would put it back",
            ),
        ]
    }

    fn files(&self) -> Vec<Step> {
        let unit_drop_in = unit_drop_in(&self.sshd.service.unit.name);
        let dir = |path: &str| Effect::run(["install", "-d", "-m", "0755", parent(path)]);
        let [valid, listens] = self.judged(None);
        vec![
            step("drop-in-dir", dir(DROP_IN), "where it is read from"),
            step("drop-in", Effect::write(DROP_IN, 0o644, self.drop_in()), "sshd listens on the tailnet alone"),
            step("unit-drop-in-dir", dir(&unit_drop_in), "where it is read from"),
            step(
                "unit-drop-in",
                Effect::write(unit_drop_in, 0o644, texts::UNIT_DROP_IN),
                "at a boot the address comes up after sshd, which would give up for good",
            ),
            step("read", Effect::run(["systemctl", "daemon-reload"]), "so that systemd knows it"),
            step("valid", valid, "the same again, of what is in use from here on"),
            step("listens", listens, "before anything that listens is stopped"),
        ]
    }

    fn units(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for socket in self.sshd.sockets.iter().filter(|socket| !is_out_of_the_way(socket)) {
            let name = socket.name.as_str();
            let reason = "a socket of systemd listens wherever it says itself, whatever sshd is told";
            steps.push(step("socket-disable", Effect::run(["systemctl", "disable", "--now", name]), reason));
            if !socket.is("masked") && !socket.is_unmaskable() {
                let reason = "an upgrade must not bring it back";
                steps.push(step("socket-mask", Effect::run(["systemctl", "mask", name]), reason));
            }
        }
        let service = self.sshd.service.unit.name.as_str();
        if !self.sshd.service.unit.is("enabled") {
            steps.push(step(
                "service-enable",
                Effect::run(["systemctl", "enable", service]),
                "nothing else starts it at a boot",
            ));
        }
        let restart = Effect::run(["systemctl", "restart", service]);
        steps.push(step("restart", restart, "connections that are there stay"));
        steps
    }

    fn files_back(&self) -> Vec<Step> {
        let unit_drop_in = unit_drop_in(&self.sshd.service.unit.name);
        let mut steps = vec![
            strays(),
            step("drop-in-back", back(DROP_IN, self.sshd.drop_in.as_ref()), "as it was"),
            step("unit-drop-in-back", back(&unit_drop_in, self.sshd.unit_drop_in.as_ref()), "as it was"),
        ];
        if !self.sshd.unit_drop_in_dir {
            let dir = parent(&unit_drop_in);
            // Whether it was made yet, and whether somebody else uses it by now.
            let empty =
                Effect::run(["find", parent(dir), "-maxdepth", "1", "-path", dir, "-type", "d", "-empty", "-delete"]);
            steps.push(step("unit-drop-in-dir-back", empty, "as it was"));
        }
        for socket in self.sshd.sockets.iter().filter(|socket| !is_out_of_the_way(socket)) {
            let name = socket.name.as_str();
            if !socket.is("masked") && !socket.is_unmaskable() {
                steps.push(step("socket-unmask", Effect::run(["systemctl", "unmask", name]), "as it was"));
            }
            if socket.is("enabled") {
                steps.push(step("socket-enable", Effect::run(["systemctl", "enable", name]), "as it was"));
            }
        }
        let service = &self.sshd.service.unit;
        if service.is("disabled") {
            steps.push(step("service-disable", Effect::run(["systemctl", "disable", &service.name]), "as it was"));
        }
        steps.push(step("read-back", Effect::run(["systemctl", "daemon-reload"]), "so that systemd knows it"));
        steps
    }

    /// The service lets go of its addresses before a socket takes them.
    fn units_back(&self) -> Vec<Step> {
        let service = &self.sshd.service.unit;
        let held: Vec<&Unit> = self.sshd.sockets.iter().filter(|socket| socket.active).collect();
        let call = |name: &str, verb: &str, unit: &str| step(name, Effect::run(["systemctl", verb, unit]), "as it was");
        let mut steps = vec![call("failures-forget", "reset-failed", &service.name)];
        if held.is_empty() && service.active {
            steps.push(call("service-restart", "restart", &service.name));
            return steps;
        }
        steps.push(call("service-stop", "stop", &service.name));
        steps.extend(held.iter().map(|socket| call("socket-start", "start", &socket.name)));
        if service.active {
            steps.push(call("service-start", "start", &service.name));
        }
        steps
    }
}

fn step(name: &str, effect: Effect, reason: &str) -> Step {
    Step::new(name, effect, reason)
}

fn back(path: &str, kept: Option<&Kept>) -> Effect {
    kept.map_or_else(|| Effect::remove(path), |kept| Effect::write(path, kept.mode, kept.text.clone()))
}

/// Beside a file that is written lies a new one until it takes its name; a kill leaves it there.
fn strays() -> Step {
    let find = ["find", "/etc/ssh", "/etc/systemd/system", "-maxdepth", "2", "-type", "f"];
    let named = ["(", "-name", "99-tailscale-only.conf.new-*", "-o", "-name", "sshd-fix-*.new-*", ")", "-delete"];
    let strays = Effect::run(find.into_iter().chain(named));
    step("strays", strays, "of a write that was cut off")
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// It does not listen, and nothing makes it.
fn is_out_of_the_way(socket: &Unit) -> bool {
    !socket.active && (socket.is("masked") || socket.is_unmaskable() && !socket.is("enabled"))
}

/// Takes away what would put back, once nothing has to. It may be ended at any step and begun again.
pub(crate) fn disarm() -> Vec<Step> {
    // A name that is a pattern may match no unit.
    let stop = Effect::run(["systemctl", "stop", "sshd-fix-revert.time[r]"]);
    let done = "it is not needed any more";
    let mut steps = vec![
        step("disarm", Effect::remove(PENDING), "from here on nothing comes back"),
        step("disarm-stop", stop, done),
        strays(),
    ];
    let units = [TIMER_WANTED, BOOT_WANTED, TIMER_UNIT, REVERT_UNIT, BOOT_UNIT];
    steps.extend(units.map(|unit| step("disarm-unit", Effect::remove(unit), done)));
    steps.push(step("disarm-program", Effect::run(["rm", "-rf", PROGRAM, CANDIDATE]), done));
    steps.push(step("disarm-read", Effect::run(["systemctl", "daemon-reload"]), "so that systemd forgets them"));
    steps
}
