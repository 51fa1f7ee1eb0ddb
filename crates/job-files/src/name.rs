//! Which paths may be asked for.

use runner_wire::Stream;

/// The most parts of a path. A runner keeps no file deeper than half of that.
pub(crate) const MAX_DEPTH: usize = 64;
/// The longest part of a path, in bytes, as file systems have it.
const MAX_PART: usize = 255;

/// Names at the top of an attempt's directory that are the runner's working files: nobody is given them.
pub const HIDDEN: [&str; 3] = [".died.json", ".scratch", ".copying"];

/// The parts of a path that may be asked for: relative, in its one spelling, and none of the runner's working files.
pub(crate) fn parts(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| !matches!(*part, "" | "." | "..") && part.len() <= MAX_PART && !part.contains('\0');
    (parts.len() <= MAX_DEPTH && parts.iter().all(plain) && !HIDDEN.contains(&parts[0])).then_some(parts)
}

/// A path in an attempt's directory.
pub(crate) fn below<'a>(attempt: &'a str, parts: &[&'a str]) -> Vec<&'a str> {
    attempt.split('/').chain(parts.iter().copied()).collect()
}

/// The file of a log.
pub(crate) const fn log(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout.log",
        Stream::Stderr => "stderr.log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j14_a_path_has_one_spelling_and_stays_below() {
        assert_eq!(parts("a/b c/..d\n\"%2e"), Some(vec!["a", "b c", "..d\n\"%2e"]));
        assert!(parts(&["a"; MAX_DEPTH].join("/")).is_some());
        let long = "a".repeat(MAX_PART + 1);
        let deep = ["a"; MAX_DEPTH + 1].join("/");
        for bad in
            ["", "/", "/a", "a/", "a//b", ".", "./a", "..", "../a", "a/..", "a/../b", "a/.", "a\0b", &long, &deep]
        {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn working_files_are_nobodys_but_a_job_may_use_their_names_deeper() {
        for hidden in HIDDEN {
            assert_eq!(parts(hidden), None);
            assert_eq!(parts(&format!("{hidden}/x")), None);
            assert!(parts(&format!("x/{hidden}")).is_some());
        }
    }
}
