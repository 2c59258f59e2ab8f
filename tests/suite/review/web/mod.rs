//! `pleach review --web`: who is heard, and what a browser makes of it.

mod browser;
mod driver;
mod hostile;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::reviewed;
use crate::support::scene::{PATIENCE, Scene};

/// The page, served until this is dropped.
pub(super) struct Served {
    server: Child,
    /// As it was printed.
    pub(super) address: String,
    /// `127.0.0.1:…`
    host: String,
    token: String,
}

/// What was answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    pub(super) fn new(scene: &Scene, options: &[&str]) -> Self {
        let mut command = scene.command(&[&["review", "--web"], options].concat());
        let mut server = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().to_owned();
        let (host, token) = address.strip_prefix("http://").unwrap().split_once("/#").unwrap();
        Self { server, host: host.to_owned(), token: token.to_owned(), address }
    }

    fn host(&self) -> String {
        format!("Host: {}", self.host)
    }

    fn token(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    fn ask(&self, first: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{first} HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        // Who refuses may not read all of it.
        let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{first}: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[&self.host(), &self.token()], b"")
    }

    fn apply(&self, reviews: &Value) -> Answer {
        let headers = [self.host(), self.token(), "Content-Type: application/json".to_owned()];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        self.ask("POST /api/apply", &headers, json!({ "reviews": reviews }).to_string().as_bytes())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn only_who_has_the_token_and_comes_from_here_is_heard() {
    let (scene, id) = reviewed();
    let served = Served::new(&scene, &[]);
    let (host, token) = (served.host(), served.token());
    assert!(served.token.len() == 64, "{}", served.address);
    let first = format!("GET /api/review/{id}");
    let good = served.ask(&first, &[&host, &token], b"");
    assert!(good.status == 200 && good.body.contains("ci.yml"), "{}", good.body);
    let last = if served.token.ends_with('0') { '1' } else { '0' };
    let wrong = format!("Authorization: Bearer {}{last}", &served.token[..63]);
    let port = served.host.rsplit(':').next().unwrap();
    let (localhost, rebound) = (format!("Host: localhost:{port}"), format!("Host: rebound.example:{port}"));
    assert_eq!(served.ask(&first, &[&localhost, &token], b"").status, 200);
    let own = format!("Origin: http://{}", served.host);
    assert_eq!(served.ask(&first, &[&host, &token, &own], b"").status, 200);
    for headers in [
        vec![&*host],
        vec![&host, &wrong],
        vec![&host, "Cookie: token=1"],
        vec![&rebound, &token],
        vec![&host, &token, "Origin: http://evil.example"],
        vec![&host, &token, "Origin: http://127.0.0.1:1"],
        vec![&host, &token, "Origin: null"],
        vec![&host, &token, "Sec-Fetch-Site: cross-site"],
        vec![&token],
    ] {
        for first in [&*first, "GET /api/events", "POST /api/apply", "GET /api/nothing"] {
            let answer = served.ask(first, &headers, b"");
            let is_refused = answer.status == 403 || (headers.len() == 1 && answer.status == 400);
            assert!(is_refused && !answer.body.contains("ci.yml"), "{first} {headers:?}: {}", answer.body);
        }
    }
    // The page itself has nobody's data in it, and still is for no other name.
    assert_eq!(served.ask("GET /", &[&host], b"").status, 200);
    assert_eq!(served.ask("GET /", &[&rebound], b"").status, 403);
    assert_eq!(served.ask(&format!("GET http://rebound.example:{port}/"), &[&host], b"").status, 403);
}

#[test]
fn nothing_is_kept_and_nothing_is_loaded_from_elsewhere() {
    let scene = Scene::new();
    let served = Served::new(&scene, &[]);
    for path in ["/", "/review.css", "/review.js", "/nothing", "/api/review/7"] {
        let answer = served.get(path);
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.head.contains(header), "{path}: {header} in {}", answer.head);
        }
        assert!(!answer.head.contains("set-cookie") && !answer.head.contains("access-control"), "{}", answer.head);
        assert!(!answer.body.contains("://"), "{path} names a place elsewhere");
    }
    let page = served.get("/").body;
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"), "{page}");
    assert!(page.matches("<script").count() == 1 && page.contains("<script src=\"review.js\" defer></script>"));
}

#[test]
fn nobody_but_loopback_is_listened_to() {
    let scene = Scene::new();
    let served = Served::new(&scene, &[]);
    let pid = served.server.id();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = open.filter_map(|entry| fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned));
    let inodes: BTreeSet<String> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        for line in fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && inodes.contains(fields[9]) {
                listening.push(fields[1].to_owned());
            }
        }
    }
    let port: u16 = served.host.rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(listening, [format!("0100007F:{port:04X}")]);
}

/// The address is not among the words of a process, which every user sees; and what held it is gone in the end.
#[test]
fn a_browser_is_opened_by_a_file_that_nobody_else_can_read() {
    let scene = Scene::new();
    let (bin, told) = (scene.path("bin"), scene.path("told"));
    fs::create_dir(&bin).unwrap();
    let script =
        format!("#!/bin/sh\n(stat -c %a \"$1\"; cat \"$1\") > '{0}.part'; mv '{0}.part' '{0}'\n", told.display());
    fs::write(bin.join("xdg-open"), script).unwrap();
    fs::set_permissions(bin.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut server = scene.command(&["review", "--web", "--open"]).env("PATH", path).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    scene.until_there(&told);
    let seen = fs::read_to_string(&told).unwrap();
    assert!(seen.starts_with("600\n") && seen.contains(&format!("url={}\"", address.trim_end())), "{seen}");
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
    let left: Vec<_> = fs::read_dir(scene.path("tmp")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("pleach-review-")), "{left:?}");
}

#[test]
fn only_a_post_with_json_changes_anything() {
    let (scene, id) = reviewed();
    let served = Served::new(&scene, &[]);
    let (host, token) = (served.host(), served.token());
    let body = json!({ "reviews": [{ "task": id, "verdict": "refuse" }] }).to_string();
    for (first, kind, status) in [
        ("GET /api/apply", "application/json", 405),
        ("PUT /api/apply", "application/json", 405),
        ("POST /api/review/1", "application/json", 405),
        ("POST /", "application/json", 405),
        ("POST /api/apply", "text/plain", 415),
        ("POST /api/apply", "application/x-www-form-urlencoded", 415),
    ] {
        let kind = format!("Content-Type: {kind}");
        assert_eq!(served.ask(first, &[&host, &token, &kind], body.as_bytes()).status, status, "{first} {kind}");
    }
    let large = vec![b' '; (16 << 20) + 1];
    let json = "Content-Type: application/json";
    assert_eq!(served.ask("POST /api/apply", &[&host, &token, json], &large).status, 413);
    for wrong in [json!([{ "task": id, "verdct": "refuse" }]), json!([{ "task": id, "files": [{ "path": "no" }] }])] {
        let answer = served.apply(&wrong);
        assert!(answer.status == 400 && answer.body.contains("\"error\""), "{}", answer.body);
    }
    assert_eq!(served.apply(&json!([{ "task": 77, "verdict": "refuse" }])).status, 404);
    assert_eq!(scene.stands(id), "ready");
    let answer = served.apply(&json!([{ "task": id, "verdict": "refuse" }]));
    assert!(answer.status == 200 && answer.body.contains("\"result\":\"discarded\""), "{}", answer.body);
    assert_eq!(scene.stands(id), "discarded");
}

#[test]
fn a_conflict_is_told_and_a_result_that_moved_on_is_not_mixed_up() {
    let (scene, id) = reviewed();
    let served = Served::new(&scene, &[]);
    let review: Value = serde_json::from_str(&served.get(&format!("/api/review/{id}")).body).unwrap();
    let tip = review["tip"].as_str().unwrap();
    assert_eq!(served.get(&format!("/api/review/{id}/{tip}/0?view=split&from=0")).status, 200);
    assert_eq!(served.get(&format!("/api/review/{id}/{tip}/9?view=unified")).status, 400);
    let other = "0".repeat(40);
    assert_eq!(served.get(&format!("/api/review/{id}/{other}/0")).status, 409);
    scene.write("a", "somebody else\n");
    scene.git(&["commit", "-qam", "in the way"]);
    let answer = served.apply(&json!([{ "task": id, "verdict": "accept" }]));
    assert!(answer.status == 200 && answer.body.contains("\"result\":\"conflict\""), "{}", answer.body);
    assert!(answer.body.contains("nothing was touched"), "{}", answer.body);
}
