//! Whom ssh is told to reach.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use outcome::Failure;

/// An account of a machine, `USER@HOST` or `HOST`, as the command line of ssh takes it; a host may also be a name of the
/// user's ssh configuration. It is one plain word that no program takes for an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    user: Option<String>,
    host: String,
}

/// What was to be an [`SshTarget`] and is none.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no target for ssh: {reason}")]
pub struct BadTarget {
    text: String,
    reason: &'static str,
}

impl SshTarget {
    /// The machine's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for SshTarget {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = |reason| BadTarget { text: text.to_owned(), reason };
        let (user, host) = text.split_once('@').map_or((None, text), |(user, host)| (Some(user), host));
        if !user.is_none_or(is_plain) {
            return Err(bad("the user is not a plain name"));
        }
        if !is_plain(host) && host.parse::<Ipv6Addr>().is_err() {
            return Err(bad("the host is neither a plain name nor an address"));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned() })
    }
}

fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=255).contains(&word.len()) && !word.starts_with('-') && word.bytes().all(plain)
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl From<BadTarget> for Failure {
    fn from(error: BadTarget) -> Self {
        Self::usage("ssh-target", error.to_string(), "name it as USER@HOST or HOST")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_user_and_a_host_or_a_host() {
        for text in ["vps", "root@vps.example.com", "deploy_1@10.0.0.7", "me@::1", "fe80::1", "a.b-c@d_e"] {
            assert_eq!(text.parse::<SshTarget>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn j24_what_ssh_or_a_shell_would_take_for_something_else_is_refused() {
        let hostile = [
            "",
            "@",
            "me@",
            "@vps",
            "-oProxyCommand=id",
            "me@-oProxyCommand=id",
            "-l@vps",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "a@b@c",
            "ssh://vps",
            "vps:22",
            "[::1]:22",
            "vps/",
            "$(id)@vps",
            "`id`",
            "vps;id",
            "me'@vps",
            "%h",
            "~",
            "ä",
        ];
        for text in hostile {
            assert!(text.parse::<SshTarget>().is_err(), "{text:?}");
        }
        let failure = Failure::from("-oProxyCommand=\u{1b}[2J".parse::<SshTarget>().unwrap_err());
        insta::assert_snapshot!(failure.text(), @r#"
        ssh-target: "-oProxyCommand=\u{1b}[2J" is no target for ssh: the host is neither a plain name nor an address
        next: name it as USER@HOST or HOST
        "#);
    }
}
