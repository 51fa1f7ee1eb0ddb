//! The service as a unit of systemd.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::http::Client;
use crate::service::{JOBS, Program, Site, eventually};

/// The service with these two as systemd hands them over: as 3 and 4. What it prints goes where its errors go.
fn handed(site: &Site, tcp: TcpListener, unix: UnixListener) -> Command {
    let hand_over = "exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";
    let mut sh = Command::new("sh");
    sh.args(["-c", hand_over]).arg(env!("CARGO_BIN_EXE_runner-api"));
    let mut sh = site.on(sh, &["--with-worker"]);
    sh.stdin(Stdio::from(OwnedFd::from(tcp))).stdout(Stdio::from(OwnedFd::from(unix)));
    sh
}

#[test]
fn sockets_that_systemd_opened_are_served_and_no_job_gets_them() {
    let jobs = "[jobs.look]\nargv = [\"sh\", \"-c\", \"ls -l /proc/self/fd; env\"]\ntimeout_sec = 60\n";
    let site = Site::new(jobs);
    let (tcp, socket) = (TcpListener::bind("127.0.0.1:0").unwrap(), site.path("unit.sock"));
    let (address, unix) = (tcp.local_addr().unwrap(), UnixListener::bind(&socket).unwrap());
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
    let program = Program::start_with_stdout(handed(&site, tcp, unix), &site.path("api.log"));
    program.says(&format!("listens on http://{address}"));
    program.says(&format!("listens on unix:{}", socket.display()));
    let token = fs::read_to_string(site.state().join("token")).unwrap();
    let service = crate::service::Service { program, client: Client::tcp(address).with_token(token.trim()) };
    let id = service.submit(&site.ask("look"));
    service.succeeds(&id);
    let seen = service.get(&format!("/jobs/{id}/logs")).text();
    assert!(!seen.contains("socket:") && !seen.contains("LISTEN"), "{seen}");
    assert_eq!(Client::unix(&socket).with_token(token.trim()).get(&format!("/jobs/{id}")).status, 200);
    // Believed only there.
    let login = [("tailscale-user-login", "a@example.com")];
    assert_eq!(Client::unix(&socket).send("GET", "/jobs", &login, b"").refusal(), "403 not-a-person");
    assert_eq!(Client::tcp(address).send("GET", "/jobs", &login, b"").refusal(), "401 unauthenticated");
}

#[test]
fn j01_a_units_socket_that_others_may_connect_to_is_not_served() {
    let site = Site::new(JOBS);
    let path = |mode: u32| {
        let path = site.path(&format!("{mode:o}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        listener
    };
    let name = SocketAddr::from_abstract_name(site.path("abstract").to_str().unwrap()).unwrap();
    for listener in [path(0o666), path(0o660), path(0o602), UnixListener::bind_addr(&name).unwrap()] {
        let at = listener.local_addr().unwrap();
        let command = handed(&site, TcpListener::bind("127.0.0.1:0").unwrap(), listener);
        let mut program = Program::start_with_stdout(command, &site.path("api.log"));
        assert_eq!(program.wait().code(), Some(3), "{at:?}");
        program.says("socket-unsafe: ");
    }
}

#[test]
fn systemd_is_told_what_it_waits_for() {
    let site = Site::new(JOBS);
    for program in ["api", "worker"] {
        let path = site.path(&format!("{program}.notify"));
        let notify = UnixDatagram::bind(&path).unwrap();
        notify.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut command = match program {
            "api" => site.api(&["--with-worker", "--listen", "127.0.0.1:0"]),
            _ => site.worker(&[]),
        };
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
        let mut program = Program::start(command, &site.path("worker.log"));
        let told = || {
            let mut bytes = [0; 1000];
            let length = notify.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned()
        };
        assert_eq!(told(), "READY=1");
        assert_eq!((told(), told()), ("WATCHDOG=1".into(), "WATCHDOG=1".into()));
        program.signal(Signal::TERM);
        eventually("it says that it stops", || (told() == "STOPPING=1").then_some(()));
        assert_eq!(program.wait().code(), Some(0));
    }
}

#[test]
fn the_units_of_the_guide_leave_it_to_the_service_to_end_its_jobs() {
    let guide = include_str!("../../../../docs/service.md");
    let units: Vec<&str> = guide.split("[Service]\n").skip(1).map(|unit| unit.split("```").next().unwrap()).collect();
    assert!(!units.is_empty());
    for unit in units {
        assert!(unit.lines().any(|line| line == "KillMode=mixed"), "{unit}");
    }
}
