//! A change, step by step, and what puts it back.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use plan::{Effect, Plan, Step};

use crate::config::candidate_main;
use crate::facts::{DropIn, Sshd};
use crate::journal::{Journal, SCHEMA};
use crate::paths::{
    BOOT, BOOT_UNIT, BOOT_WANTED, CANDIDATE, PENDING, PROGRAM, REVERT_UNIT, RUNTIME, STATE, TIMER, TIMER_UNIT,
    TIMER_WANTED,
};
use crate::texts;
use crate::units::{RETRIES, Unit};

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

    fn text(&self) -> String {
        texts::drop_in(*self.at.ip())
    }

    /// Everything is as a change would leave it. That a socket which nothing starts is not masked makes no difference.
    pub(crate) fn is_there(&self) -> bool {
        let Sshd { service, sockets, effective, drop_in, unit_drop_in, .. } = self.sshd;
        let holds = |drop_in: &DropIn, text: &str| drop_in.kept.as_ref().is_some_and(|kept| kept.text == text);
        holds(drop_in, &self.text())
            && holds(unit_drop_in, texts::UNIT_DROP_IN)
            && service.retries == texts::RETRIES.map(str::to_owned).into()
            && *effective == Ok([self.line()].into())
            && sockets.iter().all(|socket| !socket.active && !socket.is("enabled"))
            && service.unit.active
            && service.unit.is("enabled")
            && self.before == [SocketAddr::V4(self.at)].into()
    }

    pub(crate) fn change(&self) -> Change {
        let is_ours = |drop_in: &DropIn| drop_in.kept.as_ref().is_some_and(|kept| texts::is_ours(&kept.text));
        let sockets = self.sshd.sockets.iter();
        let journal = Journal {
            schema: SCHEMA,
            service: self.service().name.clone(),
            sockets: sockets.clone().map(|socket| socket.name.clone()).collect(),
            listened: sockets.filter(|socket| socket.active).map(|socket| socket.name.clone()).collect(),
            wanted: self.at,
            interface: self.interface.to_owned(),
            within_s: self.within.as_secs(),
            before: self.before.clone(),
            again: is_ours(&self.sshd.drop_in),
            files: self.files_back(),
            units: self.units_back(),
        };
        let steps = [self.candidate(), arm(&journal, self.program), self.files(), self.units()].concat();
        let rollback = [journal.files.clone(), journal.units.clone(), disarm()].concat();
        Change { plan: Plan { steps, rollback }, journal }
    }

    fn service(&self) -> &Unit {
        &self.sshd.service.unit
    }

    /// The sockets that listen, or would.
    fn sockets(&self) -> impl Iterator<Item = &Unit> {
        self.sshd.sockets.iter().filter(|socket| socket.active || !socket.is("masked"))
    }

    /// sshd's own words on the configuration that begins at `main`.
    fn judged(&self, main: Option<String>) -> [Effect; 2] {
        let named = main.map(|main| ["-f".to_owned(), main]).into_iter().flatten();
        let call = |mode: &str| {
            let own = self.sshd.service.arguments.iter().cloned();
            let program = self.sshd.service.program.clone();
            Effect::run([program, mode.to_owned()].into_iter().chain(named.clone()).chain(own))
        };
        [call("-t"), call("-T").saying(&["listenaddress "], &[&self.line()])]
    }

    fn candidate(&self) -> Vec<Step> {
        let mut steps = vec![
            Step::new("runtime-dir", mkdir(RUNTIME), "sshd checks nothing without it"),
            Step::new("candidate-clear", Effect::run(["rm", "-rf", CANDIDATE]), "of an earlier run"),
        ];
        for file in self.sshd.config.candidate(&self.text()) {
            let write = Effect::write(file.path, 0o600, file.text);
            steps.push(Step::new("candidate", write, "to be judged before it is in use"));
        }
        let [valid, listens] = self.judged(Some(candidate_main()));
        let why = "a configuration that does not hold would leave no listener";
        steps.push(Step::new("candidate-valid", valid, why));
        let why = "whatever else the files say must not bind sshd elsewhere";
        steps.push(Step::new("candidate-listens", listens, why));
        steps
    }

    fn files(&self) -> Vec<Step> {
        let (drop_in, unit_drop_in) = (&self.sshd.drop_in.path, &self.sshd.unit_drop_in.path);
        let name = self.service().name.as_str();
        let settings = format!("--property={}", RETRIES.join(",").replace('=', ""));
        let retries = Effect::run(["systemctl", "show", &settings, name]).saying(&RETRIES, &texts::RETRIES);
        let [valid, listens] = self.judged(None);
        vec![
            Step::new("drop-in-dir", mkdir(parent(drop_in)), "where it is read from"),
            Step::new("drop-in", Effect::write(drop_in, 0o644, self.text()), "sshd listens on the tailnet alone"),
            Step::new("unit-drop-in-dir", mkdir(parent(unit_drop_in)), "where it is read from"),
            Step::new(
                "unit-drop-in",
                Effect::write(unit_drop_in, 0o644, texts::UNIT_DROP_IN),
                "at a boot the address comes up after sshd, which would give up for good",
            ),
            Step::new("read", Effect::run(["systemctl", "daemon-reload"]), "so that systemd knows it"),
            Step::new("retries", retries, "another drop-in of the unit may say otherwise, and win"),
            Step::new("valid", valid, "the same again, of what is in use from here on"),
            Step::new("listens", listens, "before anything that listens is stopped"),
        ]
    }

    fn units(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for socket in self.sockets() {
            let why = "a socket of systemd listens wherever it says itself, whatever sshd is told";
            steps.push(Step::new("socket-disable", systemctl(&["disable", "--now", &socket.name]), why));
            if can_be_masked(socket) {
                let why = "an upgrade must not bring it back";
                steps.push(Step::new("socket-mask", systemctl(&["mask", &socket.name]), why));
            }
        }
        let service = self.service();
        if !service.is("enabled") {
            // `enable` makes its alias too. Where systemd knows of the alias as a unit that is not there, it may take over
            // that unit's state with the next reload, and forget the sshd that runs.
            let wanted = systemctl(&["add-wants", "multi-user.target", &service.name]);
            steps.push(Step::new("service-enable", wanted, "nothing else starts it at a boot"));
        }
        let restart = systemctl(&["restart", &service.name]);
        steps.push(Step::new("restart", restart, "connections that are there stay"));
        steps
    }

    fn files_back(&self) -> Vec<Step> {
        let mut steps = vec![strays()];
        steps.extend(file_back("drop-in-back", &self.sshd.drop_in));
        steps.extend(file_back("unit-drop-in-back", &self.sshd.unit_drop_in));
        for socket in self.sockets() {
            let name = socket.name.as_str();
            if can_be_masked(socket) {
                steps.push(Step::new("socket-unmask", systemctl(&["unmask", name]), "it was not masked"));
            }
            if socket.is("enabled") {
                steps.push(Step::new("socket-enable", systemctl(&["enable", name]), "it was enabled"));
            }
        }
        let service = self.service();
        if service.is("disabled") {
            let disable = systemctl(&["disable", &service.name]);
            steps.push(Step::new("service-disable", disable, "it was disabled"));
        }
        steps.push(Step::new("read-back", systemctl(&["daemon-reload"]), "so that systemd knows it"));
        steps
    }

    /// The service lets go of its addresses before a socket takes them.
    fn units_back(&self) -> Vec<Step> {
        let service = self.service();
        let sockets: Vec<&Unit> = self.sshd.sockets.iter().filter(|socket| socket.active).collect();
        let forget = systemctl(&["reset-failed", &service.name]);
        let mut steps = vec![Step::new("failures-forget", forget, "it may have failed too often to be started")];
        if sockets.is_empty() && service.active {
            let restart = systemctl(&["restart", &service.name]);
            steps.push(Step::new("service-restart", restart, "it ran, with what its files said"));
            return steps;
        }
        let stop = systemctl(&["stop", &service.name]);
        steps.push(Step::new("service-stop", stop, "it holds the address that others had"));
        for socket in sockets {
            steps.push(Step::new("socket-start", systemctl(&["start", &socket.name]), "it listened"));
        }
        if service.active {
            steps.push(Step::new("service-start", systemctl(&["start", &service.name]), "it ran"));
        }
        steps
    }
}

/// Has the change come back unless it is disarmed: at the next boot, and when the time is over.
pub(crate) fn arm(journal: &Journal, program: &Path) -> Vec<Step> {
    let names: Vec<&str> = [&journal.service].into_iter().chain(&journal.sockets).map(String::as_str).collect();
    let units = names.join(" ");
    let program = program.display().to_string();
    let copy = Effect::run(["install", "-m", "0755", &program, PROGRAM]);
    let runs = Effect::run(["systemd-run", "--quiet", "--wait", "--collect", PROGRAM, "--version"]);
    let timer = texts::timer_unit(journal.within_s);
    let waits =
        Effect::run(["systemctl", "show", "--property=SubState", TIMER]).saying(&["SubState="], &["SubState=waiting"]);
    vec![
        Step::new("state-dir", Effect::run(["install", "-d", "-m", "0700", STATE]), "what puts back is kept here"),
        Step::new("program", copy, "the one that runs may be gone by then"),
        Step::new("program-runs", runs, "the file system may forbid it"),
        Step::new("arm-boot", Effect::write(BOOT_UNIT, 0o644, texts::boot_unit(&units)), "a reboot puts back"),
        Step::new(
            "arm-revert",
            Effect::write(REVERT_UNIT, 0o644, texts::revert_unit(&units)),
            "and looks whether it is",
        ),
        Step::new("arm-timer", Effect::write(TIMER_UNIT, 0o644, timer), "as does the time that passes"),
        Step::new("arm-read", systemctl(&["daemon-reload"]), "so that systemd knows them"),
        Step::new("arm-enable", systemctl(&["enable", BOOT, TIMER]), "also after a reboot"),
        Step::new("arm-sync", Effect::run(["sync"]), "and after a power cut"),
        Step::new("pending", pending(journal), "what was there before; from here on it comes back"),
        Step::new(
            "arm-start",
            systemctl(&["restart", TIMER]),
            "the time begins, also where one of before still counts",
        ),
        Step::new("armed", waits, "nothing is changed while nothing would put it back"),
    ]
}

pub(crate) fn pending(journal: &Journal) -> Effect {
    Effect::write(PENDING, 0o600, journal.text())
}

/// Takes away what would put back, once nothing has to. It may be ended at any step and begun again.
pub(crate) fn disarm() -> Vec<Step> {
    // A name that is a pattern may match no unit.
    let stop = systemctl(&["stop", "sshd-fix-revert.time[r]"]);
    let done = "it is not needed any more";
    let mut steps = vec![
        Step::new("disarm", Effect::remove(PENDING), "from here on nothing comes back"),
        Step::new("disarm-stop", stop, done),
        strays(),
    ];
    let units = [TIMER_WANTED, BOOT_WANTED, TIMER_UNIT, REVERT_UNIT, BOOT_UNIT];
    steps.extend(units.map(|unit| Step::new("disarm-unit", Effect::remove(unit), done)));
    steps.push(Step::new("disarm-program", Effect::run(["rm", "-rf", PROGRAM, CANDIDATE]), done));
    steps.push(Step::new("disarm-read", systemctl(&["daemon-reload"]), "so that systemd forgets them"));
    steps
}

fn systemctl(words: &[&str]) -> Effect {
    Effect::run([&["systemctl"], words].concat())
}

/// Made with that mode where it is not there; one that is there keeps its own.
fn mkdir(path: &str) -> Effect {
    Effect::run(["mkdir", "-p", "-m", "0755", path])
}

fn file_back(name: &str, drop_in: &DropIn) -> Vec<Step> {
    let DropIn { path, has_dir, kept } = drop_in;
    let mut steps = vec![match kept {
        Some(kept) => Step::new(name, Effect::write(path, kept.mode, kept.text.clone()), "it said this"),
        None => Step::new(name, Effect::remove(path), "it was not there"),
    }];
    if !has_dir {
        let dir = parent(path);
        let above = dir.rsplit_once('/').map_or("/", |(above, _)| above);
        // Whether it was made yet, and whether somebody else uses it by now.
        let empty = Effect::run(["find", above, "-maxdepth", "1", "-path", dir, "-type", "d", "-empty", "-delete"]);
        steps.push(Step::new(format!("{name}-dir"), empty, "it was not there"));
    }
    steps
}

/// Beside a file that is written lies a new one until it takes its name; a kill leaves it there.
fn strays() -> Step {
    let find = ["find", "/etc/ssh", "/etc/systemd/system", "-maxdepth", "2", "-type", "f"];
    let named = ["(", "-name", "*-tailscale-only.conf.new-*", "-o", "-name", "sshd-fix-*.new-*", ")", "-delete"];
    let strays = Effect::run(find.into_iter().chain(named));
    Step::new("strays", strays, "of a write that was cut off")
}

fn parent(path: &Path) -> &str {
    path.parent().and_then(Path::to_str).unwrap_or("/")
}

/// No file of the administrator's own stands where the mask would.
fn can_be_masked(socket: &Unit) -> bool {
    !socket.is("masked") && !socket.fragment.starts_with("/etc/systemd/system")
}
