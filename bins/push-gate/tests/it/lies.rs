//! A `.git` that lies (G15).

use std::path::{Path, PathBuf};

use host::{Host as _, Local};
use insta::assert_snapshot;
use serde_json::json;
use verdict::Oid;

use crate::scene::Scene;

fn loose(git_dir: &Path, id: &Oid) -> PathBuf {
    git_dir.join("objects").join(&id.as_str()[..2]).join(&id.as_str()[2..])
}

/// Puts the bytes of one loose object under the id of another.
fn forge(s: &Scene, id: &Oid, with: &Oid) {
    let git_dir = s.f.work().join(".git");
    let bytes = std::fs::read(loose(&git_dir, with)).unwrap();
    std::fs::remove_file(loose(&git_dir, id)).unwrap();
    std::fs::write(loose(&git_dir, id), bytes).unwrap();
}

/// A benign commit and, on the branch, an evil one in its place.
fn benign_and_evil(s: &Scene) -> (Oid, Oid) {
    let benign = s.work();
    s.f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    s.f.write("work", "evil\n");
    (benign, s.f.commit("work"))
}

/// The verdict that a review gets which is shown the benign commit under the evil one's id.
fn deceived(s: &Scene, benign: &Oid, evil: &Oid) {
    let mut verdict = s.verdict(&s.old, benign);
    verdict["meta"]["to_sha"] = json!(evil);
    s.plant(&s.old, evil, "a.json", verdict.to_string());
}

#[test]
fn g15_a_replaced_commit_is_read_as_it_is() {
    let s = Scene::new();
    let (benign, evil) = benign_and_evil(&s);
    deceived(&s, &benign, &evil);
    s.f.git(&["replace", evil.as_str(), benign.as_str()]);
    s.f.git(&["config", "core.useReplaceRefs", "true"]);
    assert_eq!(s.f.git(&["show", "HEAD:work"]), "done");
    assert_snapshot!(s.decision(), @r"
    refs/heads/main: the verdict is about another tree [other-tree]
    refs/heads/main: the verdict is about other content [other-content]
    ");
}

#[test]
fn g15_a_replaced_blob_is_read_as_it_is() {
    let s = Scene::new();
    let (benign, evil) = benign_and_evil(&s);
    deceived(&s, &benign, &evil);
    let [benign, evil] = [&benign, &evil].map(|commit| s.f.id(&format!("{commit}:work")));
    s.f.git(&["replace", evil.as_str(), benign.as_str()]);
    assert_snapshot!(s.decision(), @r"
    refs/heads/main: the verdict is about another tree [other-tree]
    refs/heads/main: the verdict is about other content [other-content]
    ");
}

#[test]
fn g15_a_graft_makes_no_fast_forward() {
    let s = Scene::new();
    s.f.git(&["checkout", "-q", "--orphan", "other"]);
    let root = s.work();
    s.approve(&s.old, &root);
    s.f.write(".git/info/grafts", format!("{root} {}\n", s.old));
    assert_eq!(s.f.git(&["merge-base", "HEAD", s.old.as_str()]), s.old.as_str());
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: not a fast-forward of what the remote has [not-fast-forward]");
}

#[test]
fn g15_a_graft_hides_no_commit_of_the_range() {
    let s = Scene::new();
    let token = ["ghp_", "aZ3kP9qLr7Tn2WvXy5Bc8DfGh1JmNs4RtUe6"].concat();
    s.f.write("config", token);
    s.f.commit("add");
    s.f.git(&["rm", "-q", "config"]);
    let new = s.work();
    s.f.write(".git/info/grafts", format!("{new} {}\n", s.old));
    assert_eq!(s.f.git(&["rev-list", "--count", &format!("{}..HEAD", s.old)]), "1");
    s.approve(&s.old, &new);
    assert_snapshot!(s.decision(), @"refs/heads/main: the rules block: config:1: secret [rule-blockers]");
}

#[test]
fn g15_a_shallow_history_is_refused() {
    let s = Scene::new();
    s.f.write("a", "1\n");
    let middle = s.f.commit("a");
    let new = s.work();
    s.approve(&s.old, &new);
    s.f.write(".git/shallow", format!("{middle}\n"));
    assert_snapshot!(s.push(&["--force", "HEAD:refs/heads/main"]), @"refs/heads/main: the history of the range is shallow [shallow-history]");
}

#[test]
fn g15_a_shallow_clone_cannot_push_what_it_cannot_see() {
    let s = Scene::new();
    s.f.git(&["checkout", "-q", "-b", "topic"]);
    s.work();
    s.f.git(&["push", "-q", "origin", "HEAD:refs/heads/topic"]);
    let url = format!("file://{}", s.f.remote().display());
    s.f.git_in(s.f.dir(), &["clone", "-q", "--depth=1", "--no-single-branch", &url, "shallow"]);
    let clone = s.f.dir().join("shallow");
    crate::scene::install_in(&s.f, &clone);
    let push = s.git_in(&clone, &["push", "-q", "origin", "--force", "origin/topic:refs/heads/main"]);
    let said = s.run(&push);
    assert!(said.contains("[shallow-history]"), "{said}");
    let said = Local::new().run(&push).unwrap().stderr_text();
    assert!(said.contains("  next: git fetch --unshallow, then push again"), "{said}");
}

#[test]
fn g15_other_bytes_under_the_id_of_a_blob_are_refused() {
    let s = Scene::new();
    let (benign, evil) = benign_and_evil(&s);
    deceived(&s, &benign, &evil);
    forge(&s, &s.f.id(&format!("{evil}:work")), &s.f.id(&format!("{benign}:work")));
    assert_eq!(s.f.git(&["show", &format!("{evil}:work")]), "done");
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: could not see object <id> is forged: the bytes stored under that id have another hash [unseen]");
}

#[test]
fn g15_other_bytes_under_the_id_of_a_tree_are_refused() {
    let s = Scene::new();
    let (benign, evil) = benign_and_evil(&s);
    deceived(&s, &benign, &evil);
    forge(&s, &s.f.id(&format!("{evil}^{{tree}}")), &s.f.id(&format!("{benign}^{{tree}}")));
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: could not see object <id> is forged: the bytes stored under that id have another hash [unseen]");
}

#[test]
fn g15_other_bytes_under_the_id_of_a_commit_are_refused() {
    let s = Scene::new();
    let (benign, evil) = benign_and_evil(&s);
    deceived(&s, &benign, &evil);
    forge(&s, &evil, &benign);
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: could not see object <id> is forged: the bytes stored under that id have another hash [unseen]");
}

#[test]
fn g15_other_bytes_under_the_id_of_the_remotes_policy_are_refused() {
    let s = Scene::under("schema = 1\n");
    s.work();
    let lax = b"schema = 1\n[refs]\nprotected = [\"refs/heads/none\"]\n";
    let lax = s.f.git_stdin(&["hash-object", "-w", "--stdin"], lax).parse().unwrap();
    forge(&s, &s.f.id("HEAD:configs/ship.toml"), &lax);
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: could not see object <id> is forged: the bytes stored under that id have another hash [unseen]");
}

#[test]
fn g15_objects_of_an_alternate_are_verified_like_any_other() {
    let s = Scene::new();
    let (benign, evil) = benign_and_evil(&s);
    deceived(&s, &benign, &evil);
    let blob = s.f.id(&format!("{evil}:work"));
    forge(&s, &blob, &s.f.id(&format!("{benign}:work")));
    let git_dir = s.f.work().join(".git");
    let objects = s.f.dir().join("borrowed");
    std::fs::rename(git_dir.join("objects"), &objects).unwrap();
    std::fs::create_dir_all(git_dir.join("objects/info")).unwrap();
    std::fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", objects.display())).unwrap();
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: could not see object <id> is forged: the bytes stored under that id have another hash [unseen]");
}

#[test]
fn g15_a_push_of_borrowed_objects_passes_when_it_was_approved() {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    let git_dir = s.f.work().join(".git");
    let objects = s.f.dir().join("borrowed");
    std::fs::rename(git_dir.join("objects"), &objects).unwrap();
    std::fs::create_dir_all(git_dir.join("objects/info")).unwrap();
    std::fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", objects.display())).unwrap();
    assert_snapshot!(s.decision(), @"pushed");
}
