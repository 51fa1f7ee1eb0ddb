//! The operator's page of the running service, in a real Chromium.

use std::path::{Path, PathBuf};

use runner_page::testing::Browser;

use crate::service::{Service, Site};

const JOBS: &str = r#"
[jobs.talk]
argv = ["sh", "-c", "echo begun; echo careful >&2; until [ -e {GATE}/open ]; do sleep 0.02; done; echo kept > $ARTIFACT_DIR/left.txt; echo over"]
timeout_sec = 60
binds = ["{GATE}"]
"#;

fn shot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots").join("service").join(format!("{name}.png"))
}

fn url(service: &Service, path: &str) -> String {
    format!("http://{}{path}", service.client.address())
}

#[test]
fn an_operator_signs_in_sees_a_job_live_stops_it_and_runs_it_again() {
    let site = Site::new(JOBS);
    let service = site.serve(&[]);
    let id = service.submit(&site.ask("talk"));
    let mut browser = Browser::start();
    browser.open(&url(&service, "/"));
    browser.wait_for("document.activeElement.id === 'token'");
    browser.screenshot(&shot("sign-in"));
    browser.write("aor_wrong");
    browser.press_and_leave(&["Enter"]);
    assert!(browser.text("#token-error").contains("not known"));
    browser.console_errors();
    browser.wait_for("document.activeElement.id === 'token'");
    browser.write(service.client.token());
    browser.press_and_leave(&["Enter"]);
    browser.wait_for(&format!("document.getElementById('job-{id}')"));
    browser.screenshot(&shot("jobs"));
    browser.tab_to(&format!("job-{id}"));
    browser.press_and_leave(&["Enter"]);
    browser.wait_for("stdout.textContent === 'begun\\n' && stderr.textContent === 'careful\\n'");
    browser.screenshot(&shot("job-running"));
    browser.tab_to("cancel-why");
    browser.write("it is no longer wanted");
    browser.press_and_leave(&["Enter"]);
    browser.wait_for("document.querySelector('#state .badge').innerText === 'cancelled'");
    assert!(browser.text("#timeline").contains("operator wants it stopped: it is no longer wanted"));
    browser.screenshot(&shot("job-cancelled"));
    browser.tab_to("rerun-why");
    browser.press_and_leave(&["Enter"]);
    let again = browser.eval("location.pathname").as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    assert_ne!(again, id);
    browser.wait_for("stdout.textContent === 'begun\\n'");
    site.open_gate();
    browser.wait_for("stdout.textContent === 'begun\\nover\\n'");
    browser.wait_for("document.querySelector('#state .badge').innerText === 'success'");
    browser.wait_for("document.getElementById('results').innerText.includes('left.txt')");
    assert!(browser.text("#results").contains("Invariants"));
    assert_eq!(browser.nameless(), Vec::<String>::new());
    browser.screenshot(&shot("job-success"));
    assert_eq!(service.job(&again)["rerun_of"], id.as_str());
    for (path, selector) in [("/ui/workers", "#workers"), ("/ui/queue", "#queue")] {
        browser.open(&url(&service, path));
        browser.wait_for(&format!("document.querySelector('{selector}')"));
        assert_eq!(browser.nameless(), Vec::<String>::new(), "{path}");
        browser.screenshot(&shot(path.rsplit_once('/').unwrap().1));
    }
    browser.open(&url(&service, &format!("/jobs/{again}/artifacts/left.txt")));
    assert_eq!(browser.eval("document.body.innerText").as_str().unwrap().trim(), "kept");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
    browser.open(&url(&service, "/"));
    while browser.focused() != "Sign out" {
        browser.press(&["Tab"]);
    }
    browser.press_and_leave(&["Enter"]);
    assert_eq!(browser.eval("location.pathname"), "/ui/login");
    browser.open(&url(&service, "/"));
    assert_eq!(browser.eval("location.pathname"), "/ui/login");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}
