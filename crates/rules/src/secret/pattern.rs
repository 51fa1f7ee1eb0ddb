//! The published forms of credentials.
//!
//! Sources: each vendor's documentation of its token format, as gathered by GitHub secret scanning's list of supported
//! patterns and the rules of gitleaks.
//! It is a table of our own because the maintained sets are programs, read files at run time or need a newer compiler;
//! `tests/it/secrets.rs` judges it on a corpus, for what it finds and for what it must leave alone.

use crate::finding::Severity;
use regex::bytes::Captures;

/// The shortest token, in bytes.
const SHORTEST: usize = 16;

/// Whether a token may begin here: what most often stands behind a keyword, such as a quote, shows without the regular
/// expression that it does not.
pub(super) fn is_word(window: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+/=%".contains(byte);
    window.len() >= SHORTEST && window[..SHORTEST].iter().all(is_of_token)
}

/// What may stand before the keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Anything: the keyword is telling enough.
    Anywhere,
    /// No letter or digit.
    Word,
    /// No letter, digit, `-` or `_`.
    Token,
}

/// One form of credential.
#[derive(Debug)]
pub(super) struct Pattern {
    /// For the message.
    pub(super) name: &'static str,
    /// The regular expression begins with one of these. No keyword of the table begins another.
    pub(super) keywords: &'static [&'static str],
    pub(super) edge: Edge,
    /// Bytes, anchored at the keyword; a group `secret` narrows what is the credential. Repetitions without an upper end
    /// are compiled several times faster; they are used where what they repeat cannot hold the keyword again, so that
    /// a text of nothing but keywords is not read once for each.
    pub(super) regex: &'static str,
    pub(super) judge: Judge,
    /// Whether it is one word that begins with a public prefix: its first four bytes may be shown, and it is nowhere
    /// that [`is_word`] is not.
    pub(super) is_token: bool,
}

/// How bad a match is; `None` when it is a placeholder.
type Judge = fn(&Captures<'_>) -> Option<Severity>;

const fn token(
    name: &'static str,
    keywords: &'static [&'static str],
    edge: Edge,
    regex: &'static str,
    judge: Judge,
) -> Pattern {
    Pattern { name, keywords, edge, regex, judge, is_token: true }
}

const fn hidden(name: &'static str, keywords: &'static [&'static str], regex: &'static str, judge: Judge) -> Pattern {
    Pattern { name, keywords, edge: Anywhere, regex, judge, is_token: false }
}

use Edge::{Anywhere, Token, Word};

pub(super) static PATTERNS: &[Pattern] = &[
    token("AWS access key", &["AKIA", "ASIA", "ABIA", "ACCA"], Anywhere, r"A[A-Z]{3}[A-Z0-9]{16}\b", random),
    token("AWS Bedrock key", &["ABSK"], Anywhere, r"ABSK[A-Za-z0-9+/]{109,269}", random),
    hidden(
        "AWS secret key",
        &["aws_secret", "AWS_SECRET", "ecretAccessKey"],
        r#"[A-Za-z_]{0,32}["']?\s{0,4}[:=]\s{0,4}["']?(?<secret>[A-Za-z0-9+/]{40})(?:[^A-Za-z0-9+/]|\z)"#,
        random,
    ),
    token("GitHub token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], Anywhere, r"gh[a-z]_[A-Za-z0-9]{36,255}", random),
    token("GitHub fine-grained token", &["github_pat_"], Anywhere, r"github_pat_[A-Za-z0-9_]{36,255}", random),
    token(
        "GitLab token",
        &[
            "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "gloas-",
            "glffct-",
        ],
        Anywhere,
        r"gl[a-z]{2,5}-[A-Za-z0-9_\-.]{20,300}",
        random,
    ),
    token("GitLab runner token", &["GR1348941"], Anywhere, r"GR1348941[A-Za-z0-9_-]{20}", random),
    token(
        "Slack token",
        &["xox"],
        Word,
        r"xox(?:[abceprs](?:\.xox[bp])?-\d[A-Za-z0-9-]{10,400}|d-[A-Za-z0-9%+/=]{40,})",
        random,
    ),
    token("Slack app token", &["xapp-"], Word, r"xapp-\d-[A-Z0-9]{8,16}-\d{8,16}-[a-f0-9]{32,128}", random),
    hidden(
        "Slack webhook",
        &["hooks.slack.com/"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?<secret>[A-Za-z0-9+/_]{40,200})",
        random,
    ),
    hidden(
        "Discord webhook",
        &["discord.com/api/w", "discordapp.com/api/w"],
        r"discord(?:app)?\.com/api/webhooks/\d{17,20}/(?<secret>[A-Za-z0-9_-]{60,90})",
        random,
    ),
    token("Stripe live key", &["sk_live_", "rk_live_"], Anywhere, r"[sr]k_live_[A-Za-z0-9]{16,255}", random),
    token("Stripe test key", &["sk_test_", "rk_test_"], Anywhere, r"[sr]k_test_[A-Za-z0-9]{16,255}", random_notice),
    token("Stripe webhook secret", &["whsec_"], Anywhere, r"whsec_[A-Za-z0-9+/]{32,255}", random),
    token("Anthropic key", &["sk-"], Word, r"sk-ant-[a-z]{2,10}\d{2}-[A-Za-z0-9_-]{20,300}", random),
    token(
        "OpenAI key",
        &["sk-"],
        Word,
        r"sk-(?:(?:proj|svcacct|admin|service|None|or-v1)-[A-Za-z0-9_-]{20,300}|[A-Za-z0-9]{32,100}\b)",
        random,
    ),
    token("Google API key", &["AIza"], Anywhere, r"AIza[A-Za-z0-9_-]{35}", random),
    token("Google OAuth secret", &["GOCSPX-"], Anywhere, r"GOCSPX-[A-Za-z0-9_-]{28}", random),
    token("Google OAuth token", &["ya29."], Word, r"ya29\.[A-Za-z0-9_-]{20,400}", random),
    token("npm token", &["npm_"], Word, r"npm_[A-Za-z0-9]{36}\b", random),
    hidden(
        "npm registry token",
        &["_authToken"],
        r#"_authToken\s{0,4}=\s{0,4}["']?(?<secret>[A-Za-z0-9_\-+/=]{16,200})"#,
        random,
    ),
    token("PyPI token", &["pypi-AgE"], Anywhere, r"pypi-AgE[A-Za-z0-9_-]{40,400}", random),
    token("crates.io token", &["cio"], Token, r"cio[A-Za-z0-9]{32}\b", random),
    token("RubyGems key", &["rubygems_"], Anywhere, r"rubygems_[a-f0-9]{48}\b", random),
    token("NuGet key", &["oy2"], Token, r"oy2[a-z0-9]{43}\b", random),
    token("Docker Hub token", &["dckr_pat_", "dckr_oat_"], Anywhere, r"dckr_[po]at_[A-Za-z0-9_-]{27,64}", random),
    token(
        "Twilio key",
        &[
            "SK0", "SK1", "SK2", "SK3", "SK4", "SK5", "SK6", "SK7", "SK8", "SK9", "SKa", "SKb", "SKc", "SKd", "SKe",
            "SKf",
        ],
        Token,
        r"SK[0-9a-f]{32}\b",
        random,
    ),
    hidden(
        "Twilio auth token",
        &["TWILIO_AUTH", "twilio_auth", "twilioAuth"],
        r#"[A-Za-z_]{0,32}["']?\s{0,4}[:=]\s{0,4}["']?(?<secret>[0-9a-f]{32})\b"#,
        random,
    ),
    token("SendGrid key", &["SG."], Token, r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}", random),
    token("Mailgun key", &["key-"], Token, r"key-[0-9a-f]{32}\b", random),
    token("Tailscale key", &["tskey-"], Anywhere, r"tskey-[a-z]{2,12}-[A-Za-z0-9]{6,32}-[A-Za-z0-9]{16,64}", random),
    token("Hugging Face token", &["hf_", "api_org_"], Token, r"(?:hf|api_org)_[A-Za-z0-9]{34}\b", random),
    token("Databricks token", &["dapi"], Token, r"dapi[a-f0-9]{32}\b", random),
    token("DigitalOcean token", &["dop_v1_", "doo_v1_", "dor_v1_"], Anywhere, r"do[opr]_v1_[a-f0-9]{64}\b", random),
    token("Postman key", &["PMAK-"], Anywhere, r"PMAK-[A-Za-z0-9]{24}-[A-Za-z0-9]{34}", random),
    token("Linear key", &["lin_api_"], Anywhere, r"lin_api_[A-Za-z0-9]{40}", random),
    token("Notion token", &["ntn_"], Token, r"ntn_[A-Za-z0-9]{43,50}\b", random),
    token("New Relic key", &["NRAK-"], Anywhere, r"NRAK-[A-Z0-9]{27}\b", random),
    token("Grafana token", &["glsa_", "glc_"], Token, r"gl(?:sa|c)_[A-Za-z0-9+/_=]{32,400}", random),
    token("Vault token", &["hvs.", "hvb.", "hvr."], Token, r"hv[sbr]\.[A-Za-z0-9_-]{24,400}", random),
    hidden("Terraform Cloud token", &[".atlasv1."], r"\.atlasv1\.(?<secret>[A-Za-z0-9_=-]{60,80})", random),
    token(
        "Doppler token",
        &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa."],
        Word,
        r"dp\.[a-z]{2}\.[A-Za-z0-9._-]{40,80}",
        random,
    ),
    token(
        "Shopify token",
        &["shpat_", "shpss_", "shpca_", "shppa_"],
        Anywhere,
        r"shp[a-z]{2}_[A-Fa-f0-9]{32}\b",
        random,
    ),
    token("Square token", &["sq0atp-", "sq0csp-", "sq0idp-"], Anywhere, r"sq0[a-z]{3}-[A-Za-z0-9_-]{22,43}", random),
    token("Supabase token", &["sbp_", "sb_secret_"], Token, r"sb(?:p|_secret)_[A-Za-z0-9_]{24,80}", random),
    token("PlanetScale credential", &["pscale_"], Anywhere, r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}", random),
    token(
        "Atlassian token",
        &["ATATT3", "ATBB"],
        Token,
        r"AT(?:ATT3[A-Za-z0-9_=-]{60,400}|BB[A-Za-z0-9]{24,40}\b)",
        random,
    ),
    hidden("Azure storage key", &["AccountKey="], r"AccountKey=(?<secret>[A-Za-z0-9+/]{86}==)", random),
    token("Groq key", &["gsk_"], Token, r"gsk_[A-Za-z0-9]{48,64}\b", random),
    token("xAI key", &["xai-"], Token, r"xai-[A-Za-z0-9]{64,100}\b", random),
    token("Perplexity key", &["pplx-"], Token, r"pplx-[A-Za-z0-9]{40,64}\b", random),
    token("Replicate token", &["r8_"], Token, r"r8_[A-Za-z0-9]{37}\b", random),
    token("1Password service token", &["ops_eyJ"], Anywhere, r"ops_eyJ[A-Za-z0-9+/=_-]{100,}", random),
    token("Sentry token", &["sntrys_", "sntryu_"], Anywhere, r"sntry[su]_[A-Za-z0-9+/=_]{50,400}", random),
    token("Figma token", &["figd_"], Token, r"figd_[A-Za-z0-9_-]{36,64}", random),
    token("Pulumi token", &["pul-"], Token, r"pul-[a-f0-9]{40}\b", random),
    token("age secret key", &["AGE-SECRET-KEY-"], Anywhere, r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58,}", random),
    token(
        "JSON web token",
        &["eyJ"],
        Token,
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
        random,
    ),
    hidden(
        "private key",
        &["-----BEGIN "],
        concat!(
            r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
            // A `+` that joins two literals is no part of the body.
            r"(?:[A-Za-z-]{3,20}: [^\r\n]*|[^A-Za-z0-9+/]|\\[nrt]|\+[^A-Za-z0-9+/])*?",
            r"(?<secret>[A-Za-z0-9+/=]{40,})",
        ),
        key_body,
    ),
    hidden("OpenSSH private key", &["b3BlbnNzaC1rZXktdjE"], r"b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/]{20,}", key_body),
    hidden(
        "PuTTY private key",
        &["Private-Lines: "],
        r"Private-Lines: \d{1,4}\s{1,3}(?<secret>[A-Za-z0-9+/=]{20,})",
        key_body,
    ),
    hidden(
        "password in a URL",
        &["://"],
        r#"://(?<user>[^\s/:@"'<>`\\]*):(?<secret>[^\s/:@"'<>`\\]{3,})@(?<host>[^\s/:@"'<>`\\]+)"#,
        url_password,
    ),
    hidden("bearer token", &["Bearer "], r"Bearer (?<secret>[A-Za-z0-9_\-.+/=~]{20,512})", value),
    hidden(
        "possible credential",
        &[
            "passw", "Passw", "PASSW", "secret", "Secret", "SECRET", "token", "Token", "TOKEN", "api_key", "API_KEY",
            "apikey", "apiKey", "ApiKey", "APIKEY", "api-key",
        ],
        concat!(
            r#"[A-Za-z0-9_.-]{0,40}["']?\]?\s{0,8}(?::=|=>|[:=])\s{0,8}"#,
            r#"(?:"(?<a>[^\s"]{16,256})"|'(?<b>[^\s']{16,256})'|(?<c>[A-Za-z0-9_\-+/=~.]{20,256})(?:[\s,;#]|\z))"#,
        ),
        assigned,
    ),
];

/// Blocks unless the token is a placeholder: few different characters, or one filled up.
fn random(captures: &Captures<'_>) -> Option<Severity> {
    is_random(secret(captures)).then_some(Severity::Blocker)
}

fn random_notice(captures: &Captures<'_>) -> Option<Severity> {
    is_random(secret(captures)).then_some(Severity::Notice)
}

/// The body of a key: base64, which source code and hexadecimal digests are not.
fn key_body(captures: &Captures<'_>) -> Option<Severity> {
    let body = secret(captures);
    let mixed = body.iter().any(u8::is_ascii_uppercase) && body.iter().any(u8::is_ascii_lowercase);
    (mixed && distinct(body) >= 12).then_some(Severity::Blocker)
}

/// Something random where a value is expected.
fn value(captures: &Captures<'_>) -> Option<Severity> {
    looks_generated(secret(captures)).then_some(Severity::Notice)
}

fn assigned(captures: &Captures<'_>) -> Option<Severity> {
    let value = ["a", "b", "c"].into_iter().find_map(|group| captures.name(group))?;
    looks_generated(value.as_bytes()).then_some(Severity::Notice)
}

/// Blocks a password that is not an example; on this very host it is a default of some service and only noted.
fn url_password(captures: &Captures<'_>) -> Option<Severity> {
    const EXAMPLES: &[&[u8]] = &[
        b"pass",
        b"password",
        b"passwd",
        b"pwd",
        b"pw",
        b"secret",
        b"token",
        b"changeme",
        b"example",
        b"test",
        b"xxx",
        b"user",
        b"root",
        b"admin",
        b"postgres",
        b"mysql",
        b"guest",
        b"redacted",
        b"your-password",
        b"your_password",
        b"mypassword",
        b"hunter2",
    ];
    let group = |name| captures.name(name).map_or(&b""[..], |m| m.as_bytes());
    let (user, password, host) = (group("user"), group("secret"), group("host"));
    let filled_in =
        memchr::memchr3(b'$', b'{', b'*', password).or_else(|| memchr::memchr3(b'%', b'[', b'(', &password[..1]));
    let example = EXAMPLES.contains(&&*password.to_ascii_lowercase()) || password == user || distinct(password) < 3;
    if filled_in.is_some() || example {
        return None;
    }
    let local = [&b"localhost"[..], b"127.0.0.1", b"example.com", b"example.org", b"host", b"hostname"].contains(&host);
    Some(if local { Severity::Notice } else { Severity::Blocker })
}

fn secret<'a>(captures: &'a Captures<'_>) -> &'a [u8] {
    captures.name("secret").or_else(|| captures.get(0)).map_or(b"", |m| m.as_bytes())
}

/// A token of a known form is taken for real unless its tail is one or few characters again and again.
fn is_random(token: &[u8]) -> bool {
    const FIXED: usize = 4;
    distinct(token.get(FIXED..).unwrap_or(token)) >= 7
}

/// Letters and digits, many different ones, as a generator makes them and a name does not.
fn looks_generated(value: &[u8]) -> bool {
    const BITS: f64 = 3.5;
    let has = |class: fn(&u8) -> bool| value.iter().any(class);
    let filled_in =
        memchr::memchr3(b'$', b'{', b'<', value).is_some() || memchr::memchr3(b'(', b' ', b',', value).is_some();
    has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) && !filled_in && entropy(value) >= BITS
}

fn distinct(bytes: &[u8]) -> usize {
    counts(bytes).iter().filter(|c| **c > 0).count()
}

/// Shannon's, in bits a byte.
fn entropy(bytes: &[u8]) -> f64 {
    let total = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / total;
    -counts(bytes).iter().filter(|c| **c > 0).map(|c| share(c) * share(c).log2()).sum::<f64>()
}

fn counts(bytes: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts
}
