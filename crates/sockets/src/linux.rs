//! What Linux says of who can reach the machine.

mod chains;
mod diag;
mod firewall;
mod links;
mod netlink;
mod processes;
mod tables;
mod units;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;

use host::Host;
use outcome::Failure;
use port_audit::{Gap, Namespace, Observed, Protocol, Socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) use self::links::interfaces;

use self::diag::{Raw, Untold};
use self::firewall::Found;
use self::links::Links;
use self::netlink::DiagError;
use self::processes::{Known, Processes};
use crate::unseen;

/// The network namespace that the program runs in.
const HOME: &str = "/proc/thread-self/ns/net";
/// What is set for each interface of the calling thread's network namespace, and for `all`.
const CONF: &str = "/proc/sys/net/ipv4/conf";

pub(crate) fn observe(host: &dyn Host) -> Result<Observed, Failure> {
    let mut observed = Look::taken()?.observed();
    // Programs open sockets of their own: they are asked when it is seen what was open without them.
    observed.gaps.extend(units::name(host, &mut observed.sockets));
    let Found { rules, gaps } = firewall::look(host);
    observed.rules = rules;
    observed.gaps.extend(gaps);
    observed.sockets.sort();
    observed.sockets.dedup();
    observed.gaps.sort();
    observed.gaps.dedup();
    Ok(observed)
}

/// What a network namespace shows of itself.
struct Seen {
    sockets: Vec<Raw>,
    untold: Vec<Untold>,
    links: Links,
    /// The interfaces from which 127.0.0.0/8 is reached.
    open_loopback: Vec<String>,
}

/// What the network namespace of the calling thread shows.
fn seen_here() -> Result<Seen, DiagError> {
    let (sockets, untold) = diag::sockets()?;
    Ok(Seen { sockets, untold, links: links::links()?, open_loopback: open_loopback(Path::new(CONF)) })
}

/// Those with `route_localnet`. On `lo` it opens nothing, and what is set for `default` is set for interfaces to come.
fn open_loopback(conf: &Path) -> Vec<String> {
    let interfaces = fs::read_dir(conf).into_iter().flatten().flatten();
    let is_open = |path: &Path| fs::read_to_string(path.join("route_localnet")).is_ok_and(|text| text.trim() != "0");
    let open = interfaces.filter(|entry| is_open(&entry.path()));
    let mut names: Vec<String> = open.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !["lo", "default"].contains(&name.as_str()));
    names.sort();
    names
}

/// What another network namespace shows: that of this inode number, which may have been led to by a process that is gone.
/// The calling thread is in it for good.
fn seen_in(id: u64, path: &Path) -> Result<Seen, DiagError> {
    let namespace = File::open(path)?;
    if namespace.metadata()?.ino() != id {
        return Err(io::Error::from(ErrorKind::NotFound).into());
    }
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    seen_here()
}

/// Whether who led to a namespace was gone.
fn is_gone(error: &DiagError) -> bool {
    matches!(error, DiagError::Io(error) if error.kind() == ErrorKind::NotFound)
}

/// All that was seen at one time.
struct Look {
    namespaces: Vec<(Namespace, Seen)>,
    processes: Processes,
    gaps: Vec<Gap>,
    /// Who led to a namespace was gone when it was to be entered.
    left: bool,
}

impl Look {
    /// A socket that was opened or closed meanwhile has no owner, and a namespace may be left: then it is looked once more.
    fn taken() -> Result<Self, Failure> {
        let first = Self::at_once()?;
        // Where not all owners show, it is no sign of anything that one is missing.
        let moved = first.left || first.processes.gaps.is_empty() && !first.owns_all();
        if moved { Self::at_once() } else { Ok(first) }
    }

    fn at_once() -> Result<Self, Failure> {
        let own = seen_here().map_err(|error| unseen(error.to_string()))?;
        // Without these nothing is known of the machine.
        let is_vital = |untold: &&Untold| [Protocol::Tcp, Protocol::Udp].contains(&untold.protocol);
        if let Some(Untold { protocol, why }) = own.untold.iter().find(is_vital) {
            return Err(unseen(format!("{}: {why}", protocol.as_str())));
        }
        let processes = processes::look().map_err(|error| unseen(format!("/proc: {error}")))?;
        let mut look = Self { namespaces: Vec::new(), gaps: processes.gaps.clone(), processes, left: false };
        look.elsewhere(own.links.bridged);
        look.take(Namespace::Host, own);
        Ok(look)
    }

    /// The other namespaces. Where pairs of one are `bridged` with what leads out, so may any of them be, and so may be those
    /// of one that does not show.
    fn elsewhere(&mut self, bridged: bool) {
        let home = processes::inode(HOME);
        let mut others = self.processes.namespaces.clone();
        others.retain(|id, _| Some(*id) != home);
        if others.is_empty() {
            return;
        }
        let look = move || others.into_iter().map(|(id, path)| (id, seen_in(id, &path))).collect::<Vec<_>>();
        let Ok(looked) = thread::spawn(look).join() else {
            return self.gap("other network namespaces".into(), "the look at them broke off".into());
        };
        let is_bridged = |seen: &Result<Seen, DiagError>| match seen {
            Ok(seen) => seen.links.bridged,
            Err(error) => !is_gone(error),
        };
        let bridged = bridged || looked.iter().any(|(_, seen)| is_bridged(seen));
        for (id, seen) in looked {
            match seen {
                Ok(seen) => self.take(Namespace::Other { id, exposed: bridged || seen.links.exposed }, seen),
                Err(error) => {
                    self.left |= is_gone(&error);
                    self.gap(format!("the network namespace {id}"), error.to_string());
                }
            }
        }
    }

    fn take(&mut self, namespace: Namespace, seen: Seen) {
        let place = match namespace {
            Namespace::Host => String::new(),
            Namespace::Other { id, .. } => format!(" in the network namespace {id}"),
        };
        for Untold { protocol, why } in &seen.untold {
            self.gap(format!("{}{place}", protocol.as_str()), why.to_string());
        }
        let may_be_reached = !matches!(namespace, Namespace::Other { exposed: false, .. });
        if may_be_reached && !seen.open_loopback.is_empty() {
            let why = format!("neighbours may reach it: route_localnet is set for {}", seen.open_loopback.join(", "));
            self.gap(format!("127.0.0.0/8{place}"), why);
        }
        self.namespaces.push((namespace, seen));
    }

    fn gap(&mut self, what: String, why: String) {
        self.gaps.push(Gap { what, why });
    }

    fn owns_all(&self) -> bool {
        let sockets = self.namespaces.iter().flat_map(|(_, seen)| &seen.sockets);
        sockets.filter(|raw| !raw.address.is_loopback()).all(|raw| self.processes.has(raw.inode))
    }

    fn observed(self) -> Observed {
        let Self { namespaces, processes, gaps, .. } = self;
        let mut known = Known::default();
        let sockets = namespaces.into_iter().flat_map(|(namespace, Seen { sockets, links, .. })| {
            let socket = |raw: Raw| socket(raw, &namespace, &links, &processes, &mut known);
            sockets.into_iter().map(socket).collect::<Vec<_>>()
        });
        Observed { sockets: sockets.collect(), gaps, ..Observed::default() }
    }
}

fn socket(raw: Raw, namespace: &Namespace, links: &Links, processes: &Processes, known: &mut Known) -> Socket {
    let Raw { protocol, address, port, interface, v6only, inode, user } = raw;
    Socket {
        protocol,
        address,
        port,
        interface: (interface != 0).then(|| links::name(&links.names, interface)),
        v6only,
        owners: known.owners(processes, inode, user),
        namespace: namespace.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v04_loopback_that_is_routed_is_told() {
        let dir = tempfile::TempDir::new().unwrap();
        for (name, value) in [("all", "0\n"), ("default", "1\n"), ("eth0", "1\n"), ("eth1", "0\n"), ("lo", "1\n")] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("route_localnet"), value).unwrap();
        }
        assert_eq!(open_loopback(dir.path()), ["eth0"]);
        fs::write(dir.path().join("all/route_localnet"), "1\n").unwrap();
        assert_eq!(open_loopback(dir.path()), ["all", "eth0"]);
        assert_eq!(open_loopback(&dir.path().join("none")), [""; 0]);
    }

    #[test]
    fn a_namespace_is_not_taken_for_another() {
        let gone = |id, path: &str| {
            let Err(DiagError::Io(error)) = seen_in(id, Path::new(path)) else { panic!("{path}") };
            error.kind()
        };
        assert_eq!(gone(1, HOME), ErrorKind::NotFound);
        assert_eq!(gone(1, "/proc/0/ns/net"), ErrorKind::NotFound);
    }
}
