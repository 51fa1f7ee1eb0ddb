//! The files of sshd's configuration: what else in them decides where it listens, and how they would be with the drop-in.
//!
//! sshd itself has the last word, by `sshd -T`; this says where to look when it says no (`sshd_config(5)`).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use globset::Glob;
use host::Host;
use outcome::{Failure, Refusal};

use crate::paths::{CANDIDATE, DROP_IN, DROP_INS, MAIN_CONFIG};

/// Where patterns that are not absolute start.
const HOME: &str = "/etc/ssh";
/// How deep files may include files, as sshd has it.
const DEPTH: usize = 16;

/// The files that sshd reads, in the order that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `sshd_config` first.
    pub files: Vec<File>,
    /// The drop-in is read where it will be, outside of every `Match`.
    pub includes_drop_ins: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// A line that says something, taken apart.
struct Line<'a> {
    number: usize,
    /// In lower case.
    keyword: String,
    arguments: Vec<&'a str>,
}

/// A comment has a keyword that is none.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().zip(1..).map(|(line, number)| {
        let line = line.trim();
        let (keyword, rest) = line.split_once(separates).unwrap_or((line, ""));
        let words = rest.trim_start_matches(separates).split_whitespace().map(|word| word.trim_matches('"'));
        let arguments = words.take_while(|word| !word.starts_with('#')).collect();
        Line { number, keyword: keyword.to_ascii_lowercase(), arguments }
    })
}

fn separates(c: char) -> bool {
    c.is_whitespace() || c == '='
}

/// Reads `sshd_config` and what it includes.
///
/// # Errors
/// Not ready when a file cannot be read, refused when it includes by a pattern that this does not follow.
pub(crate) fn read(host: &dyn Host) -> Result<Config, Failure> {
    let mut config = Config { files: Vec::new(), includes_drop_ins: false };
    add(host, Path::new(MAIN_CONFIG), &mut config, true, 0)?;
    if config.files.is_empty() {
        return Err(Failure::not_ready(
            "sshd-config",
            format!("there is no {MAIN_CONFIG}"),
            "install openssh-server anew",
        ));
    }
    Ok(config)
}

fn add(host: &dyn Host, path: &Path, config: &mut Config, mut always: bool, depth: usize) -> Result<(), Failure> {
    let Some(bytes) = host.read(path)? else { return Ok(()) };
    let text = String::from_utf8(bytes).map_err(|_| odd(path, "is not UTF-8"))?;
    if depth > DEPTH {
        return Err(odd(path, "is included too deep"));
    }
    config.files.push(File { path: path.to_owned(), text: text.clone() });
    for line in lines(&text) {
        match line.keyword.as_str() {
            "match" => always = false,
            "include" => {
                for pattern in line.arguments {
                    let pattern = Path::new(HOME).join(pattern);
                    config.includes_drop_ins |= always && matches(&pattern, Path::new(DROP_IN))?;
                    for found in found(host, &pattern)? {
                        add(host, &found, config, always, depth + 1)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn odd(path: &Path, why: &str) -> Failure {
    Failure::refused("sshd-config", format!("{} {why}", path.display()), "write it plainly, then plan again")
}

/// Only file names may be patterns.
fn matches(pattern: &Path, path: &Path) -> Result<bool, Failure> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy();
    let glob = Glob::new(&name).map_err(|_| odd(pattern, "is a pattern that is not understood"))?.compile_matcher();
    Ok(pattern.parent() == path.parent() && path.file_name().is_some_and(|name| glob.is_match(name)))
}

fn found(host: &dyn Host, pattern: &Path) -> Result<Vec<PathBuf>, Failure> {
    let dir = pattern.parent().unwrap_or(Path::new("/"));
    if dir.to_string_lossy().contains(['*', '?', '[']) {
        return Err(odd(pattern, "is a pattern of directories, which is not followed"));
    }
    let names = host.list(dir)?.unwrap_or_default();
    let mut found = Vec::new();
    for path in names.iter().map(|name| dir.join(name)) {
        // As glob(7) has it, a leading dot is matched by a dot alone.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && matches(pattern, &path)? {
            found.push(path);
        }
    }
    Ok(found)
}

impl Config {
    /// Everything but the drop-in that decides where sshd listens.
    fn others(&self) -> impl Iterator<Item = (&File, Line<'_>)> {
        let files = self.files.iter().filter(|file| file.path != Path::new(DROP_IN));
        files.flat_map(|file| lines(&file.text).map(move |line| (file, line)))
    }

    /// Why sshd would listen elsewhere too, or not at all, with the drop-in for `address`.
    pub(crate) fn conflicts(&self, address: Ipv4Addr) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if !self.includes_drop_ins {
            refusals.push(Refusal {
                class: "include-missing",
                reason: format!("{MAIN_CONFIG} does not include {DROP_INS}/*.conf, so that a drop-in has no effect"),
                next: format!("put `Include {DROP_INS}/*.conf` first in {MAIN_CONFIG}, then plan again"),
            });
        }
        let ports = self.others().filter(|(_, line)| line.keyword == "port");
        let several = ports.map(|(_, line)| line.arguments.join(" ")).collect::<BTreeSet<_>>().len() > 1;
        for (File { path, .. }, Line { number, keyword, arguments }) in self.others() {
            let value = arguments.first().copied().unwrap_or_default();
            let class = match keyword.as_str() {
                "listenaddress" if value != address.to_string() || arguments.len() > 1 => "listen-elsewhere",
                "addressfamily" if value.eq_ignore_ascii_case("inet6") => "address-family",
                "port" if several => "several-ports",
                _ => continue,
            };
            let said = format!("{keyword} {}", arguments.join(" "));
            refusals.push(Refusal {
                class,
                reason: format!("{}:{number} says `{said}`", path.display()),
                next: format!("take line {number} out of {}, then plan again", path.display()),
            });
        }
        refusals
    }

    /// The files as they would be with `drop_in` in its place, in a directory of their own: sshd judges them there, before
    /// anything of them is in use.
    pub(crate) fn candidate(&self, drop_in: &str) -> Vec<File> {
        let kept = self.files.iter().filter(|file| file.path != Path::new(DROP_IN));
        let others = kept.map(|file| File { path: moved(&file.path), text: redirected(&file.text) });
        let added = File { path: moved(Path::new(DROP_IN)), text: drop_in.to_owned() };
        others.chain([added]).collect()
    }
}

/// Where sshd finds the candidate.
pub(crate) fn candidate_main() -> String {
    moved(Path::new(MAIN_CONFIG)).display().to_string()
}

fn moved(path: &Path) -> PathBuf {
    Path::new(CANDIDATE).join(path.strip_prefix("/").unwrap_or(path))
}

/// The same text with every `Include` leading into the candidate.
fn redirected(text: &str) -> String {
    let numbers: BTreeSet<usize> =
        lines(text).filter(|line| line.keyword == "include").map(|line| line.number).collect();
    let line = |(line, number): (&str, usize)| {
        if !numbers.contains(&number) {
            return format!("{line}\n");
        }
        let patterns = lines(line).flat_map(|line| line.arguments).map(|pattern| moved(&Path::new(HOME).join(pattern)));
        patterns.fold("Include".to_owned(), |include, pattern| format!("{include} {}", pattern.display())) + "\n"
    };
    text.lines().zip(1..).map(line).collect()
}

/// What a drop-in says beside where sshd listens, by line: it would be lost.
pub(crate) fn more(text: &str) -> Vec<(usize, String)> {
    const OURS: [&str; 2] = ["addressfamily", "listenaddress"];
    let said = lines(text).filter(|line| !line.keyword.is_empty() && !line.keyword.starts_with('#'));
    let more = said.filter(|line| !OURS.contains(&line.keyword.as_str()));
    more.map(|line| (line.number, format!("{} {}", line.keyword, line.arguments.join(" ")))).collect()
}

/// Arguments of sshd that decide where it listens, whatever its files say.
pub(crate) fn overriding(arguments: &[String]) -> Vec<&str> {
    const KEYWORDS: [&str; 3] = ["listenaddress", "port", "addressfamily"];
    let mut found = Vec::new();
    let mut words = arguments.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let option = match word.strip_prefix("-o") {
            Some("") => words.peek().copied().unwrap_or_default(),
            Some(option) => option,
            None if word.starts_with("-p") || word.starts_with("-f") || word == "-6" => {
                found.push(word);
                continue;
            }
            None => continue,
        };
        let keyword = option.trim_start_matches(['"', '\'']).split(['=', ' ']).next().unwrap_or_default();
        if KEYWORDS.contains(&keyword.to_ascii_lowercase().as_str()) {
            found.push(option);
        }
    }
    found
}
