//! What this machine's sockets are judged by: the policy, the tailnet and the day.

use std::path::{Path, PathBuf};

use host::{Host, config_dir, trusted};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use outcome::Failure;
use port_audit::{Observed, Policy, Rules, Tailnet};

use crate::tailnet;

/// The policy below the user's directory of configurations, and below the machine's.
const POLICY: &str = "ai-ops-runner/port_audit.toml";
const ETC: &str = "/etc";

/// The policy in the file that is `named`; else that of the user or of the machine, and one that allows nothing where
/// neither has one.
///
/// # Errors
/// Usage, class `no-audit-policy`, for a named file that is not there; not ready, class `bad-audit-policy` for one that is none, or
/// with the class of [`trusted`].
pub fn policy(host: &dyn Host, named: Option<&Path>) -> Result<Policy, Failure> {
    let places = match named {
        Some(path) => vec![path.to_owned()],
        None => config_dir(host).into_iter().chain([PathBuf::from(ETC)]).map(|dir| dir.join(POLICY)).collect(),
    };
    for path in &places {
        if let Some(bytes) = trusted(host, path)? {
            let parsed = Policy::parse(&String::from_utf8_lossy(&bytes));
            return parsed.map_err(|error| {
                let reason = format!("{}: {error}", path.display());
                Failure::not_ready("bad-audit-policy", reason, "mend what is named")
            });
        }
    }
    let absent =
        |path: &Path| Failure::usage("no-audit-policy", format!("there is no {}", path.display()), "name another file");
    named.map_or_else(|| Ok(Policy::default()), |path| Err(absent(path)))
}

/// What is judged by here and now. `tailscale` is asked only where it makes a difference to what was observed; that it
/// does not tell becomes a gap.
///
/// # Errors
/// Not ready, class `clock`, where the clock is out of range.
pub fn rules(host: &dyn Host, policy: Policy, observed: &mut Observed) -> Result<Rules, Failure> {
    let asked = if observed.may_be_of_a_tailnet() { tailnet(host) } else { Ok(Tailnet::default()) };
    let tailnet = asked.unwrap_or_else(|gap| {
        observed.gaps.push(gap);
        Tailnet::default()
    });
    Ok(Rules { policy, tailnet, today: today(host)? })
}

/// The day by the machine's clock, in UTC.
///
/// # Errors
/// As [`rules`].
pub fn today(host: &dyn Host) -> Result<Date, Failure> {
    let now = Timestamp::try_from(host.now());
    let now = now.map_err(|error| Failure::not_ready("clock", error.to_string(), "set the machine's clock"))?;
    Ok(now.to_zoned(TimeZone::UTC).date())
}
