//! The first process of a sandbox's namespace: it makes the root, starts the job and reaps. Its end is everybody's.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::process::Signal;

use crate::control::{self, Answer, Order};
use crate::error::{Step as _, Stuck};
use crate::evidence::{Evidence, Facts};
use crate::filter::{self, Terms};
use crate::job::{self, Job};
use crate::spec::TreeMode;
use crate::supervise;
use crate::{Level, root, ruleset, sys};

/// The sandbox's own processes that a limit on the user's processes counts when it is the runner's user: the init and
/// this one.
const OWN_PROCESSES: u64 = 2;

pub(crate) fn main(control: &OwnedFd, order: &Order, files: &[Vec<u8>], owner: u32, users: Option<&OwnedFd>) -> ! {
    let code = match run(control, order, files, owner, users) {
        Ok(()) => 0,
        Err(stuck) => {
            // A runner that is gone needs no answer.
            let _ = control::send(control.as_fd(), &Answer::Stuck(stuck), &[]);
            1
        }
    };
    sys::exit(code)
}

fn run(control: &OwnedFd, order: &Order, files: &[Vec<u8>], owner: u32, users: Option<&OwnedFd>) -> Result<(), Stuck> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("die with the init")?;
    rustix::system::sethostname(b"sandbox").step("name the machine")?;
    if !order.network {
        sys::loopback_up().step("bring the loopback up")?;
    }
    let kept = root::make(order, files, owner, users)?;
    // What is open is the machine's, which the job may not open again by name.
    sys::nothing_to_read().step("make the job's input empty")?;
    let capture = order.mode == TreeMode::Capture;
    let terms = Terms {
        namespaces: true,
        network: order.network,
        abstract_scoped: sys::landlock_abi() >= 6,
        same_user: order.switch_to.is_none(),
    };
    let job = Job {
        order,
        programs: filter::programs(terms)?,
        access: ruleset::own_root(capture),
        dir: job::tree_inside().to_owned(),
        extra_processes: if order.switch_to.is_some() { 0 } else { OWN_PROCESSES },
    };
    let ro_mount = !capture && root::is_read_only(job::tree_inside())?;
    let fds: Vec<_> = [Some(&kept.artifacts), kept.upper.as_ref()].into_iter().flatten().map(|fd| fd.as_fd()).collect();
    let started = supervise::start(&job, &|facts| evidence(order, facts, ro_mount), control, &fds)?;
    let Some(started) = started else { return Ok(()) };
    drop(fds);
    drop(kept);
    let ended = supervise::until_the_end(control, &started)?;
    supervise::tell(control, ended)
}

fn evidence(order: &Order, facts: &Facts, ro_mount: bool) -> Evidence {
    Evidence {
        overlay: order.mode == TreeMode::Capture,
        pid_namespace: std::process::id() == 1,
        // In a /proc of the namespace this process is number 1; in the machine's it is not.
        fresh_proc: order.level == Level::L3 && std::fs::read_link("/proc/self").is_ok_and(|me| me == Path::new("1")),
        user_namespace: order.switch_to.is_none(),
        ..Evidence::of(order, facts, ro_mount, true)
    }
}
