//! The pinned keys of an SSH server, as ssh reads them (sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`).

/// The lines of a known-hosts file for the server of `url`, in which each of `keys` is `TYPE BASE64`; `None` when one of
/// them is not, or the URL names no host.
pub(crate) fn lines(url: &str, keys: &[String]) -> Option<String> {
    let host = host(url)?;
    keys.iter().map(|key| Some(format!("{host} {}\n", checked(key)?))).collect()
}

/// The server's name as ssh looks for it.
fn host(url: &str) -> Option<String> {
    let authority = url.strip_prefix("ssh://")?.split('/').next()?;
    let address = authority.rsplit('@').next()?;
    let (name, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, port.strip_prefix(':'))
        }
        None => address.split_once(':').map_or((address, None), |(name, port)| (name, Some(port))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    match port {
        None | Some("" | "22") => Some(name),
        Some(port) => port.parse::<u16>().ok().map(|port| format!("[{name}]:{port}")),
    }
}

/// The key without its comment.
fn checked(key: &str) -> Option<String> {
    let mut words = key.split_ascii_whitespace();
    let (kind, base64) = (words.next()?, words.next()?);
    let is_kind = ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|known| kind.starts_with(known));
    let is_plain = kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte));
    let is_base64 =
        base64.len() >= 32 && base64.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    (is_kind && is_plain && is_base64 && !key.contains(['\n', '\r'])).then(|| format!("{kind} {base64}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ comment";

    #[test]
    fn j22_a_key_is_pinned_for_the_host_and_port_of_the_url() {
        let line = |url| lines(url, &[KEY.into()]).map(|line| line.split_once(' ').unwrap().0.to_owned());
        assert_eq!(line("ssh://git@Example.com/a/b").as_deref(), Some("example.com"));
        assert_eq!(line("ssh://git@example.com:22/a/b").as_deref(), Some("example.com"));
        assert_eq!(line("ssh://example.com:2222/a").as_deref(), Some("[example.com]:2222"));
        assert_eq!(line("ssh://git@[::1]:2222/a").as_deref(), Some("[::1]:2222"));
        for url in ["https://example.com/a", "ssh:///a", "ssh://*/a", "ssh://a,b/a", "ssh://a:x/a", "ssh://-o/a"] {
            assert_eq!(line(url), None, "{url}");
        }
    }

    #[test]
    fn j22_what_is_no_key_pins_nothing() {
        let bad = ["", "ssh-ed25519", "@cert-authority * ssh-ed25519 AAAA", "ssh-ed25519 AAAA\n* ssh-rsa AAAA", "* *"];
        for key in bad {
            assert_eq!(lines("ssh://example.com/a", &[key.into()]), None, "{key}");
        }
    }
}
