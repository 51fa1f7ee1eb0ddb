//! Asking on the terminal.

use std::fs::File;
use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The answer to `question`, which the terminal does not show: it is quiet before the question is there, so that an
/// answer pasted at once is not shown either.
///
/// # Errors
/// Of the terminal, or when there is none.
pub(crate) fn ask_quietly(question: &str) -> io::Result<Zeroizing<String>> {
    let _quiet = Quiet::begin()?;
    rpassword::prompt_password(question).map(Zeroizing::new)
}

/// The terminal does not show what is typed until this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let terminal = File::open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        tcsetattr(&terminal, OptionalActions::Now, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that went away has nothing to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
