//! What follows from what was observed.

use insta::assert_snapshot;
use job::{Collected, CollectedFile, End, Observed, Refused, Sha256, SizeCapMeta, Trouble, Unseen, conclude};

fn good() -> Observed {
    Observed {
        end: End::Exited(0),
        read_only: Ok(true),
        clean_tree: Ok(true),
        changed: vec![],
        changed_cut: false,
        logs: Ok(()),
        collected: Ok(Collected::default()),
        size_cap_meta: None,
    }
}

fn trouble(class: &str, exit: u8) -> Trouble {
    Trouble { class: class.into(), reason: "it broke".into(), next: "mend it".into(), exit }
}

/// A conclusion as a person would read it.
fn check(change: impl FnOnce(&mut Observed)) -> String {
    let mut observed = good();
    change(&mut observed);
    let c = conclude(&observed);
    let i = &c.invariants;
    let mut text = format!("{} {} exit {}\n", c.status.as_str(), c.exit_code, c.exit);
    text += &format!("read_only_ok {} clean_tree_ok {}", i.read_only_ok, i.clean_tree_ok);
    text += &i.reason.as_ref().map(|reason| format!(" {reason} {:?}", i.changed_files)).unwrap_or_default();
    text += &i.details.as_ref().map(|details| format!(" ({details})")).unwrap_or_default();
    if let Some(why) = &c.why {
        text += &format!("\n{}: {}\nnext: {}", why.class, why.reason, why.next);
    }
    if !c.warnings.is_empty() || c.size_cap.is_some() {
        text += &format!("\n{:?} {:?}", c.warnings, c.size_cap.map(|meta| meta.review_packets_archive));
    }
    text
}

fn unseen() -> Result<bool, Unseen> {
    Err(Unseen("no /proc".into()))
}

#[test]
fn a_job_that_did_what_it_should_is_a_success() {
    assert_snapshot!(check(|_| {}), @r"
    success 0 exit 0
    read_only_ok true clean_tree_ok true
    ");
}

#[test]
fn a_job_that_ended_badly_is_a_failure_with_its_own_code() {
    assert_snapshot!(check(|o| o.end = End::Exited(6)), @r"
    failure 6 exit 6
    read_only_ok true clean_tree_ok true
    job-failed: the job exited with 6
    next: read stdout.log, stderr.log and the outputs
    ");
    assert_snapshot!(check(|o| o.end = End::Signaled(11)), @r"
    failure 139 exit 139
    read_only_ok true clean_tree_ok true
    job-signaled: signal 11 ended the job
    next: read stdout.log, stderr.log and the outputs
    ");
    assert_snapshot!(check(|o| o.end = End::OverLimit("memory".into())), @r"
    failure 137 exit 137
    read_only_ok true clean_tree_ok true
    over-limit: the job was killed: over its limit of memory
    next: let it use less, or raise that limit
    ");
}

#[test]
fn no_code_of_a_job_that_failed_becomes_exit_0() {
    for code in [256, -256, i32::MIN, i32::MAX] {
        let conclusion = conclude(&Observed { end: End::Exited(code), ..good() });
        assert_eq!((conclusion.exit_code, conclusion.exit), (code, 1));
    }
}

#[test]
fn what_did_not_come_to_an_end_of_its_own_has_exit_code_minus_1() {
    assert_snapshot!(check(|o| o.end = End::TimedOut(5)), @r"
    timeout -1 exit 4
    read_only_ok true clean_tree_ok true
    timeout: the job ran longer than its 5 s and was killed
    next: make it faster, or raise timeout_sec
    ");
    assert_snapshot!(check(|o| o.end = End::Cancelled), @r"
    cancelled -1 exit 4
    read_only_ok true clean_tree_ok true
    cancelled: the job was stopped by a signal or a person
    next: run it again
    ");
    assert_snapshot!(check(|o| o.end = End::Unknown(trouble("not-startable", 3))), @r"
    error -1 exit 3
    read_only_ok true clean_tree_ok true
    not-startable: it broke
    next: mend it
    ");
    assert_eq!(conclude(&Observed { end: End::Unknown(trouble("odd", 0)), ..good() }).exit, 4);
}

#[test]
fn j11_a_changed_tree_is_a_failure_however_the_job_ended() {
    let ends = [
        End::Exited(0),
        End::Exited(3),
        End::Signaled(9),
        End::TimedOut(5),
        End::Cancelled,
        End::OverLimit("memory".into()),
        End::Unknown(trouble("lost", 4)),
    ];
    for end in ends {
        for (clean_tree, changed) in
            [(Ok(false), vec![]), (Ok(true), vec!["a".to_owned()]), (unseen(), vec!["a".into()])]
        {
            let c = conclude(&Observed { end: end.clone(), clean_tree, changed, ..good() });
            assert_eq!(c.status, job::Status::Failure, "{end:?}");
            assert_eq!(c.why.unwrap().class, "mutation-detected");
            assert_eq!(c.invariants.reason.as_deref(), Some("MUTATION_DETECTED"));
            assert!(!c.invariants.clean_tree_ok && c.exit == 1);
        }
    }
    assert_snapshot!(check(|o| o.changed = vec!["a".into(), "b".into()]), @r#"
    failure 0 exit 1
    read_only_ok true clean_tree_ok false MUTATION_DETECTED ["a", "b"]
    mutation-detected: a and 1 more were changed
    next: let the job write below $ARTIFACT_DIR and $TMPDIR alone; invariants.changed_files names what it changed
    "#);
    assert_snapshot!(check(|o| (o.end, o.clean_tree) = (End::TimedOut(5), Ok(false))), @r"
    failure -1 exit 1
    read_only_ok true clean_tree_ok false MUTATION_DETECTED []
    mutation-detected: the tree is no longer that of the commit
    next: let the job write below $ARTIFACT_DIR and $TMPDIR alone; invariants.changed_files names what it changed
    ");
}

#[test]
fn j11_at_most_1000_changed_files_are_told_and_how_many_more() {
    let c = conclude(&Observed { changed: (0..1500).map(|n| n.to_string()).collect(), ..good() });
    assert_eq!(c.invariants.changed_files.len(), 1000);
    assert_eq!(c.invariants.details.unwrap(), "500 more files changed");
    let c = conclude(&Observed { changed: (0..1500).map(|n| n.to_string()).collect(), changed_cut: true, ..good() });
    assert_eq!(c.invariants.details.unwrap(), "at least 500 more files changed");
    assert_eq!(c.why.unwrap().reason, "0 and at least 1499 more were changed");
}

#[test]
fn j12_what_was_not_observed_is_not_true_and_no_success() {
    assert_snapshot!(check(|o| o.read_only = unseen()), @r"
    error -1 exit 4
    read_only_ok false clean_tree_ok true (read_only was not observed: no /proc)
    invariant-unseen: read_only was not observed: no /proc
    next: mend what could not be observed, then run the job again
    ");
    assert_snapshot!(check(|o| (o.end, o.clean_tree) = (End::Exited(2), unseen())), @r"
    error -1 exit 4
    read_only_ok true clean_tree_ok false (clean_tree was not observed: no /proc)
    invariant-unseen: clean_tree was not observed: no /proc
    next: mend what could not be observed, then run the job again
    ");
    assert_snapshot!(check(|o| o.read_only = Ok(false)), @r"
    error -1 exit 3
    read_only_ok false clean_tree_ok true
    not-read-only: a write to the tree from inside was not refused
    next: run jobs where the sandbox's probe succeeds
    ");
}

#[test]
fn j12_a_time_out_and_an_error_tell_what_was_not_observed_too() {
    for end in [End::TimedOut(1), End::Cancelled, End::Unknown(trouble("lost", 4))] {
        let c = conclude(&Observed { end, clean_tree: unseen(), read_only: unseen(), ..good() });
        assert!(!c.invariants.clean_tree_ok && !c.invariants.read_only_ok);
        assert_eq!(
            c.invariants.details.unwrap(),
            "read_only was not observed: no /proc; clean_tree was not observed: no /proc"
        );
    }
}

#[test]
fn j15_a_log_or_an_output_that_was_not_kept_is_an_error() {
    assert_snapshot!(check(|o| o.logs = Err(trouble("disk-full", 4))), @r"
    error -1 exit 4
    read_only_ok true clean_tree_ok true
    disk-full: it broke
    next: mend it
    ");
    assert_snapshot!(check(|o| (o.end, o.collected) = (End::Exited(1), Err(trouble("disk-full", 4)))), @r"
    error -1 exit 4
    read_only_ok true clean_tree_ok true
    disk-full: it broke
    next: mend it
    ");
}

#[test]
fn j14_what_was_refused_is_a_warning() {
    let refused = vec![Refused { path: "link".into(), reason: "symlink".into() }];
    let collected = Collected { refused, ..Collected::default() };
    assert_snapshot!(check(|o| o.collected = Ok(collected)), @r#"
    success 0 exit 0
    read_only_ok true clean_tree_ok true
    ["OUTPUT_REFUSED"] None
    "#);
}

fn file(path: &str) -> CollectedFile {
    CollectedFile { path: path.into(), bytes: 7, sha256: Sha256::from([7; 32]) }
}

fn packets() -> SizeCapMeta {
    SizeCapMeta {
        schema: 1,
        size_cap_exceeded: true,
        warnings: vec!["SIZE_CAP_EXCEEDED".into()],
        review_packets_archive: "ORB_REVIEW_PACKETS.tar.gz".into(),
        review_packets_dir: "review_packets/20260131_235959".into(),
        packets: 1,
        bytes: 300_000,
        since_sha: "a".repeat(40),
        head_sha: "b".repeat(40),
        files: vec![file("ORB_REVIEW_PACKETS.tar.gz"), file("review_packets/20260131_235959/packet_001.txt")],
    }
}

fn with_packets(observed: &mut Observed, meta: &SizeCapMeta, collected: Vec<CollectedFile>) {
    observed.size_cap_meta = Some(serde_json::to_vec(meta).unwrap());
    observed.collected = Ok(Collected { files: collected, ..Collected::default() });
}

#[test]
fn a_review_in_packets_is_a_success_with_a_warning() {
    assert_snapshot!(check(|o| with_packets(o, &packets(), packets().files)), @r#"
    success 0 exit 0
    read_only_ok true clean_tree_ok true
    ["SIZE_CAP_EXCEEDED"] Some("ORB_REVIEW_PACKETS.tar.gz")
    "#);
}

#[test]
fn a_packet_that_was_not_collected_as_it_was_named_is_no_success() {
    let checks = [
        vec![file("ORB_REVIEW_PACKETS.tar.gz")],
        vec![packets().files[0].clone(), CollectedFile { bytes: 8, ..packets().files[1].clone() }],
        vec![packets().files[0].clone(), CollectedFile { sha256: Sha256::from([8; 32]), ..packets().files[1].clone() }],
    ];
    let [missing, other_size, other_hash] =
        checks.map(|collected| check(|observed| with_packets(observed, &packets(), collected)));
    assert_snapshot!(missing, @r"
    failure 0 exit 1
    read_only_ok true clean_tree_ok true
    size-cap-incomplete: size_cap_meta.json names review_packets/20260131_235959/packet_001.txt, which was not collected as it says
    next: run the job again; it must write every packet that it names
    ");
    assert_eq!((&other_size, &other_hash), (&missing, &missing));
}

#[test]
fn a_size_cap_that_contradicts_itself_is_no_success() {
    let check = |change: fn(&mut SizeCapMeta)| {
        let mut meta = packets();
        change(&mut meta);
        let mut observed = good();
        with_packets(&mut observed, &meta, meta.files.clone());
        let conclusion = conclude(&observed);
        assert_eq!(conclusion.size_cap, None);
        conclusion.why.unwrap().reason
    };
    assert_snapshot!(check(|meta| meta.packets = 2), @"size_cap_meta.json: it contradicts itself: its packets are not among its files");
    assert_snapshot!(check(|meta| meta.review_packets_dir = "elsewhere".into()), @"size_cap_meta.json: it contradicts itself: its packets are not among its files");
    assert_snapshot!(check(|meta| meta.review_packets_archive = "../x".into()), @"size_cap_meta.json: it contradicts itself: its archive is not among its files");
    assert_snapshot!(check(|meta| meta.warnings = vec![]), @"size_cap_meta.json: it contradicts itself: it is there and says that no cap was exceeded");
    assert_snapshot!(check(|meta| meta.schema = 2), @"size_cap_meta.json: schema 2 is not 1");
}

#[test]
fn a_failed_job_has_no_fallback() {
    assert_snapshot!(check(|o| { with_packets(o, &packets(), packets().files); o.end = End::Exited(1); }), @r"
    failure 1 exit 1
    read_only_ok true clean_tree_ok true
    job-failed: the job exited with 1
    next: read stdout.log, stderr.log and the outputs
    ");
}
