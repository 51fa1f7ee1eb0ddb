//! Every reason that there is against a change.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::SignedDuration;
use outcome::{Exit, Failure, Refusal};
use tailnet::Tailnet;

use crate::config::{more, overriding};
use crate::facts::{Facts, Sshd};
use crate::table::listed;
use crate::texts;

/// A key that stops being good sooner would lock the operator out.
const KEY_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// All reasons, not the first.
#[derive(Default)]
pub(crate) struct Refusals(Vec<Refusal>);

impl Refusals {
    pub(crate) fn add(&mut self, class: &'static str, reason: impl Into<String>, next: impl Into<String>) {
        self.0.push(Refusal { class, reason: reason.into(), next: next.into() });
    }

    pub(crate) fn seen<'a, T>(&mut self, observed: &'a Result<T, Failure>) -> Option<&'a T> {
        let failure = match observed {
            Ok(seen) => return Some(seen),
            Err(failure) => failure,
        };
        // What several facts are made of is missing in each.
        if self.0.iter().all(|known| known.reason != failure.reason) {
            self.add(failure.known_class(), failure.reason.clone(), failure.next.clone());
        }
        None
    }

    /// The machine's address in a tailnet that will still be there tomorrow, and its interface.
    pub(crate) fn tailnet<'a>(&mut self, tailnet: Option<&Tailnet>, facts: &'a Facts) -> Option<(Ipv4Addr, &'a str)> {
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
                "at the console renew it by: tailscale up --force-reauth, or have it never expire, then plan again",
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

    pub(crate) fn sshd(&mut self, sshd: &Sshd, address: Ipv4Addr) {
        match &sshd.effective {
            Err(why) => {
                let reason = format!("sshd would not start as it is: {why}");
                self.add("sshd-config-invalid", reason, "mend what it says, then plan again");
            }
            Ok(lines) if sshd.named().len() > 1 => {
                let lines: Vec<_> = lines.iter().map(String::as_str).collect();
                let reason = format!("sshd would listen at several ports: {}", lines.join(", "));
                self.add("several-ports", reason, "leave one `Port`, then plan again");
            }
            Ok(_) => {}
        }
        if !sshd.is_as_its_files_say() {
            let reason = format!("sshd listens at {}, and its files say otherwise by now", listed(&sshd.held));
            let next = "restart it, see that you can log in, then plan again";
            self.add("sshd-stale", reason, next);
        }
        let overriding = overriding(&sshd.service.arguments);
        if !overriding.is_empty() {
            let name = &sshd.service.unit.name;
            let reason = format!("{name} starts sshd with `{}`, which no file can change", overriding.join(" "));
            self.add("sshd-opts", reason, "take it out of /etc/default/ssh (or /etc/sysconfig/sshd), then plan again");
        }
        self.0.extend(sshd.config.conflicts(address));
        self.units(sshd);
        self.drop_ins(sshd);
    }

    /// What systemd could not be brought to, or not back from.
    fn units(&mut self, sshd: &Sshd) {
        let service = &sshd.service.unit;
        let next = "have sshd started by the unit of its package, then plan again";
        if !["enabled", "disabled"].contains(&service.enablement.as_str()) {
            let reason = format!("{} is {}: it cannot be enabled for the next boot", service.name, service.enablement);
            self.add("sshd-unit", reason, next);
        }
        for socket in &sshd.sockets {
            let name = &socket.name;
            if !["enabled", "disabled", "masked", "static"].contains(&socket.enablement.as_str()) {
                let reason = format!("{name} is {}: it would not come back as it was", socket.enablement);
                self.add("sshd-unit", reason, next);
            }
            if sshd.service.requires.contains(name) && !sshd.linked.contains(name) {
                let reason =
                    format!("{} requires {name} by a line of its own: it would not start without it", service.name);
                self.add("sshd-unit", reason, "take the line out of its drop-ins (systemctl cat), then plan again");
            }
        }
    }

    /// What would be lost with a file that is replaced.
    fn drop_ins(&mut self, sshd: &Sshd) {
        let path = sshd.drop_in.path.display();
        for (number, said) in sshd.drop_in.kept.iter().flat_map(|kept| more(&kept.text)) {
            let reason = format!("{path}:{number} says `{said}`, and the file will be replaced");
            self.add("odd-file", reason, "move the line to a file of another name there, then plan again");
        }
        let unit = &sshd.unit_drop_in;
        if unit.kept.as_ref().is_some_and(|kept| !texts::is_ours(&kept.text)) {
            let reason = format!("{} is somebody else's, and would be replaced", unit.path.display());
            self.add("odd-file", reason, "give it another name, then plan again");
        }
    }

    /// Somebody else at the ports of sshd would be taken for it.
    pub(crate) fn others<'a>(&mut self, listeners: impl Iterator<Item = &'a SocketAddr>) {
        for at in listeners {
            let reason = format!("somebody else listens at {at}, a port of sshd");
            self.add(
                "port-taken",
                reason,
                "find out who by: port-audit, and have it listen elsewhere, then plan again",
            );
        }
    }

    pub(crate) fn or<T>(self, decision: T) -> Result<T, Failure> {
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
