//! Whether what runs on the host is well.

use cli::testing::build_beside;
use insta::assert_snapshot;

use crate::scene::{COMPOSE, PROGRAM, Ran, Scene};

#[test]
fn v05_a_host_that_is_logged_out_of_its_tailnet_fails() {
    let scene = Scene::new();
    let status = |text: &str| {
        scene.machine.write("/var/lib/tailscale-stub/status.json", text).unwrap();
        scene.only(&["tailscale"])
    };
    assert_snapshot!(status(r#"{"BackendState":"NeedsLogin","TailscaleIPs":null,"Self":{"Online":false}}"#), @"
    exit 1
    FAIL: tailscale: Tailscale is NeedsLogin and not Running
          next: run: tailscale up, and see that tailscale status says Running
    === Doctor Summary: 0/1 passed ===
    ");
    assert_snapshot!(status("Logged out.\n"), @"
    exit 1
    FAIL: tailscale: tailscale does not tell its state: exit 0: expected value at line 1 column 1
          next: run: tailscale status --json, and mend what it says
    === Doctor Summary: 0/1 passed ===
    ");
    scene.machine.remove("/usr/bin/tailscale").unwrap();
    assert_snapshot!(scene.only(&["tailscale", "serve"]), @"
    exit 1
    FAIL: tailscale: there is no tailscale on this host
          next: install it, then: tailscale up
    WARN: serve: there is no tailscale on this host
          next: install it, then: tailscale up
    === Doctor Summary: 0/2 passed ===
    ");
}

#[test]
fn v05_a_funnel_fails() {
    let scene = Scene::new();
    let serve = r#"{"Foreground":{"1":{"AllowFunnel":{"vps.tail.ts.net:443":true}}}}"#;
    scene.machine.write("/var/lib/tailscale-stub/serve.json", serve).unwrap();
    assert_snapshot!(scene.only(&["serve"]), @"
    exit 1
    FAIL: serve: the whole internet reaches vps.tail.ts.net:443 (funnel)
          next: run: tailscale funnel reset, then serve again what the tailnet needs
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn an_api_that_is_not_ready_or_not_there_fails() {
    let scene = Scene::new();
    let api = || scene.only(&["healthz", "readyz"]);
    assert_snapshot!(api(), @"
    exit 0
    PASS: healthz: http://127.0.0.1:8000
    PASS: readyz: worker: 1 worker takes jobs
    === Doctor Summary: 2/2 passed ===
    ");
    let answers = r#"{"/healthz":[200,{"ok":true}],"/readyz":[503,{"ok":false,"checks":[{"name":"worker","ok":false,"detail":"no worker is there"}]}]}"#;
    scene.machine.write("/var/lib/api-stub.json", answers).unwrap();
    assert_snapshot!(api(), @"
    exit 1
    PASS: healthz: http://127.0.0.1:8000
    FAIL: readyz: no job would be run now: worker: no worker is there
          next: mend what it names; see also: journalctl --unit runner-api
    === Doctor Summary: 1/2 passed ===
    ");
    scene.machine.write("/var/lib/api-stub.json", r#"{"/healthz":[200,"ok"],"/readyz":[200,{}]}"#).unwrap();
    assert_snapshot!(api(), @r#"
    exit 1
    FAIL: healthz: what answers at http://127.0.0.1:8000 is not the runner's API: invalid type: string "ok", expected struct Health at line 1 column 4
          next: name where it is: --api or API_BASE
    FAIL: readyz: what answers at http://127.0.0.1:8000 is not the runner's API: missing field `ok` at line 1 column 2
          next: name where it is: --api or API_BASE
    === Doctor Summary: 0/2 passed ===
    "#);
    scene.sh("systemctl stop runner-api");
    assert_snapshot!(api(), @"
    exit 1
    FAIL: healthz: http://127.0.0.1:8000: tcp connect error: Connection refused (os error 111)
          next: start it: runner-api --with-worker
    FAIL: readyz: http://127.0.0.1:8000: tcp connect error: Connection refused (os error 111)
          next: start it: runner-api --with-worker
    === Doctor Summary: 0/2 passed ===
    ");
    // Where the service has its socket, that is asked.
    scene.sh("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/var/lib/ai-ops-runner/api.sock\")'");
    assert_snapshot!(scene.only(&["healthz"]), @"
    exit 1
    FAIL: healthz: unix:/var/lib/ai-ops-runner/api.sock: Connection refused (os error 111)
          next: start it: runner-api --with-worker
    === Doctor Summary: 0/1 passed ===
    ");
}

/// As docs/service.md has it.
const SERVICE: &str = "[Service]\nType=notify\nExecStart=/usr/bin/runner-api --with-worker\nStateDirectory=ai-ops-runner\n\
    StateDirectoryMode=0700\nKillMode=mixed\nDelegate=yes\n[Install]\nWantedBy=multi-user.target\n";
const REPOS: &str = "schema = 1\n[repos.project]\nurl = \"https://example.com/project.git\"\nallowed_branches = [\"main\"]\n\
    default_branch = \"main\"\n";

#[test]
fn the_service_itself_is_asked_at_its_socket() {
    let programs = build_beside(env!("CARGO_BIN_EXE_openclaw-doctor"), &["runner-api-cli"]);
    let scene = Scene::built(|builder| {
        let builder = builder.program(&programs.join("runner-api"), "/usr/bin/runner-api").unwrap();
        let builder = builder.file("/etc/systemd/system/runner-api.service", SERVICE).unwrap();
        builder.file("/etc/ai-ops-runner/repo_allowlist.toml", REPOS).unwrap()
    });
    // It may have no worker yet.
    scene.sh(&format!("for n in $(seq 100); do ! {PROGRAM} --only readyz || break; sleep 0.1; done"));
    let said = scene.only(&["healthz", "readyz"]);
    let (before, _) = said.split_once(", disk: ").unwrap();
    assert_snapshot!(before, @"
    exit 0
    PASS: healthz: unix:/var/lib/ai-ops-runner/api.sock
    PASS: readyz: store: answers, worker: 1 worker takes jobs, policy: 1 repositories are allowed
    ");
    scene.sh("systemctl stop runner-api");
    assert_snapshot!(scene.only(&["healthz"]), @"
    exit 1
    FAIL: healthz: unix:/var/lib/ai-ops-runner/api.sock: Connection refused (os error 111)
          next: start it: runner-api --with-worker
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn a_unit_that_has_failed_is_named() {
    let scene = Scene::new();
    scene
        .sh("systemd-run --quiet --unit broken false || true; systemd-run --quiet --unit openclaw-doctor false || true
        until systemctl is-failed --quiet broken openclaw-doctor; do sleep 0.1; done");
    assert_snapshot!(scene.only(&["failed-units"]), @"
    exit 1
    FAIL: failed-units: failed: broken.service
          next: see why: systemctl status broken.service
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("systemctl reset-failed broken");
    assert_snapshot!(scene.only(&["failed-units"]), @"
    exit 0
    PASS: failed-units: no unit has failed
    === Doctor Summary: 1/1 passed ===
    ");
}

#[test]
fn a_disk_that_is_full_fails_and_so_does_one_without_inodes() {
    let scene = Scene::new();
    scene.sh("mount -t tmpfs -o size=2M,nr_inodes=20 none /var/lib/ai-ops-runner; cd /var/lib/ai-ops-runner
        for name in $(seq 19); do touch $name; done; head -c 2M /dev/zero >1 || true");
    assert_snapshot!(scene.only(&["disk", "inodes"]), @"
    exit 1
    FAIL: disk: /var/lib/ai-ops-runner: 100 % used, 0 MiB free
          next: free some: runner prune; journalctl --vacuum-size 200M; docker system prune
    FAIL: inodes: /var/lib/ai-ops-runner: 100 % used, 0 free
          next: find where they are: du --inodes --one-file-system --max-depth 3 DIR; runner prune removes those of old jobs
    === Doctor Summary: 0/2 passed ===
    ");
    scene.sh("umount /var/lib/ai-ops-runner; rmdir /var/lib/ai-ops-runner");
    assert_snapshot!(scene.only(&["disk", "inodes"]), @"
    exit 0
    PASS: disk: /
    PASS: inodes: /
    === Doctor Summary: 2/2 passed ===
    ");
}

#[test]
fn a_clock_that_is_behind_or_not_kept_right_is_told() {
    let scene = Scene::new();
    scene.script("/usr/bin/timedatectl", "printf 'NTP=yes\\nNTPSynchronized=no\\n'");
    assert_snapshot!(scene.only(&["clock"]), @"
    exit 0
    WARN: clock: the clock is not synchronized, no server of time answers
          next: run: timedatectl set-ntp true, and see: timedatectl
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh(&format!("touch --date 2100-01-02T03:04:05Z {PROGRAM}"));
    let said = scene.only(&["clock"]);
    let (_, told) = said.split_once(", and ").unwrap();
    assert_snapshot!(told, @"
    /opt/ai-ops-runner/bin/openclaw-doctor was written at 2100-01-02T03:04:05Z
          next: run: timedatectl set-ntp true, and see: timedatectl
    === Doctor Summary: 0/1 passed ===
    ");
    assert!(said.starts_with("exit 1\nFAIL: clock: the clock says 20"), "{said}");
}

#[test]
fn v05_a_container_of_the_stack_that_exited_or_is_not_there_fails() {
    let service = |name: &str, command: &str| format!("  {name}:\n    image: base\n    command: [sleep, {command}]\n");
    let stack = |services: &[String]| format!("services:\n{}", services.concat());
    let (api, once) = (service("api", "infinity"), service("once", "\"0\""));
    let scene = Scene::docker(&stack(std::slice::from_ref(&api)));
    assert_snapshot!(scene.only(&["compose"]), @"
    exit 0
    PASS: compose: ai-ops-runner-api-1 is running
    === Doctor Summary: 1/1 passed ===
    ");
    scene.machine.write(COMPOSE, stack(&[api.clone(), once])).unwrap();
    assert_snapshot!(scene.only(&["compose"]), @"
    exit 1
    FAIL: compose: once has no container
          next: run: docker compose up --detach
    === Doctor Summary: 0/1 passed ===
    ");
    scene.sh("cd /opt/ai-ops-runner; docker compose up --detach
        until docker compose ps --all once | grep -q Exited; do sleep 0.1; done");
    assert_snapshot!(scene.only(&["compose"]), @"
    exit 1
    FAIL: compose: ai-ops-runner-once-1 is exited with 0
          next: see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach
    === Doctor Summary: 0/1 passed ===
    ");
    scene.machine.write(COMPOSE, "services: [").unwrap();
    let said = scene.only(&["compose"]);
    assert!(said.starts_with("exit 1\nFAIL: compose: `docker compose ps --all --format json` does not tell"), "{said}");
}

/// With a stand-in for `docker`: the real one has one of the shapes.
#[test]
fn v05_a_stack_is_read_in_both_shapes_and_what_cannot_be_read_fails() {
    let scene = Scene::new();
    assert_snapshot!(scene.only(&["compose"]), @"
    exit 0
    PASS: compose: no compose stack here: /opt/ai-ops-runner has no compose file
    === Doctor Summary: 1/1 passed ===
    ");
    scene.machine.write(COMPOSE, "services: {}\n").unwrap();
    assert_snapshot!(scene.only(&["compose"]), @"
    exit 1
    FAIL: compose: /opt/ai-ops-runner/compose.yaml is there, and no docker
          next: install Docker and its compose plugin, or remove the file
    === Doctor Summary: 0/1 passed ===
    ");
    scene.script(
        "/usr/bin/docker",
        "[ \"$PWD\" = /opt/ai-ops-runner ] || exit 1\n\
         case \"$*\" in 'compose ps --all --format json') cat /var/lib/docker-stub/ps.json ;;\n\
         'compose config --services') printf 'api\\ndb\\n' ;; *) exit 1 ;; esac",
    );
    let container = |service: &str, state: &str, health: &str| {
        format!(
            r#"{{"Name":"ops-{service}-1","Service":"{service}","State":"{state}","Health":"{health}","ExitCode":0,"Publishers":null}}"#
        )
    };
    let compose = |text: String| {
        scene.machine.write("/var/lib/docker-stub/ps.json", text).unwrap();
        scene.only(&["compose"])
    };
    let (api, db) = (container("api", "running", "healthy"), container("db", "running", ""));
    assert_snapshot!(compose(format!("{api}\n{db}\n")), @"
    exit 0
    PASS: compose: ops-api-1 is healthy; ops-db-1 is running
    === Doctor Summary: 1/1 passed ===
    ");
    assert_eq!(compose(format!("[{api},{db}]")), compose(format!("{api}\n{db}\n")));
    assert_snapshot!(compose(format!("[{api},{}]", container("db", "exited", ""))), @"
    exit 1
    FAIL: compose: ops-db-1 is exited with 0
          next: see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach
    === Doctor Summary: 0/1 passed ===
    ");
    assert_snapshot!(compose(format!("{}\n", container("api", "running", "unhealthy"))), @"
    exit 1
    FAIL: compose: ops-api-1 is unhealthy; db has no container
          next: see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach
    === Doctor Summary: 0/1 passed ===
    ");
    assert_snapshot!(compose(format!("{api}\n{}", &db[..db.len() - 9])), @"
    exit 1
    FAIL: compose: `docker compose ps --all --format json` does not tell: EOF while parsing a string at line 2 column 86
          next: run it by hand, and mend what it says
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn programs_read_json() {
    let scene = Scene::new();
    assert_snapshot!(scene.run(&["--json", "--only", "failed-units", "--only", "sshd"]).told(), @r#"
    exit 1
    {"schema":1,"status":"refused","passed":1,"total":2,"checks":[{"name":"sshd","level":"fail","class":"sshd-open","message":"open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22","next":"sudo sshd-fix plan"},{"name":"failed-units","level":"pass","class":"ok","message":"no unit has failed","next":null}]}
    "#);
}

#[test]
fn who_is_not_root_is_told_less_and_nothing_of_it_passes() {
    let scene = Scene::new();
    let run = |words: &[&str]| {
        let mut command = scene.machine.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(words);
        Ran::of(&mut command).told()
    };
    let checks = ["--only", "sshd", "--only", "firewall"];
    assert_snapshot!(run(&[&["env", "-u", "HOME", PROGRAM], &checks[..]].concat()), @"
    exit 3
    doctor-lock: neither XDG_RUNTIME_DIR nor HOME is set
    next: run it by sudo, or with HOME set
    ");
    assert_snapshot!(run(&[&["env", "HOME=/tmp/home", PROGRAM], &checks[..]].concat()), @"
    exit 1
    FAIL: sshd: only root is told
          next: run it by sudo
    FAIL: firewall: only root is told
          next: run it by sudo
    === Doctor Summary: 0/2 passed ===
    ");
}
