//! Every way in which distributions start sshd.

use insta::assert_snapshot;
use real_parts::Tree;

use crate::scene::{Scene, TAILNET};

/// As Ubuntu has it since 22.10: the socket is enabled and required, its addresses come from the configuration by a
/// generator at every `daemon-reload`, and it binds addresses that are not there yet.
const UBUNTU_SOCKET: &str = "[Unit]
Description=OpenBSD Secure Shell server socket
Before=sockets.target ssh.service
ConditionPathExists=!/etc/ssh/sshd_not_to_be_run

[Socket]
ListenStream=0.0.0.0:22
ListenStream=[::]:22
BindIPv6Only=ipv6-only
Accept=no
FreeBind=yes

[Install]
WantedBy=sockets.target
RequiredBy=ssh.service
";
const UBUNTU_GENERATOR: &str = "#!/bin/sh
mkdir -p \"$1/ssh.socket.d\"
addresses=$(sed -n 's/^ListenAddress *//p' /etc/ssh/sshd_config.d/*.conf 2>/dev/null)
[ -n \"$addresses\" ] || exit 0
{ echo '[Socket]'; echo 'ListenStream='; for address in $addresses; do echo \"ListenStream=$address:22\"; done; } \\
    >\"$1/ssh.socket.d/addresses.conf\"
";

/// The change works, and so does the way back.
fn works(scene: &Scene, before: &str) {
    scene.run(&["apply", "--no-wait"]).done();
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
    scene.run(&["rollback"]).done();
    assert_eq!(scene.state(), before);
    assert!(scene.wan_gets_in() && scene.tailnet_gets_in());
    scene.lock_down();
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
}

#[test]
fn v01_a_socket_of_systemd_lets_go() {
    let mut scene =
        Scene::built(|builder| builder.prepared("systemctl disable ssh.service; systemctl enable ssh.socket").unwrap());
    // Before anybody came, systemd alone listens.
    assert_snapshot!(scene.state().lines().filter(|line| line.starts_with("ssh")).collect::<Vec<_>>().join("\n"), @"
    ssh_config
    ssh_config.d
    ssh_host_ecdsa_key
    ssh_host_ecdsa_key.pub
    ssh_host_ed25519_key
    ssh_host_ed25519_key.pub
    ssh_host_rsa_key
    ssh_host_rsa_key.pub
    sshd_config
    sshd_config.d
    ssh.socket
    ssh.service disabled inactive
    sshd.service Failed to get unit file state for sshd.service: No such file or directory inactive
    ssh.socket enabled active
    ");
    let before = scene.state();
    works(&scene, &before);
    scene.machine.reboot().unwrap();
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
    assert_snapshot!(scene.run(&["apply"]).done(), @"sshd listens at 100.64.0.1:22 and nowhere else: there is nothing to do");
}

#[test]
fn v01_a_socket_that_came_to_life_comes_back_so() {
    let scene =
        Scene::built(|builder| builder.prepared("systemctl disable ssh.service; systemctl enable ssh.socket").unwrap());
    assert!(scene.wan_gets_in());
    let before = scene.state();
    works(&scene, &before);
}

#[test]
fn v01_a_socket_whose_addresses_are_generated_lets_go() {
    let mut scene = Scene::built(|builder| {
        builder
            .file("/usr/lib/systemd/system/ssh.socket", UBUNTU_SOCKET)
            .unwrap()
            .file("/usr/lib/systemd/system-generators/sshd-socket-generator", UBUNTU_GENERATOR)
            .unwrap()
            .prepared(
                "chmod 755 /usr/lib/systemd/system-generators/sshd-socket-generator
                 systemctl disable ssh.service; systemctl enable ssh.socket",
            )
            .unwrap()
    });
    let before = scene.state();
    works(&scene, &before);
    scene.machine.reboot().unwrap();
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
    scene.run(&["rollback"]).done();
    scene.machine.reboot().unwrap();
    assert!(scene.wan_gets_in());
}

/// Debian 13, where another program than sshd serves a connection.
#[test]
fn v01_debian_13_is_no_different() {
    for (by, units) in [("service", "true"), ("socket", "systemctl disable ssh.service; systemctl enable ssh.socket")] {
        let scene = Scene::on(&Tree::docker().unwrap(), |builder| builder.prepared(units).unwrap());
        assert!(scene.wan_gets_in(), "by {by}");
        let before = scene.state();
        works(&scene, &before);
    }
}

#[test]
fn a_reboot_puts_a_socket_back() {
    let mut scene =
        Scene::built(|builder| builder.prepared("systemctl disable ssh.service; systemctl enable ssh.socket").unwrap());
    scene.run(&["apply", "--no-wait"]).done();
    scene.machine.power_cut().unwrap();
    scene.wait();
    assert!(scene.wan_gets_in() && scene.tailnet_gets_in());
    assert_snapshot!(scene.machine.sh("systemctl is-enabled ssh.socket; systemctl is-active ssh.socket").unwrap(), @"
    enabled
    active
    ");
}

#[test]
fn the_unit_may_be_called_sshd() {
    let scene = Scene::built(|builder| {
        builder
            .prepared(
                "systemctl disable ssh.service; cd /usr/lib/systemd/system; rm ssh.socket
                 grep -v ^Alias= ssh.service >sshd.service; rm ssh.service /etc/init.d/ssh; systemctl enable sshd.service",
            )
            .unwrap()
    });
    let before = scene.state();
    works(&scene, &before);
}

#[test]
fn a_host_without_sshd_is_left_alone() {
    let scene = Scene::built(|builder| {
        builder
            .prepared("rm -f /etc/init.d/ssh /usr/lib/systemd/system/ssh* /etc/systemd/system/*/ssh* /etc/systemd/system/ssh*")
            .unwrap()
    });
    let before = scene.state();
    assert_snapshot!(scene.run(&["apply"]).done(), @"no sshd runs here, and none would at the next boot: there is nothing to do");
    assert_snapshot!(scene.run(&["status"]).done(), @"no-sshd: no sshd runs here, and none would at the next boot");
    assert_eq!(scene.state(), before);
}

#[test]
fn an_sshd_that_is_switched_off_is_left_alone() {
    let scene = Scene::built(|builder| builder.prepared("systemctl disable ssh.service").unwrap());
    let before = scene.state();
    assert_snapshot!(scene.run(&["apply"]).done(), @"no sshd runs here, and none would at the next boot: there is nothing to do");
    assert_eq!(scene.state(), before);
    assert_ne!(scene.ssh(scene.machine.tailnet(), TAILNET, "true").code, Some(0));
}
