//! What is decided on hosts that are told.

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use outcome::Failure;
use plan::{Effect, Plan, Step};
use sshd_fix::{Decision, Facts, RULES, observe, plan as decide};

use crate::machine::Machine;

fn told(change: impl FnOnce(&mut Facts)) -> String {
    of(&Machine::debian(false), change)
}

fn of(machine: &Machine, change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = observe(machine, Path::new("/opt/sshd-fix"));
    change(&mut facts);
    match decide(&facts, Duration::from_mins(10)) {
        Ok(decision) => decision.to_string(),
        Err(failure) => format!("{}: {}", failure.class, failure.reason),
    }
}

fn steps(machine: &Machine) -> String {
    let text = of(machine, |_| ());
    text.lines().filter(|line| !line.starts_with("         | ")).map(|line| format!("{line}\n")).collect()
}

fn planned() -> Plan {
    let facts = observe(&Machine::debian(true), Path::new("/opt/sshd-fix"));
    let Ok(Decision::Change(change)) = decide(&facts, Duration::from_mins(10)) else { panic!("no change") };
    change.plan
}

#[test]
fn the_plan_is_a_runbook() {
    assert_snapshot!(of(&Machine::debian(false), |_| ()));
}

#[test]
fn a_socket_is_disabled_before_it_is_masked_and_comes_back() {
    assert_snapshot!(steps(&Machine::debian(true)));
}

#[test]
fn everything_that_was_not_seen_refuses() {
    let unseen = || Failure::not_ready("unseen", "it was not seen", "look again");
    assert_snapshot!(told(|facts| facts.tailnet = Err(unseen())), @"unseen: it was not seen");
    assert_snapshot!(told(|facts| facts.interfaces = Err(unseen())), @"unseen: it was not seen");
    assert_snapshot!(told(|facts| facts.operator = Err(unseen())), @"unseen: it was not seen");
    assert_snapshot!(told(|facts| facts.table = Err(unseen())), @"unseen: it was not seen");
    assert_snapshot!(told(|facts| facts.sshd = Err(unseen())), @"unseen: it was not seen");
    assert_snapshot!(told(|facts| facts.pending = Err(unseen())), @"unseen: it was not seen");
    assert_snapshot!(told(|facts| facts.leftovers = Err(unseen())), @"unseen: it was not seen");
}

#[test]
fn every_reason_is_told() {
    let machine = Machine::debian(false)
        .with(
            "/etc/ssh/sshd_config",
            "Port 22\nPort 2222\nListenAddress 0.0.0.0\nMatch User backup\nInclude sshd_config.d/*.conf\n",
        )
        .with("/etc/ssh/sshd_config.d/50-cloud.conf", "listenaddress = ::  # all\nAddressFamily INET6\n")
        .with("/etc/default/ssh", "SSHD_OPTS='-p 2200 -oListenAddress=0.0.0.0 -o Port=22 -6'\n");
    assert_snapshot!(of(&machine, |facts| {
        facts.uid = 1000;
        if let Ok(Some(tailnet)) = &mut facts.tailnet {
            tailnet.state = "Stopped".into();
            tailnet.key_expiry = Some(facts.now);
        }
    }), @"
    sshd-not-changed: 12 reasons
    not-root: this is not root
      next: run it by sudo, in the shell that you logged in to
    tailscale-down: Tailscale is Stopped and not Running
      next: run: tailscale up, see that it says Running, then plan again
    key-expires: the machine's key in the tailnet ends at 2026-09-21T14:13:20Z: nobody would get in after that
      next: at the console renew it by: tailscale up --force-reauth, or have it never expire, then plan again
    several-ports: sshd would listen at several ports: listenaddress 0.0.0.0:22, listenaddress 0.0.0.0:2222
      next: leave one `Port`, then plan again
    sshd-stale: sshd listens at 0.0.0.0:22, [::]:22, and its files say otherwise by now
      next: restart it, see that you can log in, then plan again
    sshd-opts: ssh.service starts sshd with `-p ListenAddress=0.0.0.0 Port=22 -6`, which no file can change
      next: take it out of /etc/default/ssh (or /etc/sysconfig/sshd), then plan again
    include-missing: /etc/ssh/sshd_config does not include /etc/ssh/sshd_config.d/*.conf, so that a drop-in has no effect
      next: put `Include /etc/ssh/sshd_config.d/*.conf` first in /etc/ssh/sshd_config, then plan again
    several-ports: /etc/ssh/sshd_config:1 says `port 22`
      next: take line 1 out of /etc/ssh/sshd_config, then plan again
    several-ports: /etc/ssh/sshd_config:2 says `port 2222`
      next: take line 2 out of /etc/ssh/sshd_config, then plan again
    listen-elsewhere: /etc/ssh/sshd_config:3 says `listenaddress 0.0.0.0`
      next: take line 3 out of /etc/ssh/sshd_config, then plan again
    listen-elsewhere: /etc/ssh/sshd_config.d/50-cloud.conf:1 says `listenaddress ::`
      next: take line 1 out of /etc/ssh/sshd_config.d/50-cloud.conf, then plan again
    address-family: /etc/ssh/sshd_config.d/50-cloud.conf:2 says `addressfamily INET6`
      next: take line 2 out of /etc/ssh/sshd_config.d/50-cloud.conf, then plan again
    ");
}

#[test]
fn files_are_included_as_deep_as_sshd_does() {
    let nested = |depth: usize| {
        let machine = (1..=depth).fold(Machine::debian(false), |machine, at| {
            let next = if at == depth { String::new() } else { format!("Include /etc/ssh/nested{}\n", at + 1) };
            machine.with(&format!("/etc/ssh/nested{at}"), &next)
        });
        let main = "Include /etc/ssh/sshd_config.d/*.conf\nInclude /etc/ssh/nested1\n";
        of(&machine.with("/etc/ssh/sshd_config", main), |_| ())
    };
    assert!(nested(16).starts_with("1. runtime-dir"), "{}", nested(16));
    assert_snapshot!(nested(17), @"sshd-config: /etc/ssh/nested17 is included too deep");
    let endless = Machine::debian(false).with("/etc/ssh/sshd_config", "Include sshd_config\n");
    assert_snapshot!(of(&endless, |_| ()), @"sshd-config: /etc/ssh/sshd_config is included too deep");
}

#[test]
fn a_key_has_to_last_for_a_day() {
    let lasting = |hours: i64| {
        told(|facts| {
            if let Ok(Some(tailnet)) = &mut facts.tailnet {
                tailnet.key_expiry = Some(facts.now + jiff::SignedDuration::from_hours(hours));
            }
        })
    };
    assert!(lasting(24).starts_with("key-expires"));
    assert!(lasting(25).starts_with("1. runtime-dir"));
}

#[test]
fn what_is_of_no_use_to_sshd_is_no_tailnet() {
    assert_snapshot!(told(|facts| facts.tailnet = Ok(None)), @"no-tailscale: there is no tailscale on this host");
    assert_snapshot!(told(|facts| facts.interfaces = Ok(vec![])), @"address-missing: no interface has 100.64.0.1, the address of the tailnet");
    assert_snapshot!(told(|facts| {
        if let Ok(Some(tailnet)) = &mut facts.tailnet {
            tailnet.addresses.retain(std::net::IpAddr::is_ipv6);
        }
    }), @"no-address: the machine has no IPv4 address in the tailnet");
}

/// What systemd tells of the units of a host, changed.
fn units(change: impl Fn(&mut sshd_fix::Sshd)) -> String {
    told(|facts| {
        if let Ok(Some(sshd)) = &mut facts.sshd {
            change(sshd);
        }
    })
}

#[test]
fn what_could_not_be_brought_back_or_to_the_next_boot_is_named() {
    assert_snapshot!(units(|sshd| sshd.service.unit.enablement = "static".into()), @"sshd-unit: ssh.service is static: it cannot be enabled for the next boot");
    assert_snapshot!(units(|sshd| sshd.service.unit.enablement = "masked".into()), @"sshd-unit: ssh.service is masked: it cannot be enabled for the next boot");
    assert_snapshot!(units(|sshd| sshd.sockets[0].enablement = "linked".into()), @"sshd-unit: ssh.socket is linked: it would not come back as it was");
    assert_snapshot!(units(|sshd| sshd.service.requires.push("ssh.socket".into())), @"sshd-unit: ssh.service requires ssh.socket by a line of its own: it would not start without it");
    let linked = units(|sshd| {
        sshd.service.requires.push("ssh.socket".into());
        sshd.linked.insert("ssh.socket".into());
    });
    assert!(linked.starts_with("1. runtime-dir"), "{linked}");
    assert_snapshot!(told(|facts| facts.not_to_be_run = Ok(true)), @"sshd-not-to-be-run: /etc/ssh/sshd_not_to_be_run is there: sshd would not be started again");
    assert_snapshot!(units(|sshd| sshd.effective = Ok(["listenaddress 0.0.0.0:22", "listenaddress 0.0.0.0:24"].map(str::to_owned).into())), @"
    sshd-not-changed: 2 reasons
    several-ports: sshd would listen at several ports: listenaddress 0.0.0.0:22, listenaddress 0.0.0.0:24
      next: leave one `Port`, then plan again
    sshd-stale: sshd listens at 0.0.0.0:22, [::]:22, and its files say otherwise by now
      next: restart it, see that you can log in, then plan again
    ");
}

#[test]
fn an_sshd_that_did_not_read_its_files_is_not_brought_back_by_them() {
    let machine = Machine::debian(false).with(sshd_fix::paths::DROP_IN, "ListenAddress 100.64.0.1\n");
    assert_snapshot!(of(&machine, |_| ()), @"sshd-stale: sshd listens at 0.0.0.0:22, [::]:22, and its files say otherwise by now");
}

#[test]
fn what_would_be_lost_with_a_file_is_named() {
    let former = "# mine\nListenAddress 100.64.0.1\nPasswordAuthentication no\nAllowUsers root\n";
    assert_snapshot!(of(&Machine::debian(false).with(sshd_fix::paths::DROP_IN, former).restarted(), |_| ()), @"
    sshd-not-changed: 2 reasons
    odd-file: /etc/ssh/sshd_config.d/99-tailscale-only.conf:3 says `passwordauthentication no`, and the file will be replaced
      next: move the line to a file of another name there, then plan again
    odd-file: /etc/ssh/sshd_config.d/99-tailscale-only.conf:4 says `allowusers root`, and the file will be replaced
      next: move the line to a file of another name there, then plan again
    ");
    let unit = sshd_fix::paths::unit_drop_in("ssh.service");
    assert_snapshot!(of(&Machine::debian(false).with(&unit, "[Service]\nNice=5\n"), |_| ()), @"odd-file: /etc/systemd/system/ssh.service.d/zz-tailscale-only.conf is somebody else's, and would be replaced");
}

#[test]
fn somebody_else_at_a_port_of_sshd_is_named() {
    let machine = Machine::debian(false);
    machine.stranger(Some("203.0.113.9:22"));
    assert_snapshot!(of(&machine, |_| ()), @"port-taken: somebody else listens at 203.0.113.9:22, a port of sshd");
}

#[test]
fn a_drop_in_that_was_there_is_put_back() {
    let machine = Machine::debian(false).with(sshd_fix::paths::DROP_IN, "ListenAddress 100.64.0.7\n").restarted();
    let text = of(&machine, |_| ());
    let back: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("r1.")).take(3).collect();
    assert_snapshot!(back.join("\n"), @r#"
    r1. strays: of a write that was cut off
         run find /etc/ssh /etc/systemd/system -maxdepth 2 -type f "(" -name "*-tailscale-only.conf.new-*" -o -name "sshd-fix-*.new-*" ")" -delete
    r2. drop-in-back: it said this
    "#);
}

#[test]
fn what_starts_something_else_is_not_asked() {
    let machine = Machine::debian(false).with("/etc/default/ssh", "SSHD_OPTS=\"$(reboot)\"\n");
    assert_snapshot!(of(&machine, |_| ()), @r#"sshd-unit: ssh.service: /etc/default/ssh: `SSHD_OPTS="$(reboot)"` is not understood"#);
}

/// Every rule, by a plan that breaks it.
#[test]
fn v01_a_plan_that_would_lock_out_is_not_carried_out() {
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = planned();
        change(&mut plan);
        match plan.checked(RULES, Path::new(sshd_fix::paths::STATE)) {
            Ok(_) => "fine".to_owned(),
            Err(violations) => violations.iter().map(|one| format!("{}: {}\n", one.rule, one.step)).collect(),
        }
    };
    let without = |name: &'static str| broken(&move |plan: &mut Plan| plan.steps.retain(|step| step.name != name));
    let late = |name: &'static str, effect: Effect| {
        broken(&move |plan: &mut Plan| {
            let at = plan.steps.iter().position(|step| step.name == name).unwrap();
            plan.steps.insert(at, Step::new("late", effect.clone(), ""));
        })
    };
    assert_snapshot!(broken(&|_| ()), @"fine");
    assert_snapshot!(without("listens"), @"
    validated: socket-disable
    validated: socket-mask
    validated: service-enable
    validated: restart
    ");
    assert_snapshot!(without("candidate-listens"), @"
    candidate-first: drop-in
    candidate-first: unit-drop-in
    ");
    assert_snapshot!(without("program-runs"), @"can-come-back: pending");
    assert_snapshot!(without("arm-enable"), @"comes-back-at-a-boot: pending");
    assert_snapshot!(without("arm-sync"), @"synced: pending");
    assert_snapshot!(without("pending"), @"
    journalled: drop-in
    journalled: unit-drop-in
    journalled: socket-disable
    journalled: socket-mask
    journalled: service-enable
    journalled: restart
    ");
    assert_snapshot!(without("armed"), @"
    armed: drop-in
    armed: unit-drop-in
    armed: socket-disable
    armed: socket-mask
    armed: service-enable
    armed: restart
    ");
    assert_snapshot!(without("socket-disable"), @"disabled-before-masked: socket-mask");
    assert_snapshot!(broken(&|plan| plan.rollback.retain(|step| step.name != "drop-in-back")), @"rollback-complete: drop-in");
    assert_snapshot!(late("drop-in", Effect::remove(sshd_fix::paths::PENDING)), @"
    journalled: drop-in
    journalled: unit-drop-in
    journalled: socket-disable
    journalled: socket-mask
    journalled: service-enable
    journalled: restart
    ");
    assert_snapshot!(late("drop-in", Effect::run(["systemctl", "stop", "sshd-fix-revert.timer"])), @"
    armed: drop-in
    armed: unit-drop-in
    armed: socket-disable
    armed: socket-mask
    armed: service-enable
    armed: restart
    ");
    assert_snapshot!(late("pending", Effect::remove(sshd_fix::paths::BOOT_WANTED)), @"
    synced: pending
    comes-back-at-a-boot: pending
    ");
    assert_snapshot!(late("candidate-valid", Effect::run(["systemctl", "kill", "ssh"])), @"
    validated: late
    journalled: late
    armed: late
    ");
    assert_snapshot!(late("candidate-valid", Effect::run(["systemctl", "isolate", "rescue.target"])), @"
    validated: late
    journalled: late
    armed: late
    ");
    // What is judged has to be what is in use by then.
    assert_snapshot!(broken(&|plan| {
        let at = plan.steps.iter().position(|step| step.name == "restart").unwrap();
        let mut late = plan.steps[0].clone();
        late.name = "late".into();
        late.effect = Effect::write("/etc/ssh/sshd_config.d/99-tailscale-only.conf", 0o644, "");
        plan.steps.insert(at, late);
    }), @"validated: restart");
}
