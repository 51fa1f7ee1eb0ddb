//! The packets of a bundle, and what it means for a program when there are none.

use outcome::Failure;
use review_bundle::{Bundle, Limits, PacketError, Packets};

/// Returns the shown text of `bundle` in packets.
///
/// # Errors
/// When a change does not fit in the packets it may have: over the size cap. When packets are not complete: a bug here,
/// which no smaller change mends.
pub fn packets(bundle: &Bundle, limits: Limits) -> Result<Packets, Failure> {
    bundle.packets(limits).map_err(|error| failure(&error))
}

fn failure(error: &PacketError) -> Failure {
    match error {
        PacketError::Gap(_) => Failure::bug("ledger", error.to_string(), "report this with the command you ran"),
        _ => {
            Failure::size_cap("too-large", error.to_string(), "split the change, or raise the cap or number of packets")
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use review_bundle::LedgerGap;

    use super::*;

    fn check(error: &PacketError) -> String {
        let failure = failure(error);
        format!("exit {}\n{}", failure.exit.code(), failure.text())
    }

    #[test]
    fn r01_packets_that_are_not_complete_are_a_bug_and_not_a_large_change() {
        assert_snapshot!(check(&LedgerGap::Missing("a".into()).into()), @r"
        exit 70
        ledger: the packets are not complete: a is in no packet
        next: report this with the command you ran
        ");
    }

    #[test]
    fn what_does_not_fit_is_too_large() {
        assert_snapshot!(check(&PacketError::TooMany { max: 64 }), @r"
        exit 6
        too-large: the change needs more than 64 packets
        next: split the change, or raise the cap or number of packets
        ");
        assert_snapshot!(check(&PacketError::NoRoom { path: "a".into(), cap: 1000 }), @r"
        exit 6
        too-large: a: what cannot be split of it does not fit in a packet of 1000 bytes
        next: split the change, or raise the cap or number of packets
        ");
    }
}
