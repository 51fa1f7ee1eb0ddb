//! Who runs a server, and what it is kept apart from: PostgreSQL refuses to run as root, and no other needs to.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

use crate::broken::{Broken, Trying as _};
use crate::network::Host;
use crate::place::Place;

/// The user that Debian's package of PostgreSQL makes. Not `nobody`: jobs of tests run as that one.
const OTHER: &str = "postgres";

const SETPRIV: &str = "setpriv";

/// Holds the program open, which may itself be below the old `/tmp`.
const ALONE: &str = "exec 3<\"$1\"; shift; ip link set lo up; mount --bind . /tmp; cd /tmp; exec \"$@\"";
const HELD: &str = "/proc/self/fd/3";

/// The user of the tests where that is an ordinary one, else another.
pub(crate) struct Account {
    other: Option<User>,
}

impl Account {
    /// # Errors
    /// When the tests run as root and there is nobody else to be.
    pub(crate) fn find() -> Result<Self, Broken> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let other = User::from_name(OTHER).trying("look for the user postgres")?;
        let missing = || Broken::new("no server runs as root, and there is no user postgres: cargo xtask setup");
        other.map(|user| Self { other: Some(user) }).ok_or_else(missing)
    }

    pub(crate) fn uid(&self) -> u32 {
        self.other.as_ref().map_or(geteuid(), |user| user.uid).as_raw()
    }

    /// A new directory for this user alone, and for root: below `base`, or where there is room.
    ///
    /// # Errors
    /// When there is no room for files.
    pub(crate) fn place(&self, base: Option<&Path>) -> Result<Place, Broken> {
        let place = base.map_or_else(Place::new, Place::below)?;
        if let Some(user) = &self.other {
            chown(place.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).trying("give the directory away")?;
        }
        Ok(place)
    }

    /// A program run by this user, with `dir` as its work directory and none of the environment but `PATH`.
    pub(crate) fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = clean(Command::new(SETPRIV), dir);
        command.args(self.becoming()).arg(program);
        command
    }

    /// The same in namespaces of its own for process ids and IPC, and for killing: its first process dies with its
    /// parent, which dies with whoever started it. On a host of a test if there is one.
    pub(crate) fn contained(&self, host: Option<&Host>, program: &Path, dir: &Path) -> Command {
        let setpriv = host.map_or_else(|| Command::new(SETPRIV), |host| host.command(SETPRIV));
        let mut command = self.unshared(clean(setpriv, dir), &[], "--map-current-user");
        self.first(&mut command, program);
        command
    }

    /// The same also without a network but loopback, and with `dir` as its work directory and all there is in `/tmp`.
    pub(crate) fn alone(&self, program: &Path, dir: &Path) -> Command {
        let mut command = self.unshared(clean(Command::new(SETPRIV), dir), &["--net", "--mount"], "--map-root-user");
        command.args(["sh", "-ec", ALONE, "sh"]).arg(program);
        self.first(&mut command, Path::new(HELD));
        command
    }

    /// An ordinary user needs a namespace of users for the others, with `map`.
    fn unshared(&self, mut command: Command, more: &[&str], map: &str) -> Command {
        command.args(["--pdeathsig=KILL", "unshare", "--pid", "--ipc", "--fork", "--kill-child=KILL"]).args(more);
        if self.other.is_none() {
            command.args(["--user", map]);
        }
        command
    }

    /// A change of user forgets what a process wants to die with.
    fn first(&self, command: &mut Command, program: &Path) {
        command.arg(SETPRIV).args(self.becoming()).arg("--pdeathsig=KILL").arg(program);
    }

    fn becoming(&self) -> Vec<String> {
        let Some(user) = &self.other else { return Vec::new() };
        vec![format!("--reuid={}", user.uid), format!("--regid={}", user.gid), "--clear-groups".into()]
    }
}

fn clean(mut command: Command, dir: &Path) -> Command {
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}
