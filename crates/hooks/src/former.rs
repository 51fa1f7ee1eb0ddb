//! The pre-push hook that was there before ours.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, thread};

use host::SECRETS;
use outcome::Failure;

/// Runs the former hook with the arguments and the stdin that git gave to ours, in the same terminal and without a
/// time limit: it may ask for a password or upload for an hour. It gets the environment of the push without
/// [`SECRETS`]. Call it only after the push has passed.
///
/// Where there is no such hook, or it is not executable, there is nothing to run, as for git itself.
///
/// # Errors
/// Refused, class `former-hook`, if it refuses the push, cannot be run or is ended by a signal.
pub fn hand_on(former: &Path, args: &[OsString], stdin: &[u8]) -> Result<(), Failure> {
    let refused = |why: String| {
        let reason = format!("{}: {why}", former.display());
        Failure::refused("former-hook", reason, "see what that hook said; it was there before the gate")
    };
    match fs::metadata(former) {
        Ok(meta) if meta.permissions().mode() & 0o111 != 0 => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error.to_string())),
    }
    let mut command = Command::new(former);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    let child = command.args(args).stdin(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| refused(error.to_string()))?;
    let (pipe, bytes) = (child.stdin.take(), stdin.to_vec());
    // A hook that does not read its stdin closes it: that is its choice.
    let feeder = thread::spawn(move || pipe.map(|mut pipe| pipe.write_all(&bytes)));
    let status = child.wait().map_err(|error| refused(error.to_string()))?;
    drop(feeder);
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(refused(format!("it ended with exit code {code}"))),
        (None, signal) => Err(refused(format!("it was ended by signal {}", signal.unwrap_or(0)))),
    }
}
