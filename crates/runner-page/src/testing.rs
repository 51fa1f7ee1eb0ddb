//! A Chromium for tests: pages as an operator sees them, worked by the keyboard.
//!
//! It is driven over the pipe of its own debugging protocol: no port is open, no driver program is between, and a newer
//! Chromium that tells more is no failure.

mod pipe;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use pipe::Pipe;

/// What Chromium is called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// How long a page may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it is left alone before a test looks again.
const PAUSE: Duration = Duration::from_millis(20);

/// A Chromium without a window, with one page. It ends with this.
pub struct Browser {
    child: Child,
    pipe: Pipe,
    /// The page.
    session: String,
    errors: Vec<String>,
    /// Its profile.
    _home: TempDir,
}

impl Browser {
    /// Starts one, with a profile of its own.
    ///
    /// # Panics
    /// Where there is no Chromium, with the command that installs it.
    pub fn start() -> Self {
        let program = find(&std::env::var_os("PATH").unwrap_or_default());
        let home = tempfile::tempdir().unwrap();
        let mut child = command(&program, home.path()).spawn().unwrap();
        let mut pipe = Pipe::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let target = pipe.call(None, "Target.createTarget", &json!({ "url": "about:blank" })).unwrap();
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = pipe.call(None, "Target.attachToTarget", &attach).unwrap();
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let mut browser = Self { child, pipe, session, errors: Vec::new(), _home: home };
        for domain in ["Page", "Runtime", "Log", "Audits"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.size(1280, 800);
        browser.dark(false);
        browser
    }

    /// Opens a page and waits until it is loaded. The same page is loaded again.
    pub fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", &json!({ "url": url }));
        assert_eq!(opened["errorText"], Value::Null, "{url} does not open");
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// How large the window is, in CSS pixels.
    pub fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 600;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Whether the person prefers a dark page.
    pub fn dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] }),
        );
    }

    /// Whether pages may run scripts, from the next one on.
    pub fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": !run }));
    }

    /// The value of a JavaScript expression in the page, as JSON.
    ///
    /// # Panics
    /// When it throws.
    pub fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|why| panic!("{expression}: {why}"))
    }

    fn try_eval(&mut self, expression: &str) -> Result<Value, String> {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let answer = self.pipe.call(Some(&self.session), "Runtime.evaluate", &asked);
        self.hear();
        let mut answer = answer?;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(thrown.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until a JavaScript expression holds, in this page or one that it leads to.
    ///
    /// # Panics
    /// When it does not come to hold in 30 seconds.
    pub fn wait_for(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        let mut last = Ok(Value::Null);
        while Instant::now() < until {
            last = self.try_eval(&format!("Boolean({expression})"));
            if last == Ok(Value::Bool(true)) {
                return;
            }
            self.pipe.listen(PAUSE);
        }
        let page = self.try_eval("document.body.innerText");
        panic!("never: {expression} ({last:?}) in: {page:?}");
    }

    /// The text of the first element of a selector, as it is shown.
    ///
    /// # Panics
    /// When there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({}).innerText", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What has the focus: its id, else its text.
    pub fn focused(&mut self) -> String {
        let name = self.eval("document.activeElement.id || document.activeElement.innerText");
        name.as_str().unwrap_or_default().to_owned()
    }

    /// Presses keys one after the other: `Tab`, `Shift+Tab`, `Enter`, `Space`, `ArrowDown`, `ArrowUp`.
    pub fn press(&mut self, keys: &[&str]) {
        for key in keys {
            let (shift, key) = key.strip_prefix("Shift+").map_or((0, *key), |key| (8, key));
            let (key, code, text) = match key {
                "Tab" => ("Tab", 9, ""),
                "Enter" => ("Enter", 13, "\r"),
                "Space" => (" ", 32, " "),
                "ArrowDown" => ("ArrowDown", 40, ""),
                "ArrowUp" => ("ArrowUp", 38, ""),
                other => panic!("no key is called {other}"),
            };
            let mut event = json!({
                "type": "keyDown", "key": key, "code": key.replace(' ', "Space"), "modifiers": shift,
                "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", &event);
            event["type"] = "keyUp".into();
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Presses keys that lead to another page, or to the same one anew, and waits until it is loaded.
    pub fn press_and_leave(&mut self, keys: &[&str]) {
        self.eval("window.isTheOneBefore = true");
        self.press(keys);
        self.wait_for("!window.isTheOneBefore && document.readyState === 'complete'");
    }

    /// Presses `Tab` until the element of that id has the focus.
    ///
    /// # Panics
    /// When it never gets it.
    pub fn tab_to(&mut self, id: &str) {
        for _ in 0..100 {
            if self.focused() == id {
                return;
            }
            self.press(&["Tab"]);
        }
        panic!("the keyboard does not reach {id}");
    }

    /// What can be worked and has no name for who does not see it, by role. A page has none.
    pub fn nameless(&mut self) -> Vec<String> {
        const WORKED: [&str; 8] = ["link", "button", "textbox", "combobox", "checkbox", "radio", "listbox", "meter"];
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true);
        nodes
            .filter(|node| WORKED.iter().any(|role| node["role"]["value"] == *role))
            .filter(|node| node["name"]["value"].as_str().is_none_or(|name| name.trim().is_empty()))
            .map(ToString::to_string)
            .collect()
    }

    /// Writes a text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Keeps the whole page as a PNG in `file`, whose directory is made.
    pub fn screenshot(&mut self, file: &Path) {
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "optimizeForSpeed": true });
        let picture = self.call("Page.captureScreenshot", &asked);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, from_base64(picture["data"].as_str().unwrap())).unwrap();
    }

    /// What pages complained of since this was last asked: errors and warnings of the console, exceptions, violations of
    /// the content security policy.
    pub fn console_errors(&mut self) -> Vec<String> {
        // What was told before this answer has been heard then.
        self.call("Runtime.evaluate", &json!({ "expression": "0" }));
        std::mem::take(&mut self.errors)
    }

    fn call(&mut self, method: &str, arguments: &Value) -> Value {
        let answer = self.pipe.call(Some(&self.session), method, arguments);
        self.hear();
        answer.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    fn hear(&mut self) {
        self.errors.extend(self.pipe.told().iter().filter_map(complaint));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.pipe.close();
        // What did not end by itself writes no longer into the profile, which goes next.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = Pid::from_raw(pid).map(|group| kill_process_group(group, Signal::KILL));
        }
        let _ = self.child.wait();
    }
}

/// The complaint that an event is, if it is one.
fn complaint(event: &Value) -> Option<String> {
    let said = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(format!("exception: {}", said["exceptionDetails"])),
        "Runtime.consoleAPICalled" if matches!(said["type"].as_str(), Some("error" | "warning" | "assert")) => {
            Some(format!("console: {}", said["args"]))
        }
        "Log.entryAdded" if matches!(said["entry"]["level"].as_str(), Some("error" | "warning")) => {
            Some(format!("log: {} {}", said["entry"]["text"], said["entry"]["url"]))
        }
        "Audits.issueAdded" if said["issue"]["code"] == "ContentSecurityPolicyIssue" => {
            Some(format!("policy: {}", said["issue"]["details"]))
        }
        _ => None,
    }
}

/// The Chromium in one of the directories of `path`.
fn find(path: &OsStr) -> PathBuf {
    let in_order = NAMES.iter().flat_map(|name| std::env::split_paths(path).map(move |dir| dir.join(name)));
    let mut there = in_order.filter(|file| file.is_file());
    there.next().unwrap_or_else(|| panic!("there is no {} on the PATH; install it: cargo xtask setup", NAMES[0]))
}

fn command(program: &Path, home: &Path) -> Command {
    // Chromium reads its orders from descriptor 3 and answers on 4.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#]).arg(program);
    command.args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-sync"]);
    command.args(["--disable-component-update", "--disable-extensions", "--mute-audio", "--hide-scrollbars"]);
    command.arg("--disable-crash-reporter");
    command.args(["--font-render-hinting=none", "--force-color-profile=srgb"]);
    if geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    command.arg(format!("--user-data-dir={}", home.join("profile").display()));
    command.envs([("HOME", home), ("XDG_CONFIG_HOME", home), ("XDG_CACHE_HOME", home)]);
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte))
        .map(|value| u32::try_from(value).unwrap())
        .collect();
    let group = |group: &[u32]| {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | group.get(at).copied().unwrap_or(0));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "there is no chromium on the PATH; install it: cargo xtask setup")]
    fn where_there_is_no_chromium_it_is_said_how_to_get_one() {
        find(OsStr::new("/nowhere:/nor/here"));
    }

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(from_base64(text), bytes.as_bytes());
        }
    }
}
