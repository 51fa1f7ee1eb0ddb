//! Spellings of one URL, and hostile look-alikes, each with its reason.

use allowlist::git_url::MAX_BYTES;
use allowlist::{GitUrl, Scheme};
use insta::assert_snapshot;

fn read(texts: &[&str]) -> String {
    let lines = texts.iter().map(|text| match GitUrl::parse(text) {
        Ok(url) => format!("{} => {url}\n", text.escape_default()),
        Err(error) => format!("{} !! {error}\n", text.escape_default()),
    });
    lines.collect()
}

#[test]
fn j04_every_spelling_of_one_repository_is_one() {
    let spellings = [
        "git@github.com:o/r.git",
        "git@github.com:o/r",
        "git@GitHub.COM:/o/r.git/",
        "git@github.com:o//r",
        "ssh://git@github.com/o/r",
        "SSH://git@GitHub.com:22/o/r.git",
        "ssh://git@github.com///o/r//",
        "ssh://git@github.com/%6F/%72%2Egit",
    ];
    for spelling in spellings {
        assert_eq!(GitUrl::parse(spelling).unwrap().as_str(), "ssh://git@github.com/o/r", "{spelling}");
    }
}

#[test]
fn j04_what_is_canonical() {
    assert_snapshot!(read(&[
        "https://github.com/o/r.git", "HTTPS://GITHUB.com:443/O/R", "https://github.com:8443/o/r", "https://github.com/o/r.GIT",
        "http://localhost:80/r", "http://127.0.0.1:8080/r.git", "http://127.9.9.9/r", "http://[::1]:3000/r",
        "ssh://host/r", "ssh://git@host/r", "ssh://host:2222/r", "host:r", "host:2222/r", "host:~/r", "ssh://host/~user/r",
        "ssh://[2001:DB8:0::1]:22/r", "git@[2001:db8::1]:r", "ssh://[::1]:2222/r", "ssh://10.0.0.1/r",
        "https://xn--gthub-cta.com/o/r", "my_host.local:r", "0day.example:r",
        "file:///srv/git/r.git", "FILE:///srv//git/r/", "file:///srv/a-b/-c",
        "https://host/a%2fb", "https://host/My%20Project/_git/r", "host:a%20b", "https://host/a+b%2Bc@d:e%7e",
        "https://host/%c3%a9", "https://host/é", "host:é", "https://host/e\u{301}", "https://host/a\"<>^`{|}[]",
        "host:a[b]", "host:a[b]:c", "https://host/.github", "https://host/a.gitx", "https://host/a/-/b",
    ]), @r#"
    https://github.com/o/r.git => https://github.com/o/r
    HTTPS://GITHUB.com:443/O/R => https://github.com/O/R
    https://github.com:8443/o/r => https://github.com:8443/o/r
    https://github.com/o/r.GIT => https://github.com/o/r.GIT
    http://localhost:80/r => http://localhost/r
    http://127.0.0.1:8080/r.git => http://127.0.0.1:8080/r
    http://127.9.9.9/r => http://127.9.9.9/r
    http://[::1]:3000/r => http://[::1]:3000/r
    ssh://host/r => ssh://host/r
    ssh://git@host/r => ssh://git@host/r
    ssh://host:2222/r => ssh://host:2222/r
    host:r => ssh://host/r
    host:2222/r => ssh://host/2222/r
    host:~/r => ssh://host/~/r
    ssh://host/~user/r => ssh://host/~user/r
    ssh://[2001:DB8:0::1]:22/r => ssh://[2001:db8::1]/r
    git@[2001:db8::1]:r => ssh://git@[2001:db8::1]/r
    ssh://[::1]:2222/r => ssh://[::1]:2222/r
    ssh://10.0.0.1/r => ssh://10.0.0.1/r
    https://xn--gthub-cta.com/o/r => https://xn--gthub-cta.com/o/r
    my_host.local:r => ssh://my_host.local/r
    0day.example:r => ssh://0day.example/r
    file:///srv/git/r.git => file:///srv/git/r
    FILE:///srv//git/r/ => file:///srv/git/r
    file:///srv/a-b/-c => file:///srv/a-b/-c
    https://host/a%2fb !! the path holds an encoded slash (`%2F`): readers disagree about where it leads
    https://host/My%20Project/_git/r => https://host/My%20Project/_git/r
    host:a%20b => ssh://host/a%2520b
    https://host/a+b%2Bc@d:e%7e => https://host/a+b+c@d:e~
    https://host/%c3%a9 => https://host/%C3%A9
    https://host/\u{e9} => https://host/%C3%A9
    host:\u{e9} => ssh://host/%C3%A9
    https://host/e\u{301} => https://host/e%CC%81
    https://host/a\"<>^`{|}[] => https://host/a%22%3C%3E%5E%60%7B%7C%7D%5B%5D
    host:a[b] => ssh://host/a%5Bb%5D
    host:a[b]:c => ssh://host/a%5Bb%5D:c
    https://host/.github => https://host/.github
    https://host/a.gitx => https://host/a.gitx
    https://host/a/-/b => https://host/a/-/b
    "#);
}

#[test]
fn j05_a_url_is_no_option() {
    assert_snapshot!(read(&[
        "", "-oProxyCommand=x:y", "--upload-pack=x", "ssh://-oProxyCommand=x/y", "ssh://git@-oProxyCommand=x/y",
        "ssh://-l@host/y", "git@-host:y", "host:-y", "ssh://host/-y", "ssh://host/%2dy",
    ]), @r"
     !! the URL is empty
    -oProxyCommand=x:y !! the URL begins with `-`: a program would take it for an option
    --upload-pack=x !! the URL begins with `-`: a program would take it for an option
    ssh://-oProxyCommand=x/y !! the host begins with `-`: a program would take it for an option
    ssh://git@-oProxyCommand=x/y !! the host begins with `-`: a program would take it for an option
    ssh://-l@host/y !! the user begins with `-`: a program would take it for an option
    git@-host:y !! the host begins with `-`: a program would take it for an option
    host:-y !! the path begins with `-`: a program would take it for an option
    ssh://host/-y !! the path begins with `-`: a program would take it for an option
    ssh://host/%2dy !! the path begins with `-`: a program would take it for an option
    ");
}

#[test]
fn j05_other_transports_and_local_paths_are_refused() {
    assert_snapshot!(read(&[
        "ext::sh -c id", "ext::sh", "fd::17", "host::r", "git-remote-x::y", "git://github.com/o/r", "ftp://host/r",
        "git+ssh://git@host/r", "javascript://host/r", "https:/github.com/o/r", "https:github.com/o/r", "ssh:host/r",
        "file:/srv/r", "file:srv", "file://host/srv/r", "file://localhost/srv/r", "file:///", "file://",
        "/srv/r", "../r", "./r", "r", "~/r", "./host:r", "/srv:r", "C:\\r",
    ]), @r"
    ext::sh -c id !! `ext::` names a remote helper, which runs a program: write https:// or ssh://
    ext::sh !! `ext::` names a remote helper, which runs a program: write https:// or ssh://
    fd::17 !! `fd::` names a remote helper, which runs a program: write https:// or ssh://
    host::r !! `host::` names a remote helper, which runs a program: write https:// or ssh://
    git-remote-x::y !! `git-remote-x::` names a remote helper, which runs a program: write https:// or ssh://
    git://github.com/o/r !! git:// neither encrypts nor knows who answers: write https:// or ssh://
    ftp://host/r !! `ftp://` is not a transport for repositories: write https://, ssh:// or file://
    git+ssh://git@host/r !! `git+ssh://` is not a transport for repositories: write https://, ssh:// or file://
    javascript://host/r !! `javascript://` is not a transport for repositories: write https://, ssh:// or file://
    https:/github.com/o/r !! `https:` without `//` would be a host of that name: write `//` after it, or ssh://https/ for that host
    https:github.com/o/r !! `https:` without `//` would be a host of that name: write `//` after it, or ssh://https/ for that host
    ssh:host/r !! `ssh:` without `//` would be a host of that name: write `//` after it, or ssh://ssh/ for that host
    file:/srv/r !! `file:` without `//` would be a host of that name: write `//` after it, or ssh://file/ for that host
    file:srv !! `file:` without `//` would be a host of that name: write `//` after it, or ssh://file/ for that host
    file://host/srv/r !! a file URL has no host: write file:///absolute/path
    file://localhost/srv/r !! a file URL has no host: write file:///absolute/path
    file:/// !! the URL names no path
    file:// !! the URL names no path
    /srv/r !! the URL names no host: write file:///absolute/path for a repository of this machine
    ../r !! the URL names no host: write file:///absolute/path for a repository of this machine
    ./r !! the URL names no host: write file:///absolute/path for a repository of this machine
    r !! the URL names no host: write file:///absolute/path for a repository of this machine
    ~/r !! the URL names no host: write file:///absolute/path for a repository of this machine
    ./host:r !! the URL names no host: write file:///absolute/path for a repository of this machine
    /srv:r !! the URL names no host: write file:///absolute/path for a repository of this machine
    C:\\r !! the URL holds a backslash, which some readers take for `/`
    ");
}

#[test]
fn j05_a_secret_or_what_hides_the_host_is_refused() {
    assert_snapshot!(read(&[
        "http://github.com/o/r", "http://localhost.evil.example/r", "http://127.0.0.1.evil.example/r", "http://[::2]/r",
        "https://user@github.com/o/r", "https://github.com@evil.example/o/r", "https://github.com:443@evil.example/o/r",
        "https://user:hunter2@github.com/o/r", "ssh://git:hunter2@github.com/r", "git:hunter2@github.com:r",
        "user:hunter2@host:r", "git@host@evil.example:r", "ssh://a@b@host/r", "ssh://@host/r", "@host:r", "ssh://g%69t@host/r",
        "ssh://gït@host/r",
    ]), @r"
    http://github.com/o/r !! http:// is for loopback (localhost, 127.0.0.0/8, [::1]) only: write https://
    http://localhost.evil.example/r !! http:// is for loopback (localhost, 127.0.0.0/8, [::1]) only: write https://
    http://127.0.0.1.evil.example/r !! http:// is for loopback (localhost, 127.0.0.0/8, [::1]) only: write https://
    http://[::2]/r !! http:// is for loopback (localhost, 127.0.0.0/8, [::1]) only: write https://
    https://user@github.com/o/r !! a user before the host (`@`) is for ssh:// only: in http it is a secret, or hides the host
    https://github.com@evil.example/o/r !! a user before the host (`@`) is for ssh:// only: in http it is a secret, or hides the host
    https://github.com:443@evil.example/o/r !! the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key
    https://user:hunter2@github.com/o/r !! the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key
    ssh://git:hunter2@github.com/r !! the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key
    git:hunter2@github.com:r !! `git:` without `//` would be a host of that name: write `//` after it, or ssh://git/ for that host
    user:hunter2@host:r !! the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key
    git@host@evil.example:r !! the URL has more than one `@` before its path: the host would be hidden
    ssh://a@b@host/r !! the URL has more than one `@` before its path: the host would be hidden
    ssh://@host/r !! the user must be letters, digits, `.`, `_` and `-`, at most 64
    @host:r !! the user must be letters, digits, `.`, `_` and `-`, at most 64
    ssh://g%69t@host/r !! the user must be letters, digits, `.`, `_` and `-`, at most 64
    ssh://g\u{ef}t@host/r !! the user must be letters, digits, `.`, `_` and `-`, at most 64
    ");
}

#[test]
fn j05_a_host_that_looks_like_another_is_refused() {
    assert_snapshot!(read(&[
        "https://gıthub.com/o/r", "https://gіthub.com/o/r", "https://github.com∕evil.example/r", "https://github。com/o/r",
        "https://ＧitHub.com/o/r", "https://githu\u{212a}.com/r", "ｇithub.com:r", "ｈttps://github.com/r",
        "https://github.com\u{200b}/o/r", "https://github.com/o/r\u{202e}", "https://github.com/o/%E2%80%AEr",
        "https://github.com./o/r", "https://.github.com/r", "https://github..com/r", "https://git-.com/r", "https://a!b/r",
        "https://git%68ub.com/r", "https:///r", "ssh://:22/r", ":r", "https://", "https://host", "https://host/", "host:", "host:/",
    ]), @r"
    https://g\u{131}thub.com/o/r !! the host `g\u{131}thub.com` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    https://g\u{456}thub.com/o/r !! the host `g\u{456}thub.com` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    https://github.com\u{2215}evil.example/r !! the host `github.com\u{2215}evil.example` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    https://github\u{3002}com/o/r !! the host `github\u{3002}com` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    https://\u{ff27}itHub.com/o/r !! the host `\u{ff27}itHub.com` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    https://githu\u{212a}.com/r !! the host `githu\u{212a}.com` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    \u{ff47}ithub.com:r !! the host `\u{ff47}ithub.com` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    \u{ff48}ttps://github.com/r !! the host `\u{ff48}ttps` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant
    https://github.com\u{200b}/o/r !! the URL holds the control or invisible character \u{200b}
    https://github.com/o/r\u{202e} !! the URL holds the control or invisible character \u{202e}
    https://github.com/o/%E2%80%AEr !! the URL holds the control or invisible character \u{202e}
    https://github.com./o/r !! the host ends in a dot: write it without
    https://.github.com/r !! `.github.com` is not a host: labels of letters, digits, `-` and `_`, joined by dots
    https://github..com/r !! `github..com` is not a host: labels of letters, digits, `-` and `_`, joined by dots
    https://git-.com/r !! `git-.com` is not a host: labels of letters, digits, `-` and `_`, joined by dots
    https://a!b/r !! `a!b` is not a host: labels of letters, digits, `-` and `_`, joined by dots
    https://git%68ub.com/r !! the host is percent-encoded: write it plainly
    https:///r !! the URL names no host
    ssh://:22/r !! the URL names no host
    :r !! the URL names no host
    https:// !! the URL names no path
    https://host !! the URL names no path
    https://host/ !! the URL names no path
    host: !! the URL names no path
    host:/ !! the URL names no path
    ");
}

#[test]
fn j05_odd_addresses_and_ports_are_refused() {
    assert_snapshot!(read(&[
        "https://127.1/r", "https://0x7f.0.0.1/r", "https://2130706433/r", "https://0177.0.0.1/r", "https://1.2.3.4.5/r",
        "https://a.0x7f/r", "https://256.0.0.1/r", "https://1.2.3.0x/r",
        "https://[::ffff:127.0.0.1]/r", "https://[fe80::1%25eth0]/r", "https://[::1/r", "https://::1/r", "[host:22]:r", "https://[]/r",
        "https://[::1]x/r", "https://[::1]:/r",
        "https://host:/r", "https://host:0/r", "https://host:022/r", "https://host:65536/r", "https://host:+22/r", "https://host:2a/r",
        "https://host:2２/r", "https://host:99999999999999999999/r",
    ]), @r"
    https://127.1/r !! `127.1` is not an IPv4 address of four decimal numbers without leading zeros
    https://0x7f.0.0.1/r !! `0x7f.0.0.1` is not an IPv4 address of four decimal numbers without leading zeros
    https://2130706433/r !! `2130706433` is not an IPv4 address of four decimal numbers without leading zeros
    https://0177.0.0.1/r !! `0177.0.0.1` is not an IPv4 address of four decimal numbers without leading zeros
    https://1.2.3.4.5/r !! `1.2.3.4.5` is not an IPv4 address of four decimal numbers without leading zeros
    https://a.0x7f/r !! `a.0x7f` is not an IPv4 address of four decimal numbers without leading zeros
    https://256.0.0.1/r !! `256.0.0.1` is not an IPv4 address of four decimal numbers without leading zeros
    https://1.2.3.0x/r !! `1.2.3.0x` is not an IPv4 address of four decimal numbers without leading zeros
    https://[::ffff:127.0.0.1]/r !! the IPv6 address is that of an IPv4 one: write the IPv4 address
    https://[fe80::1%25eth0]/r !! the host is percent-encoded: write it plainly
    https://[::1/r !! the host opens a bracket and does not close it
    https://::1/r !! the host has more than one colon: an IPv6 address stands in brackets
    [host:22]:r !! `[host:22]` is not an IPv6 address (for a port write ssh://host:port/path)
    https://[]/r !! `[]` is not an IPv6 address (for a port write ssh://host:port/path)
    https://[::1]x/r !! `x` is not a port: 1 to 65535, without leading zeros
    https://[::1]:/r !! `` is not a port: 1 to 65535, without leading zeros
    https://host:/r !! `` is not a port: 1 to 65535, without leading zeros
    https://host:0/r !! `0` is not a port: 1 to 65535, without leading zeros
    https://host:022/r !! `022` is not a port: 1 to 65535, without leading zeros
    https://host:65536/r !! `65536` is not a port: 1 to 65535, without leading zeros
    https://host:+22/r !! `+22` is not a port: 1 to 65535, without leading zeros
    https://host:2a/r !! `2a` is not a port: 1 to 65535, without leading zeros
    https://host:2\u{ff12}/r !! `2\u{ff12}` is not a port: 1 to 65535, without leading zeros
    https://host:99999999999999999999/r !! `99999999999999999999` is not a port: 1 to 65535, without leading zeros
    ");
}

#[test]
fn j05_a_path_that_leads_elsewhere_is_refused() {
    assert_snapshot!(read(&[
        "https://host/../r", "https://host/a/./r", "https://host/a/%2e%2e/r", "https://host/%2E", "host:../r", "https://host/a/..git",
        "https://host/...git", "https://host/r.git.git", "https://host/r/.git", "https://host/r/.GIT/x", "host:r/.git",
        "https://host/a%2Fb", "https://host/a%5cb", "https://host\\@evil.example/r", "https://host/a%00b", "https://host/a%0ab",
        "https://host/a%7F", "https://host/a%", "https://host/a%2", "https://host/a%zz", "https://host/a%+1", "https://host/a%é",
        "https://host/%ff", "https://host/%c0%af", "https://host/a b", "https://host/a\u{a0}b", "https://host/a\n", "\thttps://host/a",
        "https://host/a\0", "https://host/r?ref=x", "https://host?@evil.example/r", "https://host#@evil.example/r", "https://host/r#x",
    ]), @r"
    https://host/../r !! the path holds `.` or `..`
    https://host/a/./r !! the path holds `.` or `..`
    https://host/a/%2e%2e/r !! the path holds `.` or `..`
    https://host/%2E !! the path holds `.` or `..`
    host:../r !! the path holds `.` or `..`
    https://host/a/..git !! the path holds `.` or `..`
    https://host/...git !! the path holds `.` or `..`
    https://host/r.git.git !! the path ends in `.git` twice
    https://host/r/.git !! the path names a `.git` directory: write the directory that holds it
    https://host/r/.GIT/x !! the path names a `.git` directory: write the directory that holds it
    host:r/.git !! the path names a `.git` directory: write the directory that holds it
    https://host/a%2Fb !! the path holds an encoded slash (`%2F`): readers disagree about where it leads
    https://host/a%5cb !! the URL holds a backslash, which some readers take for `/`
    https://host\\@evil.example/r !! the URL holds a backslash, which some readers take for `/`
    https://host/a%00b !! the URL holds the control or invisible character \u{0}
    https://host/a%0ab !! the URL holds the control or invisible character \u{a}
    https://host/a%7F !! the URL holds the control or invisible character \u{7f}
    https://host/a% !! the path holds a `%` without two hexadecimal digits: write `%25` for a percent sign
    https://host/a%2 !! the path holds a `%` without two hexadecimal digits: write `%25` for a percent sign
    https://host/a%zz !! the path holds a `%` without two hexadecimal digits: write `%25` for a percent sign
    https://host/a%+1 !! the path holds a `%` without two hexadecimal digits: write `%25` for a percent sign
    https://host/a%\u{e9} !! the path holds a `%` without two hexadecimal digits: write `%25` for a percent sign
    https://host/%ff !! the path, decoded, is not UTF-8
    https://host/%c0%af !! the path, decoded, is not UTF-8
    https://host/a b !! the URL holds white space: write `%20` where a path has a space
    https://host/a\u{a0}b !! the URL holds white space: write `%20` where a path has a space
    https://host/a\n !! the URL holds white space: write `%20` where a path has a space
    \thttps://host/a !! the URL holds white space: write `%20` where a path has a space
    https://host/a\u{0} !! the URL holds the control or invisible character \u{0}
    https://host/r?ref=x !! the URL holds a query (`?`): a repository has none
    https://host?@evil.example/r !! the URL holds a query (`?`): a repository has none
    https://host#@evil.example/r !! the URL holds a fragment (`#`): a repository has none
    https://host/r#x !! the URL holds a fragment (`#`): a repository has none
    ");
}

#[test]
fn j05_no_message_holds_a_secret() {
    let secret = "hunter2";
    let holders = [
        "https://u:hunter2@h/r",
        "https://hunter2@h/r",
        "ssh://u:hunter2@h/r",
        "u:hunter2@h:r",
        "u:hunter2@h/r",
        "https://u:hunter2@h\\r",
        "https://u:hunter2@hé/r",
        "https://u:hunter2@h:99999/r",
        "ext::u:hunter2@h",
        "https:u:hunter2@h/r",
        "hunter2é@h:r",
        "x@hunter2@h:r",
        "hunter2%@h:r",
    ];
    for text in holders {
        let error = GitUrl::parse(text).unwrap_err().to_string();
        assert!(!error.contains(secret), "{text}: {error}");
    }
}

#[test]
fn names_are_bounded() {
    let label = |n: usize| "a".repeat(n);
    let good = [
        format!("https://{}.com/r", label(63)),
        format!("{}@h:r", label(64)),
        format!("https://h/{}", label(MAX_BYTES - 10)),
    ];
    let long_host = |last: usize| format!("https://{}/r", [label(63), label(63), label(63), label(last)].join("."));
    for text in good.iter().chain([&long_host(61)]) {
        assert!(GitUrl::parse(text).is_ok(), "{text}");
    }
    let bad = [
        format!("https://{}.com/r", label(64)),
        format!("{}@h:r", label(65)),
        format!("https://h/{}", label(MAX_BYTES - 9)),
        format!("https://h/{}", "é".repeat(300)),
        long_host(62),
    ];
    assert_snapshot!(read(&bad.each_ref().map(String::as_str)).lines().map(|line| line.split_once(" !! ").unwrap().1.to_owned() + "\n").collect::<String>(), @r"
    `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com` is not a host: labels of letters, digits, `-` and `_`, joined by dots
    the user must be letters, digits, `.`, `_` and `-`, at most 64
    the URL is longer than 1024 bytes
    the URL is longer than 1024 bytes
    `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaa…` is not a host: labels of letters, digits, `-` and `_`, joined by dots
    ");
}

#[test]
fn what_git_is_given_keeps_what_servers_tell_apart() {
    let fetched = [
        "git@GitHub.com:o/r.git",
        "git@github.com:/o//r/",
        "ssh://git@GitHub.com:22/o/r.git/",
        "https://Host/a%20b.git",
        "host:a%b",
        "git@[0:0::1]:~/r.git",
        "file:///srv/r.git",
        "https://host:8443/r",
    ]
    .map(|text| GitUrl::parse(text).unwrap().fetch_str().to_owned());
    assert_snapshot!(fetched.join("\n"), @r"
    git@github.com:o/r.git
    git@github.com:/o/r
    ssh://git@github.com/o/r.git
    https://host/a%20b.git
    host:a%b
    git@[::1]:~/r.git
    file:///srv/r.git
    https://host:8443/r
    ");
}

#[test]
fn a_url_knows_its_parts() {
    let parts =
        ["git@Host:r", "ssh://[::1]:2222/r", "https://h:443/r", "http://localhost:8080/r", "file:///r"].map(|text| {
            let url = GitUrl::parse(text).unwrap();
            format!("{} {:?} {:?} {:?}", url.scheme().as_str(), url.host(), url.port(), url.scheme().default_port())
        });
    assert_snapshot!(parts.join("\n"), @r#"
    ssh Some("host") None Some(22)
    ssh Some("[::1]") Some(2222) Some(22)
    https Some("h") None Some(443)
    http Some("localhost") Some(8080) Some(80)
    file None None None
    "#);
    assert_eq!(GitUrl::parse("file:///r").unwrap().scheme(), Scheme::File);
}

#[test]
fn equal_is_what_is_canonically_equal() {
    let [a, b, c] = ["host:r", "ssh://HOST:22/r.git", "ssh://git@host/r"].map(|text| GitUrl::parse(text).unwrap());
    assert_eq!(a, b);
    assert_ne!(a, c);
}
