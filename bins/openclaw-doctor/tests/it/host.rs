use insta::assert_snapshot;

use crate::scene::Scene;

#[test]
fn a_host_as_it_is_delivered_fails_for_its_public_sshd_alone() {
    let scene = Scene::new();
    assert_snapshot!(scene.run(&[]).told(), @"
    exit 1
    PASS: tailscale: Running at 100.64.0.1, fd7a:115c:a1e0::1; the host's key does not end
    PASS: serve: vps.tail.ts.net:443/ leads to http://127.0.0.1:8000
    FAIL: sshd: open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22
          next: sudo sshd-fix plan
    PASS: firewall: UFW is active, also after a boot: deny (incoming)
    PASS: published-ports: there is no Docker on this host
    PASS: compose: no compose stack here: /opt/ai-ops-runner has no compose file
    FAIL: healthz: http://127.0.0.1:8000: tcp connect error: Connection refused (os error 111)
          next: start it: runner-api --with-worker
    FAIL: readyz: http://127.0.0.1:8000: tcp connect error: Connection refused (os error 111)
          next: start it: runner-api --with-worker
    PASS: disk: /: 1 % used, 11 GiB free
    PASS: inodes: /: 1 % used, 3091402 free
    PASS: failed-units: no unit has failed
    WARN: clock: the clock is not synchronized, nothing keeps it right
          next: run: timedatectl set-ntp true, and see: timedatectl
    === Doctor Summary: 8/12 passed ===
    ");
}
