//! Who may confirm a change.

use std::net::{IpAddr, SocketAddr};

use insta::assert_snapshot;
use sshd_fix::{Arrival, Connection, Decision, Journal, Operator, judge, observe, plan};

use crate::machine::Machine;

const SERVER: u32 = 500;

fn journal() -> Journal {
    let facts = observe(&Machine::debian(false), "/opt/sshd-fix".as_ref());
    let Ok(Decision::Change(change)) = plan(&facts, std::time::Duration::from_mins(10)) else { panic!("no change") };
    change.journal
}

/// Somebody who came in by the new way.
fn arrived(change: impl FnOnce(&mut Arrival)) -> String {
    let mut arrival = Arrival {
        operator: through("100.64.0.1:22", "100.64.0.2:50000", [700, 600, SERVER, 1]),
        server: SERVER,
        server_began: 9000,
        leaves_by: Some("tailscale0".into()),
        own: ["203.0.113.1", "100.64.0.1"].map(|own| own.parse().unwrap()).into(),
    };
    change(&mut arrival);
    judge(&arrival, &journal())
        .map_or_else(|failure| format!("{}: {}", failure.class, failure.reason), |()| "ok".into())
}

fn through(local: &str, peer: &str, through: [u32; 4]) -> Operator {
    let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
    Operator::Ssh { connection: Connection { local: address(local), peer: address(peer) }, through: through.into() }
}

#[test]
fn a_new_connection_from_another_machine_of_the_tailnet_confirms() {
    assert_snapshot!(arrived(|_| ()), @"ok");
    let routed =
        |arrival: &mut Arrival| arrival.operator = through("100.64.0.1:22", "192.0.2.7:50000", [700, 600, SERVER, 1]);
    assert_snapshot!(arrived(routed), @"ok");
    assert_snapshot!(arrived(|arrival| arrival.operator = Operator::TailscaleSsh { began: 9001 }), @"ok");
}

#[test]
fn every_other_way_in_does_not() {
    let by = |local, peer, above| arrived(|arrival| arrival.operator = through(local, peer, above));
    assert_snapshot!(arrived(|arrival| arrival.operator = Operator::Local), @"no-connection: this does not show that the new way in works: you are on this machine and came through no connection (tmux, screen, mosh and systemd-run hide it)");
    assert_snapshot!(by("203.0.113.1:22", "198.51.100.7:50000", [700, 600, SERVER, 1]), @"another-way: this does not show that the new way in works: you came in at 203.0.113.1:22 and not at 100.64.0.1:22");
    assert_snapshot!(by("100.64.0.1:2222", "100.64.0.2:50000", [700, 600, SERVER, 1]), @"another-way: this does not show that the new way in works: you came in at 100.64.0.1:2222 and not at 100.64.0.1:22");
    assert_snapshot!(by("100.64.0.1:22", "100.64.0.2:50000", [700, 600, 400, 1]), @"old-connection: this does not show that the new way in works: your connection is older than the change");
    assert_snapshot!(by("100.64.0.1:22", "100.64.0.1:50000", [700, 600, SERVER, 1]), @"from-here: this does not show that the new way in works: you came in from this machine itself");
    assert_snapshot!(by("100.64.0.1:22", "203.0.113.1:50000", [700, 600, SERVER, 1]), @"from-here: this does not show that the new way in works: you came in from this machine itself");
    assert_snapshot!(arrived(|arrival| arrival.leaves_by = Some("eth0".into())), @"not-the-tailnet: this does not show that the new way in works: you came in from 100.64.0.2, which is reached by eth0 and not by tailscale0");
    assert_snapshot!(arrived(|arrival| arrival.leaves_by = None), @"not-the-tailnet: this does not show that the new way in works: you came in from 100.64.0.2, which is reached by no interface and not by tailscale0");
    assert_snapshot!(arrived(|arrival| arrival.operator = Operator::TailscaleSsh { began: 9000 }), @"old-connection: this does not show that the new way in works: your session is older than the change");
    let own: IpAddr = "100.64.0.2".parse().unwrap();
    assert_snapshot!(arrived(|arrival| arrival.own.push(own)), @"from-here: this does not show that the new way in works: you came in from this machine itself");
}
