//! Attacks on the tree.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use sandbox::End;

use crate::fixture::{Fixture, contents};

#[test]
fn j11_nothing_in_the_tree_can_be_changed() {
    let mut fixture = Fixture::new();
    // What refuses is the mount, not the permission bits.
    for path in [".", "sub", "file", "sub/other"] {
        fs::set_permissions(fixture.tree().join(path), Permissions::from_mode(0o777)).unwrap();
    }
    let before = contents(fixture.tree());
    let said = fixture.python(
        r#"
t("create", lambda: open("new", "w"))
t("write", lambda: open("file", "r+"))
t("append", lambda: open("file", "a"))
t("truncate", lambda: os.truncate("file", 0))
t("unlink", lambda: os.unlink("file"))
t("rename", lambda: os.rename("file", "other"))
t("link", lambda: os.link("file", "hard"))
t("link out", lambda: os.link("file", "/tmp/hard"))
t("symlink", lambda: os.symlink("file", "soft"))
t("mkdir", lambda: os.mkdir("dir"))
t("rmdir", lambda: os.rmdir("sub"))
t("fifo", lambda: os.mkfifo("fifo"))
t("chmod", lambda: os.chmod("file", 0o777))
t("chown", lambda: os.chown("file", os.getuid(), -1))
t("utimes", lambda: os.utime("file", (1, 1)))
t("xattr", lambda: os.setxattr("file", "user.x", b"x"))
t("tmpfile", lambda: os.open(".", os.O_TMPFILE | os.O_RDWR))
fd = os.open("file", os.O_RDONLY)
t("fchmod", lambda: os.fchmod(fd, 0o777))
t("futimes", lambda: os.utime(fd, (1, 1)))
t("by fd", lambda: open(f"/proc/self/fd/{fd}", "r+"))
t("by cwd", lambda: open("/proc/self/cwd/file", "r+"))
t("by root", lambda: open("/proc/1/root/repo/file", "r+"))
t("by own root", lambda: open("/proc/self/root/repo/file", "r+"))
import mmap
t("mmap", lambda: mmap.mmap(fd, 8, mmap.MAP_SHARED, mmap.PROT_WRITE))
m = libc.mmap
m.restype = ctypes.c_void_p
at = m(None, 8, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
def protect():
    if libc.mprotect(ctypes.c_void_p(at), 8, mmap.PROT_READ | mmap.PROT_WRITE) < 0:
        raise OSError(ctypes.get_errno(), "")
t("mprotect", protect)
print(open("file").read(), end="")
"#,
    );
    assert_eq!(
        said,
        "create EROFS\nwrite EROFS\nappend EROFS\ntruncate EROFS\nunlink EROFS\nrename EROFS\nlink EROFS\n\
         link out EXDEV\nsymlink EROFS\nmkdir EROFS\nrmdir EROFS\nfifo EROFS\nchmod EROFS\nchown EROFS\nutimes EROFS\n\
         xattr EROFS\ntmpfile EROFS\nfchmod EROFS\nfutimes EROFS\nby fd EROFS\nby cwd EROFS\nby root EACCES\n\
         by own root EROFS\nmmap EACCES\nmprotect EACCES\ncontent\n"
    );
    assert_eq!(contents(fixture.tree()), before);
}

#[test]
fn j11_the_tree_cannot_be_mounted_anew() {
    let said = Fixture::new().python(
        r#"
MS_REMOUNT, MS_BIND, MS_PRIVATE = 32, 4096, 1 << 18
t("remount", lambda: sys(165, b"none", b"/repo", b"none", MS_REMOUNT | MS_BIND, 0))
t("bind", lambda: sys(165, b"/repo", b"/tmp", b"none", MS_BIND, 0))
t("tmpfs", lambda: sys(165, b"x", b"/tmp", b"tmpfs", 0, 0))
t("umount", lambda: sys(166, b"/repo", 2))
t("pivot_root", lambda: sys(155, b"/tmp", b"/tmp"))
t("chroot", lambda: sys(161, b"/tmp"))
t("open_tree", lambda: sys(428, -100, b"/repo", 1))
t("move_mount", lambda: sys(429, -100, b"/repo", -100, b"/tmp", 0))
t("fsopen", lambda: sys(430, b"tmpfs", 0))
t("fsconfig", lambda: sys(431, 0, 0, 0, 0, 0))
t("fsmount", lambda: sys(432, 0, 0, 0))
t("fspick", lambda: sys(433, -100, b"/repo", 0))
t("mount_setattr", lambda: sys(442, -100, b"/repo", 0, b"\0" * 32, 32))
t("open_tree_attr", lambda: sys(467, -100, b"/repo", 1, b"\0" * 32, 32))
t("name_to_handle_at", lambda: sys(303, -100, b"/repo", b"\0" * 32, b"\0" * 8, 0))
t("open_by_handle_at", lambda: sys(304, -100, b"\0" * 32, 0))
"#,
    );
    assert!(said.lines().count() == 16 && said.lines().all(|line| line.ends_with(" EPERM")), "{said}");
}

#[test]
fn a_lock_on_a_file_of_the_tree_holds_up_no_other_job() {
    let mut fixture = Fixture::new();
    let held = File::open(fixture.tree().join("file")).unwrap();
    held.lock().unwrap();
    let ran = fixture.sh("cat file && echo out > /artifacts/out");
    assert_eq!((ran.report.end, ran.stdout.as_str()), (End::Exited(0), "content\n"));
}

#[test]
fn a_symlink_in_place_of_the_tree_is_not_followed() {
    let mut fixture = Fixture::new();
    let link = fixture.dir.path().join("link");
    std::os::unix::fs::symlink(fixture.tree(), &link).unwrap();
    fixture.spec.tree.path = link;
    let error = fixture.try_run(["true"]).map(drop).unwrap_err().to_string();
    assert!(error.contains("bind the tree"), "{error}");
}
