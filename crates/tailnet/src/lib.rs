//! What `tailscale` tells of a machine.
//!
//! Of the output of `tailscale status --json` and `tailscale serve status --json` only what is decided on is read, since
//! its format may change. The program may exit with a failure and answer all the same.
//!
//! **Invariant:** an answer that cannot be read is a failure, and never a machine without a tailnet.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use host::{Cmd, Host, HostError, Output};
use jiff::Timestamp;
use outcome::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How long `tailscale` may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The state in which it is reached.
const RUNNING: &str = "Running";

/// The machine as its tailnet knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tailnet {
    /// `Running`, `Stopped`, `NeedsLogin` and so on.
    pub state: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It is reached by the control server; `None` where that is not told.
    pub online: Option<bool>,
    /// When its key stops being good; `None` for one that does not.
    pub key_expiry: Option<Timestamp>,
    /// Its key has stopped being good.
    pub expired: bool,
    /// It answers SSH itself: connections over the tailnet to port 22 never get to sshd.
    pub runs_ssh: bool,
    /// What it complains of.
    pub health: Vec<String>,
}

impl Tailnet {
    /// It is up.
    pub fn is_running(&self) -> bool {
        self.state == RUNNING
    }

    /// Its first IPv4 address.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        })
    }

    /// Its key is no longer good at `then`.
    pub fn is_expired_at(&self, then: Timestamp) -> bool {
        self.expired || self.key_expiry.is_some_and(|expiry| expiry <= then)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    backend_state: String,
    #[serde(rename = "TailscaleIPs")]
    addresses: Option<Vec<IpAddr>>,
    #[serde(rename = "Self")]
    own: Option<Node>,
    health: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    online: Option<bool>,
    key_expiry: Option<Timestamp>,
    expired: Option<bool>,
    #[serde(rename = "sshHostKeys")]
    host_keys: Option<Vec<String>>,
}

/// The machine as its tailnet knows it; `None` where there is no `tailscale`.
///
/// # Errors
/// Class `tailscale`, not ready, when it is there and does not tell.
pub fn status(host: &dyn Host) -> Result<Option<Tailnet>, Failure> {
    // Of the others nothing is read, and there may be many.
    let Some(output) = asked(host, &["status", "--json", "--peers=false"])? else { return Ok(None) };
    let status: Status = read(&output)?;
    let own = status.own.as_ref();
    Ok(Some(Tailnet {
        state: status.backend_state,
        addresses: status.addresses.unwrap_or_default(),
        online: own.and_then(|own| own.online),
        key_expiry: own.and_then(|own| own.key_expiry),
        expired: own.and_then(|own| own.expired).unwrap_or_default(),
        runs_ssh: own.and_then(|own| own.host_keys.as_ref()).is_some_and(|keys| !keys.is_empty()),
        health: status.health.unwrap_or_default(),
    }))
}

/// What the machine serves to its tailnet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// Where requests and connections are handed to, by who asks for them: `host:port/path` or `tcp:port` to a URL, an
    /// address with a port, or `unix:` and a path.
    pub proxies: BTreeMap<String, String>,
    /// The sites, `host:port`, that the whole internet reaches.
    pub funnels: Vec<String>,
}

/// Everything may be left out. What a foreground `tailscale serve` serves is a whole configuration of its own, as is each
/// service of the tailnet that the machine is a host of.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Serve {
    #[serde(rename = "TCP")]
    tcp: Option<BTreeMap<String, Port>>,
    web: Option<BTreeMap<String, Site>>,
    allow_funnel: Option<BTreeMap<String, bool>>,
    services: Option<BTreeMap<String, Serve>>,
    foreground: Option<BTreeMap<String, Serve>>,
}

#[derive(Deserialize)]
struct Port {
    #[serde(rename = "TCPForward")]
    forward: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Site {
    handlers: Option<BTreeMap<String, Handler>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handler {
    proxy: Option<String>,
}

/// What the machine serves to its tailnet; `None` where there is no `tailscale`.
///
/// # Errors
/// As [`status`].
pub fn served(host: &dyn Host) -> Result<Option<Served>, Failure> {
    let Some(output) = asked(host, &["serve", "status", "--json"])? else { return Ok(None) };
    let mut served = Served::default();
    // Of one that serves nothing it may be `null`.
    served.add(read::<Option<Serve>>(&output)?.unwrap_or_default(), "");
    Ok(Some(served))
}

impl Served {
    fn add(&mut self, serve: Serve, of: &str) {
        for (port, Port { forward }) in serve.tcp.into_iter().flatten() {
            self.proxies.extend(forward.map(|to| (format!("{of}tcp:{port}"), to)));
        }
        for (site, Site { handlers }) in serve.web.into_iter().flatten() {
            self.proxies.extend(handlers.into_iter().flatten().filter_map(|(path, handler)| {
                let to = handler.proxy?;
                Some((format!("{of}{site}{path}"), to))
            }));
        }
        self.funnels.extend(serve.allow_funnel.into_iter().flatten().filter(|(_, on)| *on).map(|(site, _)| site));
        for (name, serve) in serve.services.into_iter().flatten() {
            self.add(serve, &format!("{name} "));
        }
        for serve in serve.foreground.into_iter().flatten().map(|(_, serve)| serve) {
            self.add(serve, "foreground ");
        }
    }
}

fn asked(host: &dyn Host, words: &[&str]) -> Result<Option<Output>, Failure> {
    match host.run(&Cmd::new("tailscale").args(words).timeout(PATIENCE)) {
        Err(HostError::NotFound { .. }) => Ok(None),
        Err(error) => Err(untold(&error.to_string())),
        Ok(output) => Ok(Some(output)),
    }
}

fn read<T: DeserializeOwned>(output: &Output) -> Result<T, Failure> {
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = output.stderr_text();
        if said.is_empty() { untold(&format!("{}: {error}", output.status)) } else { untold(&said) }
    })
}

fn untold(why: &str) -> Failure {
    Failure::not_ready(
        "tailscale",
        format!("tailscale does not tell its state: {why}"),
        "run: tailscale status --json, and mend what it says",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Fake;
    use insta::assert_debug_snapshot;
    use insta::assert_snapshot;

    fn told(code: i32, stdout: &str) -> Result<Option<Tailnet>, Failure> {
        status(&Fake::new().answer("tailscale status --json", code, stdout))
    }

    #[test]
    fn a_machine_is_told_by_its_addresses_and_its_key() {
        let told = told(
            0,
            r#"{"Version":"1.80.0","BackendState":"Running","TailscaleIPs":["fd7a:115c:a1e0::1","100.64.0.1"],
            "Self":{"DNSName":"vps.tail.ts.net.","Online":true,"KeyExpiry":"2026-08-01T12:00:00Z","Expired":false},
            "Health":["no DNS"],"Peer":null}"#,
        );
        let tailnet = told.unwrap().unwrap();
        assert_eq!(tailnet.v4(), Some(Ipv4Addr::new(100, 64, 0, 1)));
        assert!(tailnet.is_running());
        let at = |time: &str| tailnet.is_expired_at(time.parse().unwrap());
        assert_eq!((at("2026-08-01T11:59:59Z"), at("2026-08-01T12:00:00Z")), (false, true));
        assert_debug_snapshot!(tailnet, @r#"
        Tailnet {
            state: "Running",
            addresses: [
                fd7a:115c:a1e0::1,
                100.64.0.1,
            ],
            online: Some(
                true,
            ),
            key_expiry: Some(
                2026-08-01T12:00:00Z,
            ),
            expired: false,
            runs_ssh: false,
            health: [
                "no DNS",
            ],
        }
        "#);
    }

    #[test]
    fn v05_a_machine_that_is_logged_out_is_not_running() {
        let tailnet = told(1, r#"{"BackendState":"NeedsLogin","TailscaleIPs":null,"Self":{"Expired":true}}"#);
        let tailnet = tailnet.unwrap().unwrap();
        assert!(!tailnet.is_running());
        assert_eq!((tailnet.v4(), tailnet.online), (None, None));
        assert!(tailnet.is_expired_at(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn v05_an_answer_that_cannot_be_read_is_a_failure() {
        let text = |code, stdout| told(code, stdout).unwrap_err().text();
        assert_snapshot!(text(1, ""), @"
        tailscale: tailscale does not tell its state: exit 1: EOF while parsing a value at line 1 column 0
        next: run: tailscale status --json, and mend what it says
        ");
        assert_snapshot!(text(0, "Logged out."), @"
        tailscale: tailscale does not tell its state: exit 0: expected value at line 1 column 1
        next: run: tailscale status --json, and mend what it says
        ");
        assert_snapshot!(text(0, "{}"), @"
        tailscale: tailscale does not tell its state: exit 0: missing field `BackendState` at line 1 column 2
        next: run: tailscale status --json, and mend what it says
        ");
        assert_snapshot!(text(0, r#"{"BackendState":"Running","TailscaleIPs":["here"]}"#), @"
        tailscale: tailscale does not tell its state: exit 0: invalid IP address syntax at line 1 column 48
        next: run: tailscale status --json, and mend what it says
        ");
    }

    #[test]
    fn no_program_is_no_tailnet_and_one_that_cannot_be_run_is_unknown() {
        let missing = Fake::new().script(|_| Some(Err(HostError::NotFound { program: "tailscale".into() })));
        assert_eq!(status(&missing).unwrap(), None);
        assert_eq!(served(&missing).unwrap(), None);
        assert_snapshot!(status(&Fake::new()).unwrap_err().text(), @"
        tailscale: tailscale does not tell its state: the fake host does not know `tailscale status --json --peers=false`
        next: run: tailscale status --json, and mend what it says
        ");
    }

    #[test]
    fn what_is_served_is_told_by_who_asks_for_it() {
        let told = |stdout: &str| served(&Fake::new().answer("tailscale serve status --json", 0, stdout));
        assert_eq!(told("{}").unwrap(), Some(Served::default()));
        assert_debug_snapshot!(told(
            r#"{"TCP":{"443":{"HTTPS":true}},"Web":{"vps.tail.ts.net:443":{"Handlers":{"/":{"Proxy":"http://127.0.0.1:8000"},
            "/text":{"Text":"hello"}}}},"AllowFunnel":{"vps.tail.ts.net:443":true}}"#
        ).unwrap(), @r#"
        Some(
            Served {
                proxies: {
                    "vps.tail.ts.net:443/": "http://127.0.0.1:8000",
                },
                funnels: [
                    "vps.tail.ts.net:443",
                ],
            },
        )
        "#);
        assert!(told("nothing").is_err());
        assert_eq!(told("null").unwrap(), Some(Served::default()));
    }

    #[test]
    fn v05_what_is_served_in_the_foreground_by_tcp_or_as_a_service_is_seen_too() {
        let told = |stdout: &str| served(&Fake::new().answer("tailscale serve status --json", 0, stdout)).unwrap();
        assert_debug_snapshot!(told(
            r#"{"TCP":{"5432":{"TCPForward":"10.0.0.1:5432","TerminateTLS":""},"443":{"HTTPS":true}},
            "Foreground":{"id":{"TCP":{"8443":{"HTTPS":true}},"Web":{"vps.tail.ts.net:8443":{"Handlers":{"/":{"Proxy":
            "http://127.0.0.1:3000"}}}},"AllowFunnel":{"vps.tail.ts.net:8443":true,"vps.tail.ts.net:443":false}}},
            "Services":{"svc:db":{"TCP":{"5432":{"TCPForward":"unix:/run/db"}}}},"Web":{"a:1":{"Handlers":null}}}"#
        ).unwrap(), @r#"
        Served {
            proxies: {
                "foreground vps.tail.ts.net:8443/": "http://127.0.0.1:3000",
                "svc:db tcp:5432": "unix:/run/db",
                "tcp:5432": "10.0.0.1:5432",
            },
            funnels: [
                "vps.tail.ts.net:8443",
            ],
        }
        "#);
    }
}
