use insta::assert_snapshot;

use crate::scene::{Scene, TAILNET};

#[test]
fn sshd_is_locked_down_and_confirmed_over_the_tailnet() {
    let scene = Scene::new();
    assert!(scene.wan_gets_in() && scene.tailnet_gets_in());
    assert_snapshot!(scene.run(&["status"]).done(), @"
    open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22
    next: sudo sshd-fix plan
    ");
    assert_snapshot!(scene.run(&["plan"]).done(), @"
    you are here on this machine, through no connection
    1. runtime-dir: sshd checks nothing without it
         run install -d -m 0755 /run/sshd
    2. candidate-clear: of an earlier run
         run rm -rf /var/lib/sshd-fix/candidate
    3. candidate: to be judged before it is in use
         write /var/lib/sshd-fix/candidate/etc/ssh/sshd_config 0600, 122 lines of sha256 d08cdc4a4fc9f51e86d58698ef220e19f193a6e72937e6c223fc268190611d6a
    4. candidate: to be judged before it is in use
         write /var/lib/sshd-fix/candidate/etc/ssh/sshd_config.d/99-tailscale-only.conf 0600
         | # Written by sshd-fix: sshd listens on the tailnet alone.
         | AddressFamily inet
         | ListenAddress 100.64.0.1
    5. candidate-valid: a configuration that does not hold would leave no listener
         run /usr/sbin/sshd -t -f /var/lib/sshd-fix/candidate/etc/ssh/sshd_config -D
    6. candidate-listens: whatever else the files say must not bind sshd elsewhere
         run /usr/sbin/sshd -T -f /var/lib/sshd-fix/candidate/etc/ssh/sshd_config -D
         must say `listenaddress 100.64.0.1:22`
    7. state-dir: what puts back is kept here
         run install -d -m 0700 /var/lib/sshd-fix
    8. program: the one that runs may be gone by then
         run install -m 0755 /opt/ai-ops-runner/bin/sshd-fix /var/lib/sshd-fix/sshd-fix
    9. arm-boot: a reboot puts back
         write /etc/systemd/system/sshd-fix-boot.service 0644
         | [Unit]
         | Description=Put back the files of sshd: a change of sshd-fix was not confirmed
         | ConditionPathExists=/var/lib/sshd-fix/pending
         | DefaultDependencies=no
         | RequiresMountsFor=/var/lib/sshd-fix /etc
         | After=local-fs.target
         | Before=ssh.service ssh.socket shutdown.target
         | Conflicts=shutdown.target
         | 
         | [Service]
         | Type=oneshot
         | ExecStart=/var/lib/sshd-fix/sshd-fix boot
         | TimeoutStartSec=2min
         | 
         | [Install]
         | WantedBy=multi-user.target
    10. arm-revert: and looks whether it is
         write /etc/systemd/system/sshd-fix-revert.service 0644
         | [Unit]
         | Description=Put back sshd: a change of sshd-fix was not confirmed
         | ConditionPathExists=/var/lib/sshd-fix/pending
         | After=sshd-fix-boot.service ssh.service ssh.socket
         | StartLimitIntervalSec=0
         | 
         | [Service]
         | Type=oneshot
         | ExecStart=/var/lib/sshd-fix/sshd-fix revert
         | Restart=on-failure
         | RestartSec=10s
         | TimeoutStartSec=15min
    11. arm-timer: as does the time that passes
         write /etc/systemd/system/sshd-fix-revert.timer 0644
         | [Unit]
         | Description=Put back sshd unless the change of sshd-fix is confirmed
         | ConditionPathExists=/var/lib/sshd-fix/pending
         | 
         | [Timer]
         | OnActiveSec=600s
         | AccuracySec=1s
         | Unit=sshd-fix-revert.service
         | 
         | [Install]
         | WantedBy=timers.target
    12. arm-read: so that systemd knows them
         run systemctl daemon-reload
    13. arm-enable: also after a reboot
         run systemctl enable sshd-fix-boot.service sshd-fix-revert.timer
    14. arm-sync: and after a power cut
         run sync
    15. pending: what was there before; from here on it comes back
         write /var/lib/sshd-fix/pending 0600, 94 lines of sha256 2a3d34cceebdbd382fbb25910847b447eaaf8e199c7bea1b98b46f465b14a2d5
    16. arm-start: the time begins
         run systemctl start sshd-fix-revert.timer
    17. armed: nothing is changed while nothing would put it back
         run systemctl is-active sshd-fix-revert.timer
    18. drop-in-dir: where it is read from
         run install -d -m 0755 /etc/ssh/sshd_config.d
    19. drop-in: sshd listens on the tailnet alone
         write /etc/ssh/sshd_config.d/99-tailscale-only.conf 0644
         | # Written by sshd-fix: sshd listens on the tailnet alone.
         | AddressFamily inet
         | ListenAddress 100.64.0.1
    20. unit-drop-in-dir: where it is read from
         run install -d -m 0755 /etc/systemd/system/ssh.service.d
    21. unit-drop-in: at a boot the address comes up after sshd, which would give up for good
         write /etc/systemd/system/ssh.service.d/99-tailscale-only.conf 0644
         | # Written by sshd-fix: the address of the tailnet comes up after sshd would start.
         | [Unit]
         | After=tailscaled.service
         | Wants=tailscaled.service
         | StartLimitIntervalSec=0
         | 
         | [Service]
         | RestartPreventExitStatus=
         | Restart=always
         | RestartSec=1s
    22. read: so that systemd knows it
         run systemctl daemon-reload
    23. valid: the same again, of what is in use from here on
         run /usr/sbin/sshd -t -D
    24. listens: before anything that listens is stopped
         run /usr/sbin/sshd -T -D
         must say `listenaddress 100.64.0.1:22`
    25. socket-disable: a socket of systemd listens wherever it says itself, whatever sshd is told
         run systemctl disable --now ssh.socket
    26. socket-mask: an upgrade must not bring it back
         run systemctl mask ssh.socket
    27. restart: connections that are there stay
         run systemctl restart ssh.service
    rollback:
    r1. drop-in-back: as it was
         remove /etc/ssh/sshd_config.d/99-tailscale-only.conf
    r2. unit-drop-in-back: as it was
         remove /etc/systemd/system/ssh.service.d/99-tailscale-only.conf
    r3. socket-unmask: as it was
         run systemctl unmask ssh.socket
    r4. read-back: so that systemd knows it
         run systemctl daemon-reload
    r5. failures-forget: as it was
         run systemctl reset-failed ssh.service
    r6. service-restart: as it was
         run systemctl restart ssh.service
    r7. disarm: from here on nothing comes back
         remove /var/lib/sshd-fix/pending
    r8. disarm-stop: it is not needed any more
         run systemctl stop sshd-fix-revert.timer
    r9. disarm-disable: it is not needed any more
         run systemctl disable sshd-fix-boot.service sshd-fix-revert.timer
    r10. disarm-timer: it is not needed any more
         remove /etc/systemd/system/sshd-fix-revert.timer
    r11. disarm-revert: it is not needed any more
         remove /etc/systemd/system/sshd-fix-revert.service
    r12. disarm-boot: it is not needed any more
         remove /etc/systemd/system/sshd-fix-boot.service
    r13. disarm-program: it is not needed any more
         run rm -rf /var/lib/sshd-fix/sshd-fix /var/lib/sshd-fix/candidate
    r14. disarm-read: so that systemd forgets them
         run systemctl daemon-reload
    plan sha256: d7c24083f4870e3ebc3c5265f26f4da8b8a6a9287c4325acfc844e444835c0b7
    ");
    assert_snapshot!(scene.run(&["apply", "--no-wait"]).done(), @"
    pending: sshd listens at 100.64.0.1:22; in 600 s it listens again at 0.0.0.0:22, [::]:22
    next: log in anew over the tailnet and run: sudo sshd-fix confirm
    ");
    assert!(!scene.wan_gets_in());
    assert_snapshot!(scene.run(&["confirm"]).failed(1), @"
    no-connection: this does not show that the new way in works: you are on this machine and came through no connection (tmux and screen hide it)
    next: from another machine of the tailnet log in anew by SSH, and run there: sudo sshd-fix confirm
    ");
    let confirmed = scene.ssh(scene.machine.tailnet(), TAILNET, "sshd-fix confirm");
    assert_snapshot!(confirmed.done(), @"confirmed: sshd listens at 100.64.0.1:22 and nowhere else");
    assert_snapshot!(scene.run(&["status"]).done(), @"locked-down: sshd listens at 100.64.0.1:22 and nowhere else");
    let before = scene.machine.sh("systemctl show --property=MainPID ssh.service").unwrap();
    assert_snapshot!(scene.run(&["apply"]).done(), @"sshd listens at 100.64.0.1:22 and nowhere else: there is nothing to do");
    assert_eq!(scene.machine.sh("systemctl show --property=MainPID ssh.service").unwrap(), before);
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
}
