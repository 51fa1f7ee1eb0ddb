//! Attacks on the machine's network and sockets.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use sandbox::Level;

use crate::fixture::Fixture;

fn abstract_listener() -> (UnixListener, String) {
    let name = format!("sandbox-test-{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "");
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    (listener, name)
}

#[test]
fn j09_the_machines_sockets_are_out_of_reach() {
    let mut fixture = Fixture::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    let (named, name) = abstract_listener();
    let path = fixture.dir.path().join("socket");
    let _by_path = UnixListener::bind(&path).unwrap();
    let said = fixture.python(&format!(
        r#"
def connect(family, address):
    s = socket.socket(family)
    s.settimeout(5)
    s.connect(address)
t("tcp", lambda: connect(socket.AF_INET, ("127.0.0.1", {})))
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("127.0.0.1", {}))
    s.send(b"x")
    s.settimeout(5)
    s.recv(1)
t("udp", udp)
t("internet", lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))
t("abstract", lambda: connect(socket.AF_UNIX, "\0{name}"))
t("path", lambda: connect(socket.AF_UNIX, "{}"))
print(os.listdir("/sys/class/net") if os.path.exists("/sys") else [l.split(":")[0].strip() for l in open("/proc/net/dev").readlines()[2:]])
"#,
        tcp.local_addr().unwrap().port(),
        udp.local_addr().unwrap().port(),
        path.display(),
    ));
    assert_eq!(
        said,
        "tcp ECONNREFUSED\nudp ECONNREFUSED\ninternet ENETUNREACH\nabstract ECONNREFUSED\npath ENOENT\n['lo']\n"
    );
    assert!(tcp.accept().is_err() && udp.recv(&mut [0; 1]).is_err() && named.accept().is_err());
}

#[test]
fn other_families_of_sockets_cannot_be_made() {
    let said = Fixture::new().python(
        r#"
for name, family, kind, protocol in [("packet", 17, 3, 0), ("vsock", 40, 1, 0), ("alg", 38, 5, 0), ("bluetooth", 31, 3, 1),
        ("rds", 21, 5, 0), ("can", 29, 3, 1), ("tipc", 30, 5, 0), ("key", 15, 3, 2), ("raw", 2, 3, 1),
        ("audit", 16, 3, 9), ("netfilter", 16, 3, 12), ("uevent", 16, 3, 15), ("generic", 16, 3, 16), ("sock_diag", 16, 3, 4),
        ("high bits", (1 << 32) | 17, 3, 0)]:
    t(name, lambda: sys(41, family, kind, protocol))
t("route", lambda: sys(41, 16, 3, 0))
"#,
    );
    let (refused, route) = said.trim_end().rsplit_once('\n').unwrap();
    assert!(refused.lines().all(|line| line.ends_with(" EPERM")), "{said}");
    assert_eq!((refused.lines().count(), route), (15, "route DONE"));
}

#[test]
fn a_job_with_the_network_reaches_it_but_no_abstract_name() {
    let mut fixture = Fixture::new();
    fixture.spec.network = true;
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (named, name) = abstract_listener();
    let said = fixture.python(&format!(
        r#"
t("tcp", lambda: socket.create_connection(("127.0.0.1", {}), 5))
t("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\0{name}"))
t("packet", lambda: sys(41, 17, 3, 0))
"#,
        tcp.local_addr().unwrap().port(),
    ));
    assert_eq!(said, "tcp DONE\nabstract EPERM\npacket EPERM\n");
    assert!(named.accept().is_err());
}

#[test]
fn j09_without_namespaces_no_socket_of_the_machine_is_reached_by_its_path() {
    for network in [false, true] {
        let mut fixture = Fixture::at(Level::L0);
        fixture.spec.network = network;
        let (stream, datagram) = (fixture.dir.path().join("stream"), fixture.dir.path().join("datagram"));
        let listener = UnixListener::bind(&stream).unwrap();
        let receiver = UnixDatagram::bind(&datagram).unwrap();
        for path in [&stream, &datagram] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let said = fixture.python(&format!(
            r#"
t("stream", lambda: socket.socket(socket.AF_UNIX).connect("{}"))
for kind in [socket.SOCK_DGRAM, socket.SOCK_RAW]:
    t("datagram", lambda: socket.socketpair(socket.AF_UNIX, kind)[0].sendto(b"x", "{}"))
t("pair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
"#,
            stream.display(),
            datagram.display(),
        ));
        assert_eq!(said, "stream EPERM\ndatagram EPERM\ndatagram EPERM\npair DONE\n");
        listener.set_nonblocking(true).unwrap();
        receiver.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err() && receiver.recv(&mut [0; 1]).is_err());
    }
}

#[test]
fn a_pair_of_sockets_is_of_no_other_family() {
    let said = Fixture::new().python(
        r#"
for family in [2, 10, 16, 17, 21, 30, 31, 38, 40]:
    for kind in [1, 2, 3, 5]:
        t(f"{family} {kind}", lambda: sys(53, family, kind, 0, b"\0" * 8))
"#,
    );
    assert!(said.lines().count() == 36 && said.lines().all(|line| line.ends_with(" EPERM")), "{said}");
}
