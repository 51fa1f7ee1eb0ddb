//! How plans run.

use std::path::Path;

use host::{Fake, Host as _};
use insta::assert_snapshot;
use outcome::Failure;
use plan::{Checked, apply, restore};

use crate::sample;

fn checked() -> Checked {
    sample().checked(&[], Path::new("/")).expect("there are no rules")
}

fn machine(says: &str) -> Fake {
    Fake::new().answer("/usr/sbin/server", 0, says).answer("systemctl", 0, "")
}

fn applied(fake: &Fake) -> String {
    match apply(fake, &checked(), |_| Ok(())) {
        Ok(()) => fake.transcript(),
        Err(broken) => format!("{}{broken}", fake.transcript()),
    }
}

#[test]
fn steps_run_in_order() {
    assert_snapshot!(applied(&machine("user root\nlisten 10.0.0.2\nlisten 10.0.0.1\nlisten 10.0.0.1\n")), @"
    write /etc/server.conf 644 (4 bytes)
    run /usr/sbin/server --check
    run systemctl restart server.service
    ");
}

#[test]
fn the_first_step_that_fails_is_the_last() {
    assert_snapshot!(applied(&machine("listen 10.0.0.1\nlisten 0.0.0.0\n")), @"
    write /etc/server.conf 644 (4 bytes)
    run /usr/sbin/server --check
    step `valid`: `/usr/sbin/server --check`: it says `listen 0.0.0.0`, `listen 10.0.0.1` and has to say `listen 10.0.0.1`, `listen 10.0.0.2`
    ");
    assert_snapshot!(applied(&machine("")), @"
    write /etc/server.conf 644 (4 bytes)
    run /usr/sbin/server --check
    step `valid`: `/usr/sbin/server --check`: it says nothing and has to say `listen 10.0.0.1`, `listen 10.0.0.2`
    ");
    assert_snapshot!(applied(&Fake::new().answer("/usr/sbin/server", 3, "no such option")), @"
    write /etc/server.conf 644 (4 bytes)
    run /usr/sbin/server --check
    step `valid`: `/usr/sbin/server --check`: exit 3: no such option
    ");
    assert_snapshot!(applied(&Fake::new()), @"
    write /etc/server.conf 644 (4 bytes)
    run /usr/sbin/server --check
    step `valid`: the fake host does not know `/usr/sbin/server --check`
    ");
}

#[test]
fn a_step_can_be_refused_before_it_is_begun() {
    let fake = machine("");
    let refused = apply(&fake, &checked(), |step| match step.name.as_str() {
        "config" => Ok(()),
        _ => Err(Failure::busy("taken", "somebody else is at it", "wait")),
    });
    assert_snapshot!(refused.unwrap_err(), @"step `valid`: somebody else is at it");
    assert_snapshot!(fake.transcript(), @"write /etc/server.conf 644 (4 bytes)");
}

#[test]
fn a_rollback_goes_on_past_what_fails() {
    let fake = Fake::new().file("/etc/server.conf", "a\nb\n", 0o644, 0).answer("systemctl", 1, "no such unit");
    let mut steps = sample().rollback;
    steps.reverse();
    let mut names = Vec::new();
    let broken = restore(&fake, &steps, |step| names.push(step.name.clone())).unwrap_err();
    assert_eq!(names, ["restart", "config"]);
    assert_snapshot!(broken[0], @"step `restart`: `systemctl restart server.service`: exit 1: no such unit");
    assert_eq!(broken.len(), 1);
    assert_eq!(fake.read(Path::new("/etc/server.conf")).unwrap(), None);
}
