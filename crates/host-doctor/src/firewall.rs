//! The firewall of the host itself: UFW, or rules of somebody's own.

use std::path::Path;

use doctor::Check;
use host::{Cmd, Host};
use outcome::Failure;

use crate::netfilter::{Family, Ruleset, Table};
use crate::{Scene, root_alone, told_if_there, unseen};

pub(crate) const NAME: &str = "firewall";

/// Whether it is set up at a boot.
const CONFIG: &str = "/etc/ufw/ufw.conf";
/// Why an address of the tailnet is not enough, and how to change that without being locked out.
const NEXT: &str = "over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the \
tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall \
drops that";

/// What `ufw` says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ufw {
    Inactive,
    /// With what becomes of an incoming packet that no rule is about.
    Active {
        incoming: String,
    },
}

pub(crate) fn firewall(scene: &Scene<'_>) -> Result<Check, Failure> {
    root_alone(scene.host)?;
    match ufw(scene.host)? {
        Some(Ufw::Active { incoming }) => Ok(judge(&incoming, starts_at_boot(scene.host)?)),
        ufw => own(scene.host, ufw.is_some()),
    }
}

fn ufw(host: &dyn Host) -> Result<Option<Ufw>, Failure> {
    let cmd = Cmd::new("ufw").args(["status", "verbose"]).env("LC_ALL", "C");
    let Some(text) = told_if_there(host, &cmd)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| unseen(&cmd, &format!("it says: {text}")))
}

fn parse(text: &str) -> Option<Ufw> {
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    match of("Status: ")? {
        "inactive" => Some(Ufw::Inactive),
        "active" => {
            let incoming = of("Default: ")?.split(", ").find_map(|word| word.strip_suffix(" (incoming)"))?;
            Some(Ufw::Active { incoming: incoming.to_owned() })
        }
        _ => None,
    }
}

fn starts_at_boot(host: &dyn Host) -> Result<bool, Failure> {
    let config = host.read(Path::new(CONFIG))?.unwrap_or_default();
    let config = String::from_utf8_lossy(&config);
    let set = config.lines().filter_map(|line| line.trim().strip_prefix("ENABLED=")).next_back() == Some("yes");
    let unit = host.run(&Cmd::new("systemctl").args(["is-enabled", "ufw.service"]))?;
    Ok(set && unit.success() && unit.stdout_text() == "enabled")
}

fn judge(incoming: &str, at_boot: bool) -> Check {
    if !["deny", "reject"].contains(&incoming) {
        let message = format!("UFW is active, and lets in what no rule is about: {incoming} (incoming)");
        return Check::fail(NAME, "firewall-open", message, NEXT);
    }
    if !at_boot {
        let message = "UFW is active now, and would not be after a boot";
        return Check::fail(NAME, "firewall-not-at-boot", message, "run: systemctl enable ufw; ufw enable");
    }
    Check::pass(NAME, format!("UFW is active, also after a boot: {incoming} (incoming)"))
}

/// Rules without UFW.
fn own(host: &dyn Host, has_ufw: bool) -> Result<Check, Failure> {
    let nft = Ruleset::look(host)?;
    let mut open = Vec::new();
    for family in Family::BOTH {
        let kept_out = nft.keeps_out(family) || Table::look(host, family)?.is_some_and(|table| table.keeps_out());
        if !kept_out && family.is_there(host)? {
            open.push(family);
        }
    }
    let ufw = if has_ufw { "UFW is inactive" } else { "there is no UFW" };
    Ok(match open.as_slice() {
        [] => {
            let message =
                format!("{ufw}; the host has a firewall of its own, of which no more is known than that it drops");
            Check::warn(
                NAME,
                "firewall-own",
                message,
                "see that it drops what comes in by the public interface, also after a boot",
            )
        }
        [one] => {
            let message = format!("{ufw}, and the firewall that is there lets in all of {}", one.name());
            Check::fail(NAME, "firewall-open", message, NEXT)
        }
        _ => Check::fail(NAME, "no-firewall", format!("{ufw}, and nothing else drops what comes in"), NEXT),
    })
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use host::HostError;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::looked;

    const ACTIVE: &str = "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing), deny (routed)\nNew profiles: skip\n\n\
        To                         Action      From\n--                         ------      ----\nAnywhere on tailscale0     ALLOW IN    Anywhere\n";
    const DROPS: &str = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
    const V6: &str = "fe80000000000000 02 40 20 80 eth0\n";

    fn with_ufw(status: &str, enabled: &str, config: &str) -> String {
        let fake = Fake::new().user(0).answer("ufw status verbose", 0, status);
        let fake = fake.answer("systemctl is-enabled ufw.service", i32::from(enabled != "enabled"), enabled);
        looked(&fake.file("/etc/ufw/ufw.conf", config, 0o644, 0), NAME)
    }

    fn own(v4: &str, v6: &str, nft: &str, addresses: &str) -> String {
        let no_ufw = |cmd: &Cmd| (cmd.program() == "ufw").then(|| Err(HostError::NotFound { program: "ufw".into() }));
        let fake = Fake::new().user(0).script(no_ufw).file("/proc/net/if_inet6", addresses, 0o444, 0);
        let fake = fake.answer("iptables-save -t filter", 0, v4).answer("ip6tables-save -t filter", 0, v6);
        looked(&fake.answer("nft --json list ruleset", 0, nft), NAME)
    }

    #[test]
    fn ufw_that_denies_now_and_after_a_boot_passes() {
        let config = "# /etc/ufw/ufw.conf\nENABLED=yes\nLOGLEVEL=low\n";
        assert_snapshot!(with_ufw(ACTIVE, "enabled", config), @"
        PASS: firewall: UFW is active, also after a boot: deny (incoming)
              class: ok
        ");
        assert!(with_ufw(&ACTIVE.replacen("deny", "reject", 1), "enabled", config).starts_with("PASS"));
        assert_snapshot!(with_ufw(&ACTIVE.replacen("deny", "allow", 1), "enabled", config), @"
        FAIL: firewall: UFW is active, and lets in what no rule is about: allow (incoming)
              next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
              class: firewall-open
        ");
        assert_snapshot!(with_ufw(ACTIVE, "disabled", config), @"
        FAIL: firewall: UFW is active now, and would not be after a boot
              next: run: systemctl enable ufw; ufw enable
              class: firewall-not-at-boot
        ");
        for odd in ["", "ENABLED=no", "#ENABLED=yes", "ENABLED=yes\nENABLED=no", "ENABLED=yess"] {
            assert!(with_ufw(ACTIVE, "enabled", odd).ends_with("class: firewall-not-at-boot"), "{odd}");
        }
        assert!(with_ufw(ACTIVE, "masked", config).starts_with("FAIL"));
    }

    #[test]
    fn v05_what_cannot_be_read_is_no_pass() {
        for odd in [
            "",
            "Status: active",
            "Status: activex\n",
            "Status: active\nDefault: deny (outgoing)",
            "inactive",
            "ERROR: problem running",
        ] {
            let said = with_ufw(odd, "enabled", "ENABLED=yes");
            assert!(said.ends_with("class: unseen"), "{odd}: {said}");
        }
        assert_snapshot!(looked(&Fake::new(), NAME), @"
        FAIL: firewall: only root is told
              next: run it by sudo
              class: not-root
        ");
        assert_snapshot!(looked(&Fake::new().user(0).answer("ufw", 1, ""), NAME), @"
        FAIL: firewall: `ufw status verbose` does not tell: exit 1
              next: run it by hand, and mend what it says
              class: unseen
        ");
        assert!(own("nothing", "", r#"{"nftables":[]}"#, V6).ends_with("class: unseen"));
        assert!(own(DROPS, DROPS, "", V6).ends_with("class: unseen"));
    }

    #[test]
    fn a_firewall_of_its_own_is_a_warning_and_none_fails() {
        let none = r#"{"nftables":[]}"#;
        assert_snapshot!(own(DROPS, DROPS, none, V6), @"
        WARN: firewall: there is no UFW; the host has a firewall of its own, of which no more is known than that it drops
              next: see that it drops what comes in by the public interface, also after a boot
              class: firewall-own
        ");
        assert_snapshot!(own("", "", none, V6), @"
        FAIL: firewall: there is no UFW, and nothing else drops what comes in
              next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
              class: no-firewall
        ");
        assert_snapshot!(own(DROPS, "", none, V6), @"
        FAIL: firewall: there is no UFW, and the firewall that is there lets in all of IPv6
              next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
              class: firewall-open
        ");
        assert!(own(DROPS, "", none, "").starts_with("WARN"), "without IPv6 there is nothing to drop of it");
        let nft = r#"{"nftables":[{"chain":{"family":"inet","table":"t","name":"c","type":"filter","hook":"input","policy":"drop"}},
            {"rule":{"family":"inet","table":"t","chain":"c","expr":[{"accept":null}]}}]}"#;
        assert!(own("", "", nft, V6).starts_with("WARN"));
    }
}
