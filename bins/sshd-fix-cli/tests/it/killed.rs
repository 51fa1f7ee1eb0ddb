//! The program is killed at every step it announces, and the machine is started anew.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::scene::{PROGRAM, Scene, TAILNET};

/// Kills the program when it has announced that many steps. Returns whether it came so far.
fn killed_at(command: &mut Command, step: usize) -> bool {
    let mut program = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let announced = BufReader::new(program.stderr.take().unwrap()).lines().take(step).filter_map(Result::ok).count();
    let came = announced == step;
    if came {
        program.kill().unwrap();
    }
    program.wait().unwrap();
    came
}

/// What is left of the program's own units acts on nothing: the next run takes it away. Whether the service of a socket
/// runs depends on who came by.
fn state(scene: &Scene) -> String {
    let state = scene.state();
    let lines = state.lines().filter(|line| !line.contains("sshd-fix-"));
    let line = |line: &str| match line.strip_prefix("ssh.service ") {
        Some(states) => format!("ssh.service {}\n", states.split(' ').next().unwrap()),
        None => format!("{line}\n"),
    };
    lines.map(line).collect()
}

/// One way in works, the old one or the new one; which, and that everything else fits to it.
fn check(scene: &Scene, before: &str, after: &str, step: usize) {
    scene.wait();
    let state = state(scene);
    assert!(state == before || state == after, "killed at step {step}:\n{state}\n{}", scene.machine.journal());
    assert!(scene.tailnet_gets_in(), "killed at step {step}");
    assert_eq!(scene.wan_gets_in(), state == before, "killed at step {step}");
}

/// The same for every so many steps of `apply`, each on what the one before left. Every effect fails on the machine that
/// is made up; here it is seen that the real one is no different.
fn applied(mut scene: Scene, from: usize, stride: usize) {
    let before = state(&scene);
    for step in (from..).step_by(stride) {
        let came = killed_at(scene.machine.command(PROGRAM).args(["apply", "--no-wait"]), step);
        scene.machine.power_cut().unwrap();
        check(&scene, &before, &before, step);
        if !came {
            assert!(step > 20, "only {step} steps");
            return;
        }
    }
}

#[test]
fn a_write_that_was_cut_off_leaves_nothing() {
    let scene = Scene::new();
    let before = scene.state();
    scene.run(&["apply", "--no-wait"]).done();
    let strays =
        ["/etc/ssh/sshd_config.d/99-tailscale-only.conf", "/etc/systemd/system/ssh.service.d/99-tailscale-only.conf"];
    for stray in strays {
        scene.machine.write(&format!("{stray}.new-12-0a1b2c3d"), "cut").unwrap();
    }
    scene.machine.write("/etc/systemd/system/sshd-fix-boot.service.new-12-0a1b2c3d", "cut").unwrap();
    scene.run(&["rollback"]).done();
    assert_eq!(scene.state(), before);
}

#[test]
fn v01_killed_at_any_odd_step_of_apply() {
    applied(Scene::new(), 1, 2);
}

#[test]
fn v01_killed_at_any_even_step_of_apply() {
    applied(Scene::new(), 2, 2);
}

#[test]
fn v01_killed_at_steps_of_apply_to_a_socket() {
    applied(Scene::by_socket(), 1, 3);
}

/// At whatever step it was killed: who begins again at once is told to confirm or to put back, and can.
#[test]
fn v01_killed_and_begun_again_without_a_boot() {
    let scene = Scene::by_socket();
    let before = state(&scene);
    for step in (15..).step_by(3) {
        let came = killed_at(scene.machine.command(PROGRAM).args(["apply", "--no-wait"]), step);
        if scene.machine.exists("/var/lib/sshd-fix/pending") {
            assert!(scene.run(&["apply"]).failed(1).starts_with("pending: "), "killed at step {step}");
            scene.run(&["rollback"]).done();
        }
        assert_eq!(state(&scene), before, "killed at step {step}");
        if !came {
            return;
        }
    }
}

#[test]
fn v01_killed_at_steps_of_taking_back_what_was_confirmed() {
    let mut scene = Scene::by_socket();
    let before = state(&scene);
    scene.lock_down();
    let after = state(&scene);
    for step in (1..).step_by(3) {
        let came = killed_at(scene.machine.command(PROGRAM).arg("rollback"), step);
        scene.machine.power_cut().unwrap();
        check(&scene, &before, &after, step);
        if !came {
            assert!(step > 15, "only {step} steps");
            return;
        }
        if state(&scene) == before {
            scene.lock_down();
        }
    }
}

#[test]
fn v01_killed_at_steps_of_rollback() {
    let mut scene = Scene::new();
    let before = state(&scene);
    for step in (1..).step_by(2) {
        scene.run(&["apply", "--no-wait"]).done();
        let came = killed_at(scene.machine.command(PROGRAM).arg("rollback"), step);
        scene.machine.power_cut().unwrap();
        check(&scene, &before, &before, step);
        if !came {
            assert!(step > 10, "only {step} steps");
            return;
        }
    }
}

#[test]
fn v01_killed_at_any_step_of_confirm() {
    let mut scene = Scene::new();
    let (clean, before) = (scene.state(), state(&scene));
    scene.lock_down();
    let after = state(&scene);
    scene.run(&["rollback"]).done();
    for step in 1.. {
        scene.run(&["apply", "--no-wait"]).done();
        let mut ssh = scene.client(scene.machine.tailnet(), TAILNET);
        let came = killed_at(ssh.arg("exec sshd-fix confirm"), step);
        scene.machine.sh("pkill -KILL -x sshd-fix || true").unwrap();
        scene.machine.power_cut().unwrap();
        check(&scene, &before, &after, step);
        if !came {
            assert!(step > 5, "only {step} steps");
            return;
        }
        if state(&scene) != before {
            scene.run(&["rollback"]).done();
        }
        assert_eq!(scene.state(), clean, "after step {step}");
    }
}
