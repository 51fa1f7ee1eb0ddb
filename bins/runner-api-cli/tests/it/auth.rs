//! Who may do what.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::{self, sleep};
use std::time::Duration;

use insta::assert_snapshot;
use runner_api::Scope;
use runner_api::operation::{ALL, Operation, Verb};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::http::{Answer, Client};
use crate::service::{JOBS, Service, Site};

const COOKIE: &str = "ai_ops_runner_session";

/// Runs `runner-api token`. Returns what it printed.
pub(crate) fn token(site: &Site, args: &[&str]) -> Result<String, String> {
    let output = site.api(&[&["token"], args].concat()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn ask(client: &Client, operation: &Operation, job: &str) -> Answer {
    let path = operation.path.replace("{id}", job).replace("{*path}", "stdout.log").replace("{name}", "nobody");
    match operation.method {
        Verb::Get => client.get(&path),
        Verb::Post => client.post(&path, &json!({})),
    }
}

#[test]
fn j01_every_operation_refuses_who_has_no_good_token_with_the_scope_for_it() {
    let site = Site::new(JOBS);
    let service = site.serve(&[]);
    let job = service.submit(&site.ask("hello"));
    service.ended(&job);
    let nobody = service.client.anonymous();
    let expired = nobody.with_token(&token(&site, &["add", "late", "--scope", "admin", "--days", "0"]).unwrap());
    let wrong = nobody.with_token(&format!("aor_{}", "0".repeat(64)));
    let clients = Scope::ALL.map(|scope| {
        let secret = token(&site, &["add", scope.as_str(), "--scope", scope.as_str()]).unwrap();
        (scope, nobody.with_token(&secret))
    });
    for operation in &ALL {
        let Some(needed) = operation.scope else {
            assert!(ask(&nobody, operation, &job).status < 400, "{}", operation.name);
            continue;
        };
        for client in [&nobody, &wrong, &expired, &nobody.with_token("")] {
            assert_eq!(ask(client, operation, &job).refusal(), "401 unauthenticated", "{}", operation.name);
        }
        for (scope, client) in &clients {
            let (held, name) = (BTreeSet::from([*scope]), operation.name);
            if needed.within(&held) {
                // A stream has no end that could be waited for.
                let status = ask(client, operation, &job).status;
                assert!(!matches!(status, 401 | 403 | 500..), "{name} with {scope}: {status}");
            } else {
                assert_eq!(ask(client, operation, &job).refusal(), "403 scope-missing", "{name} with {scope}");
            }
        }
    }
    for kind in ["Basic", "Token", ""] {
        let header = format!("{kind} {}", service.client.token());
        let answer = nobody.send("GET", "/jobs", &[("authorization", header.trim())], b"");
        assert_eq!(answer.refusal(), "401 unauthenticated");
    }
}

#[test]
fn j01_no_page_is_shown_to_who_did_not_sign_in() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let job = service.submit(&site.ask("hello"));
    let nobody = service.client.anonymous();
    for path in ["/", "/ui/workers", "/ui/queue", &format!("/ui/jobs/{job}")] {
        let answer = nobody.get(path);
        assert_eq!((answer.status, answer.header("location")), (303, "/ui/login"), "{path}");
        assert!(!answer.text().contains(&job));
    }
    for path in ["/ui/fragments/jobs", "/ui/fragments/workers", &format!("/ui/fragments/jobs/{job}")] {
        assert_eq!(nobody.get(path).status, 401, "{path}");
    }
    for path in [format!("/ui/jobs/{job}/cancel"), format!("/ui/jobs/{job}/rerun"), "/ui/logout".into()] {
        assert_eq!(nobody.form(&path, &[("sec-fetch-site", "same-origin")], "why=x").status, 401, "{path}");
    }
    assert_eq!(service.job(&job)["status"], "queued");
}

#[test]
fn j01_a_login_counts_on_the_socket_and_nowhere_else() {
    let site = Site::new(JOBS);
    let people = "schema = 1\n[people.\"alice@example.com\"]\nscopes = [\"read\", \"submit\"]\n";
    site.config("api.toml", people);
    let socket = site.path("api.sock");
    let service = site.serve_alone(&["--socket", socket.to_str().unwrap()]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (tcp, unix) = (service.client.anonymous(), Client::unix(&socket));
    let alice = ("tailscale-user-login", "alice@example.com");
    assert_eq!(tcp.send("GET", "/jobs", &[alice], b"").refusal(), "401 unauthenticated");
    assert_eq!(unix.send("GET", "/jobs", &[alice], b"").status, 200);
    assert_eq!(unix.get("/jobs").refusal(), "401 unauthenticated");
    let mallory = ("tailscale-user-login", "mallory@example.com");
    assert_eq!(unix.send("GET", "/jobs", &[mallory], b"").refusal(), "403 not-a-person");
    assert_eq!(unix.send("GET", "/jobs", &[mallory, alice], b"").refusal(), "400 header-twice");
    let secret = format!("Bearer {}", service.client.token());
    let twice = [("authorization", "Bearer x"), ("authorization", secret.as_str())];
    assert_eq!(tcp.send("GET", "/jobs", &twice, b"").refusal(), "400 header-twice");
    // A browser adds the login to what any page sends.
    let asked = site.ask("hello").to_string();
    let from = |headers: &[(&str, &str)]| {
        let headers = [&[alice, ("content-type", "application/json")], headers].concat();
        unix.send("POST", "/jobs", &headers, asked.as_bytes())
    };
    for headers in [&[][..], &[("sec-fetch-site", "cross-site")], &[("origin", "https://evil.example")]] {
        assert_eq!(from(headers).refusal(), "403 cross-site", "{headers:?}");
    }
    let submitted = from(&[("origin", "http://runner")]);
    assert_eq!(submitted.status, 201, "{}", submitted.text());
    let job = service.job(submitted.json()["job_id"].as_str().unwrap());
    assert_eq!(job["submitted_by"], "alice@example.com");
    let drain = [alice, ("sec-fetch-site", "same-origin")];
    assert_eq!(unix.send("POST", "/workers/x/drain", &drain, b"").refusal(), "403 scope-missing");
}

#[test]
fn a_socket_that_a_killed_service_left_is_taken_and_one_in_use_is_not() {
    let site = Site::new(JOBS);
    let socket = site.path("api.sock");
    let args = ["--socket", socket.to_str().unwrap()];
    let mut first = site.serve_alone(&args);
    let output = site.api(&[&["--listen", "127.0.0.1:0", "--json"], &args[..]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["class"], "listening");
    first.program.kill();
    assert!(socket.exists());
    let _second = site.serve_alone(&args);
    assert_eq!(Client::unix(&socket).get("/healthz").status, 200);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8000"] {
        let output = site.api(&["--listen", address, "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{address}");
    }
}

#[test]
fn j01_the_socket_of_the_state_directory_is_the_users_own_and_takes_a_token() {
    let site = Site::new(JOBS);
    site.config("api.toml", "schema = 1\n[people.alice]\nscopes = [\"admin\"]\n");
    let mut first = site.serve_alone(&[]);
    let socket = site.state().join("api.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (unix, token) = (Client::unix(&socket), first.client.token().to_owned());
    assert_eq!(unix.with_token(&token).get("/jobs").status, 200);
    assert_eq!(unix.send("GET", "/jobs", &[("tailscale-user-login", "alice")], b"").refusal(), "401 unauthenticated");
    // Another service on that directory takes it only from a dead one.
    let second = Service::start(site.api(&["--listen", "127.0.0.1:0"]), &site.path("second.log"), &site.state());
    second.program.says("is not at the socket of the state directory: ");
    first.program.kill();
    assert!(socket.exists() && second.get("/jobs").status == 200);
    let third = Service::start(site.api(&["--listen", "127.0.0.1:0"]), &site.path("third.log"), &site.state());
    third.program.says(&format!("listens on unix:{}", socket.display()));
    assert_eq!(unix.with_token(&token).get("/jobs").status, 200);
}

#[test]
fn a_state_directory_whose_path_is_too_long_for_a_socket_is_served_without() {
    let site = Site::new(JOBS);
    let state = site.path(&"long".repeat(30));
    let command = site.api(&["--listen", "127.0.0.1:0", "--state", state.to_str().unwrap()]);
    let service = Service::start(command, &site.path("api.log"), &state);
    service.program.says("is not at the socket of the state directory: ");
    assert_eq!(service.get("/jobs").status, 200);
    // One that is named is the only one there.
    let socket = site.state().join("api.sock");
    let service = site.serve_alone(&["--socket", socket.to_str().unwrap()]);
    assert_eq!(service.program.log().matches("api.sock").count(), 1, "{}", service.program.log());
}

/// Signs in with a token. Returns the cookie.
fn sign_in(service: &Service, token: &str) -> String {
    let form = format!("token={token}");
    let answer = service.client.anonymous().form("/ui/login", &[("sec-fetch-site", "same-origin")], &form);
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let set = answer.header("set-cookie");
    assert!(set.contains("; HttpOnly; SameSite=Strict; "), "{set}");
    set.split_once(';').unwrap().0.to_owned()
}

#[test]
fn j01_a_session_is_the_browsers_and_no_other_sites() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let job = service.submit(&site.ask("hello"));
    let nobody = service.client.anonymous();
    let form = format!("token={}", service.client.token());
    for from in [&[][..], &[("sec-fetch-site", "cross-site")], &[("sec-fetch-site", "same-site")]] {
        assert_eq!(nobody.form("/ui/login", from, &form).status, 403, "{from:?}");
    }
    let wrong = nobody.form("/ui/login", &[("sec-fetch-site", "same-origin")], "token=aor_x");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    let cookie = sign_in(&service, service.client.token());
    assert!(!cookie.contains(service.client.token()));
    let with = ("cookie", cookie.as_str());
    assert!(nobody.send("GET", "/", &[with], b"").text().contains(&job));
    assert_eq!(nobody.send("GET", "/jobs", &[with], b"").status, 200);
    let secret = cookie.split_once('=').unwrap().1;
    assert_eq!(nobody.with_token(secret).get("/jobs").refusal(), "401 unauthenticated", "it is for browsers");
    let again = nobody.form("/ui/login", &[("sec-fetch-site", "same-origin")], &format!("token={secret}"));
    assert_eq!(again.status, 401, "nor does it begin another");
    let token = format!("{COOKIE}={}", service.client.token());
    assert_eq!(nobody.send("GET", "/jobs", &[("cookie", &token)], b"").refusal(), "401 unauthenticated");
    let cancel = format!("/ui/jobs/{job}/cancel");
    let others =
        [&[][..], &[("sec-fetch-site", "cross-site")], &[("origin", "https://evil.example")], &[("origin", "null")]];
    for from in others {
        let refused = nobody.form(&cancel, &[&[with], from].concat(), "why=x");
        assert_eq!(refused.status, 403, "{from:?}");
        let refused = nobody.send("POST", &format!("/jobs/{job}/cancel"), &[&[with], from].concat(), b"{}");
        assert_eq!(refused.refusal(), "403 cross-site", "{from:?}");
    }
    assert_eq!(service.job(&job)["status"], "queued");
    let done = nobody.form(&cancel, &[with, ("origin", "http://runner")], "why=not+wanted");
    assert_eq!((done.status, done.header("location")), (303, format!("/ui/jobs/{job}").as_str()));
    assert_eq!(service.job(&job)["cancel"], json!({ "by": "operator", "why": "not wanted" }));
    let out = nobody.form("/ui/logout", &[with, ("sec-fetch-site", "same-origin")], "");
    assert_eq!((out.status, out.header("location")), (303, "/ui/login"));
    assert_eq!(nobody.send("GET", "/jobs", &[with], b"").refusal(), "401 unauthenticated");
    assert_eq!(service.get("/jobs").status, 200, "the token itself is as good as before");
}

#[test]
fn a_session_that_began_over_tls_is_sent_over_nothing_else() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let form = format!("token={}", service.client.token());
    let set = |more: &[(&str, &str)]| {
        let headers = [&[("sec-fetch-site", "same-origin")], more].concat();
        let answer = service.client.anonymous().form("/ui/login", &headers, &form);
        answer.header("set-cookie").split_once("; ").unwrap().1.to_owned()
    };
    assert_eq!(set(&[]), "Path=/; HttpOnly; SameSite=Strict; Max-Age=43200");
    assert_eq!(set(&[("x-forwarded-proto", "http")]), set(&[]));
    assert_eq!(set(&[("x-forwarded-proto", "https")]), "Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=43200");
}

#[test]
fn a_session_ends_with_its_token() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let secret = token(&site, &["add", "bob", "--scope", "read"]).unwrap();
    let cookie = sign_in(&service, &secret);
    let see = || service.client.anonymous().send("GET", "/jobs", &[("cookie", &cookie)], b"").status;
    assert_eq!(see(), 200);
    assert_eq!(token(&site, &["remove", "bob"]), Ok("removed 2".into()));
    assert_eq!(see(), 401);
    let late = token(&site, &["add", "late", "--scope", "read", "--days", "0"]).unwrap();
    let answer =
        service.client.anonymous().form("/ui/login", &[("sec-fetch-site", "same-origin")], &format!("token={late}"));
    assert_eq!(answer.status, 401);
}

#[test]
fn j01_no_session_is_begun_while_its_token_is_removed() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let form = [("sec-fetch-site", "same-origin")];
    for _ in 0..5 {
        let secret = token(&site, &["add", "ci", "--scope", "read"]).unwrap();
        let said = format!("token={secret}");
        let signs_in = || service.client.anonymous().form("/ui/login", &form, &said);
        let cookies: Vec<String> = thread::scope(|scope| {
            let all = [(); 4].map(|()| {
                scope.spawn(|| {
                    let begun = std::iter::from_fn(|| Some(signs_in()).filter(|answer| answer.status == 303));
                    let cookie = |answer: Answer| answer.header("set-cookie").split(';').next().unwrap().to_owned();
                    begun.map(cookie).collect::<Vec<_>>()
                })
            });
            sleep(Duration::from_millis(20));
            token(&site, &["remove", "ci"]).unwrap();
            all.into_iter().flat_map(|signed| signed.join().unwrap()).collect()
        });
        assert!(!cookies.is_empty());
        for cookie in cookies {
            let seen = service.client.anonymous().send("GET", "/jobs", &[("cookie", &cookie)], b"");
            assert_eq!(seen.refusal(), "401 unauthenticated");
        }
    }
}

#[test]
fn signing_in_counts_and_nothing_is_kept_for_a_cookie_that_is_not_known() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&["--rate", "1"]);
    let secret = token(&site, &["add", "bob", "--scope", "read"]).unwrap();
    let form = [("sec-fetch-site", "same-origin")];
    let signs_in = || service.client.anonymous().form("/ui/login", &form, &format!("token={secret}")).status;
    let statuses: Vec<u16> = (0..20).map(|_| signs_in()).collect();
    assert!(statuses.starts_with(&[303; 5]) && statuses.contains(&429), "{statuses:?}");
    let before = tokens_kept(&site);
    let made_up = [("cookie", "ai_ops_runner_session=x"), ("sec-fetch-site", "same-origin")];
    assert_eq!(service.client.form("/ui/logout", &made_up, "").status, 303);
    assert_eq!(tokens_kept(&site), before);
}

/// How many rows the queue has of tokens and sessions.
fn tokens_kept(site: &Site) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite:{}", site.state().join("queue.db").display());
        let mut queue = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM tokens").fetch_one(&mut queue).await.unwrap()
    })
}

#[test]
fn tokens_are_kept_as_hashes_and_the_first_one_is_the_owners_file() {
    let site = Site::new(JOBS);
    let (first, first_log) = {
        let mut service = site.serve_alone(&[]);
        service.program.stop();
        (service.client.token().to_owned(), service.program.log())
    };
    let file = site.state().join("token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let service = site.serve_alone(&[]);
    assert_eq!(service.client.token(), first, "another start keeps it");
    let added = token(&site, &["add", "ci", "--scope", "read,submit", "--days", "30"]).unwrap();
    assert_eq!(service.client.anonymous().with_token(&added).get("/jobs").status, 200);
    let cookie = sign_in(&service, &added);
    let session = cookie.strip_prefix(COOKIE).unwrap().strip_prefix('=').unwrap();
    let listed = token(&site, &["list"]).unwrap();
    let listed: Vec<&str> = listed.lines().map(|line| line.split(" until").next().unwrap()).collect();
    assert_snapshot!(listed.join("\n"), @r"
    ci: read, submit
    ci: read, submit
    operator: read, submit, admin for ever
    ");
    for secret in [first.as_str(), &added, session] {
        for name in ["queue.db", "queue.db-wal"] {
            let bytes = fs::read(site.state().join(name)).unwrap();
            let digits = secret.strip_prefix("aor_").unwrap().as_bytes();
            assert!(!bytes.windows(digits.len()).any(|window| window == digits), "{name}");
        }
        assert!(!service.program.log().contains(secret) && !first_log.contains(secret));
    }
    assert_snapshot!(token(&site, &["add", "ci", "--scope", "read"]).unwrap_err(), @"
    token-name: there is a token called ci
    next: choose another name, or remove that one: runner-api token remove ci
    ");
    assert_snapshot!(token(&site, &["add", "a b", "--scope", "read"]).unwrap_err(), @"
    token-name: that is no name of a token
    next: use 1 to 64 letters, digits and `._@-`
    ");
    assert_snapshot!(token(&site, &["remove", "nobody"]).unwrap_err(), @"
    no-token: there is no token called nobody
    next: see which there are: runner-api token list
    ");
    token(&site, &["remove", "ci"]).unwrap();
    assert_eq!(service.client.anonymous().with_token(&added).get("/jobs").status, 401);
}

#[test]
fn a_token_file_that_others_can_read_is_used_no_more() {
    let site = Site::new(JOBS);
    drop(site.serve_alone(&[]));
    let file = site.state().join("token");
    for (spoil, class) in [("mode", "token-unsafe"), ("text", "bad-token"), ("link", "token-unsafe")] {
        match spoil {
            "mode" => fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap(),
            "text" => {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                fs::write(&file, "aor_1\n").unwrap();
            }
            _ => {
                fs::rename(&file, site.path("elsewhere")).unwrap();
                std::os::unix::fs::symlink(site.path("elsewhere"), &file).unwrap();
            }
        }
        let output = site.api(&["--listen", "127.0.0.1:0", "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{spoil}");
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["class"], class, "{spoil}");
    }
}

#[test]
fn j01_a_token_that_was_known_to_others_can_be_replaced() {
    let site = Site::new(JOBS);
    let mut service = site.serve_alone(&[]);
    let old = service.client.token().to_owned();
    service.program.stop();
    assert_eq!(token(&site, &["remove", "operator"]), Ok("removed 1".into()));
    assert!(!site.state().join("token").exists(), "the next start would put it back");
    let service = site.serve_alone(&[]);
    assert_ne!(service.client.token(), old);
    assert_eq!(service.client.anonymous().with_token(&old).get("/jobs").status, 401);
    assert_eq!(service.get("/jobs").status, 200);
}

#[test]
fn who_asks_too_often_waits_and_others_do_not() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&["--rate", "1"]);
    let other = service.client.with_token(&token(&site, &["add", "other", "--scope", "read"]).unwrap());
    let mut connection = service.client.connect();
    let head = service.client.head("GET", "/workers", &[], 0);
    let refused = (0..2000).find_map(|_| {
        connection.say(&head);
        let answer = connection.answer();
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.expect("a bound");
    assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("429 too-many-requests", "1"));
    assert_eq!(other.get("/workers").status, 200);
    assert_eq!(service.get("/healthz").status, 200);
}
