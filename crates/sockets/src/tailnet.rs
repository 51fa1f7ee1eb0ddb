//! What belongs to the tailnet on this machine: its addresses by `tailscale`, its interface by the kernel.

use std::net::IpAddr;
use std::path::Path;

use host::Host;
use port_audit::{Gap, Tailnet};

/// What Tailscale calls its interface unless it is told otherwise.
const INTERFACE: &str = "tailscale0";

/// The machine's addresses in the tailnet, and the interface that has them; nothing where there is no `tailscale`. One that
/// is no tunnel is not the tailnet's, whatever addresses it was given: what is bound to it is reached by others too.
///
/// # Errors
/// A gap, where it is there and does not tell, or where more than one interface has such addresses.
pub fn tailnet(host: &dyn Host) -> Result<Tailnet, Gap> {
    let gap = |why: String| Gap { what: "the tailnet".into(), why };
    let Some(told) = tailnet::status(host).map_err(|failure| gap(failure.reason))? else {
        return Ok(Tailnet::default());
    };
    let addresses = told.addresses;
    let mut interfaces = interfaces(&addresses).map_err(gap)?;
    if let [_, _, ..] = &interfaces[..] {
        return Err(gap(format!("its addresses are on several interfaces: {}", interfaces.join(", "))));
    }
    Ok(Tailnet { addresses, interface: interfaces.pop().filter(|name| is_a_tunnel(name)) })
}

/// Whether it is Tailscale's by its name, or a tunnel of a program.
fn is_a_tunnel(name: &str) -> bool {
    name == INTERFACE || Path::new("/sys/class/net").join(name).join("tun_flags").exists()
}

/// Those that have one of these addresses.
#[cfg(target_os = "linux")]
fn interfaces(addresses: &[IpAddr]) -> Result<Vec<String>, String> {
    crate::linux::interfaces(addresses).map_err(|error| error.to_string())
}

/// None is known: a text says of no socket to which interface it is bound.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
fn interfaces(_: &[IpAddr]) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use host::{Fake, HostError};
    use insta::assert_snapshot;

    use super::*;

    fn told(code: i32, text: &str) -> String {
        tailnet(&Fake::new().answer("tailscale status --json", code, text))
            .map_or_else(|gap| format!("{}: {}", gap.what, gap.why), |tailnet| format!("{tailnet:?}"))
    }

    #[test]
    fn addresses_are_those_that_tailscale_tells_also_where_it_fails() {
        let status = r#"{"BackendState": "Running", "TailscaleIPs": ["100.64.0.1", "fd7a:115c:a1e0::1"]}"#;
        assert_snapshot!(told(0, status), @"Tailnet { addresses: [100.64.0.1, fd7a:115c:a1e0::1], interface: None }");
        assert_snapshot!(told(1, status), @"Tailnet { addresses: [100.64.0.1, fd7a:115c:a1e0::1], interface: None }");
        assert_snapshot!(told(0, r#"{"BackendState": "NeedsLogin", "TailscaleIPs": null}"#), @"Tailnet { addresses: [], interface: None }");
        assert_snapshot!(told(1, "not running"), @"the tailnet: tailscale does not tell its state: exit 1: expected ident at line 1 column 2");
        assert_snapshot!(told(0, r#"{"TailscaleIPs": ["x"]}"#), @"the tailnet: tailscale does not tell its state: exit 0: invalid IP address syntax at line 1 column 21");
        let absent = Fake::new().script(|_| Some(Err(HostError::NotFound { program: "tailscale".into() })));
        assert_eq!(tailnet(&absent), Ok(Tailnet::default()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_interface_that_has_its_addresses_and_is_no_tunnel_is_not_its() {
        assert_snapshot!(told(0, r#"{"BackendState": "Running", "TailscaleIPs": ["127.0.0.1"]}"#), @"Tailnet { addresses: [127.0.0.1], interface: None }");
        assert!(is_a_tunnel("tailscale0") && !is_a_tunnel("lo"));
    }
}
