//! The tailnet: whether the host is in it, for how long, and what it hands on.

use std::net::IpAddr;
use std::path::Path;

use doctor::Check;
use jiff::{SignedDuration, Timestamp};
use outcome::Failure;
use tailnet::{Served, Tailnet};
use url::Url;

use crate::{CONFIGURED, Scene, worst};

pub(crate) const NAME: &str = "tailscale";
pub(crate) const SERVE: &str = "serve";

/// A key that ends sooner locks the operator out before anybody looks again.
const KEY_FAILS: SignedDuration = SignedDuration::from_hours(24);
const KEY_WARNS: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Below the configuration: what people of the tailnet may do.
const PEOPLE: &str = "api.toml";
/// What proxies to the API lead to.
const API_PORT: u16 = 8000;
const API_SOCKET: &str = "api.sock";

/// The state and the key.
pub(crate) fn tailscale(scene: &Scene<'_>) -> Result<Check, Failure> {
    let now = Timestamp::try_from(scene.host.now()).unwrap_or(Timestamp::MAX);
    Ok(match tailnet::status(scene.host)? {
        Some(tailnet) => worst(NAME, vec![state(&tailnet), key(&tailnet, now)]),
        None => {
            Check::fail(NAME, "no-tailscale", "there is no tailscale on this host", "install it, then: tailscale up")
        }
    })
}

fn state(tailnet: &Tailnet) -> Check {
    let next = "run: tailscale up, and see that tailscale status says Running";
    if !tailnet.is_running() {
        let message = format!("Tailscale is {} and not Running", tailnet.state);
        return Check::fail(NAME, "tailscale-down", message, next);
    }
    if tailnet.addresses.is_empty() {
        return Check::fail(NAME, "no-address", "Tailscale is Running without an address", next);
    }
    let addresses: Vec<_> = tailnet.addresses.iter().map(ToString::to_string).collect();
    let addresses = addresses.join(", ");
    if tailnet.online == Some(false) {
        let message = format!("the tailnet does not see {addresses}: its control server is not reached");
        return Check::warn(NAME, "tailscale-offline", message, "see why: tailscale netcheck");
    }
    if !tailnet.health.is_empty() {
        return Check::warn(NAME, "tailscale-unwell", tailnet.health.join("; "), "see: tailscale status");
    }
    Check::pass(NAME, format!("Running at {addresses}"))
}

fn key(tailnet: &Tailnet, now: Timestamp) -> Check {
    let within = |time: SignedDuration| tailnet.is_expired_at(now.saturating_add(time).unwrap_or(Timestamp::MAX));
    let next =
        "renew it from a shell that stays: tailscale up --force-reauth, or have it never expire in the admin console";
    let message = match tailnet.key_expiry {
        Some(expiry) if !tailnet.is_expired_at(now) => format!("the host's key ends at {expiry}"),
        None if !tailnet.expired => "the host's key does not end".to_owned(),
        _ => return Check::fail(NAME, "key-expired", "the host's key is no longer good", next),
    };
    if within(KEY_FAILS) {
        Check::fail(NAME, "key-expires", message, next)
    } else if within(KEY_WARNS) {
        Check::warn(NAME, "key-expires", message, next)
    } else {
        Check::pass(NAME, message)
    }
}

/// What is handed on, and to whom.
pub(crate) fn serve(scene: &Scene<'_>) -> Result<Check, Failure> {
    let people = scene.host.stat(&Path::new(CONFIGURED).join(PEOPLE))?.is_some();
    Ok(match tailnet::served(scene.host)? {
        Some(served) => handed_on(&served, people, scene.site.api.as_deref()),
        None => {
            Check::warn(SERVE, "no-tailscale", "there is no tailscale on this host", "install it, then: tailscale up")
        }
    })
}

/// `people`: somebody of the tailnet may use the API, which is at `api` or where it is by default.
fn handed_on(served: &Served, people: bool, api: Option<&str>) -> Check {
    if !served.funnels.is_empty() {
        let message = format!("the whole internet reaches {} (funnel)", served.funnels.join(", "));
        return Check::fail(
            SERVE,
            "funnel",
            message,
            "run: tailscale funnel reset, then serve again what the tailnet needs",
        );
    }
    let told = |(from, to): (&String, &String)| format!("{from} leads to {to}");
    let elsewhere: Vec<_> = served.proxies.iter().filter(|(_, to)| !leads_home(to)).map(told).collect();
    if !elsewhere.is_empty() {
        let message = format!("not to this host: {}", elsewhere.join(", "));
        return Check::fail(SERVE, "served-elsewhere", message, "take it back: tailscale serve reset");
    }
    if people && !served.proxies.values().any(|to| is_the_api(to, api)) {
        let message = format!("{CONFIGURED}/{PEOPLE} is there, and the API is not served to the tailnet");
        let next = "run: tailscale serve --bg unix:/run/ai-ops-runner/api.sock";
        return Check::warn(SERVE, "not-served", message, next);
    }
    let served: Vec<_> = served.proxies.iter().map(told).collect();
    Check::pass(SERVE, if served.is_empty() { "nothing is served".into() } else { served.join(", ") })
}

/// A URL, `host:port`, or `unix:` and a path.
fn target(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("tcp://{text}")).ok())
}

fn leads_home(to: &str) -> bool {
    if to.starts_with("unix:") {
        return true;
    }
    let url = target(to);
    let name = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn is_the_api(to: &str, api: Option<&str>) -> bool {
    let (to, api) = (to.trim_end_matches('/'), api.map(|api| api.trim_end_matches('/')));
    let socket = to.strip_prefix("unix:").is_some_and(|path| Path::new(path).ends_with(API_SOCKET));
    Some(to) == api || socket || target(to).and_then(|url| url.port()) == Some(API_PORT)
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::looked;

    fn status(code: i32, stdout: &str) -> String {
        looked(&Fake::new().answer("tailscale status --json", code, stdout), NAME)
    }

    fn with_key(key: &str) -> String {
        status(0, &format!(r#"{{"BackendState":"Running","TailscaleIPs":["100.64.0.1"],"Self":{{{key}}}}}"#))
    }

    #[test]
    fn a_host_that_is_in_its_tailnet_passes() {
        assert_snapshot!(with_key(r#""Online":true"#), @"
        PASS: tailscale: Running at 100.64.0.1; the host's key does not end
              class: ok
        ");
        assert_snapshot!(with_key(r#""Online":true,"KeyExpiry":"2026-06-01T00:00:00Z""#), @"
        PASS: tailscale: Running at 100.64.0.1; the host's key ends at 2026-06-01T00:00:00Z
              class: ok
        ");
    }

    #[test]
    fn v05_a_host_that_is_logged_out_fails() {
        let state =
            |state: &str| status(1, &format!(r#"{{"BackendState":"{state}","TailscaleIPs":null,"Self":{{}}}}"#));
        for state in ["NeedsLogin", "Stopped", "NoState", "NeedsMachineAuth", "Starting", "running"].map(state) {
            assert!(state.starts_with("FAIL"), "{state}");
        }
        assert_snapshot!(state("NeedsLogin"), @"
        FAIL: tailscale: Tailscale is NeedsLogin and not Running
              next: run: tailscale up, and see that tailscale status says Running
              class: tailscale-down
        ");
        assert_snapshot!(status(1, "Logged out.\n"), @"
        FAIL: tailscale: tailscale does not tell its state: exit 1: expected value at line 1 column 1
              next: run: tailscale status --json, and mend what it says
              class: tailscale
        ");
        assert_snapshot!(status(0, "Logged out.\nLog in at: https://login.tailscale.com/a/0123\n"), @"
        FAIL: tailscale: tailscale does not tell its state: exit 0: expected value at line 1 column 1
              next: run: tailscale status --json, and mend what it says
              class: tailscale
        ");
        assert_snapshot!(status(0, ""), @"
        FAIL: tailscale: tailscale does not tell its state: exit 0: EOF while parsing a value at line 1 column 0
              next: run: tailscale status --json, and mend what it says
              class: tailscale
        ");
        assert_snapshot!(status(0, r#"{"BackendState":"Running","TailscaleIPs":[]}"#), @"
        FAIL: tailscale: Tailscale is Running without an address
              next: run: tailscale up, and see that tailscale status says Running
              class: no-address
        ");
    }

    #[test]
    fn a_key_that_ends_is_told_in_time() {
        let ends = |at: &str| with_key(&format!(r#""KeyExpiry":"{at}""#));
        assert_snapshot!(ends("2026-01-15T00:00:01Z"), @"
        PASS: tailscale: Running at 100.64.0.1; the host's key ends at 2026-01-15T00:00:01Z
              class: ok
        ");
        assert_snapshot!(ends("2026-01-15T00:00:00Z"), @"
        WARN: tailscale: the host's key ends at 2026-01-15T00:00:00Z
              next: renew it from a shell that stays: tailscale up --force-reauth, or have it never expire in the admin console
              class: key-expires
        ");
        assert_snapshot!(ends("2026-01-02T00:00:01Z"), @"
        WARN: tailscale: the host's key ends at 2026-01-02T00:00:01Z
              next: renew it from a shell that stays: tailscale up --force-reauth, or have it never expire in the admin console
              class: key-expires
        ");
        assert_snapshot!(ends("2026-01-02T00:00:00Z"), @"
        FAIL: tailscale: the host's key ends at 2026-01-02T00:00:00Z
              next: renew it from a shell that stays: tailscale up --force-reauth, or have it never expire in the admin console
              class: key-expires
        ");
        assert_snapshot!(ends("2026-01-01T00:00:00Z"), @"
        FAIL: tailscale: the host's key is no longer good
              next: renew it from a shell that stays: tailscale up --force-reauth, or have it never expire in the admin console
              class: key-expired
        ");
        assert_snapshot!(with_key(r#""Expired":true"#), @"
        FAIL: tailscale: the host's key is no longer good
              next: renew it from a shell that stays: tailscale up --force-reauth, or have it never expire in the admin console
              class: key-expired
        ");
        assert_snapshot!(with_key(r#""KeyExpiry":"soon""#), @"
        FAIL: tailscale: tailscale does not tell its state: exit 0: failed to parse four digit integer as year: invalid digit, expected 0-9 but got s at line 1 column 82
              next: run: tailscale status --json, and mend what it says
              class: tailscale
        ");
    }

    #[test]
    fn what_tailscale_complains_of_is_told() {
        assert_snapshot!(with_key(r#""Online":false"#), @"
        WARN: tailscale: the tailnet does not see 100.64.0.1: its control server is not reached
              next: see why: tailscale netcheck
              class: tailscale-offline
        ");
        let unwell = r#"{"BackendState":"Running","TailscaleIPs":["100.64.0.1"],"Health":["no \u001b[2J DNS","late\nPASS: all"]}"#;
        assert_snapshot!(status(0, unwell), @r"
        WARN: tailscale: no \u{1b}[2J DNS; late\u{a}PASS: all
              next: see: tailscale status
              class: tailscale-unwell
        ");
    }

    fn served(json: &str, people: bool) -> String {
        let fake = Fake::new().answer("tailscale serve status --json", 0, json);
        looked(&if people { fake.file("/etc/ai-ops-runner/api.toml", "", 0o644, 0) } else { fake }, SERVE)
    }

    fn proxy(to: &str) -> String {
        format!(r#"{{"Web":{{"vps.ts.net:443":{{"Handlers":{{"/":{{"Proxy":"{to}"}}}}}}}}}}"#)
    }

    #[test]
    fn v05_a_funnel_is_open_to_the_internet_and_fails() {
        let funnel = r#"{"AllowFunnel":{"vps.ts.net:443":true}}"#;
        assert_snapshot!(served(funnel, false), @"
        FAIL: serve: the whole internet reaches vps.ts.net:443 (funnel)
              next: run: tailscale funnel reset, then serve again what the tailnet needs
              class: funnel
        ");
        let foreground = format!(r#"{{"Foreground":{{"session":{funnel}}}}}"#);
        assert!(served(&foreground, false).starts_with("FAIL"));
        assert!(served(r#"{"AllowFunnel":{"vps.ts.net:443":false}}"#, false).starts_with("PASS"));
        assert!(served("No serve config", false).starts_with("FAIL"));
    }

    #[test]
    fn what_is_served_leads_to_this_host() {
        for home in [
            "http://127.0.0.1:3000",
            "http://localhost:3000/path",
            "https+insecure://localhost:8443",
            "http://[::1]:3000",
            "http://[::ffff:127.0.0.1]:3000",
            "127.0.0.1:5432",
            "localhost:5432",
            "[::1]:5432",
            "unix:/run/db.sock",
        ] {
            assert!(leads_home(home), "{home}");
        }
        for elsewhere in [
            "http://10.0.0.1:3000",
            "http://0.0.0.0:3000",
            "http://127.0.0.1@10.0.0.1:3000",
            "https+insecure://127.0.0.1:1@10.0.0.1",
            "http://localhost.example.com",
            "10.0.0.1:5432",
            "[fd7a:115c:a1e0::1]:5432",
            "127.0.0.1:5432@10.0.0.1:1",
            "unixx:/run",
            "",
            "\\u{1b}",
        ] {
            assert!(!leads_home(elsewhere), "{elsewhere}");
        }
        assert_snapshot!(served(&proxy("http://127.0.0.1:3000"), false), @"
        PASS: serve: vps.ts.net:443/ leads to http://127.0.0.1:3000
              class: ok
        ");
        assert_snapshot!(served(&proxy("http://10.0.0.1:3000"), false), @"
        FAIL: serve: not to this host: vps.ts.net:443/ leads to http://10.0.0.1:3000
              next: take it back: tailscale serve reset
              class: served-elsewhere
        ");
        assert_snapshot!(served("{}", false), @"
        PASS: serve: nothing is served
              class: ok
        ");
    }

    #[test]
    fn an_api_for_people_of_the_tailnet_is_to_be_served() {
        for api in
            ["http://127.0.0.1:8000", "http://localhost:8000/", "unix:/run/ai-ops-runner/api.sock", "127.0.0.1:8000"]
        {
            assert!(served(&proxy(api), true).starts_with("PASS"), "{api}");
        }
        assert_snapshot!(served(&proxy("http://127.0.0.1:3000"), true), @"
        WARN: serve: /etc/ai-ops-runner/api.toml is there, and the API is not served to the tailnet
              next: run: tailscale serve --bg unix:/run/ai-ops-runner/api.sock
              class: not-served
        ");
        assert_snapshot!(served("null", true), @"
        WARN: serve: /etc/ai-ops-runner/api.toml is there, and the API is not served to the tailnet
              next: run: tailscale serve --bg unix:/run/ai-ops-runner/api.sock
              class: not-served
        ");
        assert!(is_the_api("http://127.0.0.1:9000/", Some("http://127.0.0.1:9000")));
    }
}
