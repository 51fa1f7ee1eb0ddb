//! Names of environment variables that neither a parameter nor a job's list may set: they steer the sandbox, a loader
//! or an interpreter, or name a secret.

/// The longest name, in bytes.
pub(crate) const MAX_BYTES: usize = 64;

/// Set by the sandbox itself, or settings of this project that are no parameters.
const OURS: [&str; 11] = [
    "ARTIFACT_DIR",
    "CODEX_SKIP",
    "FORCE_SIZE_CAP",
    "HOME",
    "KEEP_OPENAI_KEY",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "USER",
];

/// What a shell, a loader or an interpreter runs, loads or splits words by.
const STEERING: [&str; 33] = [
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GLOBIGNORE",
    "GNUMAKEFLAGS",
    "HOSTALIASES",
    "IFS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCALDOMAIN",
    "LOCPATH",
    "MAKEFILES",
    "MAKEFLAGS",
    "MFLAGS",
    "NLSPATH",
    "OLDPWD",
    "OPTIND",
    "PAGER",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS4",
    "PWD",
    "RES_OPTIONS",
    "SHELL",
    "SHELLOPTS",
    "TERMINFO",
    "TZDIR",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

const STEERING_PREFIXES: [&str; 20] = [
    "BASH", "CARGO_", "DYLD_", "GIT_", "GLIBC_", "JAVA_", "LC_", "LD_", "LISTEN_", "LUA_", "MALLOC_", "NODE_",
    "NOTIFY_", "NPM_", "PERL", "PHP", "PYTHON", "RUBY", "RUST", "SSL_",
];

/// What opens something outside of the job.
const SECRETS: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CODEX_API_KEY",
    "CREDENTIALS_DIRECTORY",
    "DATABASE_URL",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "KUBECONFIG",
    "OPENAI_API_KEY",
    "PGPASSFILE",
    "PGPASSWORD",
    "RUNNER_FILES",
    "RUNNER_STORE",
    "SSH_AUTH_SOCK",
    "TAILSCALE_AUTHKEY",
];

const SECRET_SUFFIXES: [&str; 10] = [
    "_ACCESS_KEY",
    "_API_KEY",
    "_AUTHKEY",
    "_CREDENTIALS",
    "_PASSWD",
    "_PASSWORD",
    "_PRIVATE_KEY",
    "_SECRET",
    "_SECRET_KEY",
    "_TOKEN",
];

/// True for `[A-Za-z_][A-Za-z0-9_]*` of at most [`MAX_BYTES`].
pub(crate) fn is_name(text: &str) -> bool {
    let first = |char: char| char.is_ascii_alphabetic() || char == '_';
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_BYTES && text.starts_with(first) && text.bytes().all(plain)
}

/// Why a job does not get the variable `name`, if it does not. Letter case does not matter.
pub(crate) fn reserved(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    let is = |names: &[&str]| names.contains(&name.as_str());
    if is(&SECRETS) || SECRET_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        Some("names a secret: a job gets none")
    } else if is(&OURS) {
        Some("is set by the runner alone")
    } else if is(&STEERING) || STEERING_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Some("steers a shell, a loader or an interpreter")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j08_a_variable_that_names_a_secret_is_reserved() {
        for name in SECRETS.into_iter().chain(["NPM_TOKEN", "github_token", "AWS_SECRET_ACCESS_KEY", "PG_PASSWORD"]) {
            assert_eq!(reserved(name), Some("names a secret: a job gets none"), "{name}");
        }
    }

    #[test]
    fn j16_a_variable_that_steers_is_reserved() {
        let steering =
            ["GIT_DIR", "LD_PRELOAD", "BASH_ENV", "BASH_FUNC_x", "PYTHONPATH", "NODE_OPTIONS", "LC_ALL", "Ifs"];
        for name in STEERING.into_iter().chain(steering) {
            assert_eq!(reserved(name), Some("steers a shell, a loader or an interpreter"), "{name}");
        }
        for name in OURS {
            assert_eq!(reserved(name), Some("is set by the runner alone"), "{name}");
        }
    }

    #[test]
    fn other_variables_are_free() {
        for name in ["SINCE_SHA", "LOGS_DAY", "RUN_ID", "TZ", "HTTP_PROXY", "GOPROXY", "MY_PATH", "KEY", "GITHUB_REF"] {
            assert_eq!(reserved(name), None, "{name}");
        }
    }

    #[test]
    fn a_variable_has_a_plain_name() {
        assert!(["A", "_a1", &"A".repeat(64)].into_iter().all(is_name));
        assert!(!["", "1A", "A-B", "A=B", "É", "A B", "A\0", &"A".repeat(65)].into_iter().any(is_name));
    }
}
