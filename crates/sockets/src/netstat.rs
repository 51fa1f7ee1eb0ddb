//! What macOS tells of its sockets: a text, that of `netstat`.

use std::time::Duration;

use host::{Cmd, Host};
use outcome::Failure;
use port_audit::{Gap, Observed};

use crate::unseen;

/// How long `netstat` may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest text of it that is read, in bytes.
const MOST: usize = 64 << 20;

/// What both tables say.
pub(crate) fn observe(host: &dyn Host) -> Result<Observed, Failure> {
    let text = table(host, "tcp")? + "\n" + &table(host, "udp")?;
    let mut observed = Observed::netstat(&text).ok_or_else(|| unseen("netstat shows no table"))?;
    let why = "they are not looked at on this system".to_owned();
    observed.gaps.push(Gap { what: "rules of the packet filter, raw sockets, SCTP".into(), why });
    Ok(observed)
}

fn table(host: &dyn Host, protocol: &str) -> Result<String, Failure> {
    let cmd = Cmd::new("netstat").args(["-anv", "-p", protocol]).timeout(PATIENCE).output_cap(MOST);
    let output = host.run(&cmd).map_err(|error| unseen(error.to_string()))?;
    if output.success() && !output.cut {
        return Ok(output.stdout_text());
    }
    Err(unseen(format!("netstat: {}: {}", output.status, output.stderr_text())))
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn v04_a_table_that_cannot_be_read_or_is_empty_is_no_clean_one() {
        let tcp = "Active Internet connections\nProto Recv-Q\ntcp4 0 0 *.22 *.* LISTEN";
        let both =
            Fake::new().answer("netstat -anv -p tcp", 0, tcp).answer("netstat -anv -p udp", 0, "udp4 0 0 *.53 *.*");
        let observed = observe(&both).unwrap();
        assert_eq!((observed.sockets.len(), observed.unread.len(), observed.gaps.len()), (2, 0, 1));
        let refused = |host: &Fake| observe(host).unwrap_err().text();
        let none = Fake::new().answer("netstat", 0, "");
        assert_snapshot!(refused(&none), @"
        sockets-unseen: netstat shows no table
        next: look as root, where /proc is mounted; or judge a text: --stdin-ss
        ");
        let failed = Fake::new().answer("netstat -anv -p tcp", 0, tcp).answer("netstat -anv -p udp", 1, "");
        assert_snapshot!(refused(&failed), @"
        sockets-unseen: netstat: exit 1: 
        next: look as root, where /proc is mounted; or judge a text: --stdin-ss
        ");
    }
}
