//! Who can reach a socket, and whether that is meant.
//!
//! **Invariant:** what is not known is not fine: an owner that cannot be seen, an interface that nobody knows, a row that
//! cannot be read.
//! **Invariant:** a name proves nothing: a process is known by its unit and by a program that only root could put there.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::civil::Date;

use crate::nat::Forward;
use crate::policy::{Allow, Policy};
use crate::socket::{ANY_V4, ANY_V6, Identity, Namespace, Owner, Owners, Program, Protocol, Socket, plain};

/// The service that makes the tailnet, and its program.
const TAILSCALED: (&str, &str) = ("tailscaled.service", "tailscaled");
/// What systemd calls the SSH server, and the socket it may hold for it.
const SSH_UNITS: [&str; 4] = ["ssh.service", "sshd.service", "ssh.socket", "sshd.socket"];
/// The program of the SSH server.
const SSHD: &str = "sshd";

/// What belongs to the tailnet on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tailnet {
    /// The machine's addresses in it.
    pub addresses: Vec<IpAddr>,
    /// Its interface.
    pub interface: Option<String>,
}

/// Whether Tailscale gives such addresses: 100.64.0.0/10, which providers use too (RFC 6598), and `fd7a:115c:a1e0::/48`.
#[must_use]
pub fn is_of_a_tailnet(address: IpAddr) -> bool {
    let v4 = Ipv4Net::new_assert([100, 64, 0, 0].into(), 10);
    let v6 = Ipv6Net::new_assert([0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, 0].into(), 48);
    let address = plain(address);
    [IpNet::V4(v4), IpNet::V6(v6)].iter().any(|net| net.contains(&address))
}

/// From where a socket is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// From this machine.
    Loopback,
    /// From a network of this machine alone, such as that of a container.
    Inside,
    /// From the tailnet.
    Tailnet,
    /// From anywhere.
    Public,
}

/// What is thought of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Fine(Fine),
    /// It is not.
    Violation {
        /// A stable kebab-case word.
        class: &'static str,
        /// What is wrong.
        reason: String,
        /// What to do.
        next: String,
    },
}

/// Why a socket is as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fine {
    /// It is not reached by anybody else.
    Private(Reach),
    /// It is the tailnet's own service.
    Tailscaled,
    /// The policy allows it, for this reason.
    Allowed(String),
}

/// What a socket is judged by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What may be reached by anybody.
    pub policy: Policy,
    /// What belongs to the tailnet.
    pub tailnet: Tailnet,
    /// The day, for entries that expire.
    pub today: Date,
}

impl Rules {
    /// From where it is reached.
    #[must_use]
    pub fn reach(&self, socket: &Socket) -> Reach {
        let interface = socket.interface.as_deref();
        // Frames have no address: the one that stands there says nothing.
        let address = Some(plain(socket.address)).filter(|_| socket.protocol != Protocol::Packet);
        if address.is_some_and(|address| address.is_loopback()) || interface == Some("lo") {
            return Reach::Loopback;
        }
        match socket.namespace {
            Namespace::Other { exposed: false, .. } => Reach::Inside,
            Namespace::Other { exposed: true, .. } => Reach::Public,
            Namespace::Host if self.is_of_the_tailnet(address, interface) => Reach::Tailnet,
            Namespace::Host => Reach::Public,
        }
    }

    /// Whether nobody but the tailnet gets to this address or interface of the machine.
    fn is_of_the_tailnet(&self, address: Option<IpAddr>, interface: Option<&str>) -> bool {
        let is_ours = |address: IpAddr| is_of_a_tailnet(address) && self.tailnet.addresses.contains(&address);
        interface.is_some() && interface == self.tailnet.interface.as_deref() || address.is_some_and(is_ours)
    }

    /// What is thought of it.
    #[must_use]
    pub fn judge(&self, socket: &Socket) -> Verdict {
        let reach = self.reach(socket);
        if matches!(reach, Reach::Loopback | Reach::Inside) {
            return Verdict::Fine(Fine::Private(reach));
        }
        let about: Vec<&Allow> = self.policy.allow.iter().filter(|allow| allow.is_about(socket)).collect();
        let (over, valid): (Vec<&Allow>, Vec<&Allow>) = about.iter().partition(|allow| allow.is_over(self.today));
        let allowed = allowing(&valid, &socket.owners);
        if is_nobodys(&socket.owners) && allowed.is_none() {
            let next = "look as root; else find out what made it";
            return violation("owner-unknown", "nobody is seen who has it", next);
        }
        if reach == Reach::Tailnet {
            return Verdict::Fine(Fine::Private(reach));
        }
        let owners = socket.owners.seen();
        if !owners.is_empty() && owners.iter().all(is_tailscaled) {
            return Verdict::Fine(Fine::Tailscaled);
        }
        // No entry can allow it: that is what the lock-down is for.
        if owners.iter().any(is_sshd) {
            return violation(
                "sshd-public",
                "the SSH server is reached from anywhere",
                "sshd-fix plan, then sshd-fix apply",
            );
        }
        if let Some(allow) = allowed {
            return Verdict::Fine(Fine::Allowed(allow.to_string()));
        }
        let others: Vec<&Owner> = owners.iter().filter(|owner| !may(&valid, owner)).collect();
        let is_missed = |allow: &&&Allow| others.is_empty() || others.iter().any(|owner| allow.names(owner));
        if let Some(allow) = allowing(&about, &socket.owners).and_then(|_| over.iter().find(is_missed)) {
            return violation("allowance-expired", format!("it was allowed: {allow}"), "stop it, or renew the entry");
        }
        if let Some(other) = others.first().filter(|_| others.len() < owners.len()) {
            let reason = format!("{} ({}) has it too", other.name, other.pid);
            return violation("co-owner", reason, "find out why that process has it");
        }
        public(socket)
    }

    /// Whether nobody else gets to what the firewall hands on, or one entry of the policy allows all of it for each protocol
    /// and range of ports.
    pub(crate) fn is_meant(&self, forward: &Forward) -> bool {
        let (address, interface) = (forward.address, forward.interface.as_deref());
        let private = match address {
            Some(net) => net.network().is_loopback() && net.broadcast().is_loopback(),
            None => false,
        };
        let alone = address.filter(|net| net.prefix_len() == net.max_prefix_len()).map(|net| net.addr());
        if private || interface == Some("lo") || self.is_of_the_tailnet(alone, interface) {
            return true;
        }
        let wholes = match address {
            Some(net) => vec![vec![net.network(), net.broadcast()]],
            None => vec![vec![ANY_V4], vec![ANY_V6]],
        };
        let protocols = forward.protocol.map_or(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp], |it| vec![it]);
        let ports = if forward.ports.is_empty() { &[(0, u16::MAX)][..] } else { &forward.ports };
        let valid: Vec<&Allow> = self.policy.allow.iter().filter(|allow| !allow.is_over(self.today)).collect();
        let allowed = |protocol, ports, addresses: &[IpAddr]| {
            valid.iter().any(|allow| allow.forwards(protocol, ports, addresses, interface))
        };
        protocols.iter().all(|protocol| {
            ports.iter().all(|ports| wholes.iter().all(|addresses| allowed(*protocol, *ports, addresses)))
        })
    }
}

fn violation(class: &'static str, reason: impl Into<String>, next: impl Into<String>) -> Verdict {
    Verdict::Violation { class, reason: reason.into(), next: next.into() }
}

fn public(socket: &Socket) -> Verdict {
    const NEXT: &str = "bind it to 127.0.0.1, or allow it in port_audit.toml";
    if socket.protocol != Protocol::Packet && is_of_a_tailnet(socket.address) {
        let reason = "its address is like Tailscale's, and none that this machine is known to have in a tailnet";
        return violation("public-listener", reason, NEXT);
    }
    violation("public-listener", "it is reached from anywhere", NEXT)
}

/// Whether one who has a socket may, by one of these entries about it.
fn may(entries: &[&Allow], owner: &Owner) -> bool {
    is_tailscaled(owner) || entries.iter().any(|allow| allow.names(owner))
}

/// The first of these entries about a socket by which all who have it may; each may by another one.
fn allowing<'a>(entries: &[&'a Allow], owners: &Owners) -> Option<&'a Allow> {
    let seen = owners.seen();
    if seen.is_empty() {
        return entries.iter().copied().find(|allow| allow.is_of_unseen(owners));
    }
    let first = entries.iter().copied().find(|allow| seen.iter().any(|owner| allow.names(owner)));
    first.filter(|_| seen.iter().all(|owner| may(entries, owner)))
}

/// No process is known to have it, though that is a question.
fn is_nobodys(owners: &Owners) -> bool {
    match owners {
        Owners::Seen(owners) => owners.is_empty(),
        Owners::Hidden => true,
        Owners::Untold => false,
    }
}

/// The unit alone does not make it: the shells that it opens for people of the tailnet are in its control group too, and
/// can run its program. Where only text was read there is but the name.
fn is_tailscaled(owner: &Owner) -> bool {
    let (unit, name) = TAILSCALED;
    let Some(Identity { unit: is_of, program, is_root, .. }) = &owner.identity else { return owner.name == name };
    let is_program = |program: &Program| program.trusted && program.name() == name;
    *is_root && is_of.as_deref() == Some(unit) && program.as_ref().is_some_and(is_program)
}

/// Whatever looks like it: here a mistake costs nothing.
fn is_sshd(owner: &Owner) -> bool {
    let Some(Identity { unit, starts, program, .. }) = &owner.identity else { return owner.name == SSHD };
    owner.name == SSHD
        || [unit, starts].into_iter().flatten().any(|unit| SSH_UNITS.contains(&unit.as_str()))
        || program.as_ref().is_some_and(|program| program.name() == SSHD)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use jiff::civil::date;

    use super::*;

    const POLICY: &str = r#"
        schema = 1
        [[allow]]
        protocol = "udp"
        port = 68
        unit = "systemd-networkd.service"
        reason = "DHCP"
        [[allow]]
        protocol = "tcp"
        port = "443-444"
        program = "/usr/sbin/nginx"
        reason = "the web"
        expires = "2026-01-31"
        [[allow]]
        protocol = "udp"
        port = 51820
        unowned = true
        reason = "WireGuard of the kernel"
    "#;

    fn rules() -> Rules {
        let tailnet = Tailnet {
            addresses: vec!["100.64.0.1".parse().unwrap(), "fd7a:115c:a1e0::1".parse().unwrap()],
            interface: Some("tailscale0".into()),
        };
        Rules { policy: Policy::parse(POLICY).unwrap(), tailnet, today: date(2026, 1, 31) }
    }

    fn owner(name: &str, unit: &str, path: &str, trusted: bool) -> Owner {
        let program = Some(Program { path: path.into(), trusted });
        let identity = Some(Identity { unit: Some(unit.into()), starts: None, program, is_root: true });
        Owner { pid: 7, name: name.into(), identity }
    }

    fn node() -> Owner {
        owner("node", "app.service", "/usr/bin/node", true)
    }

    fn tailscaled() -> Owner {
        owner("tailscaled", "tailscaled.service", "/usr/sbin/tailscaled", true)
    }

    fn networkd() -> Owner {
        owner("systemd-network", "systemd-networkd.service", "/usr/lib/systemd/systemd-networkd", true)
    }

    fn sshd() -> Owner {
        owner("sshd", "ssh.service", "/usr/sbin/sshd", true)
    }

    fn socket(protocol: Protocol, address: &str, port: u16, owners: &[Owner]) -> Socket {
        let (address, interface) =
            address.split_once('%').map_or((address, None), |(at, on)| (at, Some(on.to_owned())));
        let (address, owners) = (address.parse().unwrap(), Owners::Seen(owners.to_vec()));
        Socket { protocol, address, port, interface, v6only: false, owners, namespace: Namespace::Host }
    }

    fn tcp(address: &str, owners: &[Owner]) -> String {
        told(&socket(Protocol::Tcp, address, 8080, owners))
    }

    fn told(socket: &Socket) -> String {
        told_by(&rules(), socket)
    }

    fn told_by(rules: &Rules, socket: &Socket) -> String {
        match rules.judge(socket) {
            Verdict::Fine(fine) => format!("{fine:?}"),
            Verdict::Violation { class, reason, .. } => format!("{class}: {reason}"),
        }
    }

    #[test]
    fn where_a_socket_is_bound_says_who_reaches_it() {
        for (address, want) in [
            ("127.0.0.1", Reach::Loopback),
            ("127.8.8.8", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("0.0.0.0%lo", Reach::Loopback),
            ("100.64.0.1", Reach::Tailnet),
            ("::ffff:100.64.0.1", Reach::Tailnet),
            ("fd7a:115c:a1e0::1", Reach::Tailnet),
            ("0.0.0.0%tailscale0", Reach::Tailnet),
            // Of that range, and not this machine's: a provider may use it too.
            ("100.64.0.2", Reach::Public),
            ("100.128.0.1", Reach::Public),
            ("0.0.0.0", Reach::Public),
            ("::", Reach::Public),
            ("0.0.0.0%eth0", Reach::Public),
            ("10.0.0.1", Reach::Public),
            ("192.168.1.1", Reach::Public),
            ("fe80::1%eth0", Reach::Public),
            ("203.0.113.1", Reach::Public),
        ] {
            assert_eq!(rules().reach(&socket(Protocol::Tcp, address, 1, &[])), want, "{address}");
        }
        let alone = Rules { tailnet: Tailnet::default(), ..rules() };
        for address in ["100.64.0.1", "0.0.0.0%tailscale0", "0.0.0.0"] {
            assert_eq!(alone.reach(&socket(Protocol::Tcp, address, 1, &[])), Reach::Public, "{address}");
        }
        // Frames have no address: the one that is there says nothing.
        assert_eq!(rules().reach(&socket(Protocol::Packet, "127.0.0.1", 3, &[])), Reach::Public);
        assert_eq!(rules().reach(&socket(Protocol::Packet, "0.0.0.0%lo", 3, &[])), Reach::Loopback);
    }

    #[test]
    fn another_namespace_is_inside_only_where_nothing_leads_out_of_it() {
        let inside = |exposed, address| {
            let namespace = Namespace::Other { id: 4, exposed };
            rules().reach(&Socket { namespace, ..socket(Protocol::Tcp, address, 1, &[]) })
        };
        assert_eq!(inside(false, "0.0.0.0"), Reach::Inside);
        assert_eq!(inside(true, "0.0.0.0"), Reach::Public);
        assert_eq!(inside(true, "127.0.0.1"), Reach::Loopback);
        assert_eq!(inside(true, "100.64.0.1"), Reach::Public, "the tailnet's interface is not there");
    }

    #[test]
    fn what_is_private_is_fine_whoever_has_it() {
        assert_snapshot!(tcp("127.0.0.1", &[]), @"Private(Loopback)");
        assert_snapshot!(tcp("100.64.0.1", &[node()]), @"Private(Tailnet)");
        assert_snapshot!(tcp("100.64.0.1", &[sshd()]), @"Private(Tailnet)");
        assert_snapshot!(tcp("100.64.0.1", &[]), @"owner-unknown: nobody is seen who has it");
    }

    #[test]
    fn v04_the_ssh_server_is_never_public_and_no_policy_allows_it() {
        let found = "sshd-public: the SSH server is reached from anywhere";
        let held = owner("systemd", "ssh.socket", "/usr/lib/systemd/systemd", true);
        let nameless = owner("x", "y.service", "/opt/openssh/sbin/sshd", true);
        for owners in
            [&[sshd()][..], std::slice::from_ref(&held), &[sshd(), held.clone()], &[nameless], &[node(), sshd()]]
        {
            assert_eq!(tcp("0.0.0.0", owners), found);
        }
        let text = Owner { pid: 7, name: "sshd".into(), identity: None };
        assert_eq!(tcp("203.0.113.1", &[text]), found);
        let policy = "schema = 1\n[[allow]]\nprotocol = \"tcp\"\nport = 8080\nunit = \"ssh.service\"\nreason = \"x\"\n";
        let loose = Rules { policy: Policy::parse(policy).unwrap(), ..rules() };
        assert!(matches!(
            loose.judge(&socket(Protocol::Tcp, "0.0.0.0", 8080, &[sshd()])),
            Verdict::Violation { class: "sshd-public", .. }
        ));
    }

    #[test]
    fn v04_tailscaled_is_known_by_its_unit_and_its_program_and_not_by_its_name() {
        assert_snapshot!(tcp("0.0.0.0", &[tailscaled()]), @"Tailscaled");
        for (unit, path, trusted) in [
            ("app.service", "/usr/sbin/tailscaled", true),
            ("tailscaled.service", "/tmp/tailscaled", false),
            // A shell that it opened for somebody of the tailnet.
            ("tailscaled.service", "/usr/bin/python3", true),
            ("user@1000.service", "/home/me/tailscaled", false),
        ] {
            let named = owner("tailscaled", unit, path, trusted);
            assert_eq!(tcp("0.0.0.0", &[named]), "public-listener: it is reached from anywhere", "{unit} {path}");
        }
        let mut of_a_shell = tailscaled();
        of_a_shell.identity.as_mut().unwrap().is_root = false;
        assert_snapshot!(tcp("0.0.0.0", &[of_a_shell]), @"public-listener: it is reached from anywhere");
        let nameless = Owner { pid: 7, name: "tailscaled".into(), identity: Some(Identity::default()) };
        assert_snapshot!(tcp("0.0.0.0", &[nameless]), @"public-listener: it is reached from anywhere");
        assert_snapshot!(tcp("0.0.0.0", &[tailscaled(), node()]), @"co-owner: node (7) has it too");
        let text = Owner { pid: 7, name: "tailscaled".into(), identity: None };
        assert_snapshot!(tcp("0.0.0.0", &[text]), @"Tailscaled");
    }

    #[test]
    fn v04_an_address_like_those_of_a_tailnet_is_private_only_where_it_is_this_machines() {
        let found = "public-listener: its address is like Tailscale's, and none that this machine is known to have in a tailnet";
        for address in ["100.64.0.2", "100.127.255.254", "fd7a:115c:a1e0::2", "::ffff:100.64.0.2"] {
            assert_eq!(tcp(address, &[node()]), found);
        }
        assert_snapshot!(tcp("100.128.0.1", &[node()]), @"public-listener: it is reached from anywhere");
        assert_snapshot!(tcp("fd7a:115c:a1e0::1", &[node()]), @"Private(Tailnet)");
        assert_snapshot!(tcp("::ffff:127.0.0.1", &[node()]), @"Private(Loopback)");
    }

    #[test]
    fn v05_every_wildcard_is_public_whatever_its_form() {
        for address in ["0.0.0.0", "::", "::ffff:0.0.0.0", "0.0.0.0%eth0", "::%eth0"] {
            assert_eq!(tcp(address, &[sshd()]), "sshd-public: the SSH server is reached from anywhere", "{address}");
            assert_eq!(tcp(address, &[node()]), "public-listener: it is reached from anywhere", "{address}");
            let v6only = Socket { v6only: true, ..socket(Protocol::Tcp, address, 22, &[sshd()]) };
            assert_eq!(told(&v6only), "sshd-public: the SSH server is reached from anywhere", "{address}");
        }
    }

    #[test]
    fn an_owner_that_cannot_be_seen_is_no_owner_that_may() {
        let of = |protocol, address, port, owners| told(&Socket { owners, ..socket(protocol, address, port, &[]) });
        assert_snapshot!(of(Protocol::Tcp, "0.0.0.0", 80, Owners::Hidden), @"owner-unknown: nobody is seen who has it");
        assert_snapshot!(of(Protocol::Tcp, "100.64.0.1", 80, Owners::Hidden), @"owner-unknown: nobody is seen who has it");
        assert_snapshot!(of(Protocol::Tcp, "127.0.0.1", 80, Owners::Hidden), @"Private(Loopback)");
        // Whatever is there, nobody saw that no process has it.
        assert_snapshot!(of(Protocol::Udp, "0.0.0.0", 51820, Owners::Hidden), @"owner-unknown: nobody is seen who has it");
        // Where it is told of no socket it is no question.
        assert_snapshot!(of(Protocol::Tcp, "0.0.0.0", 80, Owners::Untold), @"public-listener: it is reached from anywhere");
        assert_snapshot!(of(Protocol::Tcp, "100.64.0.1", 80, Owners::Untold), @"Private(Tailnet)");
        assert_snapshot!(of(Protocol::Udp, "0.0.0.0", 68, Owners::Untold), @r#"Allowed("DHCP")"#);
    }

    #[test]
    fn what_systemd_holds_for_a_service_is_that_services() {
        let mut held = owner("systemd", "dhcp.socket", "/usr/lib/systemd/systemd", true);
        held.identity.as_mut().unwrap().starts = Some("systemd-networkd.service".into());
        let udp = |owners: &[Owner]| told(&socket(Protocol::Udp, "0.0.0.0", 68, owners));
        assert_snapshot!(udp(std::slice::from_ref(&held)), @r#"Allowed("DHCP")"#);
        assert_snapshot!(udp(&[held.clone(), networkd()]), @r#"Allowed("DHCP")"#);
        assert_snapshot!(udp(&[held, node()]), @"co-owner: node (7) has it too");
    }

    #[test]
    fn each_of_those_who_have_a_socket_may_by_an_entry_of_its_own() {
        let two = |expires: &str| {
            let entry = |unit: &str| {
                format!("[[allow]]\nprotocol = \"tcp\"\nport = 8080\nunit = \"{unit}\"\nreason = \"{unit}\"\n")
            };
            let policy = format!("schema = 1\n{}{}{expires}", entry("a.service"), entry("b.service"));
            Rules { policy: Policy::parse(&policy).unwrap(), ..rules() }
        };
        let of = |unit: &str| owner(unit, &format!("{unit}.service"), "/usr/bin/node", true);
        let told = |expires: &str, owners: &[Owner]| told_by(&two(expires), &socket(Protocol::Tcp, "::", 8080, owners));
        assert_snapshot!(told("", &[of("a"), of("b")]), @r#"Allowed("a.service")"#);
        assert_snapshot!(told("", &[tailscaled(), of("b")]), @r#"Allowed("b.service")"#);
        assert_snapshot!(told("", &[of("a"), of("b"), of("c")]), @"co-owner: c (7) has it too");
        assert_snapshot!(told("", &[of("a"), sshd()]), @"sshd-public: the SSH server is reached from anywhere");
        let over = "expires = \"2026-01-30\"";
        assert_snapshot!(told(over, &[of("a"), of("b")]), @"allowance-expired: it was allowed: b.service (until 2026-01-30)");
        assert_snapshot!(told(over, &[of("b"), tailscaled()]), @"allowance-expired: it was allowed: b.service (until 2026-01-30)");
        assert_snapshot!(told(over, &[of("a")]), @r#"Allowed("a.service")"#);
        assert_snapshot!(told(over, &[of("a"), of("b"), of("c")]), @"co-owner: b (7) has it too");
    }

    #[test]
    fn what_the_policy_allows_is_fine_for_whom_it_names_until_its_last_day() {
        let udp = |port, owners: &[Owner]| told(&socket(Protocol::Udp, "0.0.0.0", port, owners));
        assert_snapshot!(udp(68, &[networkd()]), @r#"Allowed("DHCP")"#);
        assert_snapshot!(udp(68, &[node()]), @"public-listener: it is reached from anywhere");
        assert_snapshot!(udp(68, &[networkd(), node()]), @"co-owner: node (7) has it too");
        assert_snapshot!(udp(68, &[]), @"owner-unknown: nobody is seen who has it");
        assert_snapshot!(udp(69, &[networkd()]), @"public-listener: it is reached from anywhere");
        assert_snapshot!(udp(51820, &[]), @r#"Allowed("WireGuard of the kernel")"#);
        assert_snapshot!(udp(51820, &[node()]), @"public-listener: it is reached from anywhere");
        let nginx = |trusted| owner("nginx", "nginx.service", "/usr/sbin/nginx", trusted);
        let web = |port, owner, today| {
            let rules = Rules { today, ..rules() };
            match rules.judge(&socket(Protocol::Tcp, "0.0.0.0", port, &[owner])) {
                Verdict::Fine(_) => "fine",
                Verdict::Violation { class, .. } => class,
            }
        };
        assert_eq!(web(443, nginx(true), date(2026, 1, 31)), "fine");
        assert_eq!(web(444, nginx(true), date(2026, 1, 31)), "fine");
        assert_eq!(web(445, nginx(true), date(2026, 1, 31)), "public-listener");
        assert_eq!(web(443, nginx(false), date(2026, 1, 31)), "public-listener");
        assert_eq!(web(443, nginx(true), date(2026, 2, 1)), "allowance-expired");
        let text = |name: &str| Owner { pid: 7, name: name.into(), identity: None };
        assert_snapshot!(udp(68, &[text("systemd-network")]), @r#"Allowed("DHCP")"#);
        assert_snapshot!(udp(68, &[text("systemd-net")]), @"public-listener: it is reached from anywhere");
    }
}
