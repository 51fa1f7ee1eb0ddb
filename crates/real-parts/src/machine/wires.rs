//! What a machine is connected to: a public network and a tailnet, each with one other host.

use std::net::Ipv4Addr;

use crate::broken::Broken;
use crate::network::{Host, Namespace};

/// An Ethernet cable. Both ends have the same name.
struct Wire {
    device: &'static str,
    /// The machine's addresses with their networks, of IPv4 and IPv6.
    own: [&'static str; 2],
    others: [&'static str; 2],
    /// Where the machine sends what is for nobody else.
    gateways: &'static [&'static str],
}

/// The neighbour is the gateway too. It passes nothing on.
const WAN: Wire = Wire {
    device: "eth0",
    own: ["203.0.113.1/24", "2001:db8::1/64"],
    others: ["203.0.113.2/24", "2001:db8::2/64"],
    gateways: &["203.0.113.2", "2001:db8::2"],
};

const TAILNET: Wire = Wire {
    device: "tailscale0",
    own: ["100.64.0.1/10", "fd7a:115c:a1e0::1/48"],
    others: ["100.64.0.2/10", "fd7a:115c:a1e0::2/48"],
    gateways: &[],
};

/// The other hosts, and how the machine comes to them.
pub(crate) struct Wires {
    wan: Host,
    tailnet: Host,
}

impl Wires {
    pub(crate) fn new() -> Result<Self, Broken> {
        let wan = Host::unplugged(Ipv4Addr::new(203, 0, 113, 2))?;
        let tailnet = Host::unplugged(Ipv4Addr::new(100, 64, 0, 2))?;
        Ok(Self { wan, tailnet })
    }

    pub(crate) fn wan(&self) -> &Host {
        &self.wan
    }

    pub(crate) fn tailnet(&self) -> &Host {
        &self.tailnet
    }

    pub(crate) fn plug_wan(&self, machine: &Namespace) -> Result<(), Broken> {
        WAN.plug(machine, self.wan.namespace())
    }

    pub(crate) fn plug_tailnet(&self, machine: &Namespace) -> Result<(), Broken> {
        TAILNET.plug(machine, self.tailnet.namespace())
    }

    pub(crate) fn unplug_tailnet(&self) {
        TAILNET.unplug(self.tailnet.namespace());
    }

    pub(crate) fn unplug(&self) {
        WAN.unplug(self.wan.namespace());
        self.unplug_tailnet();
    }
}

impl Wire {
    fn plug(&self, machine: &Namespace, other: &Namespace) -> Result<(), Broken> {
        let device = self.device;
        let add = format!("link add name {device} type veth peer name {device} netns {}\n", machine.path());
        other.ips(&(add + &self.up(&self.others)))?;
        let routes = self.gateways.iter().map(|gateway| format!("route add default via {gateway} dev {device}\n"));
        machine.ips(&(self.up(&self.own) + &routes.collect::<String>()))
    }

    /// Both ends at once. The kernel would do it when it comes to a namespace that has ended, which may be too late.
    fn unplug(&self, other: &Namespace) {
        // One that is unplugged already is fine.
        let _ = other.ips(&format!("link delete dev {}\n", self.device));
    }

    /// An address of IPv6 is asked for on the wire for a second before it is good, unless told not to.
    fn up(&self, [v4, v6]: &[&str; 2]) -> String {
        let device = self.device;
        format!("address add {v4} dev {device}\naddress add {v6} dev {device} nodad\nlink set dev {device} up\n")
    }
}
