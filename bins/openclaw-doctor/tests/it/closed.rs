//! Whether the host is closed to the internet.

use std::fs;
use std::path::Path;
use std::process::Command;

use cli::testing::build_beside;
use insta::assert_snapshot;

use crate::scene::{COMPOSE, Ran, Scene};

const SSHD: [&str; 2] = ["sshd", "port-audit"];

#[test]
fn a_host_as_it_is_delivered_fails_for_its_public_sshd_alone() {
    let scene = Scene::new();
    assert_snapshot!(scene.run(&[]).told(), @"
    exit 1
    PASS: tailscale: Running at 100.64.0.1, fd7a:115c:a1e0::1; the host's key does not end
    PASS: serve: vps.tail.ts.net:443/ leads to http://127.0.0.1:8000
    FAIL: sshd: open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22
          next: sudo sshd-fix plan
    FAIL: port-audit: tcp 0.0.0.0:22 by sshd (N) of ssh.service: the SSH server is reached from anywhere; tcp [::]:22 by sshd (N) of ssh.service: the SSH server is reached from anywhere
          next: sshd-fix plan, then sshd-fix apply; all of it: sudo port-audit
    PASS: firewall: UFW is active, also after a boot: deny (incoming)
    PASS: published-ports: there is no Docker on this host
    PASS: compose: no compose stack here: /opt/ai-ops-runner has no compose file
    PASS: healthz: http://127.0.0.1:8000
    PASS: readyz: worker: 1 worker takes jobs
    PASS: disk: /
    PASS: inodes: /
    PASS: failed-units: no unit has failed
    PASS: clock: synchronized
    === Doctor Summary: 11/13 passed ===
    ");
}

#[test]
fn a_host_that_was_locked_down_passes() {
    let programs = build_beside(env!("CARGO_BIN_EXE_openclaw-doctor"), &["sshd-fix-cli"]);
    let key = tempfile::tempdir().unwrap();
    let id = key.path().join("id");
    assert!(
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&id).status().unwrap().success()
    );
    let public = fs::read_to_string(id.with_extension("pub")).unwrap();
    let scene = Scene::built(|builder| {
        let builder = builder.program(&programs.join("sshd-fix"), "/usr/bin/sshd-fix").unwrap();
        builder.file("/root/.ssh/authorized_keys", public).unwrap().prepared("chmod 700 /root/.ssh").unwrap()
    });
    scene.sh("sshd-fix apply --no-wait");
    let pending = scene.only(&SSHD);
    let (before, after) = pending.split_once("; in ").unwrap();
    let (left, after) = after.split_once(" s ").unwrap();
    assert!((1..=600).contains(&left.parse::<u32>().unwrap()));
    assert_snapshot!(format!("{before}; in N s {after}"), @"
    exit 0
    WARN: sshd: pending: sshd listens at 100.64.0.1:22; in N s it listens again at 0.0.0.0:22, [::]:22
          next: log in anew over the tailnet and run: sudo sshd-fix confirm; or put it back: sudo sshd-fix rollback
    PASS: port-audit: 2 sockets: 1 on loopback, 0 inside, 1 of the tailnet, 0 allowed
    === Doctor Summary: 1/2 passed ===
    ");
    let confirmed = ssh(&scene, &id, "sshd-fix confirm");
    assert_eq!(confirmed.code, Some(0), "{confirmed:?}");
    assert_snapshot!(scene.run(&[]).told(), @"
    exit 0
    PASS: tailscale: Running at 100.64.0.1, fd7a:115c:a1e0::1; the host's key does not end
    PASS: serve: vps.tail.ts.net:443/ leads to http://127.0.0.1:8000
    PASS: sshd: locked-down: sshd listens at 100.64.0.1:22 and nowhere else
    PASS: port-audit: 2 sockets: 1 on loopback, 0 inside, 1 of the tailnet, 0 allowed
    PASS: firewall: UFW is active, also after a boot: deny (incoming)
    PASS: published-ports: there is no Docker on this host
    PASS: compose: no compose stack here: /opt/ai-ops-runner has no compose file
    PASS: healthz: http://127.0.0.1:8000
    PASS: readyz: worker: 1 worker takes jobs
    PASS: disk: /
    PASS: inodes: /
    PASS: failed-units: no unit has failed
    PASS: clock: synchronized
    === Doctor Summary: 13/13 passed ===
    ");
}

/// As somebody of the tailnet.
fn ssh(scene: &Scene, id: &Path, command: &str) -> Ran {
    let mut ssh = scene.machine.tailnet().command("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i"]).arg(id);
    Ran::of(ssh.args(["root@100.64.0.1", command]))
}

#[test]
fn what_anybody_may_reach_is_said_by_the_policy_of_the_port_audit() {
    let scene = Scene::new();
    scene.sh("systemctl disable --now ssh.service ssh.socket; systemctl stop ssh.service");
    assert_snapshot!(scene.only(&SSHD), @"
    exit 0
    PASS: sshd: no-sshd: no sshd runs here, and none would at the next boot
    PASS: port-audit: 1 socket: 1 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    === Doctor Summary: 2/2 passed ===
    ");
    scene.sh("systemd-run --quiet --unit web --property Type=exec python3 -m http.server 8080
        until ss -Htln 'sport = :8080' | grep -q .; do sleep 0.1; done");
    assert_snapshot!(scene.only(&["port-audit"]), @"
    exit 1
    FAIL: port-audit: tcp 0.0.0.0:8080 by python3 (N) of web.service: it is reached from anywhere
          next: bind it to 127.0.0.1, or allow it in port_audit.toml; all of it: sudo port-audit
    === Doctor Summary: 0/1 passed ===
    ");
    let allow =
        "schema = 1\n[[allow]]\nprotocol = \"tcp\"\nport = 8080\nunit = \"web.service\"\nreason = \"the web\"\n";
    scene.machine.write("/etc/ai-ops-runner/port_audit.toml", allow).unwrap();
    assert_snapshot!(scene.only(&["port-audit"]), @"
    exit 0
    PASS: port-audit: 2 sockets: 1 on loopback, 0 inside, 0 of the tailnet, 1 allowed
    === Doctor Summary: 1/1 passed ===
    ");
    scene.machine.write("/etc/ai-ops-runner/port_audit.toml", "schema = 2\n").unwrap();
    assert_snapshot!(scene.only(&["port-audit"]), @"
    exit 1
    FAIL: port-audit: /etc/ai-ops-runner/port_audit.toml: port_audit.toml: schema 2 is not 1
          next: mend what is named
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn ufw_is_to_be_active_to_deny_and_to_outlast_a_boot() {
    let scene = Scene::new();
    let firewall = || scene.only(&["firewall"]);
    assert_snapshot!(firewall(), @"
    exit 0
    PASS: firewall: UFW is active, also after a boot: deny (incoming)
    === Doctor Summary: 1/1 passed ===
    ");
    scene.sh("systemctl disable ufw");
    assert_snapshot!(firewall(), @"
    exit 1
    FAIL: firewall: UFW is active now, and would not be after a boot
          next: run: systemctl enable ufw; ufw enable
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("systemctl enable ufw; ufw default allow incoming");
    assert_snapshot!(firewall(), @"
    exit 1
    FAIL: firewall: UFW is active, and lets in what no rule is about: allow (incoming)
          next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("ufw default deny incoming; ufw disable");
    assert_snapshot!(firewall(), @"
    exit 1
    FAIL: firewall: UFW is inactive, and nothing else drops what comes in
          next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn a_firewall_of_nft_or_iptables_alone_is_a_warning() {
    let scene =
        Scene::built(|builder| builder.prepared("systemctl disable ufw; mv /usr/sbin/ufw /usr/sbin/ufw-gone").unwrap());
    let firewall = || scene.only(&["firewall"]);
    assert_snapshot!(firewall(), @"
    exit 1
    FAIL: firewall: there is no UFW, and nothing else drops what comes in
          next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("nft add table inet own; nft 'add chain inet own in { type filter hook input priority 0; policy drop; }'
        nft add rule inet own in iifname { lo, tailscale0 } accept");
    assert_snapshot!(firewall(), @"
    exit 0
    WARN: firewall: there is no UFW; the host has a firewall of its own, of which no more is known than that it drops
          next: see that it drops what comes in by the public interface, also after a boot
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("nft flush ruleset; iptables -A INPUT -i lo -j ACCEPT; iptables -P INPUT DROP");
    assert_snapshot!(firewall(), @"
    exit 1
    FAIL: firewall: there is no UFW, and the firewall that is there lets in all of IPv6
          next: over the tailnet: ufw default deny incoming; ufw allow in on tailscale0; ufw enable. To listen at the tailnet's address is not enough: a neighbour that routes it to the public interface reaches sshd there unless a firewall drops that
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("ip6tables -A INPUT -i lo -j ACCEPT; ip6tables -A INPUT -j DROP");
    assert!(firewall().starts_with("exit 0\nWARN"));
}

/// Why the firewall is asked for where sshd listens at the tailnet's address alone.
#[test]
fn an_address_of_the_tailnet_is_reached_from_the_public_network_unless_a_firewall_drops_that() {
    let scene = Scene::new();
    scene.sh(
        "systemctl stop ssh.socket ssh.service; printf 'ListenAddress 100.64.0.1\n' >/etc/ssh/sshd_config.d/here.conf
        systemctl restart ssh.service; until ss -Htln 'src 100.64.0.1 sport = :22' | grep -q .; do sleep 0.1; done",
    );
    let mut route = scene.machine.wan().command("ip");
    assert!(route.args(["route", "add", "100.64.0.1", "via", "203.0.113.1"]).status().unwrap().success());
    let reached = || {
        let mut keyscan = scene.machine.wan().command("ssh-keyscan");
        !keyscan.args(["-T", "2", "100.64.0.1"]).output().unwrap().stdout.is_empty()
    };
    assert!(!reached());
    scene.sh("ufw disable");
    assert!(reached());
}

const PUBLISHED: &str = r#"
services:
  web:
    image: base
    command: [sleep, infinity]
    stop_grace_period: 0s
    ports: ["8080:80", "127.0.0.1:8081:81", "100.64.0.1:8082:82"]
"#;

#[test]
fn ports_that_docker_publishes_are_open_past_ufw_unless_docker_user_drops() {
    let scene = Scene::docker(PUBLISHED);
    // Nothing listens in the container: it refuses who gets there, and of a packet that is dropped nothing comes back.
    let reached = || {
        let mut connect = scene.machine.wan().command("timeout");
        let ended = connect.args(["2", "bash", "-c", "</dev/tcp/203.0.113.1/8080"]).output().unwrap().status.code();
        assert!(ended == Some(1) || ended == Some(124), "{ended:?}");
        ended == Some(1)
    };
    assert_snapshot!(scene.only(&["firewall", "published-ports"]), @"
    exit 1
    PASS: firewall: UFW is active, also after a boot: deny (incoming)
    FAIL: published-ports: open to the internet, past UFW: ai-ops-runner-web-1 at 0.0.0.0:8080, ai-ops-runner-web-1 at [::]:8080; IPv4: DOCKER-USER does not drop what comes in by eth0
          next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
    === Doctor Summary: 1/2 passed ===
    ");
    assert!(reached());
    let documented = include_str!("../../../../docs/host.md");
    let (_, guard) = documented.split_once("```text\n*filter\n").unwrap();
    let guard = format!("\n*filter\n{}", guard.split_once("```").unwrap().0);
    for file in ["/etc/ufw/after.rules", "/etc/ufw/after6.rules"] {
        scene.machine.write(file, scene.machine.read(file).unwrap() + &guard).unwrap();
    }
    scene.sh("ufw reload");
    assert_snapshot!(scene.only(&["published-ports"]), @"
    exit 0
    WARN: published-ports: ai-ops-runner-web-1 at 0.0.0.0:8080, ai-ops-runner-web-1 at [::]:8080; what comes from the internet is dropped
          next: publish them at 127.0.0.1 or the tailnet's address
    === Doctor Summary: 0/1 passed ===
    ");
    assert!(!reached());
    scene.sh(&format!("sed -i 's/\"8080:80\", //' {COMPOSE}; cd /opt/ai-ops-runner; docker compose up --detach 2>&1"));
    assert_snapshot!(scene.only(&["published-ports"]), @"
    exit 0
    PASS: published-ports: none but at loopback and the tailnet; what else comes from the internet is dropped
    === Doctor Summary: 1/1 passed ===
    ");
    scene.sh("systemctl stop docker.socket docker.service");
    assert_snapshot!(scene.only(&["published-ports"]), @r#"
    exit 1
    FAIL: published-ports: `docker ps --no-trunc --format "{{json .}}"` does not tell: exit 1: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?
          next: run it by hand, and mend what it says
    === Doctor Summary: 0/1 passed ===
    "#);
}
