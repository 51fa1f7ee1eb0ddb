//! An audit, from what is asked to what is told.

use std::io::{IsTerminal as _, Read as _};
use std::net::IpAddr;
use std::path::Path;

use cli::Context;
use host::{Host, HostError, trusted};
use outcome::{Exit, Failure};
use port_audit::{Baseline, Observed, Policy, Report, Rules, Tailnet, audit};

use crate::args::{Args, Text};
use crate::table::table;

/// The longest text that is read, in bytes.
const MOST: u64 = 64 << 20;

/// # Errors
/// Usage for a file that is not there; not ready for one that is none, or that others can write; infrastructure where
/// nothing could be observed, or not all of what is to be a baseline.
pub(crate) fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let policy = sockets::policy(&cx.host, args.policy.as_deref())?;
    let before = args.baseline.as_deref().map(|path| baseline(path, &cx.host)).transpose()?;
    let mut observed = observed(&args.text, &cx.host)?;
    let rules = rules(&args.text.tailnet, policy, &mut observed, &cx.host)?;
    let now = Baseline::of(&observed, &rules);
    let drift = before.map(|before| before.drift(&now)).unwrap_or_default();
    let report = audit(&observed, &rules, args.strict).with(drift);
    if let Some(path) = &args.write_baseline {
        complete(&observed)?;
        cx.host.write_atomic(path, now.to_json().as_bytes(), 0o600)?;
    }
    tell(&report, args.sarif, cx)?;
    Ok(report.exit())
}

fn tell(report: &Report, sarif: bool, cx: &Context) -> Result<(), Failure> {
    if sarif {
        return cx.console.object(&report.to_sarif(env!("CARGO_PKG_VERSION")));
    }
    if !cx.console.json() && std::io::stdout().is_terminal() {
        return cx.console.document(table(report).as_bytes());
    }
    cx.console.result(report)
}

fn observed(from: &Text, host: &dyn Host) -> Result<Observed, Failure> {
    if !from.stdin_ss && !from.stdin_netstat {
        return sockets::observe(host);
    }
    let text = text()?;
    let observed = if from.stdin_ss { Observed::ss(&text) } else { Observed::netstat(&text) };
    observed.ok_or_else(|| {
        let next = "see why it is: even where nothing listens there is a heading";
        Failure::infrastructure("sockets-unseen", "the text on standard input is empty", next)
    })
}

/// The text on standard input.
fn text() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
    let length = read.map_err(HostError::io("standard input"))?;
    if length as u64 > MOST {
        let reason = format!("the text is longer than {} MiB", MOST >> 20);
        return Err(Failure::usage("text-too-large", reason, "give the text of ss or netstat"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A text is of a machine whose addresses may be named.
fn rules(named: &[IpAddr], policy: Policy, observed: &mut Observed, host: &dyn Host) -> Result<Rules, Failure> {
    if named.is_empty() {
        return sockets::rules(host, policy, observed);
    }
    let tailnet = Tailnet { addresses: named.to_vec(), interface: None };
    Ok(Rules { policy, tailnet, today: sockets::today(host)? })
}

/// What was not seen would be in no baseline, and later be taken for new, or for what was always there.
fn complete(observed: &Observed) -> Result<(), Failure> {
    let gaps = observed.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why));
    let unread = observed.unread.iter().map(|(line, text)| format!("line {line} was not understood: {text}"));
    let missing: Vec<String> = gaps.chain(unread).map(|it| port_audit::one_line(&it)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let reason = format!("not all was seen, and no baseline is written: {}", missing.join("; "));
    Err(Failure::infrastructure("baseline-incomplete", reason, "run it as root, and mend what is named"))
}

fn baseline(path: &Path, host: &dyn Host) -> Result<Baseline, Failure> {
    const NEXT: &str = "write one: port-audit --write-baseline FILE";
    let absent = || Failure::usage("no-audit-baseline", format!("there is no {}", path.display()), NEXT);
    let bytes = trusted(host, path)?.ok_or_else(absent)?;
    Baseline::parse(&bytes)
        .map_err(|error| Failure::not_ready("bad-audit-baseline", format!("{}: {error}", path.display()), NEXT))
}
