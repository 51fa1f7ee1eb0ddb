//! What systemd tells of units: `systemctl show`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use host::{Cmd, Host};
use outcome::Failure;

/// Of each unit.
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,UnitFileState,FragmentPath,MainPID,TriggeredBy,\
Environment,EnvironmentFiles,ExecStart,Listen,Requires,Requisite,BindsTo,\
Restart,RestartUSec,RestartPreventExitStatus,StartLimitIntervalUSec";

/// What decides whether a unit that failed is started again, as `systemctl show` names it.
pub(crate) const RETRIES: [&str; 4] =
    ["Restart=", "RestartUSec=", "RestartPreventExitStatus=", "StartLimitIntervalUSec="];

/// What starts sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its unit.
    pub unit: Unit,
    /// The main process.
    pub pid: Option<u32>,
    /// Its program.
    pub program: String,
    /// Its arguments, with the variables of its environment in them.
    pub arguments: Vec<String>,
    /// The units without which it is not started.
    pub requires: Vec<String>,
    /// Whether it is started again, as systemd has it from all files: lines of `systemctl show`.
    pub retries: BTreeSet<String>,
}

/// A unit that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// It runs, or starts.
    pub active: bool,
    /// `enabled`, `disabled`, `masked`, `static` and so on.
    pub enablement: String,
    /// Its file.
    pub fragment: PathBuf,
    /// The ports that it holds, of a socket.
    pub ports: Vec<u16>,
}

impl Unit {
    pub(crate) fn is(&self, enablement: &str) -> bool {
        self.enablement == enablement
    }
}

/// The properties of one unit.
struct Shown(BTreeMap<String, String>);

impl Shown {
    fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn is_there(&self) -> bool {
        self.of("LoadState") != "not-found"
    }

    fn unit(&self) -> Unit {
        Unit {
            name: self.of("Id").to_owned(),
            active: !["inactive", "failed"].contains(&self.of("ActiveState")),
            enablement: self.of("UnitFileState").to_owned(),
            fragment: self.of("FragmentPath").into(),
            ports: self.of("Listen").lines().filter_map(listened).collect(),
        }
    }
}

/// `[::]:22 (Stream)`.
fn listened(line: &str) -> Option<u16> {
    line.split_whitespace().next()?.rsplit_once(':')?.1.parse().ok()
}

/// The service that starts sshd, and the sockets that start it.
///
/// # Errors
/// Not ready, when systemd does not tell or tells what this cannot decide on.
pub(crate) fn sshd(host: &dyn Host) -> Result<(Option<Service>, Vec<Unit>), Failure> {
    let mut services = show(host, &["ssh.service", "sshd.service"])?;
    services.retain(Shown::is_there);
    services.dedup_by(|one, other| one.of("Id") == other.of("Id"));
    let service = match services.as_slice() {
        [] => None,
        [only] => Some(only),
        several => several.iter().find(|unit| unit.unit().active).or(several.first()),
    };
    let triggers = service.map_or("", |service| service.of("TriggeredBy"));
    // Timers and paths only start it: they listen nowhere.
    let triggers = triggers.split_whitespace().filter(|name| name.ends_with(".socket"));
    let names: Vec<&str> = ["ssh.socket", "sshd.socket"].into_iter().chain(triggers).collect();
    let mut sockets: Vec<Unit> = Vec::new();
    for socket in show(host, &names)?.iter().filter(|shown| shown.is_there()).map(Shown::unit) {
        if sockets.iter().all(|known| known.name != socket.name) {
            sockets.push(socket);
        }
    }
    Ok((service.map(|shown| describe(host, shown)).transpose()?, sockets))
}

fn describe(host: &dyn Host, shown: &Shown) -> Result<Service, Failure> {
    let unit = shown.unit();
    let odd = |why: String| {
        Failure::refused(
            "sshd-unit",
            format!("{}: {why}", unit.name),
            "start sshd by the unit of its package, then plan again",
        )
    };
    let command = shown.of("ExecStart").split_once("argv[]=").and_then(|(_, rest)| rest.split_once(" ; "));
    let mut words = command.map(|(argv, _)| argv.split_whitespace()).into_iter().flatten();
    // A unit that is masked has no command.
    let program = words.next().unwrap_or("/usr/sbin/sshd").to_owned();
    if !program.ends_with("/sshd") {
        return Err(odd(format!("it starts {program} and not sshd")));
    }
    let environment = environment(host, shown).map_err(&odd)?;
    let mut arguments = Vec::new();
    for word in words {
        match word.strip_prefix('$') {
            None => arguments.push(word.to_owned()),
            Some(name) => {
                let name = name.trim_start_matches('{').trim_end_matches('}');
                let value = environment.get(name).map_or("", String::as_str);
                arguments.extend(value.split_whitespace().map(str::to_owned));
            }
        }
    }
    let pid = shown.of("MainPID").parse().ok().filter(|pid| *pid != 0);
    let requires = ["Requires", "Requisite", "BindsTo"].iter().flat_map(|name| shown.of(name).split_whitespace());
    let retries = RETRIES.iter().map(|name| format!("{name}{}", shown.of(name.trim_end_matches('=')))).collect();
    Ok(Service { unit, pid, program, arguments, requires: requires.map(str::to_owned).collect(), retries })
}

/// The variables of a unit: `Environment=`, then each `EnvironmentFile=`.
fn environment(host: &dyn Host, shown: &Shown) -> Result<BTreeMap<String, String>, String> {
    let own = shown.of("Environment");
    if own.contains(['"', '\'', '\\', '$']) {
        return Err(format!("its environment `{own}` is not understood"));
    }
    let mut variables: BTreeMap<_, _> = own
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for line in shown.of("EnvironmentFiles").lines() {
        let Some(path) = line.split_whitespace().next() else { continue };
        let bytes = host.read(path.as_ref()).map_err(|error| error.to_string())?.unwrap_or_default();
        for assignment in String::from_utf8_lossy(&bytes).lines().map(str::trim) {
            if assignment.is_empty() || assignment.starts_with(['#', ';']) {
                continue;
            }
            let (name, value) =
                assigned(assignment).ok_or_else(|| format!("{path}: `{assignment}` is not understood"))?;
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

/// `NAME=value`, the value quoted or not; nothing that would be expanded or continued.
fn assigned(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
    (!bare.contains(['"', '\'', '\\', '$', '`'])).then(|| (name.trim().to_owned(), bare.to_owned()))
}

/// Whether all of these units run.
///
/// # Errors
/// As [`sshd`].
pub(crate) fn run(host: &dyn Host, names: &[String]) -> Result<bool, Failure> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(names.is_empty() || show(host, &names)?.iter().all(|shown| shown.unit().active))
}

/// The main process of a service, where it runs.
///
/// # Errors
/// As [`sshd`].
pub(crate) fn main_process(host: &dyn Host, unit: &str) -> Result<Option<u32>, Failure> {
    let shown = show(host, &[unit])?;
    Ok(shown.first().and_then(|shown| shown.of("MainPID").parse().ok()).filter(|pid| *pid != 0))
}

fn show(host: &dyn Host, names: &[&str]) -> Result<Vec<Shown>, Failure> {
    let cmd = Cmd::new("systemctl").args(["show", PROPERTIES]).args(names.iter().copied()).env("LC_ALL", "C");
    let untold = |why: String| {
        Failure::not_ready(
            "systemd",
            format!("systemd does not tell of its units: {why}"),
            "run it on a host that systemd runs",
        )
    };
    let output = host.run(&cmd).map_err(|error| untold(error.to_string()))?;
    if !output.success() {
        return Err(untold(format!("{}: {}", output.status, output.stderr_text())));
    }
    let text = output.stdout_text();
    let units: Vec<_> = text.split("\n\n").map(properties).collect();
    if units.len() == names.len() {
        Ok(units)
    } else {
        Err(untold(format!("{} answers for {} units", units.len(), names.len())))
    }
}

/// `Name=value` lines; of a name that is there several times all values, a line each.
fn properties(text: &str) -> Shown {
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let known = properties.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push('\n');
        }
        known.push_str(value);
    }
    Shown(properties)
}
