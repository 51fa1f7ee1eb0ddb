//! A repository that stands in for algo-nt8-orb, the one that these jobs are made for: healthy, without one of its
//! scripts, over the size cap, and hostile.
//!
//! [`Orb::new`] makes one with a bare remote; [`Kind`] says what is odd about it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Cmd, Host as _, Local};
use repo::testing::Fixture;
use verdict::Oid;

/// What is odd about a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: a small change, a bundle, 18 of 18 checks, a score.
    Healthy,
    /// The change has more bytes than the script's size cap of 204800.
    OverTheCap,
    /// There is no `ops/review_bundle.sh`.
    WithoutReview,
    /// There is no `ops/doctor_repo.sh`.
    WithoutDoctor,
    /// There is no `ops/score_run.sh`.
    WithoutHarness,
    /// Names with line feeds, escapes and bytes that are no text; links out of the tree.
    OddNames,
    /// Every script tries to write the tree, the git directory, `$HOME` and the machine, tells what came of it and goes
    /// on as if nothing was.
    WritesOutside,
    /// Every script says 100 MB.
    Floods,
    /// Every script leaves links, a pipe, a hard link, names of the runner and a forged `size_cap_meta.json` among the
    /// outputs; that of the review then says that it is over the size cap.
    Litters,
    /// The review script says that it succeeded and leaves no bundle.
    NoBundle,
    /// The same with an empty one.
    EmptyBundle,
    /// The same with a link to a file of the tree.
    LinkAsBundle,
    /// The same with a bundle, and a forged `size_cap_meta.json`.
    ForgedMeta,
    /// Every script fails with exit code 9.
    Fails,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Healthy,
        Self::OverTheCap,
        Self::WithoutReview,
        Self::WithoutDoctor,
        Self::WithoutHarness,
        Self::OddNames,
        Self::WritesOutside,
        Self::Floods,
        Self::Litters,
        Self::NoBundle,
        Self::EmptyBundle,
        Self::LinkAsBundle,
        Self::ForgedMeta,
        Self::Fails,
    ];

    /// What every script does first.
    const fn prelude(self) -> &'static str {
        match self {
            Self::WritesOutside => WRITE_OUTSIDE,
            Self::Floods => "yes 'all work and no play makes a job a dull boy' | head -c 104857600\n",
            Self::Litters => LITTER,
            Self::Fails => "echo 'the script is broken' >&2; exit 9\n",
            _ => "",
        }
    }

    /// What the review script does in place of a bundle.
    const fn instead_of_a_bundle(self) -> &'static str {
        match self {
            Self::Litters => "exit 6\n",
            Self::NoBundle => "exit 0\n",
            Self::EmptyBundle => ": > \"$output\"; exit 0\n",
            Self::LinkAsBundle => "ln -s \"$PWD/README.md\" \"$output\"; exit 0\n",
            Self::ForgedMeta => "echo '{\"size_cap_exceeded\":true}' > \"$ARTIFACT_DIR/size_cap_meta.json\"\n",
            _ => "",
        }
    }
}

/// Each line is tried for itself, in a shell of its own.
const WRITE_OUTSIDE: &str = r#"
try() { if bash -c "$1" 2>/dev/null; then echo "WROTE: $1"; else echo "refused: $1"; fi; }
try 'echo mutated >> README.md'
try 'echo new > new-file'
try 'mkdir new-dir'
try 'rm -f ops/score_run.sh'
try 'mv README.md READYOU.md'
try 'chmod 0777 README.md'
try 'touch -d 2001-01-01 README.md'
try 'ln -sf /etc/passwd README.md'
try 'git config core.hooksPath /tmp/evil'
try 'git update-index --assume-unchanged README.md'
try 'git -c user.name=a -c user.email=a@b commit -q --allow-empty -m mutated'
try 'echo x > .git/info/exclude || echo x > "$(git rev-parse --git-dir)/info/exclude"'
try 'echo x > "$HOME/../outside"'
try 'echo x > /etc/orb-was-here'
try 'echo x > /opt/ai-ops-runner/bin/orb-doctor'
try 'mount -o remount,rw /repo'
"#;

const LITTER: &str = r#"
cd "$ARTIFACT_DIR"
for name in REVIEW_BUNDLE.txt DOCTOR_OUTPUT.txt SCORE_OUTPUT.txt README_REVIEW_PACKETS.txt; do
  ln -sf "$HOME/precious" "$name"
done
ln -sf / root
mkfifo pipe
echo one > one; ln one two
echo '{"status":"success"}' > artifact.json
echo '{"size_cap_exceeded":true}' > size_cap_meta.json
mkdir -p deep/deep/deep; echo kept > deep/deep/deep/file
: > "$(printf 'line\nfeed')"
ln -sf "$HOME" review_packets
cd - > /dev/null
"#;

const REVIEW: &str = r#"
since= output=
while [ $# -gt 0 ]; do
  case "$1" in
    --since) since=$2; shift 2 ;;
    --output) output=$2; shift 2 ;;
    *) echo "unknown argument: $1" >&2; exit 2 ;;
  esac
done
"#;

const BUNDLE: &str = r#"
cap=${REVIEW_BUNDLE_SIZE_CAP:-204800}
bundle=$(mktemp)
trap 'rm -f "$bundle"' EXIT
{
  echo "=== REVIEW PACKET ==="
  echo "since $since"
  echo "to $(git rev-parse HEAD)"
  echo "=== CHANGED FILES ==="
  git diff --name-status "$since" HEAD
  echo "=== DIFF ==="
  git diff "$since" HEAD
  echo "=== INSTRUCTIONS ==="
  echo "Say APPROVED or BLOCKED."
} > "$bundle"
size=$(wc -c < "$bundle")
if [ "$size" -gt "$cap" ]; then
  echo "the bundle has $size bytes, the cap is $cap" >&2
  exit 6
fi
cat "$bundle" > "$output"
echo "bundle: $size bytes"
"#;

const DOCTOR: &str = r#"
passed=0 total=0
check() {
  total=$((total + 1))
  if bash -c "$2" > /dev/null 2>&1; then passed=$((passed + 1)); echo "PASS: $1"; else echo "FAIL: $1"; fi
}
check "git is there" 'command -v git'
check "in a work tree" '[ "$(git rev-parse --is-inside-work-tree)" = true ]'
check "HEAD is a commit" 'git rev-parse --verify "HEAD^{commit}"'
check "HEAD has a tree" 'git cat-file -e "HEAD^{tree}"'
check "tracked files are those of HEAD" 'git diff --quiet HEAD'
check "no files but tracked ones" '[ -z "$(git ls-files --others --exclude-standard)" ]'
check "core.hooksPath is .githooks" '[ "$(git config core.hooksPath)" = .githooks ]'
check ".githooks/pre-push is there" '[ -f .githooks/pre-push ]'
check ".githooks/pre-push can be run" '[ -x .githooks/pre-push ]'
check ".githooks/pre-push is a script" 'bash -n .githooks/pre-push'
check "ops/review_bundle.sh is a script" 'bash -n ops/review_bundle.sh'
check "ops/score_run.sh is a script" 'bash -n ops/score_run.sh'
check "README.md is there" '[ -s README.md ]'
check "a baseline is there" '[ -s docs/LAST_REVIEWED_SHA.txt ]'
check "the baseline is an id" 'grep -Eqx "[0-9a-f]{40}" docs/LAST_REVIEWED_SHA.txt'
check "packets are ignored" 'grep -qx "review_packets/" .gitignore'
check "the strategy is there" '[ -s strategies/OpeningRange.cs ]'
check "temporary files can be made" 'rm "$(mktemp)"'
echo "=== Doctor Summary: $passed/$total passed ==="
[ "$passed" -eq "$total" ]
"#;

const SCORE: &str = r#"
day=${LOGS_DAY:-latest} run=${RUN_ID:-all}
echo "scoring day $day, run $run"
lines=$(wc -l < strategies/OpeningRange.cs)
printf '{"day":"%s","run":"%s","score":%d}\n' "$day" "$run" "$lines" > "$ARTIFACT_DIR/score.json"
echo "score: $lines"
"#;

/// A repository of that kind: two commits on `main`, pushed to a bare remote.
pub struct Orb {
    fixture: Fixture,
    since: Oid,
    head: Oid,
}

impl Orb {
    /// Makes one in a temporary directory that goes with it. `core.hooksPath` is set in its work tree.
    pub fn new(kind: Kind) -> Self {
        let fixture = Fixture::new();
        fixture.git(&["config", "core.hooksPath", ".githooks"]);
        fs::write(fixture.dir().join("home/precious"), "precious\n").unwrap();
        write_first(&fixture, kind);
        let since = fixture.commit("an opening range strategy");
        write_second(&fixture, kind);
        let head = fixture.commit("a wider range");
        fixture.git(&["-c", "core.hooksPath=/dev/null", "push", "-q", "origin", "main"]);
        Self { fixture, since, head }
    }

    /// The repository itself: its directory, its remote, what git says of it.
    pub const fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    /// The root of its work tree.
    pub fn work(&self) -> PathBuf {
        self.fixture.work()
    }

    /// The bare remote.
    pub fn remote(&self) -> PathBuf {
        self.fixture.remote()
    }

    /// The home directory that its scripts are to have; the file `precious` in it is not theirs.
    pub fn home(&self) -> PathBuf {
        self.fixture.dir().join("home")
    }

    /// The first commit.
    pub const fn since(&self) -> &Oid {
        &self.since
    }

    /// The second commit: `HEAD` and `main`.
    pub const fn head(&self) -> &Oid {
        &self.head
    }

    /// An empty directory for outputs; a new one for every name.
    pub fn artifacts(&self, name: &str) -> PathBuf {
        let dir = self.fixture.dir().join("artifacts").join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A call of `program` in the work tree, as in a job: with `out` for its outputs and no configuration of the machine.
    pub fn program(&self, program: &str, out: &Path) -> Cmd {
        let program = Cmd::new(program).dir(self.work()).output_cap(8 << 20).timeout(Duration::from_mins(5));
        let program = program.env("HOME", self.home()).env("ARTIFACT_DIR", out);
        program.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")
    }

    /// How the call ended and what it said, without what differs from run to run.
    pub fn run(&self, cmd: &Cmd) -> String {
        let output = Local::new().run(cmd).unwrap();
        let text = format!("{}\n{}\n{}", output.status, output.stdout_text(), output.stderr_text());
        let text = text.replace(&self.fixture.dir().display().to_string(), "~");
        text.replace(self.since.as_str(), "SINCE").replace(self.head.as_str(), "HEAD").trim_end().to_owned()
    }
}

fn write_first(fixture: &Fixture, kind: Kind) {
    fixture.write("README.md", "# algo-nt8-orb\n\nAn opening range breakout for NinjaTrader 8.\n");
    fixture.write(".gitignore", "review_packets/\n");
    fixture.write("docs/LAST_REVIEWED_SHA.txt", format!("{}\n", "0123456789".repeat(4)));
    fixture.write("strategies/OpeningRange.cs", strategy(15));
    script(&fixture.work(), ".githooks/pre-push", "echo 'a hook of the repository ran'\n");
    let (prelude, instead) = (kind.prelude(), kind.instead_of_a_bundle());
    if kind != Kind::WithoutReview {
        script(&fixture.work(), "ops/review_bundle.sh", &[REVIEW, prelude, instead, BUNDLE].concat());
    }
    if kind != Kind::WithoutDoctor {
        script(&fixture.work(), "ops/doctor_repo.sh", &[prelude, DOCTOR].concat());
    }
    if kind != Kind::WithoutHarness {
        script(&fixture.work(), "ops/score_run.sh", &[prelude, SCORE].concat());
    }
}

fn write_second(fixture: &Fixture, kind: Kind) {
    fixture.write("strategies/OpeningRange.cs", strategy(30));
    if kind == Kind::OverTheCap {
        for part in 0..4 {
            let lines: String = (0..2000).map(|n| format!("{part},{n},the price of one tick of a day\n")).collect();
            fixture.write(format!("data/ticks-{part}.csv"), lines);
        }
    }
    if kind == Kind::OddNames {
        for name in
            [&b"line\nfeed.txt"[..], b"tab\t\"quote\"\\.txt", b"esc\x1b[2J.txt", b"latin-\xe9.txt", b"-rf", b":(glob)*"]
        {
            fixture.write(name, "odd\n");
        }
        symlink("/etc/passwd", fixture.work().join("passwd")).unwrap();
        symlink("/", fixture.work().join("root")).unwrap();
        symlink("../../../..", fixture.work().join("up")).unwrap();
    }
}

fn strategy(minutes: u32) -> String {
    format!("public class OpeningRange : Strategy\n{{\n    public int Minutes {{ get; set; }} = {minutes};\n}}\n")
}

fn script(work: &Path, path: &str, body: &str) {
    let path = work.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/usr/bin/env bash\nset -uo pipefail\n{body}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
