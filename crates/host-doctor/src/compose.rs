//! The stack of containers in [`crate::DEPLOYED`].
//!
//! **Invariant:** a container is well only where it is said to be: what is not understood has failed.

use std::collections::BTreeSet;
use std::path::Path;

use doctor::Check;
use host::{Cmd, Host, HostError};
use outcome::Failure;
use serde::Deserialize;

use crate::{DEPLOYED, Scene, told, unseen, worst};

pub(crate) const NAME: &str = "compose";

/// What `docker compose` reads where nobody names a file.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const NEXT: &str = "see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach";

pub(crate) fn compose(scene: &Scene<'_>) -> Result<Check, Failure> {
    let Some(file) = file(scene.host)? else {
        return Ok(Check::pass(NAME, format!("no compose stack here: {DEPLOYED} has no compose file")));
    };
    let listing = docker(&["compose", "ps", "--all", "--format", "json"]);
    let listed = match told(scene.host, &listing) {
        Err(failure) if failure.class == "tool-missing" => {
            let message = format!("{file} is there, and no docker");
            return Ok(Check::fail(
                NAME,
                "no-docker",
                message,
                "install Docker and its compose plugin, or remove the file",
            ));
        }
        listed => listed?,
    };
    let containers = containers(&listed).map_err(|error| unseen(&listing, &error.to_string()))?;
    let services = told(scene.host, &docker(&["compose", "config", "--services"]))?;
    Ok(judge(&containers, &services.lines().map(str::trim).filter(|line| !line.is_empty()).collect()))
}

fn file(host: &dyn Host) -> Result<Option<String>, HostError> {
    for name in FILES {
        let path = Path::new(DEPLOYED).join(name);
        if host.stat(&path)?.is_some() {
            return Ok(Some(path.display().to_string()));
        }
    }
    Ok(None)
}

/// In the directory of the stack, so that its overrides and `.env` count as they do for the operator.
fn docker(words: &[&str]) -> Cmd {
    Cmd::new("docker").args(words).dir(DEPLOYED).inherit(&["HOME", "DOCKER_HOST", "DOCKER_CONTEXT"])
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    name: String,
    service: String,
    state: String,
    health: Option<String>,
    exit_code: Option<i64>,
}

/// One object a line, or one array of them as older versions have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    One(Container),
    All(Vec<Container>),
}

fn containers(text: &str) -> Result<Vec<Container>, serde_json::Error> {
    let mut containers = Vec::new();
    for listed in serde_json::Deserializer::from_str(text).into_iter() {
        match listed? {
            Listed::One(container) => containers.push(container),
            Listed::All(several) => containers.extend(several),
        }
    }
    Ok(containers)
}

fn judge(containers: &[Container], services: &BTreeSet<&str>) -> Check {
    let there: BTreeSet<_> = containers.iter().map(|container| container.service.as_str()).collect();
    let missing = services.difference(&there).map(|service| {
        Check::fail(NAME, "container-missing", format!("{service} has no container"), "run: docker compose up --detach")
    });
    let mut seen: Vec<_> = containers.iter().map(Container::judge).chain(missing).collect();
    if seen.is_empty() {
        seen.push(Check::fail(NAME, "container-missing", "the stack has no service", "see: docker compose config"));
    }
    worst(NAME, seen)
}

impl Container {
    fn judge(&self) -> Check {
        let Self { name, state, health, exit_code, .. } = self;
        match (state.as_str(), health.as_deref().unwrap_or_default()) {
            ("running", "") => Check::pass(NAME, format!("{name} is running")),
            ("running", "healthy") => Check::pass(NAME, format!("{name} is healthy")),
            ("running", "starting") => {
                let message = format!("{name} has only started");
                Check::warn(NAME, "container-starting", message, "look again in a minute")
            }
            ("running", health) => Check::fail(NAME, "container-unhealthy", format!("{name} is {health}"), NEXT),
            (state, _) => {
                let code = exit_code.filter(|_| state == "exited").map(|code| format!(" with {code}"));
                let message = format!("{name} is {state}{}", code.unwrap_or_default());
                Check::fail(NAME, "container-down", message, NEXT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::looked;

    fn stack(ps: &str, services: &str) -> String {
        let fake = Fake::new().file("/opt/ai-ops-runner/compose.yaml", "", 0o644, 0);
        let fake = fake.answer("docker compose ps --all --format json", 0, ps);
        looked(&fake.answer("docker compose config --services", 0, services), NAME)
    }

    /// As `docker compose` has it, with what is not read too.
    fn container(service: &str, state: &str, health: &str, code: i32) -> String {
        format!(
            r#"{{"ID":"0123","Name":"ops-{service}-1","Image":"x","Command":"\"/x\"","Project":"ops","Service":"{service}","Created":1,
            "State":"{state}","Status":"Up","Health":"{health}","ExitCode":{code},"Publishers":[{{"URL":"127.0.0.1","TargetPort":80,
            "PublishedPort":8080,"Protocol":"tcp"}}]}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn a_stack_whose_containers_run_passes_in_both_shapes() {
        let (api, db) = (container("api", "running", "healthy", 0), container("db", "running", "", 0));
        let lines = format!("{api}\n{db}\n");
        assert_snapshot!(stack(&lines, "api\ndb\n"), @"
        PASS: compose: ops-api-1 is healthy; ops-db-1 is running
              class: ok
        ");
        assert_eq!(stack(&format!("[{api},{db}]"), "db\napi"), stack(&lines, "api\ndb"));
        assert_eq!(stack(&format!("[\n  {api},\n  {db}\n]\n"), "db\napi"), stack(&lines, "api\ndb"));
        assert_eq!(stack(&format!("{api} {db}"), "api\ndb"), stack(&lines, "api\ndb"));
    }

    #[test]
    fn no_stack_is_fine_and_one_without_docker_is_not() {
        assert_snapshot!(looked(&Fake::new(), NAME), @"
        PASS: compose: no compose stack here: /opt/ai-ops-runner has no compose file
              class: ok
        ");
        let missing = |_: &Cmd| Some(Err(HostError::NotFound { program: "docker".into() }));
        for file in FILES {
            let path = format!("/opt/ai-ops-runner/{file}");
            let said = looked(&Fake::new().file(path, "", 0o644, 0).script(missing), NAME);
            assert!(
                said.starts_with(&format!("FAIL: compose: /opt/ai-ops-runner/{file} is there, and no docker")),
                "{said}"
            );
        }
    }

    #[test]
    fn v05_what_cannot_be_read_is_no_pass() {
        let whole = container("api", "running", "", 0);
        for text in [
            "nothing",
            "NAME  IMAGE  STATUS\nops-api-1  x  running",
            &whole[..whole.len() - 2],
            &format!("{whole}\nwarning"),
            &format!("[{whole}"),
            &format!("[{whole},\"x\"]"),
            r#"{"Name":"a","Service":"api","Health":""}"#,
            r#"{"Name":"a","Service":"api","State":null}"#,
            r#"{"Name":"a","Service":"api","State":"running","State":"exited"}"#,
            r#""running""#,
            "null",
        ] {
            let said = stack(text, "api");
            assert!(said.starts_with("FAIL") && said.ends_with("class: unseen"), "{text}: {said}");
        }
        assert_snapshot!(stack("nothing", "api"), @"
        FAIL: compose: `docker compose ps --all --format json` does not tell: expected ident at line 1 column 2
              next: run it by hand, and mend what it says
              class: unseen
        ");
        let fake = Fake::new().file("/opt/ai-ops-runner/compose.yml", "", 0o644, 0);
        assert_snapshot!(looked(&fake.answer("docker compose ps", 125, "[]"), NAME), @"
        FAIL: compose: `docker compose ps --all --format json` does not tell: exit 125
              next: run it by hand, and mend what it says
              class: unseen
        ");
    }

    #[test]
    fn v05_a_container_that_exited_fails_whatever_its_code() {
        let ps = [
            container("api", "running", "", 0),
            container("once", "exited", "", 0),
            container("db", "exited", "", 137),
        ];
        assert_snapshot!(stack(&ps.join("\n"), "api\nonce\ndb"), @"
        FAIL: compose: ops-once-1 is exited with 0; ops-db-1 is exited with 137
              next: see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach
              class: container-down
        ");
        for state in ["created", "restarting", "paused", "dead", "removing", "Running", ""] {
            let said = stack(&container("api", state, "", 0), "api");
            assert!(said.starts_with("FAIL"), "{state}: {said}");
        }
        let fake = Fake::new().file("/opt/ai-ops-runner/compose.yml", "", 0o644, 0).answer("docker", 0, "");
        looked(&fake, NAME);
        assert_snapshot!(fake.transcript(), @"
        run docker compose ps --all --format json
        run docker compose config --services
        ");
    }

    #[test]
    fn v05_a_service_without_a_container_is_seen() {
        assert_snapshot!(stack(&container("api", "running", "", 0), "api\ndb\n"), @"
        FAIL: compose: db has no container
              next: run: docker compose up --detach
              class: container-missing
        ");
        for none in ["", "[]", "\n"] {
            assert!(stack(none, "api").starts_with("FAIL: compose: api has no container"), "{none}");
            assert!(stack(none, "").starts_with("FAIL"), "{none}");
        }
    }

    #[test]
    fn a_container_is_as_well_as_it_says() {
        let health = |health: &str| stack(&container("api", "running", health, 0), "api");
        assert_snapshot!(health("starting"), @"
        WARN: compose: ops-api-1 has only started
              next: look again in a minute
              class: container-starting
        ");
        assert_snapshot!(health("unhealthy"), @"
        FAIL: compose: ops-api-1 is unhealthy
              next: see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach
              class: container-unhealthy
        ");
        assert!(health("Healthy").starts_with("FAIL"));
        let hostile = r#"{"Name":"a\nPASS: compose: all","Service":"api","State":"exited\u001b[2K","Health":null}"#;
        assert_snapshot!(stack(hostile, "api"), @r"
        FAIL: compose: a\u{a}PASS: compose: all is exited\u{1b}[2K
              next: see why: docker compose logs SERVICE, in /opt/ai-ops-runner; then: docker compose up --detach
              class: container-down
        ");
    }
}
