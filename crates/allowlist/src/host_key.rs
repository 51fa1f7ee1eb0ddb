//! An SSH server's public key as `known_hosts` has it after the host: `ssh-ed25519 AAAA…`.

use crate::show;

/// Kinds of keys that servers have today; `ssh-dss` is broken.
const KINDS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];
/// Longer than a key of RSA with 16,384 bits, in bytes.
const MAX_BYTES: usize = 4_096;

/// Judges one line.
///
/// # Errors
/// Why it is no key, in words.
pub(crate) fn check(line: &str) -> Result<(), String> {
    let shown = show::value(line);
    let Some((kind, data)) = line.split_once(' ').filter(|_| line.len() <= MAX_BYTES) else {
        return Err(format!("{shown} is not a kind of key, one space, and the key in base64"));
    };
    if !KINDS.contains(&kind) {
        return Err(format!("{shown}: {} is not one of {}", show::value(kind), KINDS.join(", ")));
    }
    let Some(blob) = base64(data) else {
        return Err(format!("{shown}: what follows the kind is not base64 (no host before it, no comment after it)"));
    };
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    let key = blob.strip_prefix(&length).and_then(|blob| blob.strip_prefix(kind.as_bytes()));
    if key.is_some_and(|key| !key.is_empty()) {
        Ok(())
    } else {
        Err(format!("{shown}: the key in base64 is not one of {kind}"))
    }
}

/// Decodes base64 (RFC 4648, section 4): padded, without white space, and no bits beyond the last byte, so that a key
/// has one spelling.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for digit in digits.bytes() {
        bits = bits * 64 + u32::from(digit_value(digit)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

const fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published key of github.com.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn base64_has_one_spelling() {
        let known: [(&str, &[u8]); 5] =
            [("", b""), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/+/", &[0xfb, 0xff, 0xbf])];
        for (text, bytes) in known {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["Zg", "Zg=", "Zh==", "Zm9=", "Zm8", "Z===", "====", "Zm9v\n", "Zm 9", "Zm-_", "Zm9v=", "Zg==Zg=="] {
            assert_eq!(base64(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn j22_a_line_of_known_hosts_without_its_host_is_a_key() {
        assert_eq!(check(KEY), Ok(()));
    }

    #[test]
    fn j22_what_is_no_key_says_why() {
        let lines = [
            "",
            "ssh-ed25519",
            "ssh-dss AAAA",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMq",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA!",
            "ssh-ed25519  AAAAC3NzaC1lZDI1NTE5",
            &format!("github.com {KEY}"),
            &format!("{KEY} comment"),
            &format!("{KEY}\nssh-rsa AAAA"),
        ];
        let why = lines.map(|line| check(line).unwrap_err());
        insta::assert_snapshot!(why.join("\n"), @r"
        `` is not a kind of key, one space, and the key in base64
        `ssh-ed25519` is not a kind of key, one space, and the key in base64
        `ssh-dss AAAA`: `ssh-dss` is not one of ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa
        `ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMq`: the key in base64 is not one of ssh-rsa
        `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5`: the key in base64 is not one of ssh-ed25519
        `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA!`: what follows the kind is not base64 (no host before it, no comment after it)
        `ssh-ed25519  AAAAC3NzaC1lZDI1NTE5`: what follows the kind is not base64 (no host before it, no comment after it)
        `github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0…`: `github.com` is not one of ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa
        `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLs…`: what follows the kind is not base64 (no host before it, no comment after it)
        `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLs…`: what follows the kind is not base64 (no host before it, no comment after it)
        ");
    }
}
