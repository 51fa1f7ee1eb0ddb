//! Networks: who reaches whom.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{env, fs};

use insta::assert_snapshot;
use real_parts::{Host, Network, Postgres};

use crate::left::{after_a_kill, below, left};

const ASKED: &str = "REAL_PARTS_WITHOUT_RIGHTS";

/// Listens for one connection and greets.
const SERVE: &str = "import socket, sys
s = socket.create_server((sys.argv[1], 80)); print('up', flush=True); s.accept()[0].send(b'hello')";
const FETCH: &str = "import socket, sys
print(socket.create_connection((sys.argv[1], 80), timeout=5).recv(9).decode())";

fn python(host: &Host, script: &str, address: &Host) -> Command {
    let mut command = host.command("/usr/bin/python3");
    command.args(["-c", script, &address.address().to_string()]);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).trim().to_owned()
}

fn greeted(on: &Host, by: &Host) -> String {
    let mut server = python(by, SERVE, by).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    let said = said(&python(on, FETCH, by).output().unwrap());
    server.kill().unwrap();
    server.wait().unwrap();
    said
}

#[test]
fn every_host_reaches_every_other() {
    let network = Network::of(3).unwrap();
    let [one, two, three] = network.hosts() else { panic!("{network:?}") };
    for (on, by) in [(one, two), (two, one), (three, one), (one, one)] {
        assert_eq!(greeted(on, by), "hello", "{on:?} {by:?}");
    }
}

#[test]
fn two_networks_with_the_same_addresses_do_not_meet() {
    let [network, other] = [Network::of(2).unwrap(), Network::of(2).unwrap()];
    let [one, two] = network.hosts() else { panic!("{network:?}") };
    assert_eq!(other.hosts()[1].address(), two.address());
    let fetched = python(&other.hosts()[0], FETCH, two).stderr(Stdio::null()).output().unwrap();
    assert!(!fetched.status.success());
    assert_eq!(greeted(one, two), "hello");
}

#[test]
fn a_host_reaches_nothing_but_the_others() {
    let network = Network::of(1).unwrap();
    let links = network.hosts()[0].command("ip").args(["-brief", "link"]).output().unwrap();
    let names = said(&links).lines().map(|line| line.split([' ', '@']).next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_snapshot!(names.join(" "), @"lo eth0");
    let routes = network.hosts()[0].command("ip").args(["route"]).output().unwrap();
    assert_snapshot!(said(&routes), @"10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1");
}

#[test]
fn ending_the_child_ends_the_program() {
    let network = Network::of(1).unwrap();
    let mut child = network.hosts()[0].command("sleep").arg("60").spawn().unwrap();
    let started = below(std::process::id());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(left(started), [0_u32; 0]);
}

#[test]
fn postgres_on_one_host_is_reached_from_another() {
    let network = Network::of(2).unwrap();
    let [one, two] = network.hosts() else { panic!("{network:?}") };
    let mut postgres = Postgres::builder().on(one).start().unwrap();
    postgres.restart().unwrap();
    assert_eq!(postgres.sql("select 1").unwrap(), "1");
    let url = format!("postgres://postgres@{}/postgres", one.address());
    let mut psql = two.command("psql");
    psql.args(["--tuples-only", "--no-align", "--dbname", &url, "--command", "select inet_client_addr()"]);
    let asked = psql.output().unwrap();
    assert_eq!(said(&asked), two.address().to_string());
}

#[test]
fn nothing_is_left_of_a_network() {
    let before = namespaces();
    let network = Network::of(2).unwrap();
    assert_eq!(namespaces(), before + 3);
    drop(network);
    assert_eq!(namespaces(), before);
    let name = "network::nothing_is_left_of_a_network";
    let (started, left) = after_a_kill(name, || Network::of(2));
    assert_eq!((started, left), (0, vec![]), "no process holds it");
}

#[test]
fn without_the_rights_it_says_which_are_missing() {
    if env::var_os(ASKED).is_some() {
        println!("{}", Network::of(2).unwrap_err());
        return;
    }
    let withheld = "-sys_admin,-net_admin";
    let name = "network::without_the_rights_it_says_which_are_missing";
    let mut again = Command::new("setpriv");
    again.args([&format!("--bounding-set={withheld}"), "--inh-caps=-all"]).arg(env::current_exe().unwrap());
    let output = again.args(["--exact", name, "--nocapture"]).env(ASKED, "1").output().unwrap();
    let line = said(&output).lines().find(|line| line.starts_with("no network")).map(str::to_owned);
    assert_snapshot!(line.unwrap_or_else(|| said(&output)), @"no network for a test: EPERM: Operation not permitted; this process lacks CAP_SYS_ADMIN and CAP_NET_ADMIN: run it as root, in a container that was given them");
}

/// How many network namespaces this process holds, once those of ended threads are gone.
fn namespaces() -> usize {
    std::thread::sleep(Duration::from_millis(10));
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    open.filter(|target| target.to_string_lossy().starts_with("net:")).count()
}
