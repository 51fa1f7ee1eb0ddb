//! From what is seen to what is done: pure.
//!
//! **Invariant:** nothing in use is changed before sshd itself said of the whole new configuration that it listens at the
//! tailnet's address and nowhere else, and before the way back is armed.
//! **Invariant:** whatever was not seen refuses.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use outcome::{Exit, Failure, Refusal};
use plan::{Effect, Expect, Plan, Rule, Step};
use tailnet::Tailnet;

use crate::config::{candidate_main, overriding};
use crate::facts::{Facts, Kept, Sshd};
use crate::journal::Journal;
use crate::paths::{
    BOOT_UNIT, BOOT_WANTED, CANDIDATE, DROP_IN, MAIN_CONFIG, PENDING, PROGRAM, REVERT_UNIT, RUNTIME, STATE, TIMER_UNIT,
    TIMER_WANTED, unit_drop_in,
};
use crate::texts;
use crate::units::Unit;

/// A key that stops being good sooner would lock the operator out.
const KEY_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// What is to be done about sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, since no sshd runs here or would at the next boot.
    NoSshd,
    /// Nothing, since it is as it should be.
    Right(SocketAddrV4),
    /// This.
    Change(Box<Change>),
}

/// A change and what is known of it before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub plan: Plan,
    /// What is kept of it.
    pub journal: Journal,
}

/// What sshd is to be.
struct Wanted<'a> {
    at: SocketAddrV4,
    interface: &'a str,
    sshd: &'a Sshd,
    before: BTreeSet<SocketAddr>,
    within: Duration,
    program: &'a Path,
}

/// What is to be done about sshd on a host, where the operator has `within` to confirm it.
///
/// # Errors
/// Every reason that there is against it, each with what to do about it.
pub fn plan(facts: &Facts, within: Duration) -> Result<Decision, Failure> {
    let mut refusals = Refusals::default();
    let sshd = refusals.seen(&facts.sshd);
    let table = refusals.seen(&facts.table);
    if let (Some(None), Some(table)) = (sshd, table) {
        if !table.listeners(&[22].into()).is_empty() {
            let reason = "something listens at port 22, and no unit of systemd starts sshd";
            refusals.add(
                "sshd-without-unit",
                reason,
                "find it by: port-audit, and have sshd started by its package's unit",
            );
        }
        return refusals.or(Decision::NoSshd);
    }
    if let (Some(Some(sshd)), Some(_)) = (sshd, table)
        && is_off(facts, sshd)
    {
        return refusals.or(Decision::NoSshd);
    }
    if facts.uid != 0 {
        refusals.add("not-root", "this is not root", "run it by sudo, in the shell that you logged in to");
    }
    if let Some(Some(pending)) = refusals.seen(&facts.pending) {
        let reason = format!("a change to {} waits to be confirmed", pending.wanted);
        refusals.add(
            "pending",
            reason,
            "log in anew over the tailnet and run: sshd-fix confirm; or run: sshd-fix rollback",
        );
    }
    refusals.seen(&facts.leftovers);
    refusals.seen(&facts.operator);
    refusals.seen(&facts.interfaces);
    let address = refusals.seen(&facts.tailnet).and_then(|tailnet| refusals.tailnet(tailnet.as_ref(), facts));
    let (Some(Some(sshd)), Some((address, interface))) = (sshd, address) else { return refusals.or(Decision::NoSshd) };
    refusals.sshd(sshd, address);
    let port = sshd.config.ports().into_iter().next().unwrap_or(22);
    let wanted = Wanted {
        at: SocketAddrV4::new(address, port),
        interface,
        sshd,
        before: facts.listeners(sshd).unwrap_or_default(),
        within,
        program: &facts.program,
    };
    refusals.or(if wanted.is_there() {
        Decision::Right(wanted.at)
    } else {
        Decision::Change(Box::new(wanted.change()))
    })
}

/// It does not run, and nothing would start it.
fn is_off(facts: &Facts, sshd: &Sshd) -> bool {
    let units = sshd.sockets.iter().chain([&sshd.service.unit]);
    let off = units.into_iter().all(|unit| !unit.active && !unit.is("enabled"));
    off && facts.listeners(sshd).is_some_and(|listeners| listeners.is_empty())
}

/// All reasons, not the first.
#[derive(Default)]
struct Refusals(Vec<Refusal>);

impl Refusals {
    fn add(&mut self, class: &'static str, reason: impl Into<String>, next: impl Into<String>) {
        self.0.push(Refusal { class, reason: reason.into(), next: next.into() });
    }

    fn seen<'a, T>(&mut self, observed: &'a Result<T, Failure>) -> Option<&'a T> {
        let failure = match observed {
            Ok(seen) => return Some(seen),
            Err(failure) => failure,
        };
        let class = match &failure.class {
            std::borrow::Cow::Borrowed(class) => class,
            std::borrow::Cow::Owned(_) => "unseen",
        };
        // What several facts are made of is missing in each.
        if self.0.iter().all(|known| known.reason != failure.reason) {
            self.add(class, failure.reason.clone(), failure.next.clone());
        }
        None
    }

    /// The machine's address in a tailnet that will still be there tomorrow, and its interface.
    fn tailnet<'a>(&mut self, tailnet: Option<&Tailnet>, facts: &'a Facts) -> Option<(Ipv4Addr, &'a str)> {
        let next = "run: tailscale up, see that it says Running, then plan again";
        let Some(tailnet) = tailnet else {
            self.add(
                "no-tailscale",
                "there is no tailscale on this host",
                "install Tailscale and log in, then plan again",
            );
            return None;
        };
        if !tailnet.is_running() {
            self.add("tailscale-down", format!("Tailscale is {} and not Running", tailnet.state), next);
        }
        if tailnet.is_expired_at(facts.now + KEY_LASTS) {
            let when = tailnet.key_expiry.map_or_else(|| "is over".to_owned(), |expiry| format!("ends at {expiry}"));
            let reason = format!("the machine's key in the tailnet {when}: nobody would get in after that");
            self.add(
                "key-expires",
                reason,
                "renew it by: tailscale up --force-reauth, or have it never expire, then plan again",
            );
        }
        let Some(address) = tailnet.v4() else {
            self.add("no-address", "the machine has no IPv4 address in the tailnet", next);
            return None;
        };
        let interface = facts.interface_of(address);
        if interface.is_none() && facts.interfaces.is_ok() {
            let reason = format!("no interface has {address}, the address of the tailnet");
            self.add(
                "address-missing",
                reason,
                "have Tailscale run with its interface (not in userspace mode), then plan again",
            );
        }
        Some((address, interface?))
    }

    fn sshd(&mut self, sshd: &Sshd, address: Ipv4Addr) {
        if let Err(why) = &sshd.effective {
            self.add(
                "sshd-config-invalid",
                format!("sshd would not start as it is: {why}"),
                "mend what it says, then plan again",
            );
        }
        let overriding = overriding(&sshd.service.arguments);
        if !overriding.is_empty() {
            let reason = format!(
                "{} starts sshd with `{}`, which no file can change",
                sshd.service.unit.name,
                overriding.join(" ")
            );
            self.add("sshd-opts", reason, "take it out of /etc/default/ssh (or /etc/sysconfig/sshd), then plan again");
        }
        self.0.extend(sshd.config.conflicts(address));
    }

    fn or(self, decision: Decision) -> Result<Decision, Failure> {
        let Some(first) = self.0.first() else { return Ok(decision) };
        let text = |refusal: &Refusal| format!("{}: {}\n  next: {}", refusal.class, refusal.reason, refusal.next);
        let reason = match self.0.as_slice() {
            [only] => only.reason.clone(),
            all => all.iter().fold(format!("{} reasons", all.len()), |reasons, one| reasons + "\n" + &text(one)),
        };
        let class = if self.0.len() == 1 { first.class } else { "sshd-not-changed" };
        let next = if self.0.len() == 1 { first.next.clone() } else { "mend each of them, then plan again".into() };
        Err(Failure { exit: Exit::Refused, class: class.into(), reason, next, refusals: self.0 })
    }
}

impl Wanted<'_> {
    fn line(&self) -> String {
        format!("listenaddress {}", self.at)
    }

    fn drop_in(&self) -> String {
        texts::drop_in(*self.at.ip())
    }

    /// Everything is as a change would leave it.
    fn is_there(&self) -> bool {
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

    fn change(&self) -> Change {
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

fn touches_units(effect: &Effect) -> bool {
    let words = effect.words();
    let verbs = ["restart", "start", "stop", "disable", "mask", "reload"];
    words.first() == Some(&"systemctl")
        && words.get(1).is_some_and(|verb| verbs.contains(verb))
        && words.iter().any(|word| word.contains('.') && !word.starts_with("sshd-fix-"))
}

fn judges_what_is_in_use(effect: &Effect) -> bool {
    let Effect::Run { expect: Expect::Lines { .. }, .. } = effect else { return false };
    let words = effect.words();
    words.starts_with(&["sshd", "-T"]) && !words.contains(&"-f")
}

fn judges_the_candidate(effect: &Effect) -> bool {
    let Effect::Run { expect: Expect::Lines { .. }, .. } = effect else { return false };
    effect.words().starts_with(&["sshd", "-T", "-f"])
}

fn writes_below(effect: &Effect, dirs: &[&str]) -> bool {
    let (Effect::Write { path, .. } | Effect::Remove { path }) = effect else { return false };
    dirs.iter().any(|dir| path.starts_with(dir))
}

fn changes_what_is_in_use(effect: &Effect) -> bool {
    writes_below(effect, &["/etc/ssh"])
        || writes_below(effect, &["/etc/systemd"]) && !writes_below(effect, &[BOOT_UNIT, REVERT_UNIT, TIMER_UNIT])
}

/// What no plan of this may break, whoever made it.
pub const RULES: &[Rule] = &[
    Rule {
        name: "validated",
        reason: "sshd would be touched before it judged the configuration that it reads: it could be left without a listener",
        step: touches_units,
        needs: judges_what_is_in_use,
        voided_by: |effect| writes_below(effect, &["/etc/ssh", MAIN_CONFIG]),
    },
    Rule {
        name: "candidate-first",
        reason: "what sshd reads would be changed before sshd judged how it will be",
        step: changes_what_is_in_use,
        needs: judges_the_candidate,
        voided_by: |effect| writes_below(effect, &[CANDIDATE]),
    },
    Rule {
        name: "journalled",
        reason: "what was there before would not be kept",
        step: |effect| changes_what_is_in_use(effect) || touches_units(effect),
        needs: |effect| writes_below(effect, &[PENDING]),
        voided_by: |_| false,
    },
    Rule {
        name: "armed",
        reason: "nothing would put it back",
        step: |effect| changes_what_is_in_use(effect) || touches_units(effect),
        needs: |effect| effect.words() == ["systemctl", "is-active", "sshd-fix-revert.timer"],
        voided_by: |_| false,
    },
    Rule {
        name: "disabled-before-masked",
        reason: "a mask leaves what requires the socket, and sshd would not start",
        step: |effect| effect.words().starts_with(&["systemctl", "mask"]),
        needs: |effect| effect.words().starts_with(&["systemctl", "disable", "--now"]),
        voided_by: |_| false,
    },
];

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSshd => f.write_str("no sshd runs here, and none would at the next boot: there is nothing to do"),
            Self::Right(at) => write!(f, "sshd listens at {at} and nowhere else: there is nothing to do"),
            Self::Change(change) => change.plan.fmt(f),
        }
    }
}
