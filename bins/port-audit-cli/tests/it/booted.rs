//! Audits of machines that systemd boots, with the real iptables, nft and ss.

use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use real_parts::{Machine, MachineBuilder, Tree};

const PROGRAM: &str = "/usr/local/bin/port-audit";

/// Listens at an address by a name, until it is stopped.
const LISTENER: &str = "import socket, sys, time
open('/proc/self/comm', 'w').write(sys.argv[1])
held = [socket.create_server((sys.argv[2], port)) for port in range(int(sys.argv[3]), int(sys.argv[4]))]
print('listening', flush=True)
time.sleep(600)
";

/// A machine that nobody reaches: sshd is off.
fn quiet(change: impl FnOnce(MachineBuilder) -> MachineBuilder) -> Machine {
    let builder = Machine::builder(&Tree::debian().unwrap()).unwrap();
    let builder = builder.program(Path::new(env!("CARGO_BIN_EXE_port-audit")), PROGRAM).unwrap();
    let builder = builder.file("/root/listener", LISTENER).unwrap().prepared("systemctl disable ssh.service").unwrap();
    change(builder).boot().unwrap()
}

/// Exit code and output, with process ids and inodes taken out.
fn audit(machine: &Machine, args: &[&str]) -> String {
    let output = machine.command(PROGRAM).args(args).output().unwrap();
    let text = format!("exit {}\n{}{}", output.status.code().unwrap(), text(&output.stdout), text(&output.stderr));
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('(') {
        let (inside, behind) = after.split_once(')').unwrap_or((after, ""));
        let is_pid = !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit()) && inside != "1";
        shown.push_str(before);
        shown.extend(["(", if is_pid { "…" } else { inside }, ")"]);
        rest = behind;
    }
    shown + rest
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Has a service of that name listen.
fn listen(machine: &Machine, unit: &str, words: &str) {
    machine.sh(&format!("systemd-run --quiet --unit={unit} python3 /root/listener {words}")).unwrap();
    let port = words.split_whitespace().nth(2).unwrap();
    machine.sh(&format!("until ss -Htln 'sport = :{port}' | grep -q .; do sleep 0.05; done")).unwrap();
}

#[test]
fn a_machine_that_nobody_reaches_is_fine() {
    assert_snapshot!(audit(&quiet(|builder| builder), &["--strict"]), @"
    exit 0
    OK: 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    ");
}

#[test]
fn v04_a_process_named_tailscaled_is_caught_and_the_service_is_not() {
    let machine = quiet(|builder| builder);
    listen(&machine, "somebody", "tailscaled 0.0.0.0 41641 41642");
    assert_snapshot!(audit(&machine, &[]), @"
    exit 1
    VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    public-listener: tcp 0.0.0.0:41641 by tailscaled (…) of somebody.service: it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
    ");
    machine.sh("systemctl stop somebody tailscaled; cp /usr/bin/python3 /usr/sbin/tailscaled").unwrap();
    let unit = "[Service]\nExecStart=\nExecStart=/usr/sbin/tailscaled /root/listener tailscaled 0.0.0.0 41641 41642\n";
    machine.write("/etc/systemd/system/tailscaled.service.d/listens.conf", unit).unwrap();
    machine.sh("systemctl daemon-reload; systemctl start tailscaled; until ss -Htln 'sport = :41641' | grep -q .; do sleep 0.05; done").unwrap();
    assert_snapshot!(audit(&machine, &[]), @"
    exit 0
    OK: 1 socket: 0 on loopback, 0 inside, 1 of the tailnet, 0 allowed
    ");
}

#[test]
fn what_systemd_holds_is_told_by_the_unit_of_its_socket() {
    let machine = quiet(|builder| {
        builder
            .file("/etc/systemd/system/other.socket", "[Socket]\nListenStream=0.0.0.0:7000\nListenDatagram=7001\n")
            .unwrap()
            .file("/etc/systemd/system/other.service", "[Service]\nExecStart=/bin/true\n")
            .unwrap()
    });
    machine.sh("systemctl start ssh.socket other.socket").unwrap();
    assert_snapshot!(audit(&machine, &[]), @"
    exit 1
    VIOLATIONS: 3; 3 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    public-listener: tcp 0.0.0.0:7000 by systemd (1) of other.socket: it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
    public-listener: udp [::]:7001 by systemd (1) of other.socket: it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
    sshd-public: tcp [::]:22 by systemd (1) of ssh.socket: the SSH server is reached from anywhere; next: sshd-fix plan, then sshd-fix apply

    SSHD_PUBLIC
    +------------------------------------------------------------------+
    | The SSH server can be reached from the internet.                 |
    |   sshd-fix plan      shows what would be changed, and why        |
    |   sshd-fix apply     makes it listen on the tailnet alone        |
    +------------------------------------------------------------------+
    ");
}

#[test]
fn v04_a_port_that_is_handed_on_without_a_socket_is_caught() {
    let machine = quiet(|builder| builder);
    machine
        .sh("iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80")
        .unwrap();
    assert_snapshot!(audit(&machine, &[]), @"
    exit 1
    VIOLATIONS: 1; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: tcp *%eth0:8080 is handed on to 172.17.0.2:80: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
    machine.sh("iptables -t nat -F").unwrap();
    machine
        .sh("nft add table ip6 hand; nft add chain ip6 hand on '{ type nat hook prerouting priority -100; }'
             nft add rule ip6 hand on udp dport 5353 dnat to fd00::2")
        .unwrap();
    assert_snapshot!(audit(&machine, &[]), @"
    exit 1
    VIOLATIONS: 1; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: udp *:5353 is handed on to fd00::2: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
    machine.sh("nft flush ruleset; ufw --force enable >/dev/null").unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 0
    OK: 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    ");
}

#[test]
fn v04_a_chain_of_nft_in_a_table_of_iptables_is_read_beside_it() {
    let machine = quiet(|builder| builder);
    machine
        .sh("iptables -t nat -A PREROUTING -i docker0 -p tcp --dport 1 -j DNAT --to-destination 172.17.0.9:1
             nft add chain ip nat prerouting '{ type nat hook prerouting priority -110; }'
             nft add rule ip nat prerouting tcp dport 8080 dnat to 172.17.0.2:80")
        .unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 1
    VIOLATIONS: 2; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: tcp *%docker0:1 is handed on to 172.17.0.9:1: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    nat-exposes: tcp *:8080 is handed on to 172.17.0.2:80: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
    machine.sh("nft add rule ip nat PREROUTING tcp dport 8081 dnat to 172.17.0.3:80").unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 1
    VIOLATIONS: 3; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: ip nat PREROUTING: a rule of iptables: the rule hands on and was not understood; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    nat-exposes: tcp *:8080 is handed on to 172.17.0.2:80: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    nat-exposes: tcp *:8081 is handed on to 172.17.0.3:80: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
}

#[test]
fn v04_what_is_handed_on_without_a_state_is_caught() {
    let machine = quiet(|builder| builder);
    machine
        .sh("nft add table ip raw0; nft add chain ip raw0 pre '{ type filter hook prerouting priority raw; }'
             nft add rule ip raw0 pre tcp dport 8081 ip daddr 192.0.2.1 ip daddr set 172.17.0.2 tcp dport set 80 notrack
             nft add rule ip raw0 pre ip dscp set 1; nft add rule ip raw0 pre ip saddr set 192.0.2.9")
        .unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 1
    VIOLATIONS: 1; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: tcp 192.0.2.1:8081 is handed on to 172.17.0.2:80: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
    // iptables tells such a rule without what it does.
    machine
        .sh("nft flush ruleset; iptables -t mangle -A PREROUTING -p tcp --dport 1 -j ACCEPT
             nft add rule ip mangle PREROUTING tcp dport 8082 ip daddr set 172.17.0.2")
        .unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 1
    VIOLATIONS: 1; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: tcp *:8082 is handed on to 172.17.0.2: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
    machine
        .sh("nft flush ruleset
             ip6tables -t mangle -A PREROUTING -d 2001:db8::/64 -j DNPT --src-pfx 2001:db8::/64 --dst-pfx fd00:1::/64")
        .unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 1
    VIOLATIONS: 1; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    nat-exposes: any 2001:db8::/64:* is handed on to fd00:1::/64: it is reached from anywhere, without a socket; next: publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`
    ");
}

#[test]
fn a_tunnel_of_any_name_that_has_the_address_of_the_tailnet_is_its_interface() {
    let machine = quiet(|builder| builder);
    machine.sh("ip address flush dev tailscale0; ip tuntap add dev ts7 mode tun; ip link set ts7 up").unwrap();
    machine
        .sh("systemd-run --quiet --unit=bound python3 -c \"import socket, time
it = socket.socket(); it.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'ts7'); it.bind(('', 7000)); it.listen()
time.sleep(600)\"; until ss -Htln 'sport = :7000' | grep -q .; do sleep 0.05; done")
        .unwrap();
    machine.sh("ip address add 100.64.0.1/32 dev ts7").unwrap();
    assert_snapshot!(audit(&machine, &["--strict"]), @"
    exit 0
    OK: 1 socket: 0 on loopback, 0 inside, 1 of the tailnet, 0 allowed
    ");
}

#[test]
fn five_thousand_listeners_are_all_judged() {
    let machine = quiet(|builder| builder);
    for (number, first) in (20_000..25_000).step_by(1_000).enumerate() {
        listen(&machine, &format!("many-{number}"), &format!("many 203.0.113.1 {first} {}", first + 1_000));
    }
    let json = machine.command(PROGRAM).arg("--json").output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 5_000);
    let saved = machine.sh("ss -tlnp").unwrap();
    let mut judging = Command::new(env!("CARGO_BIN_EXE_port-audit"));
    let judging = judging.args(["--stdin-ss", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut judging = judging.spawn().unwrap();
    std::io::Write::write_all(&mut judging.stdin.take().unwrap(), saved.as_bytes()).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&judging.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 5_000);
}
