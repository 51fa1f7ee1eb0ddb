//! The git directory that a job sees: made for it alone, of a few files, with the objects of the mirror behind it.
//!
//! **Invariant:** nothing in it comes from a configuration that anyone else wrote, and it names no remote.

use verdict::Oid;

/// What the git directory is made of.
#[derive(Debug, Clone, Copy)]
pub struct GitDir<'a> {
    /// The commit that is checked out. `HEAD` is detached there.
    pub commit: &'a Oid,
    /// The allowed branch that has the commit, without `refs/heads/`.
    pub branch: &'a str,
    /// Where that branch was when the commit was found on it; told as `refs/remotes/origin/<branch>`.
    pub tip: &'a Oid,
    /// The tree has a directory `.githooks`: `core.hooksPath` names it, as installing that repository would.
    pub has_hooks: bool,
}

impl GitDir<'_> {
    /// Its files by their paths in it. `objects` is where the job sees the mirror's objects.
    pub fn files(&self, objects: &str) -> Vec<(String, String)> {
        let origin = format!("refs/remotes/origin/{}", self.branch);
        vec![
            ("HEAD".into(), format!("{}\n", self.commit)),
            ("config".into(), self.config()),
            ("objects/info/alternates".into(), format!("{objects}\n")),
            (origin, format!("{}\n", self.tip)),
        ]
    }

    /// Of a file's state only size and time count: who owns it and when it was linked differ from job to job, and the
    /// tree cannot be changed.
    fn config(&self) -> String {
        let mut lines = vec![
            "[core]",
            "bare = false",
            "filemode = true",
            "symlinks = true",
            "autocrlf = false",
            "checkStat = minimal",
            "trustCtime = false",
        ];
        lines.extend(self.has_hooks.then_some("hooksPath = .githooks"));
        match self.commit.as_str().len() {
            64 => lines.extend(["repositoryformatversion = 1", "[extensions]", "objectformat = sha256"]),
            _ => lines.push("repositoryformatversion = 0"),
        }
        lines.extend(["[gc]", "auto = 0", ""]);
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(hex: &str, has_hooks: bool) -> String {
        let commit: Oid = hex.parse().unwrap();
        let dir = GitDir { commit: &commit, branch: "main", tip: &commit, has_hooks };
        dir.files("/git-objects").iter().map(|(path, text)| format!("{path}:\n{text}")).collect()
    }

    #[test]
    fn j10_a_git_directory_has_no_remote_and_no_hooks_but_the_trees_own() {
        assert_snapshot!(check(&"a".repeat(40), true), @r"
        HEAD:
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        config:
        [core]
        bare = false
        filemode = true
        symlinks = true
        autocrlf = false
        checkStat = minimal
        trustCtime = false
        hooksPath = .githooks
        repositoryformatversion = 0
        [gc]
        auto = 0
        objects/info/alternates:
        /git-objects
        refs/remotes/origin/main:
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        ");
        let plain = check(&"b".repeat(40), false);
        assert!(!plain.contains("hooksPath") && !plain.contains("[remote"), "{plain}");
    }

    #[test]
    fn a_sha256_repository_says_so() {
        let config = check(&"c".repeat(64), false);
        assert!(config.contains("repositoryformatversion = 1\n[extensions]\nobjectformat = sha256\n"), "{config}");
    }
}
