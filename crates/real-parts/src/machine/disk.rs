//! What a machine writes to: a layer in memory over a tree. It outlasts boots and ends with the process that holds it.
//!
//! **Invariant:** its mounts are in a namespace of their own; this machine's are as they were.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use super::files::Files;
use crate::broken::{Broken, Trying as _};
use crate::namespace::{Held, path};
use crate::rights;
use crate::target::target_dir;
use crate::tree::Tree;

pub(crate) struct Disk {
    mounts: Held,
    files: Files,
    memory: OwnedFd,
    volumes: &'static [&'static str],
}

impl Disk {
    /// # Errors
    /// When this process may not mount, or the kernel has no overlay.
    pub(crate) fn over(tree: &Tree) -> Result<Self, Broken> {
        fs::create_dir_all(base()).trying(base().display())?;
        let (mounts, (files, memory)) = Held::by("mnt", || lay(tree))?;
        Ok(Self { mounts, files, memory, volumes: tree.volumes() })
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// The namespace in which it is at [`root`].
    pub(crate) fn mounts(&self) -> &Held {
        &self.mounts
    }

    /// A file beside the machine's own.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        Path::new(&path(&self.memory)).join(name)
    }

    /// Mounts for one boot, in a namespace of their own: what `furnish` does with the root directory comes to the
    /// disk's. Returns what that returned too.
    ///
    /// # Errors
    /// What `furnish` failed with.
    pub(crate) fn booting<T: Send>(
        &self,
        furnish: impl FnOnce(&Path) -> Result<T, Broken> + Send,
    ) -> Result<(Held, T), Broken> {
        Held::by("mnt", || {
            unshare(CloneFlags::CLONE_FS).trying("leave the test's directory")?;
            setns(&self.mounts, CloneFlags::CLONE_NEWNS).trying("enter the disk")?;
            unshare(CloneFlags::CLONE_NEWNS).trying("copy the mounts of the disk")?;
            for (number, volume) in self.volumes.iter().enumerate() {
                let at = root().join(volume.trim_start_matches('/'));
                mount_bind(base().join(format!("volume{number}")), &at).trying(at.display())?;
            }
            furnish(&root())
        })
    }
}

/// Where its memory is mounted, in its namespaces alone.
fn base() -> PathBuf {
    target_dir().join("real-parts/disk")
}

/// Where the machine's root directory is, in its namespaces alone.
pub(crate) fn root() -> PathBuf {
    base().join("root")
}

fn lay(tree: &Tree) -> Result<(Files, OwnedFd), Broken> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(refused)?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).trying("part the mounts")?;
    mount("real-parts", base(), "tmpfs", MountFlags::empty(), c"mode=0700").trying("mount memory")?;
    for name in ["upper", "work", "root"] {
        fs::create_dir(base().join(name)).trying(name)?;
    }
    // It is the machine's root directory, which is for everybody.
    fs::set_permissions(base().join("upper"), Permissions::from_mode(0o755)).trying("upper")?;
    for (number, volume) in tree.volumes().iter().enumerate() {
        fs::create_dir(base().join(format!("volume{number}"))).trying(volume)?;
    }
    mount("real-parts", root(), "overlay", MountFlags::empty(), &*layers(tree)?).trying("lay an overlay")?;
    let memory = openat(CWD, base(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    Ok((Files::below(&root())?, memory.trying("hold the memory")?))
}

fn refused(error: Errno) -> Broken {
    rights::lacking("machine", &error.to_string(), "it takes namespaces for mounts in the kernel")
}

/// As the option of a mount has it, in which some characters part.
fn layers(tree: &Tree) -> Result<CString, Broken> {
    let escaped = |path: &Path| -> Vec<u8> {
        let escape = |&byte: &u8| if b",:\\".contains(&byte) { vec![b'\\', byte] } else { vec![byte] };
        path.as_os_str().as_bytes().iter().flat_map(escape).collect()
    };
    let [lower, upper, work] = [tree.path(), &base().join("upper"), &base().join("work")].map(escaped);
    let options = [b"lowerdir=", &lower[..], b",upperdir=", &upper, b",workdir=", &work].concat();
    CString::new(options).trying("name the layers")
}
