//! Whether a test command that ended well ran any test: `cargo test` and `go test` exit with 0 without one.

use std::sync::{Mutex, PoisonError};

/// The commands whose words are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Cargo,
    Go,
    Node,
}

/// Reads the lines of one test command as they come.
#[derive(Debug)]
pub(crate) struct Ran {
    known: Option<Known>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// A test ran.
    a_test: bool,
    /// Test programs that were started.
    programs: usize,
    /// Programs that told how many tests they ran.
    told: usize,
}

impl Ran {
    /// A reader for what the command `argv` writes.
    pub(crate) fn of(argv: &[String]) -> Self {
        let program = argv.first().and_then(|word| word.rsplit('/').next());
        let tests = argv.iter().skip(1).find(|word| !word.starts_with(['-', '+']));
        let tests = tests.is_some_and(|word| word == "test" || word == "t");
        let known = match program {
            Some("cargo") if tests => Some(Known::Cargo),
            Some("go") if tests => Some(Known::Go),
            Some("npm") if tests => Some(Known::Node),
            _ => None,
        };
        Self { known, seen: Mutex::default() }
    }

    pub(crate) fn hear(&self, line: &str) {
        let line = plain(line);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.known {
            Some(Known::Cargo) => seen.cargo(line.trim()),
            Some(Known::Go) => seen.go(&line),
            Some(Known::Node) => seen.node(line.trim()),
            None => {}
        }
    }

    /// No test ran, as far as the command's words say.
    pub(crate) fn nothing(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.known {
            // A program with a harness of its own does not tell.
            Some(Known::Cargo) => !seen.a_test && seen.programs <= seen.told,
            Some(Known::Go) => !seen.a_test,
            // What a script runs is not known: it counts unless all that it says is that there is nothing.
            Some(Known::Node) => !seen.a_test && seen.told > 0,
            None => false,
        }
    }
}

impl Seen {
    fn cargo(&mut self, line: &str) {
        if line.starts_with("Running ") || line.starts_with("Doc-tests ") {
            self.programs += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.told += 1;
            self.a_test |= !result.contains(". 0 passed");
        }
    }

    fn go(&mut self, line: &str) {
        let a_package = line.starts_with("ok ") && !line.contains("[no tests to run]");
        let as_json = line.contains(r#""Action":"pass""#) && line.contains(r#""Test":"#);
        self.a_test |= a_package || as_json;
    }

    /// The summaries of node's own runner and of mocha.
    fn node(&mut self, line: &str) {
        let own = line.strip_prefix("ℹ tests ").or_else(|| line.strip_prefix("# tests "));
        let mocha = line.split_once(" passing").map(|(count, _)| count);
        if let Some(count) = own.or(mocha).and_then(|count| count.parse::<u64>().ok()) {
            self.told += 1;
            self.a_test |= count > 0;
        }
    }
}

/// The line without colours.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(argv: &str, lines: &[&str]) -> bool {
        let ran = Ran::of(&argv.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in lines {
            ran.hear(line);
        }
        ran.nothing()
    }

    const NONE: &str = "test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s";
    const SOME: &str = "test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
    const UNIT: &str = "     Running unittests src/lib.rs (target/debug/deps/a-0)";

    #[test]
    fn s01_cargo_without_a_test_is_seen() {
        for argv in ["cargo test --workspace", "/usr/bin/cargo +nightly --offline t"] {
            assert!(nothing(argv, &[]));
            assert!(nothing(argv, &[UNIT, "running 0 tests", NONE, "   Doc-tests a", NONE]));
            assert!(nothing(argv, &["\u{1b}[1m\u{1b}[32m     Running\u{1b}[0m unittests src/lib.rs (a)", NONE]));
            assert!(!nothing(argv, &[UNIT, SOME, "   Doc-tests a", NONE]));
            assert!(!nothing(argv, &[UNIT, NONE, "     Running tests/own.rs (target/debug/deps/own-0)", "fine"]));
            assert!(!nothing(argv, &["test result: \u{1b}[32mok\u{1b}[m. 1 passed; 0 failed"]));
        }
    }

    #[test]
    fn s01_go_without_a_test_is_seen() {
        let argv = "go test ./...";
        assert!(nothing(argv, &["?   \texample.com/a\t[no test files]"]));
        assert!(nothing(argv, &["ok  \texample.com/a\t0.001s [no tests to run]"]));
        assert!(!nothing(argv, &["?   \texample.com/a\t[no test files]", "ok  \texample.com/b\t(cached)"]));
        assert!(!nothing("go test -json", &[r#"{"Action":"pass","Package":"a","Test":"TestA","Elapsed":0}"#]));
    }

    #[test]
    fn s01_a_node_script_is_believed_unless_it_says_that_there_was_nothing() {
        assert!(nothing("npm test", &["ℹ tests 0", "ℹ pass 0"]) && nothing("npm test", &["  0 passing (1ms)"]));
        assert!(!nothing("npm test", &["# tests 2"]) && !nothing("npm test", &["all is well"]));
    }

    #[test]
    fn any_other_command_is_believed() {
        for argv in ["make test", "cargo xtask test", "go vet ./...", "sh -c true"] {
            assert!(!nothing(argv, &[]), "{argv}");
        }
    }
}
