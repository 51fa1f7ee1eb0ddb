//! Machines: that they are real ones, what can be done to them, and that this one is none of their business.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use insta::assert_snapshot;
use real_parts::{Broken, Host, Machine, MachineBuilder, Tree};

use crate::left::{after_a_kill, below, left};

const ASKED: &str = "REAL_PARTS_WITHOUT_RIGHTS";

const READ: &str = "import socket, sys
try:
    print(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).recv(4).decode())
except OSError as error:
    print(type(error).__name__)";

fn booted() -> Machine {
    Machine::boot(&Tree::debian().unwrap()).unwrap()
}

fn unbooted() -> MachineBuilder {
    Machine::builder(&Tree::debian().unwrap()).unwrap()
}

/// What a server says first to one on that host.
fn greeting(host: &Host, address: &str, port: &str) -> String {
    let output = host.command("python3").args(["-c", READ, address, port]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn devices(machine: &Machine) -> String {
    machine.sh("ls /sys/class/net | tr '\\n' ' '").unwrap()
}

#[test]
fn systemd_has_started_everything_and_ssh_answers_on_both_networks() {
    let machine = booted();
    let first = machine.sh("cat /proc/1/comm; systemctl is-system-running; systemctl --failed --no-legend").unwrap();
    assert_snapshot!(first, @r"
    systemd
    running
    ");
    for (host, addresses) in
        [(machine.wan(), ["203.0.113.1", "2001:db8::1"]), (machine.tailnet(), ["100.64.0.1", "fd7a:115c:a1e0::1"])]
    {
        for address in addresses {
            assert_eq!(greeting(host, address, "22"), "SSH-", "{address}");
        }
    }
    assert_ne!(greeting(machine.tailnet(), "203.0.113.1", "22"), "SSH-", "the networks are two");
}

#[test]
fn a_reboot_keeps_what_is_on_the_disk_and_loses_what_is_not() {
    let mut machine = booted();
    machine.sh("echo kept >/etc/kept; echo lost >/run/lost; nft add table inet lost").unwrap();
    machine.reboot().unwrap();
    assert_eq!(machine.read("/etc/kept").unwrap(), "kept\n");
    assert!(!machine.exists("/run/lost"));
    assert_eq!(machine.sh("nft list tables").unwrap(), "");
    assert_eq!(greeting(machine.wan(), "203.0.113.1", "22"), "SSH-");
    assert_eq!(greeting(machine.tailnet(), "100.64.0.1", "22"), "SSH-");
}

#[test]
fn a_power_cut_ends_everything_and_keeps_what_was_written() {
    let stubborn = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/usr/bin/touch /etc/stopped\n";
    let wanted = "/etc/systemd/system/multi-user.target.wants/stubborn.service";
    let builder = unbooted().file("/etc/systemd/system/stubborn.service", stubborn).unwrap();
    let mut machine = builder.link(wanted, "../stubborn.service").unwrap().boot().unwrap();
    machine.sh("echo kept >/etc/kept; sync").unwrap();
    let before = below(process::id());
    machine.power_cut().unwrap();
    assert_eq!(left(before), [0_u32; 0]);
    assert_eq!(machine.read("/etc/kept").unwrap(), "kept\n");
    assert!(!machine.exists("/etc/stopped"), "no unit was stopped");
    machine.reboot().unwrap();
    assert!(machine.exists("/etc/stopped"), "now it was");
}

#[test]
fn a_machine_that_is_off_has_files_and_nothing_else() {
    let mut machine = booted();
    machine.sh("systemctl poweroff").unwrap();
    machine.wait_until_off().unwrap();
    assert_eq!(machine.state(), "off");
    assert!(!machine.command("true").status().unwrap().success());
    machine.write("/etc/motd", "while it was off\n").unwrap();
    machine.start().unwrap();
    assert_eq!(machine.sh("cat /etc/motd").unwrap(), "while it was off");
    machine.poweroff().unwrap();
    assert_eq!(machine.read("/etc/motd").unwrap(), "while it was off\n");
}

#[test]
fn the_tailnet_comes_and_goes() {
    let mut machine = unbooted().without_tailnet().boot().unwrap();
    assert_snapshot!(devices(&machine), @"eth0 lo");
    machine.attach_tailnet().unwrap();
    assert_snapshot!(devices(&machine), @"eth0 lo tailscale0");
    assert_eq!(greeting(machine.tailnet(), "100.64.0.1", "22"), "SSH-");
    machine.set_tailnet_at_boot(false);
    machine.reboot().unwrap();
    assert_snapshot!(devices(&machine), @"eth0 lo");
    machine.attach_tailnet().unwrap();
    machine.detach_tailnet();
    assert_snapshot!(devices(&machine), @"eth0 lo");
}

#[test]
fn its_firewall_is_a_real_one() {
    let mut machine = booted();
    machine.sh("ufw default reject incoming && ufw allow in on tailscale0 && ufw --force enable").unwrap();
    machine.reboot().unwrap();
    assert_snapshot!(greeting(machine.wan(), "203.0.113.1", "22"), @"ConnectionRefusedError");
    assert_eq!(greeting(machine.tailnet(), "100.64.0.1", "22"), "SSH-");
}

#[test]
fn units_see_their_credentials() {
    let machine = booted();
    let unit = "systemd-run --quiet --wait --pipe -p SetCredential=a:hello -p DynamicUser=yes";
    let seen = machine.sh(&format!("{unit} sh -c 'cat $CREDENTIALS_DIRECTORY/a'")).unwrap();
    assert_snapshot!(seen, @"hello");
}

#[test]
fn it_is_changed_before_it_boots() {
    let builder = unbooted().prepared("systemctl disable ssh.service && systemctl enable ssh.socket").unwrap();
    let machine = builder.without("/usr/bin/tailscale").unwrap().boot().unwrap();
    let listening = machine.sh("systemctl is-active ssh.socket; systemctl is-active ssh.service || true").unwrap();
    assert_snapshot!(listening, @r"
    active
    inactive
    ");
    assert_eq!(greeting(machine.wan(), "203.0.113.1", "22"), "SSH-");
    assert!(!machine.exists("/usr/bin/tailscale"));
}

#[test]
fn its_programs_have_its_files_and_an_environment_of_their_own() {
    let machine = booted();
    machine.install("/bin/true".as_ref(), "/opt/new/program").unwrap();
    assert!(machine.command("/opt/new/program").status().unwrap().success());
    assert_eq!(machine.command("sh").args(["-c", "exit 7"]).status().unwrap().code(), Some(7));
    let environment = machine.command("env").env("MORE", "1").output().unwrap().stdout;
    let mut lines: Vec<&str> = str::from_utf8(&environment).unwrap().lines().collect();
    lines.sort_unstable();
    lines.retain(|line| !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|shell| line.starts_with(shell)));
    assert_snapshot!(lines.join("\n"), @r"
    HOME=/root
    LC_ALL=C
    MORE=1
    PATH=/usr/sbin:/usr/bin:/sbin:/bin
    ");
}

#[test]
fn ending_the_child_ends_the_program_on_the_machine() {
    let machine = booted();
    let mut child = machine.command("sleep").arg("1234").stdout(Stdio::null()).spawn().unwrap();
    let runs = || machine.sh("pgrep --full 'sleep 123[4]' || true").unwrap();
    while runs().is_empty() {}
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    while !runs().is_empty() {}
    let started = Instant::now();
    drop(machine);
    assert!(started.elapsed() < Duration::from_secs(1), "nobody waits for what has ended");
}

#[test]
fn a_signal_that_ends_a_program_is_seen() {
    let machine = booted();
    let status = machine.command("sh").args(["-c", "kill -TERM $$"]).status().unwrap();
    assert_eq!(status.code(), Some(128 + 15));
}

#[test]
fn no_link_of_a_machine_leads_to_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file").display().to_string();
    let machine = unbooted().link("/etc/escape", &path).unwrap().boot().unwrap();
    machine.sh(&format!("mkdir -p {}", dir.path().display())).unwrap();
    machine.write("/etc/escape", "inside").unwrap();
    assert_eq!(machine.sh(&format!("cat {path}")).unwrap(), "inside");
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn the_stub_of_tailscale_says_what_its_files_say() {
    let machine = booted();
    assert_snapshot!(machine.sh("tailscale ip -4; tailscale ip -6; systemctl is-active tailscaled").unwrap(), @r"
    100.64.0.1
    fd7a:115c:a1e0::1
    active
    ");
    let told = machine
        .sh("tailscale status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"BackendState\"])'");
    assert_snapshot!(told.unwrap(), @"Running");
    machine.write("/var/lib/tailscale-stub/status.json", "broken").unwrap();
    machine.write("/var/lib/tailscale-stub/status.exit", "3").unwrap();
    assert_snapshot!(machine.sh("tailscale status --json || echo \" $?\"").unwrap(), @"broken 3");
    machine.sh("tailscale serve --bg 8000").unwrap();
    let served = machine.sh("tailscale serve status --json | python3 -m json.tool --compact").unwrap();
    assert_snapshot!(served, @r#"{"TCP":{"443":{"HTTPS":true}},"Web":{"machine.example.ts.net:443":{"Handlers":{"/":{"Proxy":"http://127.0.0.1:8000"}}}}}"#);
    assert_snapshot!(machine.sh("tailscale up").unwrap_err(), @"/bin/sh: exit status: 64: this is a stub of tailscale, which does not know: tailscale up");
    let owner = machine.sh(
        "p=$(systemctl show --value --property MainPID tailscaled); readlink /proc/$p/exe; grep ^0: /proc/$p/cgroup",
    );
    assert_snapshot!(owner.unwrap(), @r"
    /usr/sbin/tailscaled
    0::/system.slice/tailscaled.service
    ");
}

#[test]
fn two_machines_know_nothing_of_each_other() {
    let [one, other] = [booted(), booted()];
    one.sh("echo one >/etc/one; hostname one; systemctl stop ssh").unwrap();
    assert!(!other.exists("/etc/one"));
    assert_eq!(other.sh("hostname").unwrap(), "machine");
    assert_eq!(greeting(other.wan(), "203.0.113.1", "22"), "SSH-");
    assert_ne!(greeting(one.wan(), "203.0.113.1", "22"), "SSH-");
}

/// What a test could change here by mistake.
fn own() -> String {
    let null = fs::metadata("/dev/null").unwrap();
    let links = Command::new("ip").args(["-brief", "link"]).output().unwrap().stdout;
    let settings =
        ["kernel/hostname", "kernel/panic", "vm/swappiness", "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];
    let settings = settings.map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    format!(
        "{:o} {} {}\n{settings:?}\n{}\n{mounts}",
        null.mode(),
        null.rdev(),
        null.ino(),
        String::from_utf8_lossy(&links)
    )
}

#[test]
fn this_machine_is_as_it_was() {
    let before = own();
    let machine = booted();
    machine.sh("chmod 600 /dev/null; hostname other; sysctl -qw net.ipv4.ip_forward=1; mount -t tmpfs a /mnt").unwrap();
    for refused in ["sysctl -qw vm.swappiness=1", "date -s '2001-01-01'", "dmesg -C"] {
        assert!(machine.sh(refused).is_err(), "{refused}");
    }
    assert_eq!(own(), before);
    drop(machine);
    assert_eq!(own(), before);
}

/// The control groups of a process's machines.
fn groups(of: impl Fn(&str) -> bool) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut places =
        mounts.lines().filter(|line| line.contains(" - cgroup2 ")).map(|line| line.split(' ').nth(4).unwrap());
    let hierarchy = places.find(|place| fs::exists(format!("{place}/cgroup.procs")).unwrap()).unwrap();
    let names = fs::read_dir(hierarchy).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.strip_prefix("real-parts-").is_some_and(|rest| of(rest.split('-').next().unwrap())))
        .collect()
}

#[test]
fn nothing_is_left_of_a_dropped_machine() {
    let own = process::id().to_string();
    let machine = booted();
    let mut child = machine.command("sleep").arg("60").spawn().unwrap();
    let started = below(process::id());
    assert!(started.len() > 5, "{started:?}");
    assert_eq!(groups(|id| id == own).len(), 1);
    drop(machine);
    assert_eq!(groups(|id| id == own), [""; 0]);
    assert!(!child.wait().unwrap().success());
    assert_eq!(left(started), [0_u32; 0]);
}

#[test]
fn a_machine_dies_with_the_process_that_started_it() {
    let name = "machine::a_machine_dies_with_the_process_that_started_it";
    let start = || -> Result<Machine, Broken> { Machine::boot(&Tree::debian()?) };
    let (started, left) = after_a_kill(name, start);
    assert!(started > 5, "{started}");
    assert_eq!(left, [0_u32; 0]);
    let ended = groups(|id| !fs::exists(format!("/proc/{id}")).unwrap());
    drop(start().unwrap());
    assert!(!groups(|_| true).iter().any(|group| ended.contains(group)), "the next machine removes {ended:?}");
}

#[test]
fn without_the_rights_it_says_which_are_missing_for_a_machine() {
    let tree = Tree::debian().unwrap();
    if env::var_os(ASKED).is_some() {
        println!("{}", Machine::boot(&tree).err().unwrap());
        return;
    }
    let name = "machine::without_the_rights_it_says_which_are_missing_for_a_machine";
    let mut again = Command::new("setpriv");
    again.args(["--bounding-set=-sys_admin", "--inh-caps=-all"]).arg(env::current_exe().unwrap());
    let output = again.args(["--exact", name, "--nocapture"]).env(ASKED, "1").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find(|line| line.starts_with("no machine")).unwrap_or(&said);
    assert_snapshot!(line, @"no machine for a test: EPERM: Operation not permitted; this process lacks CAP_SYS_ADMIN: run it as root, in a container that was given them");
}
