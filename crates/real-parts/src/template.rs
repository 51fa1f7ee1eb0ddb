//! Clusters as `initdb` leaves them, made once for each target directory and copied for each server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::broken::{Broken, Trying as _, run};
use crate::target::target_dir;

/// Whoever reaches the socket, or an address that a test listens on, may connect.
const TRUST: &str = "local all all trust\nhost all all all trust\n";

/// Copies the template to `data`, which is not there yet. `programs` are those of PostgreSQL, `work` a directory of the
/// server's user.
///
/// # Errors
/// When it cannot be made or copied.
pub(crate) fn copy(programs: &Path, account: &Account, work: &Path, data: &Path) -> Result<(), Broken> {
    let template = ready(programs, account, work)?;
    run(Command::new("cp").arg("--archive").arg(template).arg(data)).map(drop)
}

fn ready(programs: &Path, account: &Account, work: &Path) -> Result<PathBuf, Broken> {
    let dir = target_dir().join("real-parts");
    fs::create_dir_all(&dir).trying(dir.display())?;
    // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    let version = run(Command::new(programs.join("postgres")).arg("--version"))?;
    let number = version.split_whitespace().nth(2).unwrap_or("unknown");
    // Files of one user are no use to another.
    let name = format!("postgres-{number}-{}", account.uid());
    let template = dir.join(&name);
    let lock = File::create(dir.join(format!("{name}.lock"))).trying("the lock of the template")?;
    lock.lock().trying("the lock of the template")?;
    if !template.exists() {
        make(programs, account, work, &template)?;
    }
    Ok(template)
}

/// Made where the server's user may write, which the target directory need not be.
fn make(programs: &Path, account: &Account, work: &Path, template: &Path) -> Result<(), Broken> {
    let made = work.join("template");
    let mut initdb = account.command(&programs.join("initdb"), work);
    initdb.args(["--no-sync", "--no-instructions", "--username=postgres", "--auth=trust"]);
    // Small segments of the log: most of a new cluster would be an empty one.
    initdb.args(["--no-locale", "--encoding=UTF8", "--wal-segsize=1"]);
    run(initdb.arg("--pgdata").arg(&made))?;
    fs::write(made.join("pg_hba.conf"), TRUST).trying("pg_hba.conf")?;
    let part = template.with_added_extension("part");
    run(Command::new("rm").args(["--recursive", "--force"]).arg(&part))?;
    run(Command::new("cp").arg("--archive").arg(&made).arg(&part))?;
    fs::remove_dir_all(&made).trying(made.display())?;
    fs::rename(&part, template).trying(template.display())
}
