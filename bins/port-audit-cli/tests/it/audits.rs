//! Audits of a machine of the test's own: a network and processes that nobody else sees, with real sockets and rules.
//! `nft` and `tailscale` are stubs that say what they are told to.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use insta::assert_snapshot;
use real_parts::Network;
use serde_json::Value;
use tempfile::TempDir;

/// Debian's, whose file is root's.
const PYTHON: &str = "/usr/bin/python3";

/// What a script of the test begins with: what it opens stays open while it is audited.
const HOLDER: &str = r#"
import ctypes, os, socket, subprocess, sys
def at(family, kind, address, protocol=0, v6only=None, device=None):
    it = socket.socket(family, kind, protocol)
    if v6only is not None: it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    if device: it.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
    it.bind(address)
    if kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET): it.listen(1)
    return it
def call(name): open('/proc/self/comm', 'w').write(name)
def unshare(what):
    if ctypes.CDLL(None, use_errno=True).unshare(what): raise OSError(ctypes.get_errno(), 'unshare')
NETWORK, USERS = 0x40000000, 0x10000000
INET, INET6, STREAM, DGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
"#;

/// Tells `nf_tables` of a table with a chain at a hook, and a rule in it that does nothing.
const CHAIN: &str = r"
import struct
def attribute(kind, value):
    data = struct.pack('HH', 4 + len(value), kind) + value
    return data + b'\0' * (-len(data) % 4)
def message(kind, family, body, flags=0x401):
    data = struct.pack('BBH', family, 0, socket.htons(10 if kind in (16, 17) else 0)) + body
    return struct.pack('IHHII', 16 + len(data), kind, flags, 1, 0) + data
def chain(family, table, hook):
    nft = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    table, name = table.encode() + b'\0', b'pre\0'
    hook = attribute(0x8004, attribute(1, struct.pack('>I', hook)) + attribute(2, struct.pack('>i', -100)))
    new = 10 << 8
    nft.send(message(16, 0, b'', 1)
        + message(new, family, attribute(1, table))
        + message(new + 3, family, attribute(1, table) + attribute(3, name) + hook + attribute(7, b'filter\0'))
        + message(new + 6, family, attribute(1, table) + attribute(2, name) + attribute(0x8004, b''), 0xc01)
        + message(17, 0, b'', 1))
    nft.settimeout(0.2)
    try: raise OSError(nft.recv(4096))
    except TimeoutError: pass
";

/// A machine with one network interface, `eth0`, in a network of its own.
struct Machine {
    network: Network,
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { network: Network::of(1).unwrap(), dir: TempDir::new().unwrap() };
        fs::create_dir(machine.path("bin")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a program there that prints `text`, and leaves `asked` behind.
    fn program(&self, name: &str, text: &str) {
        let (path, asked) = (self.path("bin").join(name), self.path("asked"));
        fs::write(&path, format!("#!/bin/sh\n>'{}'; cat <<'END'\n{text}\nEND\n", asked.display())).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn policy(&self, entry: &str) {
        let dir = self.path(".config/ai-ops-runner");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("port_audit.toml"), format!("schema = 1\n[[allow]]\n{entry}\n")).unwrap();
    }

    /// Runs `audit` in a shell on it, that sees no process and no named network but its own, while `python` runs a script.
    fn run(&self, python: &Path, holds: &str, audit: &str) -> Output {
        fs::write(self.path("holder.py"), format!("{HOLDER}\n{holds}\nprint(flush=True); sys.stdin.read()\n")).unwrap();
        symlink(python, self.path("python")).unwrap();
        let script = format!(
            "umount --all --types nsfs; cd \"$HOME\"; mkfifo end held
            ./python holder.py <end >held & exec 4>end 3<held
            read -r _ <&3 || exit 99
            {{ {audit}; }} 3<&- 4>&- && code=0 || code=$?
            exec 4>&-; wait; rm end held python; exit $code"
        );
        let mut command = self.network.hosts()[0].command("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc", &script]).stdin(Stdio::null());
        let path = format!("{}:/usr/bin:/usr/sbin:/bin:/sbin", self.path("bin").display());
        command.env_clear().env("PATH", path).env("HOME", self.dir.path());
        command.env("PORT_AUDIT", env!("CARGO_BIN_EXE_port-audit")).output().unwrap()
    }

    /// What is found while a script has something open.
    fn audit(&self, holds: &str) -> Value {
        self.audit_of(Path::new(PYTHON), holds)
    }

    fn audit_of(&self, python: &Path, holds: &str) -> Value {
        let output = self.run(python, holds, "\"$PORT_AUDIT\" --json");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The findings and gaps, a line each, without the numbers of processes and namespaces.
fn found(audit: &Value) -> String {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let findings = audit["findings"].as_array().unwrap().iter().map(|finding| {
        let owners = finding["owners"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let owners: Vec<&str> = owners.map(|owner| owner.split(" (").next().unwrap()).collect();
        format!("{}: {} {owners:?}", text(finding, "class"), text(finding, "subject"))
    });
    let gaps = audit["gaps"].as_array().unwrap().iter();
    let gaps = gaps.map(|gap| format!("gap: {}: {}", text(gap, "what"), text(gap, "why")));
    let lines: Vec<String> = findings.chain(gaps).collect();
    let number = |word: &str| word.parse::<u64>().is_ok_and(|number| number > u64::from(u32::MAX >> 1));
    let word = |word: &str| if number(word) { "N".to_owned() } else { word.to_owned() };
    lines.iter().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn v04_every_kind_of_socket_is_seen() {
    let audit = Machine::new().audit(
        "a = at(INET, STREAM, ('0.0.0.0', 1001))
b = at(INET6, STREAM, ('::', 1002), v6only=1)
c = at(INET6, STREAM, ('::', 1003), v6only=0)
d = at(INET6, STREAM, ('::ffff:127.0.0.1', 1004), v6only=0)
e = at(INET, STREAM, ('0.0.0.0', 1005), device='eth0')
f = at(INET, STREAM, ('127.0.0.1', 1006))
g = at(INET, DGRAM, ('10.0.0.1', 1007))
h = at(INET6, DGRAM, ('::', 1008))
i = at(INET, DGRAM, ('0.0.0.0', 1009), 136)
j = at(INET, socket.SOCK_RAW, ('0.0.0.0', 0), 1)
k = at(socket.AF_PACKET, socket.SOCK_RAW, ('eth0', 0x0806))
l = at(INET, DGRAM, ('127.0.0.1', 1010)); l.connect(('127.0.0.1', 9))
m = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)",
    );
    assert_snapshot!(found(&audit), @r#"
    public-listener: packet *%eth0:2054 ["python"]
    public-listener: raw 0.0.0.0:1 ["python"]
    public-listener: tcp 0.0.0.0%eth0:1005 ["python"]
    public-listener: tcp 0.0.0.0:1001 ["python"]
    public-listener: tcp [::]:1002 ["python"]
    public-listener: tcp [::]:1003 ["python"]
    public-listener: udp 10.0.0.1:1007 ["python"]
    public-listener: udp [::]:1008 ["python"]
    public-listener: udplite 0.0.0.0:1009 ["python"]
    "#);
    assert_eq!(audit["sockets"]["loopback"], 2);
}

#[test]
fn v04_no_process_is_believed_what_it_calls_itself() {
    let machine = Machine::new();
    for name in ["tailscaled", "a b\"),((\"x", "x\\nOK: all", "\\x1b[2J"] {
        let audit = machine.audit(&format!("call('{name}'); a = at(INET, STREAM, ('0.0.0.0', 41641))"));
        let findings = audit["findings"].as_array().unwrap();
        assert_eq!((findings.len(), &findings[0]["class"]), (1, &"public-listener".into()), "{name}: {audit}");
    }
    let output = machine.run(
        Path::new(PYTHON),
        "call('x\\nOK: all'); a = at(INET, STREAM, ('0.0.0.0', 41641))",
        "\"$PORT_AUDIT\" | sed 's/([0-9]*)/(PID)/'",
    );
    assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r"
    VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    public-listener: tcp 0.0.0.0:41641 by x\u{a}OK: all (PID): it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
    ");
}

#[test]
fn sockets_that_several_have_are_all_theirs() {
    let machine = Machine::new();
    let python = fs::canonicalize(PYTHON).unwrap();
    machine
        .policy(&format!("protocol = \"tcp\"\nport = 1001\nprogram = \"{}\"\nreason = \"a test\"", python.display()));
    let holds = "a = at(INET, STREAM, ('0.0.0.0', 1001)); a.set_inheritable(True)";
    assert_snapshot!(found(&machine.audit(holds)), @"");
    let child = "\nchild = subprocess.Popen(['sleep', '60'], close_fds=False)
import atexit; atexit.register(child.kill)
while open(f'/proc/{child.pid}/comm').read() != 'sleep\\n': pass";
    assert_snapshot!(found(&machine.audit(&format!("{holds}{child}"))), @r#"co-owner: tcp 0.0.0.0:1001 ["python", "sleep"]"#);
}

#[test]
fn v04_a_program_is_believed_where_only_root_can_have_put_it_and_no_user_of_its_own_runs_it() {
    let machine = Machine::new();
    let python = fs::canonicalize(PYTHON).unwrap();
    let policy = |path: &Path| {
        machine
            .policy(&format!("protocol = \"tcp\"\nport = 1001\nprogram = \"{}\"\nreason = \"a test\"", path.display()));
    };
    policy(&python);
    let holds = "a = at(INET, STREAM, ('0.0.0.0', 1001))";
    assert_eq!(machine.audit(holds)["sockets"]["allowed"], 1);
    assert_snapshot!(found(&machine.audit(&format!("{holds}; unshare(USERS)"))), @r#"public-listener: tcp 0.0.0.0:1001 ["python"]"#);
    let copy = machine.path("copy");
    fs::copy(&python, &copy).unwrap();
    policy(&copy);
    assert_snapshot!(found(&machine.audit_of(&copy, holds)), @r#"public-listener: tcp 0.0.0.0:1001 ["python"]"#);
}

#[test]
fn v04_another_network_of_the_machine_is_looked_at_too() {
    let machine = Machine::new();
    let inside = "unshare(NETWORK); a = at(INET, STREAM, ('0.0.0.0', 1001))";
    let audit = machine.audit(inside);
    assert_eq!((found(&audit).as_str(), &audit["sockets"]["inside"]), ("", &1.into()));
    // One that leads out, with a socket of the kernel's own.
    let out = "\nsubprocess.run('ip link add out up type vxlan id 1 dstport 4789 dev lo'.split(), check=True)";
    assert_snapshot!(found(&machine.audit(&format!("{inside}{out}"))), @r#"
    owner-unknown: udp 0.0.0.0:4789 in the network namespace N []
    public-listener: tcp 0.0.0.0:1001 in the network namespace N ["python"]
    "#);
    // One that no process is in any more.
    let left = "\nkept, home = open('/proc/thread-self/ns/net'), open('/proc/1/ns/net')
if ctypes.CDLL(None).setns(home.fileno(), NETWORK): raise OSError('setns')";
    assert_snapshot!(found(&machine.audit(&format!("{inside}{out}{left}"))), @r#"
    owner-unknown: udp 0.0.0.0:4789 in the network namespace N []
    public-listener: tcp 0.0.0.0:1001 in the network namespace N ["python"]
    "#);
}

/// A child of the script whose first thread ends.
const CHILD: &str = "
import threading
def leads_out(): subprocess.run('ip link add out up type vxlan id 1 dstport 4789 dev lo'.split(), check=True)
def child(holds):
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        holds(); os.write(told, b'.')
        ctypes.CDLL(None).pthread_exit(None)
    os.read(ready, 1)
    while 'State:\\tZ' not in open(f'/proc/{pid}/status').read(): pass
";

#[test]
fn v04_a_process_goes_on_where_its_first_thread_has_ended() {
    let holds = "
def holds():
    global a
    unshare(NETWORK); leads_out(); a = at(INET, STREAM, ('0.0.0.0', 1001))
    threading.Thread(target=threading.Event().wait).start()
child(holds)
import time
while ' Z ' not in open(f'/proc/{os.getpid() + 1}/stat').read() and not any('State:\tZ' in open(f'/proc/{n}/status').read() for n in os.listdir('/proc') if n.isdigit()): time.sleep(0.01)";
    assert_snapshot!(found(&Machine::new().audit(&format!("{CHILD}{holds}"))), @r#"
    owner-unknown: udp 0.0.0.0:4789 in the network namespace N []
    public-listener: tcp 0.0.0.0:1001 in the network namespace N ["python"]
    "#);
}

#[test]
fn v04_a_network_that_only_a_thread_is_in_is_looked_at() {
    let holds = "
ready = threading.Event()
def thread():
    global a
    unshare(NETWORK); leads_out(); a = at(INET, STREAM, ('0.0.0.0', 1001))
    ready.set(); threading.Event().wait()
threading.Thread(target=thread, daemon=True).start(); ready.wait()";
    assert_snapshot!(found(&Machine::new().audit(&format!("{CHILD}{holds}"))), @r#"
    owner-unknown: udp 0.0.0.0:4789 in the network namespace N []
    public-listener: tcp 0.0.0.0:1001 in the network namespace N ["python"]
    "#);
}

#[test]
fn a_network_that_is_bridged_to_the_outside_is_outside() {
    let network = "subprocess.run(['sh', '-euc', 'ip link add inner type veth peer name outer netns \"$0\"; ip link set inner up', str(os.getppid())], check=True)";
    let inside = format!("unshare(NETWORK); a = at(INET, STREAM, ('0.0.0.0', 1001))\n{network}");
    let machine = Machine::new();
    assert_eq!(machine.audit(&inside)["sockets"]["inside"], 1);
    let bridge = "\nsubprocess.run(['nsenter', '--net=/proc/1/ns/net', 'sh', '-euc', 'ip link add switch type bridge; ip link set outer master switch; ip link add out up type vxlan id 1 dstport 4789 dev eth0; ip link set out master switch'], check=True)";
    assert_snapshot!(found(&Machine::new().audit(&format!("{inside}{bridge}"))), @r#"
    owner-unknown: udp 0.0.0.0:4789 []
    public-listener: tcp 0.0.0.0:1001 in the network namespace N ["python"]
    "#);
}

#[test]
fn v04_a_network_that_another_one_bridges_to_the_outside_is_outside() {
    let inside = "unshare(NETWORK)
subprocess.run(['sh', '-euc', 'ip link add switch type bridge; ip link add out up type vxlan id 1 dstport 4789 dev lo; ip link set out master switch; ip link add outer type veth peer name inner; ip link set outer master switch'], check=True)
router = open('/proc/self/ns/net'); unshare(NETWORK)
subprocess.run(['nsenter', f'--net=/proc/{os.getpid()}/fd/{router.fileno()}', 'ip', 'link', 'set', 'inner', 'netns', str(os.getpid())], check=True)
a = at(INET, STREAM, ('0.0.0.0', 1001))";
    assert_snapshot!(found(&Machine::new().audit(inside)), @r#"
    owner-unknown: udp 0.0.0.0:4789 in the network namespace N []
    public-listener: tcp 0.0.0.0:1001 in the network namespace N ["python"]
    "#);
}

#[test]
fn v04_an_address_and_an_interface_are_the_tailnets_where_tailscale_says_so() {
    let machine = Machine::new();
    machine.program("tailscale", r#"{"BackendState": "Running", "TailscaleIPs": ["100.64.0.1", "fd7a:115c:a1e0::1"]}"#);
    let device = "subprocess.run(['sh', '-euc', 'ip link add tailscale0 up type veth peer name peer; ip address add 100.64.0.1/32 dev tailscale0; ip address add 100.64.0.2/32 dev eth0'], check=True)\n";
    machine.audit("a = at(INET, STREAM, ('0.0.0.0', 1001))");
    assert!(!machine.path("asked").exists(), "it makes no difference");
    let holds = "a = at(INET, STREAM, ('100.64.0.1', 1001))
b = at(INET, STREAM, ('0.0.0.0', 1002), device='tailscale0')
c = at(INET, STREAM, ('100.64.0.2', 1003))
d = at(INET, STREAM, ('0.0.0.0', 1004), device='eth0')";
    let audit = machine.audit(&format!("{device}{holds}"));
    assert_snapshot!(found(&audit), @r#"
    public-listener: tcp 0.0.0.0%eth0:1004 ["python"]
    public-listener: tcp 100.64.0.2:1003 ["python"]
    "#);
    assert_eq!(audit["sockets"]["tailnet"], 2);
    // Tailscale without an interface of its own, whose address somebody gave to the public one.
    let machine = Machine::new();
    machine.program("tailscale", r#"{"BackendState": "Running", "TailscaleIPs": ["100.64.0.1"]}"#);
    let device = "subprocess.run('ip address add 100.64.0.1/32 dev eth0'.split(), check=True)\n";
    assert_snapshot!(found(&machine.audit(&format!("{device}d = at(INET, STREAM, ('0.0.0.0', 1004), device='eth0')"))), @r#"public-listener: tcp 0.0.0.0%eth0:1004 ["python"]"#);
}

#[test]
fn v04_the_firewall_is_asked_where_the_kernel_has_rules_that_packets_from_outside_come_by() {
    let forward = r#"{"nftables": [
        {"chain": {"family": "inet", "table": "mine", "name": "pre", "hook": "prerouting"}},
        {"rule": {"family": "inet", "table": "mine", "chain": "pre", "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}},
            {"dnat": {"addr": "10.0.0.9", "port": 80}}]}}]}"#;
    for (hook, is_asked) in [(4, false), (0, true)] {
        let machine = Machine::new();
        machine.program("nft", forward);
        let audit = machine.audit(&format!("{CHAIN}\nchain(1, 'mine', {hook})"));
        assert_eq!(machine.path("asked").exists(), is_asked, "{audit}");
        let expected = if is_asked { "nat-exposes: tcp *:80 is handed on to 10.0.0.9:80 []" } else { "" };
        assert_eq!(found(&audit), expected);
    }
    let machine = Machine::new();
    machine.program("nft", "no JSON");
    assert_snapshot!(found(&machine.audit(&format!("{CHAIN}\nchain(1, 'mine', 0)"))), @"gap: nft: its answer is not understood");
}

#[test]
fn v04_what_a_user_without_rights_does_not_see_is_told() {
    let machine = Machine::new();
    fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_port-audit"), machine.path("port-audit")).unwrap();
    let holds = "a = at(INET, STREAM, ('0.0.0.0', 1001)); b = at(INET, DGRAM, ('0.0.0.0', 51820))";
    machine.policy("protocol = \"udp\"\nport = 51820\nunowned = true\nreason = \"WireGuard\"");
    let drop = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let output = machine.run(Path::new(PYTHON), holds, &format!("{drop} ./port-audit || {drop} ./port-audit --strict"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_snapshot!(said, @"
    VIOLATIONS: 2; 2 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    WARN: owners and other network namespaces: 2 processes do not show what they have open, and there may be more: look as root
    WARN: the firewall's chains: the kernel answers: Operation not permitted (os error 1)
    WARN: the tables of ip6tables: the kernel cannot be asked: Permission denied (os error 13)
    WARN: the tables of iptables: the kernel cannot be asked: Permission denied (os error 13)
    owner-unknown: tcp 0.0.0.0:1001: nobody is seen who has it; next: look as root; else find out what made it
    owner-unknown: udp 0.0.0.0:51820: nobody is seen who has it; next: look as root; else find out what made it
    VIOLATIONS: 6; 2 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    WARN: owners and other network namespaces: 2 processes do not show what they have open, and there may be more: look as root
    WARN: the firewall's chains: the kernel answers: Operation not permitted (os error 1)
    WARN: the tables of ip6tables: the kernel cannot be asked: Permission denied (os error 13)
    WARN: the tables of iptables: the kernel cannot be asked: Permission denied (os error 13)
    owner-unknown: tcp 0.0.0.0:1001: nobody is seen who has it; next: look as root; else find out what made it
    owner-unknown: udp 0.0.0.0:51820: nobody is seen who has it; next: look as root; else find out what made it
    ");
}

#[test]
fn no_baseline_is_written_by_whom_not_all_is_shown() {
    let machine = Machine::new();
    machine.program("nft", "no JSON");
    let holds = format!("{CHAIN}\nchain(1, 'mine', 0)");
    let output = machine.run(Path::new(PYTHON), &holds, "\"$PORT_AUDIT\" --write-baseline baseline");
    assert_eq!((output.status.code(), machine.path("baseline").exists()), (Some(4), false));
    assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"
    baseline-incomplete: not all was seen, and no baseline is written: nft: its answer is not understood
    next: run it as root, and mend what is named
    ");
}

#[test]
fn v04_what_cannot_be_observed_at_all_is_no_clean_machine() {
    let output = Machine::new().run(Path::new(PYTHON), "", "mount -t tmpfs none /proc; \"$PORT_AUDIT\"");
    assert_eq!(output.status.code(), Some(4));
    assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"
    sockets-unseen: /proc: it shows no process
    next: look as root, where /proc is mounted; or judge a text: --stdin-ss
    ");
}

#[test]
fn five_thousand_listeners_are_all_seen() {
    let audit = Machine::new().audit(
        "import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (6000, 6000))
a = [at(INET, STREAM, ('127.0.0.1', 10000 + n)) for n in range(5000)]",
    );
    assert_eq!((&audit["sockets"]["loopback"], &audit["status"]), (&5000.into(), &"done".into()));
}
