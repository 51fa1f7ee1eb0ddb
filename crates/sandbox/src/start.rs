//! Starts a program inside the control group that bounds it.

#![allow(unsafe_code, reason = "a fork into a control group, and what comes between fork and exec")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use crate::cgroup::Doors;
use crate::sys;

/// `CLONE_INTO_CGROUP` of `linux/sched.h`, since Linux 5.7.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A program to be started in the control group that it will be bounded by.
///
/// A process that runs can be moved to a group, but the kernel then waits for every processor to pass through the
/// scheduler: 5 to 16 ms where its clock ticks 250 times a second. Neither way here waits.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) arg0: &'a CStr,
    /// Descriptors 0 to 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// It is born in the group of version 2, and enters those of version 1 before it is the program.
    pub(crate) doors: &'a Doors,
}

/// What was started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    /// False when it is not in the group of version 2: this kernel, or the filter around this process, lets nobody be
    /// born in one.
    pub(crate) in_group: bool,
}

impl Start<'_> {
    /// Starts it without environment, in a process group of its own, with no signal blocked and none handled.
    ///
    /// # Errors
    /// Why there is no process, or why it could not become the program.
    pub(crate) fn start(&self) -> Result<Started, Errno> {
        let (failure, report) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (argv, env) = ([self.arg0.as_ptr(), ptr::null()], [ptr::null()]);
        let (child, in_group) = match self.doors.unified.as_ref().map(born_in) {
            Some(Ok(child)) => (child, true),
            other => (sys::fork()?, other.is_none()),
        };
        let Some(pid) = child else {
            let errno = self.become_program(&argv, &env);
            // The runner then takes it for started, and hears nothing of it.
            let _ = rustix::io::write(&report, &errno.raw_os_error().to_ne_bytes());
            sys::exit(1)
        };
        drop(report);
        let mut errno = [0; size_of::<i32>()];
        if retry_on_intr(|| rustix::io::read(&failure, &mut errno))? == errno.len() {
            let _ = sys::wait(pid);
            return Err(Errno::from_raw_os_error(i32::from_ne_bytes(errno)));
        }
        Ok(Started { pid, in_group })
    }

    /// Returns only the reason why not. Nothing here may allocate or lock: the process is a copy of one with threads.
    fn become_program(&self, argv: &[*const libc::c_char], env: &[*const libc::c_char]) -> Errno {
        // SAFETY: the call takes numbers.
        unsafe { libc::setpgid(0, 0) };
        // 0 is the thread that writes.
        if let Err(errno) = self.doors.tasks.iter().try_for_each(|tasks| rustix::io::write(tasks, b"0").map(drop)) {
            return errno;
        }
        sys::reset_signals();
        // SAFETY: the calls take numbers, and pointers to strings and to arrays that end with a null pointer; all of them
        // outlive the calls.
        unsafe {
            for (fd, number) in self.stdio.iter().zip(0..) {
                if libc::dup2(fd.as_raw_fd(), number) < 0 {
                    return sys::last();
                }
            }
            libc::execve(self.program.as_ptr(), argv.as_ptr(), env.as_ptr());
        }
        sys::last()
    }
}

/// Forks into the group of version 2 whose directory is `group`. `None` in the child.
fn born_in(group: &OwnedFd) -> Result<Option<Pid>, Errno> {
    // SAFETY: the structure is plain numbers, for which zero means none.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.flags = CLONE_INTO_CGROUP;
    how.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    how.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
    // SAFETY: without CLONE_VM the child has its own copy of all memory, as after fork(2).
    let pid = sys::check(unsafe { libc::syscall(libc::SYS_clone3, &raw const how, size_of_val(&how)) })?;
    Ok(Pid::from_raw(i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?))
}

#[cfg(test)]
pub(crate) mod testing {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    /// Starts a shell that runs `script`, and what it says.
    pub(crate) fn sh(script: &str, doors: &Doors) -> Result<(Started, String), Errno> {
        program(c"/bin/sh", script, doors)
    }

    /// What a program that is started there finds its groups to be.
    pub(crate) fn cgroups(doors: &Doors) -> Result<(Started, String), Errno> {
        sh("cat /proc/self/cgroup", doors)
    }

    pub(crate) fn program(program: &CStr, reads: &str, doors: &Doors) -> Result<(Started, String), Errno> {
        let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        File::from(ours).write_all(reads.as_bytes()).unwrap();
        let (said, stdout) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        let stderr = File::open("/dev/null").unwrap();
        let stdio = [theirs.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let started = Start { program, arg0: program, stdio, doors }.start()?;
        drop(stdout);
        let mut text = String::new();
        File::from(said).read_to_string(&mut text).unwrap();
        sys::wait(started.pid).unwrap();
        Ok((started, text))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::testing::{program, sh};
    use super::*;

    #[test]
    fn it_has_a_process_group_of_its_own_and_no_environment() {
        let script = "read -r pid name state parent group rest < /proc/self/stat\n\
            echo $$ $group; tr '\\0' '\\n' < /proc/$$/environ\n";
        let (started, said) = sh(script, &Doors::default()).unwrap();
        let pid = started.pid.as_raw_nonzero();
        assert!(started.in_group);
        assert_eq!(said, format!("{pid} {pid}\n"));
    }

    #[test]
    fn where_nobody_can_be_born_it_starts_all_the_same_and_that_is_told() {
        let doors = Doors { unified: Some(File::open("/tmp").unwrap().into()), tasks: vec![] };
        let (started, said) = sh("echo here", &doors).unwrap();
        assert_eq!((started.in_group, said.as_str()), (false, "here\n"));
    }

    #[test]
    fn whoever_cannot_enter_its_group_does_not_start() {
        let doors = Doors { unified: None, tasks: vec![File::open("/dev/null").unwrap().into()] };
        assert_eq!(sh("echo here", &doors).unwrap_err(), Errno::BADF);
    }

    #[test]
    fn a_program_that_cannot_be_started_is_told_with_its_reason() {
        let start = |path| program(path, "", &Doors::default()).unwrap_err();
        assert_eq!((start(c"/no/such"), start(c"/etc/passwd")), (Errno::NOENT, Errno::ACCESS));
    }
}
