//! The sockets that systemd holds for units.

use std::time::Duration;

use host::{Cmd, Host};
use port_audit::{Gap, Owner, Owners, Protocol, Socket};
use serde::Deserialize;

/// How long systemd may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which unit's a socket of systemd is.
#[derive(Debug)]
struct Held(Vec<Entry>);

#[derive(Debug, Deserialize)]
struct Entry {
    listen: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    unit: String,
    activates: Option<String>,
}

/// Says of sockets that the first process has open for whom it has them, where it is systemd.
pub(crate) fn name(host: &dyn Host, sockets: &mut [Socket]) -> Option<Gap> {
    let is_held = |socket: &&mut Socket| socket.owners.seen().iter().any(|owner| owner.pid == 1);
    let mut held = sockets.iter_mut().filter(is_held).peekable();
    held.peek()?;
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    match Held::ask(host) {
        Ok(units) => {
            held.for_each(|socket| units.name(socket));
            None
        }
        Err(why) => Some(Gap { what: "the sockets of systemd".into(), why }),
    }
}

impl Held {
    fn ask(host: &dyn Host) -> Result<Self, String> {
        let args = ["list-sockets", "--all", "--show-types", "--no-pager", "--output=json"];
        let cmd = Cmd::new("systemctl").args(args).timeout(PATIENCE).output_cap(16 << 20);
        let output = host.run(&cmd).map_err(|error| error.to_string())?;
        if !output.success() || output.cut {
            return Err(format!("systemctl: {}: {}", output.status, output.stderr_text()));
        }
        serde_json::from_slice(&output.stdout).map(Self).map_err(|error| format!("systemctl: {error}"))
    }

    fn name(&self, socket: &mut Socket) {
        let Some(Entry { unit, activates, .. }) = self.of(socket) else { return };
        let Owners::Seen(owners) = &mut socket.owners else { return };
        let of_systemd = |owner: &&mut Owner| owner.pid == 1;
        for identity in owners.iter_mut().filter(of_systemd).filter_map(|owner| owner.identity.as_mut()) {
            identity.unit = Some(unit.clone());
            identity.starts.clone_from(activates);
        }
    }

    /// The one unit that listens exactly there; of several nobody knows which.
    fn of(&self, socket: &Socket) -> Option<&Entry> {
        let kind = match socket.protocol {
            Protocol::Tcp => "Stream",
            Protocol::Udp => "Datagram",
            _ => return None,
        };
        let socket = Socket { interface: None, ..socket.clone() }.to_string();
        let place = socket.split_once(' ').map(|(_, place)| place)?;
        let is_there = |entry: &&Entry| entry.listen == place && entry.kind.as_ref().is_none_or(|it| it == kind);
        let mut found = self.0.iter().filter(is_there);
        found.next().filter(|_| found.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use port_audit::{Identity, Observed};

    use super::*;

    const LIST: &str = r#"[
        {"listen": "[::]:22", "type": "Stream", "unit": "ssh.socket", "activates": "ssh.service"},
        {"listen": "0.0.0.0:53", "type": "Datagram", "unit": "dns.socket", "activates": "dns.service"},
        {"listen": "0.0.0.0:53", "type": "Stream", "unit": "dns-tcp.socket", "activates": "dns.service"},
        {"listen": "0.0.0.0:80", "type": "Stream", "unit": "a.socket", "activates": "a.service"},
        {"listen": "0.0.0.0:80", "type": "Stream", "unit": "b.socket", "activates": "b.service"},
        {"listen": "/run/x", "type": "Stream", "unit": "x.socket", "activates": null}]"#;

    fn named(row: &str) -> String {
        let held = Held::ask(&Fake::new().answer("systemctl list-sockets", 0, LIST)).unwrap();
        let mut socket = Observed::ss(row).unwrap().sockets.remove(0);
        let Owners::Seen(owners) = &mut socket.owners else { panic!("{row}") };
        for owner in owners {
            owner.identity = Some(Identity::default());
        }
        held.name(&mut socket);
        let identities = socket.owners.seen().iter().filter_map(|owner| owner.identity.as_ref());
        let words = identities
            .map(|it| format!("{} {}", it.unit.as_deref().unwrap_or("-"), it.starts.as_deref().unwrap_or("-")));
        words.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_the_first_process_has_is_the_units_that_listens_there() {
        let users = "users:((\"systemd\",pid=1,fd=3),(\"sshd\",pid=7,fd=3))";
        assert_eq!(named(&format!("tcp LISTEN 0 1 *:22 *:* {users}")), "ssh.socket ssh.service, - -");
        assert_eq!(named(&format!("tcp LISTEN 0 1 0.0.0.0%eth0:53 *:* {users}")), "dns-tcp.socket dns.service, - -");
        assert_eq!(named(&format!("udp UNCONN 0 1 0.0.0.0:53 *:* {users}")), "dns.socket dns.service, - -");
        assert_eq!(named(&format!("udp UNCONN 0 1 0.0.0.0:22 *:* {users}")), "- -, - -");
        assert_eq!(named(&format!("tcp LISTEN 0 1 127.0.0.1:22 *:* {users}")), "- -, - -");
        assert_eq!(named(&format!("tcp LISTEN 0 1 0.0.0.0:80 *:* {users}")), "- -, - -", "two units");
    }

    #[test]
    fn a_list_that_cannot_be_had_is_a_gap() {
        let why = |host: &Fake| Held::ask(host).unwrap_err();
        assert_eq!(why(&Fake::new().answer("systemctl", 1, "")), "systemctl: exit 1: ");
        assert!(why(&Fake::new().answer("systemctl", 0, "LISTEN UNIT")).starts_with("systemctl: expected value"));
        let mut none = Observed::ss("LISTEN 0 1 *:22 *:* users:((\"sshd\",pid=7,fd=3))").unwrap().sockets;
        assert_eq!(name(&Fake::new(), &mut none), None, "nothing is asked where it has none");
    }
}
