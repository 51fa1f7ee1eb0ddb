//! Why a text is no repository's URL: each refusal has its own reason.

/// Why a text is not plainly the URL of a repository. No message holds a user, a password or the whole text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Nothing there.
    #[error("the URL is empty")]
    Empty,
    /// As written or in canonical form.
    #[error("the URL is longer than {} bytes", super::MAX_BYTES)]
    TooLong,
    /// A program would take it for an option.
    #[error("the {0} begins with `-`: a program would take it for an option")]
    LeadingDash(&'static str),
    /// Of any script.
    #[error("the URL holds white space: write `%20` where a path has a space")]
    WhiteSpace,
    /// Control, bidirectional or invisible characters, also percent-encoded.
    #[error("the URL holds the control or invisible character {0}")]
    Hidden(String),
    /// Some readers take it for `/`.
    #[error("the URL holds a backslash, which some readers take for `/`")]
    Backslash,
    /// After `?`.
    #[error("the URL holds a query (`?`): a repository has none")]
    Query,
    /// After `#`.
    #[error("the URL holds a fragment (`#`): a repository has none")]
    Fragment,
    /// `ext::`, `fd::` and others.
    #[error("`{0}::` names a remote helper, which runs a program: write https:// or ssh://")]
    RemoteHelper(String),
    /// `git://`
    #[error("git:// neither encrypts nor knows who answers: write https:// or ssh://")]
    GitProtocol,
    /// Another scheme.
    #[error("`{0}://` is not a transport for repositories: write https://, ssh:// or file://")]
    OtherTransport(String),
    /// `https:/host`, which git takes for the host `https`.
    #[error("`{0}:` without `//` would be a host of that name: write `//` after it, or ssh://{0}/ for that host")]
    MissingSlashes(String),
    /// Neither a scheme nor a host.
    #[error("the URL names no host: write file:///absolute/path for a repository of this machine")]
    LocalPath,
    /// Anyone on the way chooses what is fetched.
    #[error("http:// is for loopback (localhost, 127.0.0.0/8, [::1]) only: write https://")]
    PlainHttp,
    /// A secret in a configuration.
    #[error("the URL holds what looks like a user and a password: keep secrets out of it, and use an SSH key")]
    Password,
    /// Often a token; and `https://github.com@evil.example` looks like another host.
    #[error("a user before the host (`@`) is for ssh:// only: in http it is a secret, or hides the host")]
    UserInHttp,
    /// `a@b@host`
    #[error("the URL has more than one `@` before its path: the host would be hidden")]
    SecondAt,
    /// Letters, digits and `._-`, at most 64 bytes.
    #[error("the user must be letters, digits, `.`, `_` and `-`, at most 64")]
    BadUser,
    /// Nothing between `//` and `/`, or before `:`.
    #[error("the URL names no host")]
    NoHost,
    /// A look-alike of another host.
    #[error(
        "the host `{0}` holds letters other than ASCII and may only look like another: write its punycode (`xn--…`) if it is meant"
    )]
    ForeignHost(String),
    /// A host has no percent-encoding.
    #[error("the host is percent-encoded: write it plainly")]
    EncodedHost,
    /// The same host for DNS, another one for certificates and host keys.
    #[error("the host ends in a dot: write it without")]
    TrailingDot,
    /// Not a name and not an address.
    #[error("`{0}` is not a host: labels of letters, digits, `-` and `_`, joined by dots")]
    BadHost(String),
    /// `127.1`, `0x7f.0.0.1`, `2130706433`, `0177.0.0.1`
    #[error("`{0}` is not an IPv4 address of four decimal numbers without leading zeros")]
    OddIpv4(String),
    /// Also with a zone.
    #[error("`[{0}]` is not an IPv6 address (for a port write ssh://host:port/path)")]
    BadIpv6(String),
    /// `[::1`
    #[error("the host opens a bracket and does not close it")]
    OpenBracket,
    /// `[::ffff:127.0.0.1]`
    #[error("the IPv6 address is that of an IPv4 one: write the IPv4 address")]
    MappedIpv4,
    /// `ssh://::1/x`
    #[error("the host has more than one colon: an IPv6 address stands in brackets")]
    BareIpv6,
    /// Not 1..=65535, or with leading zeros.
    #[error("`{0}` is not a port: 1 to 65535, without leading zeros")]
    BadPort(String),
    /// `file://host/path`
    #[error("a file URL has no host: write file:///absolute/path")]
    FileHost,
    /// The root of a host is no repository.
    #[error("the URL names no path")]
    NoPath,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a `%` without two hexadecimal digits: write `%25` for a percent sign")]
    BadPercent,
    /// `%2F`
    #[error("the path holds an encoded slash (`%2F`): readers disagree about where it leads")]
    EncodedSlash,
    /// Bytes that are no text, among them overlong forms of `/` and `.`.
    #[error("the path, decoded, is not UTF-8")]
    NotUtf8,
    /// Also percent-encoded, or before `.git`.
    #[error("the path holds `.` or `..`")]
    DotSegment,
    /// The directory that holds it is the repository.
    #[error("the path names a `.git` directory: write the directory that holds it")]
    GitDirectory,
    /// `x.git.git`
    #[error("the path ends in `.git` twice")]
    GitTwice,
}
