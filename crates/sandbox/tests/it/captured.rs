//! Trees that a job may change.

use sandbox::{End, TreeMode};

use crate::fixture::{Fixture, contents};

fn changed(script: &str) -> String {
    let mut fixture = Fixture::new();
    std::os::unix::fs::symlink("file", fixture.tree().join("soft")).unwrap();
    fixture.spec.tree.mode = TreeMode::Capture;
    let before = contents(fixture.tree());
    let ran = fixture.sh(script);
    assert_eq!(ran.report.end, End::Exited(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(contents(fixture.tree()), before, "the tree itself stays");
    assert!(ran.report.evidence.overlay && !ran.report.changed_cut);
    let told = ran.report.changed.iter().map(|change| format!("{} {:?}\n", change.path.display(), change.kind));
    told.collect()
}

#[test]
fn every_change_is_listed() {
    let script = "set -e; echo more >> file; rm sub/other; mkdir -p new/dir; echo x > new/dir/x; echo y > sub/y";
    assert_eq!(
        changed(script),
        "file Modified\nnew Added\nnew/dir Added\nnew/dir/x Added\nsub/other Removed\nsub/y Added\n"
    );
}

#[test]
fn a_directory_made_anew_hides_what_was_there() {
    assert_eq!(changed("set -e; rm -r sub; mkdir sub; echo other > sub/other"), "sub/third Removed\n");
    assert_eq!(changed("rm -r sub"), "sub Removed\n");
    assert_eq!(changed("rm -r sub; echo x > sub"), "sub Modified\n");
    assert_eq!(changed("rm file; mkdir file; echo x > file/x"), "file Modified\nfile/x Added\n");
}

#[test]
fn a_change_undone_is_none() {
    assert_eq!(changed("cp file /tmp/f; echo x > file; cat /tmp/f > file; touch sub/other"), "");
    assert_eq!(changed("rm soft; ln -s file soft"), "");
    assert_eq!(changed("ln -sf sub soft"), "soft Modified\n");
    assert_eq!(changed("chmod 700 file"), "file Modified\n");
}

#[test]
fn a_link_in_the_layer_is_not_followed() {
    assert_eq!(changed("ln -s / sub/all; ln -s /etc/passwd p"), "p Added\nsub/all Added\n");
}

#[test]
fn directories_without_end_are_cut_short() {
    let mut fixture = Fixture::new();
    fixture.spec.tree.mode = TreeMode::Capture;
    fixture.spec.limits.tmp_files = 10_000;
    let ran = fixture.sh("i=0; while [ $i -lt 1500 ]; do mkdir d && cd -P d || exit 1; i=$((i+1)); done");
    assert_eq!(ran.report.end, End::Exited(0), "{}", ran.stderr);
    assert!(ran.report.changed_cut && ran.report.changed.len() > 100);
}

#[test]
fn what_nobody_may_read_is_listed_all_the_same() {
    let script = "set -e; mkdir -p new/below; echo x > new/below/x; chmod 000 new/below new; chmod 000 sub file";
    assert_eq!(changed(script), "file Modified\nnew Added\nnew/below Added\nnew/below/x Added\nsub Modified\n");
}

#[test]
fn a_job_cannot_say_that_a_directory_hides_what_it_covers() {
    let script = r#"python3 -c 'import os
for name in ["opaque", "whiteout", "redirect", "metacopy"]:
    for space in ["user.overlay.", "user.overlay.overlay.", "trusted.overlay."]:
        for path in ["sub", "sub/other"]:
            try: os.setxattr(path, space + name, b"y")
            except OSError: pass'"#;
    assert_eq!(changed(script), "");
}
