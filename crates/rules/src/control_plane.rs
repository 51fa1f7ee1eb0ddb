//! Paths that steer the machine instead of the product: policy, hooks, CI, allow lists, instructions of agents.
//!
//! Names are compared as a file system that ignores case would. Build files (`build.rs`, `Makefile`, `package.json`)
//! are code like any other and are reviewed as such; what is here is run or obeyed by tools before anybody looks.

use crate::name::fold;

/// Directories that are control plane wherever they are.
const DIRECTORIES: &[&str] = &[
    ".agent",
    ".agents",
    ".aider",
    ".amazonq",
    ".augment",
    ".buildkite",
    ".cargo",
    ".ci",
    ".circleci",
    ".claude",
    ".clinerules",
    ".codex",
    ".continue",
    ".copilot",
    ".cursor",
    ".devcontainer",
    ".forgejo",
    ".gemini",
    ".git",
    ".gitea",
    ".githooks",
    ".github",
    ".gitlab",
    ".husky",
    ".junie",
    ".kiro",
    ".opencode",
    ".roo",
    ".tekton",
    ".vscode",
    ".windsurf",
    ".woodpecker",
    ".zed",
];

/// File names that are control plane wherever they are.
const FILES: &[&str] = &[
    ".clinerules",
    ".copilot-instructions",
    ".copilot-instructions.md",
    ".cursorignore",
    ".cursorrules",
    ".drone.yml",
    ".envrc",
    ".gitattributes",
    ".gitconfig",
    ".gitlab-ci.yaml",
    ".gitlab-ci.yml",
    ".gitmodules",
    ".goosehints",
    ".lefthook.toml",
    ".lefthook.yaml",
    ".lefthook.yml",
    ".lfsconfig",
    ".mcp.json",
    ".pre-commit-config.yaml",
    ".pre-commit-config.yml",
    ".pre-commit-hooks.yaml",
    ".roorules",
    ".rules",
    ".travis.yml",
    ".windsurfrules",
    ".woodpecker.yaml",
    ".woodpecker.yml",
    "agent.md",
    "agents.local.md",
    "agents.md",
    "agents.override.md",
    "appveyor.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "claude.local.md",
    "claude.md",
    "cloudbuild.yaml",
    "codeowners",
    "copilot-instructions.md",
    "gemini.md",
    "jenkinsfile",
    "lefthook.toml",
    "lefthook.yaml",
    "lefthook.yml",
    "mcp.json",
    "opencode.json",
    "rust-toolchain",
    "rust-toolchain.toml",
    "skill.md",
];

/// The policy that the gate reads.
const POLICY: &[u8] = b"configs/ship.toml";
/// The reviewed baseline.
const BASELINE: &[u8] = b"docs/last_reviewed_sha.txt";

/// Whether a path is policy, hook, CI, allow list or instructions of an agent. A change of it is named to the reviewer.
pub fn is_control_plane(path: &[u8]) -> bool {
    let path = fold(path);
    let (directories, file) = split(&path);
    *path == *POLICY
        || listed(FILES, file)
        || is_allow_list(directories, file)
        || file.starts_with(b"jenkinsfile.")
        || path.split(|&b| b == b'/').any(|component| listed(DIRECTORIES, component))
}

/// Whether a heal may never touch a path, whatever the policy allows: [`is_control_plane`], the reviewed baseline, what
/// decides which files git sees, any spelling of `.git`, and paths that leave the tree.
pub fn is_protected_from_heal(path: &[u8]) -> bool {
    let odd = |component: &[u8]| matches!(component, b"" | b"." | b"..") || crate::name::is_dot_git(component);
    is_control_plane(path)
        || is_baseline(path)
        || listed(&[".gitignore"], split(&fold(path)).1)
        || path.contains(&b'\\')
        || path.split(|&b| b == b'/').any(odd)
}

/// Whether a path is the reviewed baseline's.
pub(crate) fn is_baseline(path: &[u8]) -> bool {
    *fold(path) == *BASELINE
}

/// `configs/*allowlist*`, and the same below it.
fn is_allow_list(directories: &[u8], file: &[u8]) -> bool {
    let in_configs = directories == b"configs" || directories.starts_with(b"configs/");
    let named = |word: &[u8]| memchr::memmem::find(file, word).is_some();
    in_configs && (named(b"allowlist") || named(b"allow_list") || named(b"allow-list"))
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn listed(names: &[&str], name: &[u8]) -> bool {
    names.binary_search_by(|n| n.as_bytes().cmp(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_folded() {
        for list in [DIRECTORIES, FILES] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|n| *fold(n.as_bytes()) == *n.as_bytes()));
        }
    }

    #[test]
    fn control_plane_paths_are_known_in_any_case() {
        let paths = [
            "configs/ship.toml",
            "Configs/Ship.TOML",
            ".githooks/pre-push",
            ".github/workflows/ci.yml",
            "AGENTS.md",
            "crates/x/Agents.md",
            "CLAUDE.md",
            ".cursor/rules/a.mdc",
            "configs/job_allowlist.toml",
            "Jenkinsfile",
            "ci/Jenkinsfile.release",
            ".gitattributes",
            "sub/.gitmodules",
            ".cargo/config.toml",
            ".GITHUB/x",
            ".g\u{200c}ithub/x",
            ".claude",
            ".ci/run",
        ];
        for path in paths {
            assert!(is_control_plane(path.as_bytes()), "{path}");
            assert!(is_protected_from_heal(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn code_is_not_control_plane() {
        for path in
            ["src/main.rs", "build.rs", "Makefile", "my-agents.md", "github/x", "src/allowlist.rs", "configs/a.toml"]
        {
            assert!(!is_control_plane(path.as_bytes()), "{path}");
            assert!(!is_protected_from_heal(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a05_a_heal_touches_neither_baseline_nor_git_nor_what_git_ignores() {
        for path in
            ["docs/LAST_REVIEWED_SHA.txt", "src/.gitignore", "a/.GIT/config", "../x", "/x", "a\\b", "", "src//x"]
        {
            assert!(is_protected_from_heal(path.as_bytes()), "{path}");
        }
    }
}
