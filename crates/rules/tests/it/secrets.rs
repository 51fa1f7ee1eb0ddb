//! Recall and false alarms on a corpus. Tokens are made here, so that none stands in the source whole.

use proptest::prelude::*;
use rules::{Finding, Severity, scan_blob};

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";

/// `length` characters of an alphabet, the same for the same seed (xorshift).
fn made(alphabet: &str, length: usize, seed: u64) -> String {
    let alphabet = alphabet.as_bytes();
    let size = alphabet.len() as u64;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[usize::try_from((state >> 33) % size).expect("below the size")])
    };
    (0..length).map(|_| next()).collect()
}

/// Real shapes: what it is, the part that must never be shown, the text it stands in.
fn corpus(seed: u64) -> Vec<(&'static str, String, String)> {
    let b62 = |n| made(BASE62, n, seed);
    let hex = |n| made(HEX, n, seed);
    let plain = |prefix: &str, tail: String| (tail.clone(), format!("{prefix}{tail}"));
    let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let der = format!("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{}", b62(32));
    let openssh = ["b3BlbnNz", "aC1rZXktdjE"].concat();
    let tokens = [
        ("aws", plain("AKIA", made(UPPER, 16, seed))),
        ("aws session", plain("ASIA", made(UPPER, 16, seed))),
        ("aws example", plain("AKIA", "IOSFODNN7EXAMPLE".into())),
        ("aws secret", plain("aws_secret_access_key = ", b62(40))),
        ("aws secret json", (b62(40), format!("\"SecretAccessKey\": \"{}\"", b62(40)))),
        ("github", plain("ghp_", b62(36))),
        ("github oauth", plain("gho_", b62(36))),
        ("github app", plain("ghs_", b62(36))),
        ("github refresh", plain("ghr_", b62(76))),
        ("github fine", plain("github_pat_", format!("{}_{}", b62(22), b62(59)))),
        ("gitlab", plain("glpat-", b62(20))),
        ("gitlab runner", plain("glrt-", b62(20))),
        ("gitlab runner old", plain("GR1348941", b62(20))),
        ("slack bot", plain("xoxb-", format!("{}-{}-{}", made(DIGITS, 12, seed), made(DIGITS, 12, seed), b62(24)))),
        ("slack app", plain("xapp-1-", format!("A{}-{}-{}", made(UPPER, 10, seed), made(DIGITS, 13, seed), hex(64)))),
        (
            "slack hook",
            plain(
                "https://hooks.slack.com/services/",
                format!("T{}/B{}/{}", made(UPPER, 10, seed), made(UPPER, 10, seed), b62(24)),
            ),
        ),
        ("discord hook", plain("https://discord.com/api/webhooks/", format!("{}/{}", made(DIGITS, 18, seed), b62(68)))),
        ("stripe", plain("sk_live_", b62(24))),
        ("stripe restricted", plain("rk_live_", b62(99))),
        ("stripe hook", plain("whsec_", b62(32))),
        ("openai project", plain("sk-proj-", format!("{}_-{}", b62(60), b62(62)))),
        ("openai service", plain("sk-svcacct-", b62(74))),
        ("openai legacy", plain("sk-", format!("{}T3BlbkFJ{}", b62(20), made(BASE62, 20, seed + 1)))),
        ("anthropic", plain("sk-ant-api03-", format!("{}AA", b62(93)))),
        ("openrouter", plain("sk-or-v1-", hex(64))),
        ("google", plain("AIza", b62(35))),
        ("google oauth", plain("GOCSPX-", b62(28))),
        ("npm", plain("npm_", b62(36))),
        ("npmrc", plain("//registry.npmjs.org/:_authToken=", b62(36))),
        ("pypi", plain("pypi-AgEIcHlwaS5vcmc", b62(120))),
        ("crates.io", plain("cio", b62(32))),
        ("rubygems", plain("rubygems_", hex(48))),
        ("docker", plain("dckr_pat_", b62(27))),
        ("twilio", plain("SK", hex(32))),
        ("twilio auth", plain("TWILIO_AUTH_TOKEN=", hex(32))),
        ("sendgrid", plain("SG.", format!("{}.{}", b62(22), b62(43)))),
        ("mailgun", plain("key-", hex(32))),
        ("tailscale", plain("tskey-auth-", format!("{}CNTRL-{}", b62(11), b62(32)))),
        ("tailscale api", plain("tskey-api-", format!("{}CNTRL-{}", b62(11), b62(32)))),
        ("hugging face", plain("hf_", b62(34))),
        ("databricks", plain("dapi", hex(32))),
        ("digitalocean", plain("dop_v1_", hex(64))),
        ("linear", plain("lin_api_", b62(40))),
        ("grafana", plain("glsa_", format!("{}_{}", b62(32), hex(8)))),
        ("vault", plain("hvs.", b62(90))),
        ("terraform", plain("a1b2c3d4e5f6g7.atlasv1.", b62(67))),
        ("shopify", plain("shpat_", hex(32))),
        ("supabase", plain("sbp_", hex(40))),
        ("atlassian", plain("ATATT3", b62(180))),
        ("azure storage", plain("AccountName=x;AccountKey=", format!("{}==", b62(86)))),
        ("groq", plain("gsk_", b62(52))),
        ("age", plain("AGE-SECRET-KEY-1", made(UPPER, 58, seed))),
        ("jwt", plain("eyJhbGciOiJIUzI1NiJ9.eyJ", format!("{}.{}", b62(60), b62(43)))),
        ("pem", (der.clone(), pem("PRIVATE KEY", &der))),
        ("pem rsa crlf", (der.clone(), pem("RSA PRIVATE KEY", &der).replace('\n', "\r\n"))),
        ("pem in joined literals", (der.clone(), pem("RSA PRIVATE KEY", &der).replace('\n', "\\n\" +\n        \""))),
        ("pem in json", (der.clone(), pem("PRIVATE KEY", &der).replace('\n', "\\n"))),
        ("pem indented", (der.clone(), pem("EC PRIVATE KEY", &der).replace('\n', "\n    "))),
        (
            "pem encrypted",
            (
                der.clone(),
                pem("RSA PRIVATE KEY", &format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{}\n\n{der}", hex(32))),
            ),
        ),
        ("pgp", (der.clone(), pem("PGP PRIVATE KEY BLOCK", &format!("Version: GnuPG v2\n\n{der}")))),
        (
            "openssh",
            (
                b62(60),
                pem(
                    "OPENSSH PRIVATE KEY",
                    &format!("{openssh}AAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n{}", b62(60)),
                ),
            ),
        ),
        ("putty", (b62(60), format!("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{}\n", b62(60)))),
        ("postgres", (b62(16), format!("postgres://app:{}@db.internal:5432/app", b62(16)))),
        ("mongo", (b62(16), format!("mongodb+srv://app:{}@c0.mongodb.net/", b62(16)))),
        ("redis", (b62(16), format!("redis://:{}@cache:6379", b62(16)))),
        ("url token", (b62(16), format!("https://oauth2:{}@git.example.net/x.git", b62(16)))),
    ];
    tokens.into_iter().map(|(name, (secret, text))| (name, secret, text)).collect()
}

fn blocks(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Blocker)
}

#[test]
fn r22_every_form_is_found_in_every_surrounding() {
    let mut missed = Vec::new();
    for seed in 1..30 {
        for (name, _, text) in corpus(seed) {
            let around = [
                text.clone(),
                format!("key = \"{text}\"\n"),
                format!("export KEY='{text}';"),
                format!("  - {text}\n"),
                format!("a\\n{text}\\n"),
                format!("?k%3D{text}&x"),
                format!("<k>{text}</k>"),
            ];
            missed.extend(around.iter().filter(|t| !blocks(&scan_blob(b"f", t.as_bytes()))).map(|_| (name, seed)));
        }
    }
    assert_eq!(missed, []);
}

#[test]
fn a_secret_in_a_path_or_in_utf_16_is_found() {
    let (_, _, text) = corpus(3).swap_remove(5);
    assert!(blocks(&scan_blob(format!("keys/{text}").as_bytes(), b"")));
    let little: Vec<u8> = format!("\u{feff}x={text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = format!("\u{feff}x={text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(blocks(&scan_blob(b"f", &little)));
    assert!(blocks(&scan_blob(b"f", &big)));
}

#[test]
fn a_message_names_kind_line_and_length() {
    let text = format!("one\ntwo {}\n", ["AKIA", "IOSFODNN7EXAMPLE"].concat());
    let findings: Vec<_> = scan_blob(b"f", text.as_bytes()).into_iter().map(|f| (f.line, f.message)).collect();
    assert_eq!(findings, [(Some(2), "AWS access key: `AKIA…` (20 bytes)".to_owned())]);
}

#[test]
fn many_secrets_are_capped_and_counted() {
    let text = format!("{}\n", ["AKIA", "IOSFODNN7EXAMPLE"].concat()).repeat(1000);
    let findings = scan_blob(b"f", text.as_bytes());
    assert_eq!(findings.len(), rules::PER_RULE + 1);
    assert!(
        findings
            .iter()
            .any(|f| f.message == "and 980 more of this kind in this file" && f.severity == Severity::Blocker)
    );
}

/// What looks like a credential to a careless scanner.
const HARMLESS: &[&str] = &[
    "let task-runner = disk-usage; risk-assessment-of-everything-that-is-long-enough-to-match",
    "AKIAXXXXXXXXXXXXXXXX",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx and sk-proj-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-... or sk-proj-YOUR or $OPENAI_API_KEY or ghp_[A-Za-z0-9]{36}",
    "const PEM_HEADER: &str = \"-----BEGIN PRIVATE KEY-----\";\nconst DIGEST: &str = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\";",
    "if line.starts_with(\"-----BEGIN RSA PRIVATE KEY-----\") { return parse_private_key_from_the_following_lines(input) }",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n-----END PUBLIC KEY-----",
    "postgres://postgres:postgres@db/app postgres://user:password@host/db mysql://root:${DB_PASS}@db redis://localhost:6379",
    "http://localhost:8080/a@b https://example.com:443/x git@github.com:a/b.git ssh://git@host:22/a",
    "let token = self.lexer.next_token(); fn secret(&self) -> Secret; password: String, api_key: Option<String>",
    "password = \"correct horse battery staple\"; token=\"${TOKEN}\"; secret: {{ .Values.secret }}",
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= 0xdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    "commit 356a192b7913b04c54574d18c28d46e6395428ab",
    "the precious, delicious, conscious and capacious social contract; scion",
    "npm_config_registry npm_lifecycle_event npm_package_json hf_hub_download_with_a_long_function_name",
    "xoxo-hugs-and-kisses SG.x SKU0 SK1 eyJ eyJhbGciOiJIUzI1NiJ9",
    "Authorization: Bearer <token>; Bearer realm=\"x\"",
];

#[test]
fn harmless_text_has_no_finding() {
    for text in HARMLESS {
        let messages: Vec<_> = scan_blob(b"src/x.rs", text.as_bytes()).into_iter().map(|f| f.message).collect();
        assert_eq!(messages, [""; 0], "{text}");
    }
}

#[test]
fn a_generated_value_given_to_a_telling_name_is_noted_only() {
    for text in [
        format!("db_password: \"{}\"", made(BASE62, 24, 9)),
        format!("API_TOKEN={}\n", made(BASE62, 32, 9)),
        format!("Authorization: Bearer {}", made(BASE62, 32, 9)),
        format!("postgres://app:{}@localhost/app", "dev-only-1"),
    ] {
        let severities: Vec<_> = scan_blob(b"f", text.as_bytes()).into_iter().map(|f| f.severity).collect();
        assert_eq!(severities, [Severity::Notice], "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(path in proptest::collection::vec(any::<u8>(), 0..40), content in proptest::collection::vec(any::<u8>(), 0..400)) {
        scan_blob(&path, &content);
    }

    #[test]
    fn a_planted_secret_is_found_anywhere_and_never_shown(
        seed in 1..10_000_u64,
        which in 0..70_usize,
        before in proptest::collection::vec(any::<u8>(), 0..200),
        after in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut corpus = corpus(seed);
        let (name, secret, text) = corpus.swap_remove(which % corpus.len());
        let content = [&before[..], b"\n", text.as_bytes(), b"\n", &after[..]].concat();
        // A byte order mark by chance makes the rest UTF-16.
        prop_assume!(!before.starts_with(&[0xff, 0xfe]) && !before.starts_with(&[0xfe, 0xff]));
        let findings = scan_blob(b"f", &content);
        prop_assert!(blocks(&findings), "{name}");
        let line = 1 + before.split(|b| *b == b'\n').count() as u64;
        prop_assert!(findings.iter().any(|f| f.line >= Some(line)), "{name}");
        for finding in findings {
            prop_assert!(!finding.message.contains(&secret[..secret.len().min(6)]), "{}", finding.message);
            prop_assert!(finding.message.chars().all(|c| !c.is_control()));
        }
    }
}
