//! A real browser, by the WebDriver protocol: JSON over HTTP to `chromedriver`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::scene::PATIENCE;

/// How an element is named in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser without a window, ended with this.
pub(super) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// What it says goes nowhere; it would end if nobody could hear it.
    _told: BufReader<ChildStdout>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// None where there is no Chromium with its driver; that is said.
    pub(super) fn start() -> Option<Self> {
        let is_there =
            |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
        if !is_there("chromium") || !is_there("chromedriver") {
            eprintln!("no chromium with chromedriver here: not tested");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").env("HOME", profile.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = driver.spawn().unwrap();
        let mut told = BufReader::new(driver.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(told.read_line(&mut line).unwrap() > 0, "chromedriver says no port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end().trim_end_matches('.').parse().unwrap();
            }
        };
        let data = format!("--user-data-dir={}", profile.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,860",
            &data,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let mut browser = Self { driver, port, session: String::new(), _told: told, _profile: profile };
        let made = browser.post("session", &wanted);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        let head = format!(
            "{method} /{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).map_err(|error| error.to_string())?;
        // It keeps the connection, whatever it is asked.
        let mut answer = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            if answer.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
                return Err(format!("it broke off: {head}"));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(|error| format!("{error}: {line}"))?;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).map_err(|error| error.to_string())?;
        let mut value: Value = serde_json::from_slice(&body).map_err(|error| format!("{error}: {head}"))?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(value["value"]["message"].to_string());
        }
        Ok(value["value"].take())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let path = if self.session.is_empty() { path.to_owned() } else { format!("session/{}/{path}", self.session) };
        self.ask("POST", &path, &body.to_string()).unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    pub(super) fn go(&self, address: &str) {
        self.post("url", &json!({ "url": address }));
    }

    /// What a script returns.
    pub(super) fn eval(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Wait until this is so, in the page.
    pub(super) fn until(&self, condition: &str) {
        let begun = Instant::now();
        while self.eval(&format!("return !!({condition})")) != json!(true) {
            let text = || self.eval("return document.body.innerText");
            assert!(
                begun.elapsed() < PATIENCE,
                "it did not come to this: {condition}\n{}",
                text().as_str().unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of the first element that is meant, once it is there.
    pub(super) fn text(&self, css: &str) -> String {
        self.until(&format!("document.querySelector({css:?})"));
        self.eval(&format!("return document.querySelector({css:?}).innerText")).as_str().unwrap().to_owned()
    }

    fn element(&self, css: &str) -> String {
        self.until(&format!("document.querySelector({css:?})"));
        self.eval(&format!("document.querySelector({css:?}).scrollIntoView({{ block: 'center' }})"));
        let found = self.post("element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Click it, as with a mouse: it fails where something lies above.
    pub(super) fn click(&self, css: &str) {
        let element = self.element(css);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Type into it.
    pub(super) fn write(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Type where the focus is.
    pub(super) fn keys(&self, text: &str) {
        let press = |c: char| [json!({ "type": "keyDown", "value": c }), json!({ "type": "keyUp", "value": c })];
        let actions: Vec<Value> = text.chars().flat_map(press).collect();
        self.post("actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }));
    }

    /// A picture of the window, as PNG in base64, in light or dark.
    pub(super) fn picture(&self, scheme: &str) -> String {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.post("goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": media }));
        let taken = self.post("goog/cdp/execute", &json!({ "cmd": "Page.captureScreenshot", "params": {} }));
        taken["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.ask("DELETE", &format!("session/{}", self.session), "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
