//! Both files: archived samples, the effective policy and its hash, everything that is refused, all at once.

use allowlist::policy::MAX_BYTES;
use allowlist::{Level, Policy, Problems};
use insta::assert_snapshot;

const JOBS: &str = include_str!("../samples/job_allowlist-v1.toml");
const REPOS: &str = include_str!("../samples/repo_allowlist-v1.toml");

fn parse(jobs: &str, repos: &str) -> Result<Policy, Problems> {
    Policy::parse(jobs.as_bytes(), repos.as_bytes())
}

fn said(result: &Result<Policy, Problems>) -> String {
    result.as_ref().map_or_else(ToString::to_string, |_| "valid".into())
}

/// A list of jobs with these lines below `schema`, beside the sample's repositories.
fn jobs(lines: &str) -> String {
    said(&parse(&format!("schema = 1\n{lines}\n"), REPOS))
}

/// A job with these lines.
fn job(lines: &str) -> String {
    jobs(&format!("[jobs.a]\nargv = [\"a\"]\ntimeout_sec = 1\n{lines}"))
}

/// A list of repositories with these lines below `schema`, and no jobs.
fn repos(lines: &str) -> String {
    said(&parse("schema = 1", &format!("schema = 1\n{lines}\n")))
}

/// A repository with these lines.
fn repo(lines: &str) -> String {
    repos(&format!(
        "[repos.a]\nurl = \"git@host:a\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\n{lines}"
    ))
}

#[test]
fn the_samples_of_schema_1_are_read_whole() {
    let policy = parse(JOBS, REPOS).unwrap();
    let effective = serde_json::to_value(&policy).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&effective).unwrap(), @r#"
    {
      "jobs": {
        "echo": {
          "argv": [
            "echo",
            "hello"
          ],
          "binds": [],
          "env": [],
          "limits": {
            "artifact_files": 10000,
            "artifact_mib": 256,
            "cpu_sec": 3600,
            "file_mib": 1024,
            "grace_sec": 10,
            "log_mib": 16,
            "memory_mib": 2048,
            "open_files": 1024,
            "processes": 512,
            "tmp_files": 100000,
            "tmp_mib": 1024
          },
          "network": false,
          "params": {},
          "repos": null,
          "timeout_sec": 60,
          "tree": "read_only"
        },
        "score": {
          "argv": [
            "orb-score-run",
            "--all"
          ],
          "binds": [
            "/opt/node",
            "/usr/local/go"
          ],
          "env": [
            "HTTPS_PROXY",
            "TZ"
          ],
          "limits": {
            "artifact_files": 100,
            "artifact_mib": 50,
            "cpu_sec": 60,
            "file_mib": 100,
            "grace_sec": 0,
            "log_mib": 4,
            "memory_mib": 512,
            "open_files": 256,
            "processes": 64,
            "tmp_files": 1000,
            "tmp_mib": 200
          },
          "network": true,
          "params": {
            "logs_day": {
              "pattern": "\\d{4}-\\d{2}-\\d{2}",
              "required": false
            },
            "since_sha": {
              "pattern": "[0-9a-f]{40}",
              "required": true
            }
          },
          "repos": [
            "local",
            "orb"
          ],
          "timeout_sec": 1800,
          "tree": "capture"
        }
      },
      "max_running": 16,
      "min_level": "L2",
      "repos": {
        "local": {
          "allowed_branches": [
            "main"
          ],
          "default_branch": "main",
          "max_running": 2,
          "ssh_host_keys": [],
          "ssh_identity": null,
          "url": [
            "file:///srv/git/local",
            "file:///srv/git/local.git"
          ]
        },
        "orb": {
          "allowed_branches": [
            "main",
            "release/*"
          ],
          "default_branch": "main",
          "max_running": 2,
          "ssh_host_keys": [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
          ],
          "ssh_identity": "/etc/ai-ops-runner/keys/orb",
          "url": [
            "ssh://git@github.com/owner/orb",
            "git@github.com:owner/orb.git"
          ]
        },
        "public": {
          "allowed_branches": [
            "*"
          ],
          "default_branch": "trunk",
          "max_running": 2,
          "ssh_host_keys": [],
          "ssh_identity": null,
          "url": [
            "https://example.org/group/public",
            "https://example.org/group/public"
          ]
        }
      },
      "schema": 1
    }
    "#);
    assert_eq!(policy.min_level(), Level::L2);
}

#[test]
fn the_hash_is_of_the_effective_policy_and_not_of_its_text() {
    let policy = parse(JOBS, REPOS).unwrap();
    assert_snapshot!(policy.sha256(), @"9fcd9087f8db25e48139ce68bd3714b8838d915f7abf2e118a234b2c069fc534");
    let (head, tail) = JOBS.split_once("[jobs.echo]").unwrap();
    let head = head
        .strip_prefix("schema = 1")
        .unwrap()
        .replace("60", "0x3c")
        .replace(r#"["TZ", "HTTPS_PROXY"]"#, r#"["HTTPS_PROXY", "TZ",]"#);
    let other = format!("# other text\nschema = 1\n[jobs.echo]{tail}network = false\ntree = 'read_only'\n{head}\n");
    assert_eq!(parse(&other, REPOS).unwrap().sha256(), policy.sha256());
    assert_eq!(parse(&other, REPOS).unwrap(), policy);
}

#[test]
fn how_many_run_at_one_time_is_said_for_all_for_each_and_for_one() {
    let numbers = |text: &str| {
        let policy = parse("schema = 1", &format!("schema = 1\n{text}\n")).unwrap();
        let each = policy.repos().values().map(|repo| repo.max_running.to_string());
        format!("{} {}", policy.max_running(), each.collect::<Vec<_>>().join(" "))
    };
    let repo = |name: &str, lines: &str| {
        let fixed = "allowed_branches = [\"main\"]\ndefault_branch = \"main\"";
        format!("[repos.{name}]\nurl = \"https://example.org/{name}\"\n{fixed}\n{lines}\n")
    };
    let both = format!("{}{}", repo("a", ""), repo("b", "max_running = 5"));
    assert_eq!(numbers(&both), "16 2 5");
    assert_eq!(numbers(&format!("{both}[queue]\nmax_running = 8\nmax_running_per_repo = 3")), "8 3 5");
    assert_snapshot!(repos(&format!("{}[queue]\nmax_running = 0\nmost = 1", repo("a", "max_running = 1001"))), @"
    repo_allowlist.toml:6:1: repos.a.max_running: 1001 is not within 1..=1000
    repo_allowlist.toml:8:1: queue.max_running: 0 is not within 1..=1000
    repo_allowlist.toml:9:1: queue.most: is not a key of this table (max_running, max_running_per_repo)
    ");
}

#[test]
fn the_hash_is_another_when_anything_that_counts_is() {
    let hash = parse(JOBS, REPOS).unwrap().sha256().to_owned();
    for (from, to) in [
        ("L2", "L3"),
        ("--all", "--one"),
        ("1800", "1801"),
        ("\"capture\"", "\"read_only\""),
        ("network = true", "network = false"),
        ("TZ", "TY"),
        ("/opt/node", "/opt/nodes"),
        ("\"orb\", ", ""),
        ("cpu_sec = 60", "cpu_sec = 61"),
        ("required = true", "required = false"),
        (r"\d{4}", r"\d{5}"),
        ("jobs.echo", "jobs.echo2"),
        ("grace_sec = 0", "grace_sec = 1"),
    ] {
        assert_ne!(parse(&JOBS.replacen(from, to, 1), REPOS).unwrap().sha256(), hash, "{from}");
    }
    for (from, to) in [
        ("owner/orb", "owner/orc"),
        ("orb.git", "orb"),
        ("release/*", "release/1"),
        ("keys/orb", "keys/orc"),
        ("\"trunk\"", "\"main\""),
        ("SdG6", "SdG7"),
    ] {
        assert_ne!(parse(JOBS, &REPOS.replacen(from, to, 1)).unwrap().sha256(), hash, "{from}");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let policy = parse("schema = 1\n[jobs.a]\nargv = [\"a\"]\ntimeout_sec = 1", "schema = 1").unwrap();
    assert_eq!(policy.min_level(), Level::L3);
    assert_snapshot!(serde_json::to_string(&policy.jobs()["a"]).unwrap(), @r#"{"argv":["a"],"timeout_sec":1,"tree":"read_only","network":false,"env":[],"binds":[],"repos":null,"limits":{"cpu_sec":3600,"memory_mib":2048,"processes":512,"open_files":1024,"file_mib":1024,"tmp_mib":1024,"tmp_files":100000,"artifact_mib":256,"artifact_files":10000,"log_mib":16,"grace_sec":10},"params":{}}"#);
}

#[test]
fn what_is_weak_or_cannot_work_is_a_warning() {
    let keyless = REPOS.replace("ssh_host_keys", "# ");
    assert_snapshot!(parse(JOBS, &keyless).unwrap().warnings().join("\n"), @r"
    sandbox.min_level: L2 lets jobs run with less isolation than L3
    jobs.score: has the host's network
    repos.orb: has no ssh_host_keys: it cannot be fetched, no key is accepted on first use
    ");
    assert_eq!(
        parse(&JOBS.replace("L2", "L3").replace("network = true", ""), REPOS).unwrap().warnings(),
        Vec::<String>::new()
    );
}

#[test]
fn every_problem_of_both_files_comes_at_once() {
    let bad_jobs = r#"
schema = 1
colour = "red"
[sandbox]
min_level = "L4"
[jobs."../x"]
argv = []
timeout_sec = 0
timout = 1
[jobs.b]
argv = ["", 7, "a\u0000b"]
tree = "writable"
network = "no"
env = ["PATH", "TZ", "TZ", "OPENAI_API_KEY", "1X"]
binds = ["/", "opt", "/opt/a/b", "/opt/a"]
repos = ["obr"]
[jobs.b.limits]
memory_mib = 1
grace_sec = 301
disk = 1
[jobs.b.params.TZ]
pattern = "("
[jobs.b.params.tz]
pattern = 1
requird = true
[jobs.b.params.path]
[jobs.c]
"#;
    let bad_repos = r#"
schema = 1
[repos.orb]
url = "git@github.com:a/b"
allowed_branches = ["main"]
default_branch = "dev"
[repos.same]
url = "ssh://git@GITHUB.com:22/a/b.git/"
allowed_branches = []
ssh_host_keys = ["nonsense"]
[repos.http]
url = "http://github.com/x"
allowed_branches = ["refs/heads/main", "**"]
default_branch = "a b"
ssh_identity = "key"
"#;
    let problems = parse(bad_jobs, bad_repos).unwrap_err();
    assert_snapshot!(problems, @r#"
    job_allowlist.toml:3:1: colour: is not a key of this table (schema, sandbox, jobs)
    job_allowlist.toml:5:1: sandbox.min_level: `L4` is not one of "L0", "L1", "L2", "L3"
    job_allowlist.toml:6:7: jobs."../x": the name of a job must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    job_allowlist.toml:7:1: jobs."../x".argv: must not be empty
    job_allowlist.toml:8:1: jobs."../x".timeout_sec: 0 is not within 1..=86400
    job_allowlist.toml:9:1: jobs."../x".timout: is not a key of this table (env, argv, timeout_sec, tree, network, binds, repos, limits, params)
    job_allowlist.toml:10:7: jobs.b.timeout_sec: is missing
    job_allowlist.toml:11:9: jobs.b.argv[0]: is not the name or path of a program
    job_allowlist.toml:11:13: jobs.b.argv[1]: is of type integer, not string
    job_allowlist.toml:11:16: jobs.b.argv[2]: holds a NUL
    job_allowlist.toml:12:1: jobs.b.tree: `writable` is not one of "read_only", "capture"
    job_allowlist.toml:13:1: jobs.b.network: is of type string, not boolean
    job_allowlist.toml:14:8: jobs.b.env[0]: `PATH` is set by the runner alone
    job_allowlist.toml:14:22: jobs.b.env[2]: `TZ` stands there twice
    job_allowlist.toml:14:28: jobs.b.env[3]: `OPENAI_API_KEY` names a secret: a job gets none
    job_allowlist.toml:14:46: jobs.b.env[4]: `1X` is not the name of a variable
    job_allowlist.toml:15:1: jobs.b.binds: `/opt/a/b` lies within `/opt/a`, which is bound already
    job_allowlist.toml:15:10: jobs.b.binds[0]: `/` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
    job_allowlist.toml:15:15: jobs.b.binds[1]: `opt` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
    job_allowlist.toml:16:10: jobs.b.repos[0]: `obr` is not in the list of repositories
    job_allowlist.toml:18:1: jobs.b.limits.memory_mib: 1 is not within 16..=1048576
    job_allowlist.toml:19:1: jobs.b.limits.grace_sec: 301 is not within 0..=300
    job_allowlist.toml:20:1: jobs.b.limits.disk: is not a key of this table (cpu_sec, memory_mib, processes, open_files, file_mib, tmp_mib, tmp_files, artifact_mib, artifact_files, log_mib, grace_sec)
    job_allowlist.toml:21:16: jobs.b.params.TZ: the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    job_allowlist.toml:22:1: jobs.b.params.TZ.pattern: is no regular expression: unclosed group
    job_allowlist.toml:23:16: jobs.b.params.tz: its variable TZ is passed through by `env` already
    job_allowlist.toml:24:1: jobs.b.params.tz.pattern: is of type integer, not string
    job_allowlist.toml:25:1: jobs.b.params.tz.requird: is not a key of this table (required, pattern); did you mean required?
    job_allowlist.toml:26:16: jobs.b.params.path: its variable PATH is set by the runner alone
    job_allowlist.toml:26:16: jobs.b.params.path.pattern: is missing
    job_allowlist.toml:27:7: jobs.c.argv: is missing
    job_allowlist.toml:27:7: jobs.c.timeout_sec: is missing
    repo_allowlist.toml:6:1: repos.orb.default_branch: `dev` is not an allowed branch
    repo_allowlist.toml:7:8: repos.same.default_branch: is missing
    repo_allowlist.toml:9:1: repos.same.allowed_branches: must not be empty
    repo_allowlist.toml:10:18: repos.same.ssh_host_keys[0]: `nonsense` is not a kind of key, one space, and the key in base64
    repo_allowlist.toml:12:1: repos.http.url: http:// is for loopback (localhost, 127.0.0.0/8, [::1]) only: write https://
    repo_allowlist.toml:13:21: repos.http.allowed_branches[0]: `refs/heads/main` is a full ref name; write the branch alone: `main`
    repo_allowlist.toml:13:40: repos.http.allowed_branches[1]: `**`: `*` stays inside one component; there is no `**`
    repo_allowlist.toml:14:1: repos.http.default_branch: `a b` is not the name of a branch
    repo_allowlist.toml:15:1: repos.http.ssh_identity: `key` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    "#);
    assert_eq!((problems.class(), problems.as_slice().len()), ("bad-allowlist", problems.to_string().lines().count()));
    assert!(problems.next().starts_with("mend the allowlist"));
}

#[test]
fn what_is_no_toml_has_a_line_and_a_column_and_nothing_else_is_said() {
    assert_snapshot!(jobs("[jobs.é]\nargv = [\"a\"\ntimeout_sec = \n"), @r"
    job_allowlist.toml:2:7: invalid unquoted key, expected letters, numbers, `-`, `_`
    job_allowlist.toml:4:1: invalid boolean, expected `true`
    job_allowlist.toml:4:1: missing comma between array elements, expected `,`
    job_allowlist.toml:4:13: unexpected `=` in array, expected value, `]`
    job_allowlist.toml:4:14: unclosed array, expected `]`
    ");
    assert_snapshot!(jobs("[jobs.a]\n[jobs.b]\n[jobs.a]\nargv = 1"), @"job_allowlist.toml:4:7: duplicate key");
    assert_snapshot!(said(&Policy::parse(b"schema = 1", b"schema = 1\n\xff")), @"repo_allowlist.toml:1:1: invalid utf-8 sequence of 1 bytes from index 11");
}

#[test]
fn a_file_says_its_schema_and_only_1_is_read() {
    assert_snapshot!(said(&parse("", "schema = 2\n[later]")), @r"
    job_allowlist.toml:1:1: schema: is missing
    repo_allowlist.toml:1:1: schema: 2 is not 1, the only one this version reads
    ");
    assert_snapshot!(said(&parse("schema = \"1\"", "schema = -1")), @r"
    job_allowlist.toml:1:1: schema: is of type string, not integer
    repo_allowlist.toml:1:1: schema: -1 is not 1, the only one this version reads
    ");
}

#[test]
fn a_file_has_at_most_256_kib() {
    let filled = |bytes: usize| format!("schema = 1\n#{}", "x".repeat(bytes - 12));
    assert_eq!(said(&parse(&filled(MAX_BYTES), &filled(MAX_BYTES))), "valid");
    assert_snapshot!(said(&parse(&filled(MAX_BYTES + 1), "schema = 1")), @"job_allowlist.toml:1:1: is longer than 262144 bytes");
}

#[test]
fn tables_and_lists_are_bounded() {
    let many = |n: usize, each: &dyn Fn(usize) -> String| (0..n).map(each).collect::<String>();
    let a_job = |n: usize| format!("[jobs.j{n}]\nargv = [\"a\"]\ntimeout_sec = 1\n");
    assert_eq!(jobs(&many(100, &a_job)), "valid");
    assert_snapshot!(jobs(&many(101, &a_job)), @"job_allowlist.toml:2:2: jobs: has 101 entries, more than 100");
    let params = |n: usize| many(n, &|n| format!("[jobs.a.params.p{n}]\npattern = \"a\"\n"));
    assert_eq!(job(&params(16)), "valid");
    assert_snapshot!(job(&params(17)), @"job_allowlist.toml:5:9: jobs.a.params: has 17 entries, more than 16");
    let env = |n: usize| format!("env = [{}]", many(n, &|n| format!("\"V{n}\",")));
    assert_eq!(job(&env(100)), "valid");
    assert_snapshot!(job(&env(101)), @"job_allowlist.toml:5:1: jobs.a.env: has 101 entries, more than 100");
    let argv = |n: usize| jobs(&format!("[jobs.a]\ntimeout_sec = 1\nargv = [\"a\", \"{}\"]", "x".repeat(n)));
    assert_eq!(argv(4_096), "valid");
    assert_snapshot!(argv(4_097), @"job_allowlist.toml:4:14: jobs.a.argv[1]: is longer than 4096 bytes");
}

#[test]
fn j23_every_number_keeps_its_bounds() {
    let limits = [
        ("cpu_sec", 1, 604_800),
        ("memory_mib", 16, 1 << 20),
        ("processes", 1, 32_768),
        ("open_files", 16, 1 << 20),
        ("file_mib", 1, 65_536),
        ("tmp_mib", 1, 65_536),
        ("tmp_files", 16, 1 << 22),
        ("artifact_mib", 1, 16_384),
        ("artifact_files", 1, 1_000_000),
        ("log_mib", 1, 1_024),
        ("grace_sec", 0, 300),
    ];
    for (key, least, most) in limits {
        let with = |number: i64| job(&format!("[jobs.a.limits]\n{key} = {number}"));
        assert_eq!((with(least), with(most)), ("valid".into(), "valid".into()), "{key}");
        for number in [least - 1, most + 1] {
            assert_eq!(
                with(number),
                format!("job_allowlist.toml:6:1: jobs.a.limits.{key}: {number} is not within {least}..={most}")
            );
        }
    }
    let timeout = |number: &str| jobs(&format!("[jobs.a]\nargv = [\"a\"]\ntimeout_sec = {number}"));
    assert_eq!((timeout("1"), timeout("86_400"), timeout("0o17")), ("valid".into(), "valid".into(), "valid".into()));
    assert_snapshot!(["0", "86401", "-1", "1.5", "99999999999999999999999", "0xfffffff"].map(timeout).join("\n"), @r"
    job_allowlist.toml:4:1: jobs.a.timeout_sec: 0 is not within 1..=86400
    job_allowlist.toml:4:1: jobs.a.timeout_sec: 86401 is not within 1..=86400
    job_allowlist.toml:4:1: jobs.a.timeout_sec: -1 is not within 1..=86400
    job_allowlist.toml:4:1: jobs.a.timeout_sec: is of type float, not integer
    job_allowlist.toml:4:1: jobs.a.timeout_sec: 99999999999999999999999 is not within 1..=86400
    job_allowlist.toml:4:1: jobs.a.timeout_sec: 0xfffffff is not within 1..=86400
    ");
}

#[test]
fn j16_a_parameter_is_a_free_variable_with_a_pattern() {
    let param = |key: &str| job(&format!("env = [\"TZ\"]\n[jobs.a.params.\"{key}\"]\npattern = \"a\""));
    assert_eq!((param("since_sha"), param(&"a".repeat(64))), ("valid".into(), "valid".into()));
    let long = "a".repeat(65);
    assert_snapshot!(["path", "git_dir", "ld_preload", "tz", "Since", "a-b", "1a", "_a", "", "force_size_cap", "my_token", &long].map(param).join("\n"), @r#"
    job_allowlist.toml:6:16: jobs.a.params.path: its variable PATH is set by the runner alone
    job_allowlist.toml:6:16: jobs.a.params.git_dir: its variable GIT_DIR steers a shell, a loader or an interpreter
    job_allowlist.toml:6:16: jobs.a.params.ld_preload: its variable LD_PRELOAD steers a shell, a loader or an interpreter
    job_allowlist.toml:6:16: jobs.a.params.tz: its variable TZ is passed through by `env` already
    job_allowlist.toml:6:16: jobs.a.params.Since: the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    job_allowlist.toml:6:16: jobs.a.params.a-b: the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    job_allowlist.toml:6:16: jobs.a.params.1a: the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    job_allowlist.toml:6:16: jobs.a.params._a: the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    job_allowlist.toml:6:16: jobs.a.params."": the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    job_allowlist.toml:6:16: jobs.a.params.force_size_cap: its variable FORCE_SIZE_CAP is set by the runner alone
    job_allowlist.toml:6:16: jobs.a.params.my_token: its variable MY_TOKEN names a secret: a job gets none
    job_allowlist.toml:6:16: jobs.a.params.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…: the key must be `[a-z][a-z0-9_]*` of at most 64 bytes
    "#);
    assert_snapshot!(job("[jobs.a.params.x]\nrequired = 1"), @r"
    job_allowlist.toml:5:16: jobs.a.params.x.pattern: is missing
    job_allowlist.toml:6:1: jobs.a.params.x.required: is of type integer, not boolean
    ");
    assert_snapshot!(job("[jobs.a]\nparams = 1"), @"job_allowlist.toml:5:7: duplicate key");
    assert_snapshot!(job("params = 1"), @"job_allowlist.toml:5:1: jobs.a.params: is of type integer, not table");
    assert_snapshot!(job("[jobs.a.params]\nx = \"a\""), @"job_allowlist.toml:6:1: jobs.a.params.x: is of type string, not table");
}

#[test]
fn j16_a_value_has_at_most_1000_bytes() {
    let jobs = "schema = 1\n[jobs.a]\nargv = [\"a\"]\ntimeout_sec = 1\n[jobs.a.params.x]\npattern = \".*\"";
    let policy = parse(jobs, REPOS).unwrap();
    let param = &policy.jobs()["a"].params["x"];
    assert_eq!((param.check(""), param.check(&"a".repeat(1_000)), param.check("é -x")), (Ok(()), Ok(()), Ok(())));
    let why = [&"a".repeat(1_001), "a\nb", "\u{202e}"].map(|value| param.check(value).unwrap_err());
    assert_snapshot!(why.join("\n"), @r"
    is longer than 1000 bytes
    holds a line break, a control or an invisible character
    holds a line break, a control or an invisible character
    ");
}

#[test]
fn j08_variables_that_steer_or_name_a_secret_are_not_passed_through() {
    assert_eq!(job(r#"env = ["TZ", "http_proxy", "_X"]"#), "valid");
    assert_snapshot!(job(r#"env = ["TAILSCALE_AUTHKEY", "CODEX_API_KEY", "CREDENTIALS_DIRECTORY", "DATABASE_URL", "GIT_SSH", "HOME", "A=B", 1]"#), @r"
    job_allowlist.toml:5:8: jobs.a.env[0]: `TAILSCALE_AUTHKEY` names a secret: a job gets none
    job_allowlist.toml:5:29: jobs.a.env[1]: `CODEX_API_KEY` names a secret: a job gets none
    job_allowlist.toml:5:46: jobs.a.env[2]: `CREDENTIALS_DIRECTORY` names a secret: a job gets none
    job_allowlist.toml:5:71: jobs.a.env[3]: `DATABASE_URL` names a secret: a job gets none
    job_allowlist.toml:5:87: jobs.a.env[4]: `GIT_SSH` steers a shell, a loader or an interpreter
    job_allowlist.toml:5:98: jobs.a.env[5]: `HOME` is set by the runner alone
    job_allowlist.toml:5:106: jobs.a.env[6]: `A=B` is not the name of a variable
    job_allowlist.toml:5:113: jobs.a.env[7]: is of type integer, not string
    ");
}

#[test]
fn j09_what_is_bound_is_named_once_and_holds_no_state() {
    assert_eq!(job(r#"binds = ["/opt/node", "/usr/local/go"]"#), "valid");
    assert_snapshot!(job(r#"binds = ["/opt/node", "/opt/node/lib", "/opt/node", "/var/lib/ai-ops-runner/jobs", "/etc/"]"#), @r"
    job_allowlist.toml:5:1: jobs.a.binds: `/opt/node/lib` lies within `/opt/node`, which is bound already
    job_allowlist.toml:5:40: jobs.a.binds[2]: `/opt/node` stands there twice
    job_allowlist.toml:5:53: jobs.a.binds[3]: `/var/lib/ai-ops-runner/jobs` may not be bound: /var/lib/ai-ops-runner is the runner's own state
    job_allowlist.toml:5:84: jobs.a.binds[4]: `/etc/` is not an absolute path without `.`, `..`, `//` and `/` at its end, of at most 256 bytes
    ");
}

#[test]
fn j02_a_job_names_repositories_of_the_list() {
    assert_eq!(job(r#"repos = ["orb", "public"]"#), "valid");
    assert_snapshot!(job(r#"repos = ["orv", "x"]"#), @r"
    job_allowlist.toml:5:10: jobs.a.repos[0]: `orv` is not in the list of repositories; did you mean `orb`?
    job_allowlist.toml:5:17: jobs.a.repos[1]: `x` is not in the list of repositories
    ");
    assert_snapshot!(job("repos = []"), @"job_allowlist.toml:5:1: jobs.a.repos: must not be empty");
    // What is wrong with the other file is said once, there.
    assert_snapshot!(said(&parse("schema = 1\n[jobs.a]\nargv = [\"a\"]\ntimeout_sec = 1\nrepos = [\"b\"]", "schema = 1\n[")), @"repo_allowlist.toml:2:2: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`");
    assert_snapshot!(said(&parse("schema = 1\n[jobs.a]\nargv = [\"a\"]\ntimeout_sec = 1\nrepos = [\"b\"]", "schema = 1\n[repos.b]\nurl = 1")), @r"
    repo_allowlist.toml:2:8: repos.b.allowed_branches: is missing
    repo_allowlist.toml:2:8: repos.b.default_branch: is missing
    repo_allowlist.toml:3:1: repos.b.url: is of type integer, not string
    ");
}

#[test]
fn a_program_is_named_plainly() {
    let argv = |argv: &str| jobs(&format!("[jobs.a]\ntimeout_sec = 1\nargv = {argv}"));
    assert_eq!(
        (argv(r#"["./ops/run", "-x", "a\nb", ""]"#), argv(r#"["/bin/true"]"#)),
        ("valid".into(), "valid".into())
    );
    assert_snapshot!([r#"["-x"]"#, r#"[""]"#, r#"["a\nb"]"#, r#""a""#, "[]", "[1]", r#"["a", ["b"]]"#].map(argv).join("\n"), @r"
    job_allowlist.toml:4:9: jobs.a.argv[0]: is not the name or path of a program
    job_allowlist.toml:4:9: jobs.a.argv[0]: is not the name or path of a program
    job_allowlist.toml:4:9: jobs.a.argv[0]: is not the name or path of a program
    job_allowlist.toml:4:1: jobs.a.argv: is of type string, not array of strings
    job_allowlist.toml:4:1: jobs.a.argv: must not be empty
    job_allowlist.toml:4:9: jobs.a.argv[0]: is of type integer, not string
    job_allowlist.toml:4:14: jobs.a.argv[1]: is of type array, not string
    ");
}

#[test]
fn j04_two_repositories_with_one_url_are_refused() {
    let entry = |name: &str, url: &str| {
        format!("[repos.{name}]\nurl = \"{url}\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\n")
    };
    assert_snapshot!(repos(&[entry("a", "host:r"), entry("b", "ssh://HOST:22/r.git"), entry("c", "ssh://git@host/r")].concat()), @"repo_allowlist.toml:7:1: repos.b.url: is the repository `a` again: both are ssh://host/r");
}

#[test]
fn j06_the_default_branch_is_an_allowed_one() {
    let with = |allowed: &str, default: &str| {
        repos(&format!("[repos.a]\nurl = \"host:a\"\nallowed_branches = {allowed}\ndefault_branch = \"{default}\""))
    };
    assert_eq!((with(r#"["main"]"#, "main"), with(r#"["release/*"]"#, "release/1")), ("valid".into(), "valid".into()));
    assert_snapshot!([with(r#"["main"]"#, "dev"), with(r#"["*"]"#, "*"), with("[]", "main"), with("[1]", "main"), with(r#"["main", "main"]"#, "main")].join("\n"), @r"
    repo_allowlist.toml:5:1: repos.a.default_branch: `dev` is not an allowed branch
    repo_allowlist.toml:5:1: repos.a.default_branch: `*` is not the name of a branch
    repo_allowlist.toml:4:1: repos.a.allowed_branches: must not be empty
    repo_allowlist.toml:4:21: repos.a.allowed_branches[0]: is of type integer, not string
    repo_allowlist.toml:4:29: repos.a.allowed_branches[1]: `main` stands there twice
    ");
    assert_snapshot!(repos("[repos.a]"), @r"
    repo_allowlist.toml:2:8: repos.a.allowed_branches: is missing
    repo_allowlist.toml:2:8: repos.a.default_branch: is missing
    repo_allowlist.toml:2:8: repos.a.url: is missing
    ");
}

#[test]
fn j22_host_keys_and_identities_are_for_ssh() {
    assert_eq!(repo("ssh_identity = \"/etc/ai-ops-runner/keys/a@b\""), "valid");
    assert_snapshot!(["/a b", "a", "/a/../b", "/a\\nb", "/a\\\"b", "/a/./b"].map(|path| repo(&format!("ssh_identity = \"{path}\""))).join("\n"), @r#"
    repo_allowlist.toml:6:1: repos.a.ssh_identity: `/a b` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    repo_allowlist.toml:6:1: repos.a.ssh_identity: `a` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    repo_allowlist.toml:6:1: repos.a.ssh_identity: `/a/../b` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    repo_allowlist.toml:6:1: repos.a.ssh_identity: `/a\u{a}b` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    repo_allowlist.toml:6:1: repos.a.ssh_identity: `/a"b` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    repo_allowlist.toml:6:1: repos.a.ssh_identity: `/a/./b` is not an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes
    "#);
    let lines = "allowed_branches = [\"main\"]\ndefault_branch = \"main\"\nssh_identity = \"/k\"\nssh_host_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\"]";
    assert_snapshot!(repos(&format!("[repos.a]\nurl = \"https://host/a\"\n{lines}")), @r"
    repo_allowlist.toml:6:1: repos.a.ssh_identity: is for SSH URLs only
    repo_allowlist.toml:7:1: repos.a.ssh_host_keys: is for SSH URLs only
    ");
    assert_eq!(repo(&format!("ssh_identity = \"/{}\"", "a".repeat(255))), "valid");
    assert_ne!(repo(&format!("ssh_identity = \"/{}\"", "a".repeat(256))), "valid");
}

#[test]
fn j03_names_of_repositories_and_jobs_are_no_paths() {
    let entry = "url = \"host:a\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"";
    assert_snapshot!(["..", "a/b", ".a", "-a", "a b", ""].map(|name| repos(&format!("[repos.\"{name}\"]\n{entry}"))).join("\n"), @r#"
    repo_allowlist.toml:2:8: repos."..": the name of a repository must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    repo_allowlist.toml:2:8: repos."a/b": the name of a repository must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    repo_allowlist.toml:2:8: repos.".a": the name of a repository must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    repo_allowlist.toml:2:8: repos.-a: the name of a repository must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    repo_allowlist.toml:2:8: repos."a b": the name of a repository must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    repo_allowlist.toml:2:8: repos."": the name of a repository must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64
    "#);
    assert_snapshot!(jobs("[jobs.\"..\"]\nargv = [\"a\"]\ntimeout_sec = 1"), @r#"job_allowlist.toml:2:7: jobs."..": the name of a job must be letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64"#);
}

#[test]
fn a_url_in_the_list_never_shows_its_secret() {
    let said = repos(
        "[repos.a]\nurl = \"https://u:hunter2@host/a\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"",
    );
    assert_snapshot!(said, @"repo_allowlist.toml:3:1: repos.a.url: the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key");
}
