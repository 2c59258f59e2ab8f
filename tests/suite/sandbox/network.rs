//! A list of hosts: who is reached through the proxy, who is not, and that there is no other way. Real servers, real clients.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::super::support::scene::{Ran, Scene};
use super::{scene, works};

/// A server outside, on the loopback of this machine. It keeps what it was sent.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = door.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in door.incoming().flatten() {
                let own = Arc::clone(&own);
                std::thread::spawn(move || serve(stream, &own));
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Answer as soon as there is a head; hear all that comes until the caller has had enough.
fn serve(mut stream: TcpStream, heard: &Mutex<Vec<String>>) {
    let index = {
        let mut heard = heard.lock().unwrap();
        heard.push(String::new());
        heard.len() - 1
    };
    let mut buffer = [0; 4096];
    let mut answered = false;
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let mut heard = heard.lock().unwrap();
        heard[index].push_str(&String::from_utf8_lossy(&buffer[..count]));
        let is_close = heard[index].contains("Connection: close");
        if heard[index].contains("\r\n\r\n") && !answered {
            answered = true;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nSERVED\n");
            if is_close {
                // What comes after the one request must not come at all: give it a chance to.
                let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(200)));
            }
        }
    }
}

/// Sends these bytes (with the escapes of perl) to the proxy, and says what comes back.
fn raw(bytes: &str) -> String {
    format!(
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => 3128) or die \"no proxy: $!\"; \
         print $s \"{bytes}\"; $s->shutdown(1); print while <$s>; print \"\\n\"'"
    )
}

fn full() -> Option<Scene> {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("there is no curl here, so nothing of it is tried");
        return None;
    }
    works("full").then(|| scene("full"))
}

/// In the foreground, with these hosts.
fn with(scene: &Scene, hosts: &str, line: &str) -> Ran {
    scene.pleach(&["sandbox", "--network", hosts, "--", line])
}

fn configure(scene: &Scene, text: &str) {
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), text).unwrap();
}

/// Run a script in namespaces of `unshare`, as whoever uses the scene.
fn inside_of(scene: &Scene, options: &[&str], script: &str) -> Ran {
    let mut unshare = Command::new("unshare");
    unshare.args(options).args(["sh", "-c", script]).current_dir(&scene.top).env_clear();
    let wanted = scene.command(&[]);
    unshare.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = unshare.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// With the proxy for all hosts, also for those that the task would take for its own.
const CURL: &str = "curl -sS --noproxy nobody";

#[test]
fn who_is_listed_is_reached_and_what_is_denied_is_told() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let port = server.port;
    let line = format!(
        "{CURL} http://localhost:{port}/plain; {CURL} -p http://localhost:{port}/tunnel; {CURL} https://example.org/; {CURL} http://example.org:8080/; \
         {CURL} http://example.org:8080/; printf 'half a line'; {CURL} -o /dev/null http://127.0.0.1:{port}/; exit 3"
    );
    let id = scene.add(&["--network", &format!("localhost:{port},crates.io")], &line);
    scene.pleach(&["wait", &id.to_string()]);
    let log = scene.log(id);
    assert_eq!(log.matches("SERVED").count(), 2, "{log}");
    assert!(log.contains("CONNECT tunnel failed, response 403"), "{log}");
    assert!(log.contains("\npleach: network: denied example.org:443 (not in [sandbox] network)\n"), "{log}");
    let heard = server.heard();
    assert!(heard[0].starts_with(&format!("GET /plain HTTP/1.1\r\nHost: localhost:{port}\r\n")), "{heard:?}");
    assert!(heard[0].ends_with("Connection: close\r\n\r\n") && !heard[0].contains("Proxy-"), "{heard:?}");
    assert!(heard[1].starts_with("GET /tunnel HTTP/1.1\r\n"), "{heard:?}");
    assert_eq!(heard.len(), 2);

    let status = scene.status(id);
    let network = &status["attempts"][0]["network"];
    let denied: Vec<(&str, &str, u64)> = network["denied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["to"].as_str().unwrap(), one["why"].as_str().unwrap(), one["times"].as_u64().unwrap()))
        .collect();
    let here = format!("127.0.0.1:{port}");
    let expected =
        [("example.org:443", "not_listed", 1), ("example.org:8080", "not_listed", 2), (&here, "not_listed", 1)];
    assert_eq!(denied, expected);
    assert_eq!(network["connections"], 2);
    let sent: usize = heard.iter().map(String::len).sum();
    assert_eq!(network["sent"].as_u64(), Some(sent as u64));
    assert!(network["received"].as_u64().unwrap() >= 2 * "SERVED\n".len() as u64);
    let text = scene.ok(&["status", &id.to_string()]);
    assert!(text.contains("network   denied example.org:8080 (not in [sandbox] network), 2 times"), "{text}");
    let events = scene.ok(&["events"]);
    assert!(events.contains("exit 3; network: denied example.org:443 (not in [sandbox] network); "), "{events}");
    let events = scene.ok(&["events", "--json"]);
    let ended = events.lines().find(|line| line.contains("\"ended\"")).unwrap();
    assert!(ended.contains("\"to\":\"example.org:443\""), "{ended}");
}

#[test]
fn what_is_denied_is_seen_while_it_runs() {
    let Some(scene) = full() else { return };
    let id = scene.add(&["--network", "crates.io"], &format!("{CURL} http://example.org/; exec sleep 1000"));
    scene.until("its denial is seen", || {
        scene.status(id)["attempts"][0]["network"]["denied"][0]["to"] == "example.org:80"
    });
    assert!(scene.log(id).contains("pleach: network: denied example.org:80"));
    // Whoever supervised it is killed: what was denied is known all the same.
    scene.processes().iter().filter(|process| process.is_shim()).for_each(|shim| shim.kill());
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.outcome(id), "lost");
    assert_eq!(scene.status(id)["attempts"][0]["network"]["denied"][0]["to"], "example.org:80");
}

#[test]
fn there_is_no_other_way() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.set_nonblocking(true).unwrap();
    let (port, udp) = (server.port, datagrams.local_addr().unwrap().port());
    let line = format!(
        "curl -sS -m 5 --noproxy '*' http://127.0.0.1:{port}/; \
         perl -MSocket -e 'socket($s, AF_INET, SOCK_DGRAM, 0); send($s, \"out\", 0, sockaddr_in({udp}, inet_aton(\"127.0.0.1\")))'; \
         perl -MSocket -e 'print \"ROUTE\\n\" if socket($s, AF_INET, SOCK_DGRAM, 0) && connect($s, sockaddr_in(53, inet_aton(\"192.0.2.1\")))'; \
         ls /proc/self/fd; {CURL} http://localhost:{port}/; exit 0"
    );
    let route = Command::new("perl")
        .args([
            "-MSocket",
            "-e",
            "exit !(socket($s, AF_INET, SOCK_DGRAM, 0) && connect($s, sockaddr_in(53, inet_aton(\"192.0.2.1\"))))",
        ])
        .status()
        .unwrap();
    let listed = with(&scene, &format!("localhost:{port}"), &line);
    assert_eq!(listed.out.matches("SERVED").count(), 1, "{listed:?}");
    assert!(!listed.out.contains("ROUTE"), "{listed:?}");
    assert!(listed.out.starts_with("0\n1\n2\n3\n"), "no door of the proxy is inherited: {listed:?}");
    assert!(datagrams.recv(&mut [0; 8]).is_err());
    // The same where everybody may be talked to: these are real ways.
    let line = line.replace(&format!("{CURL} http"), "true");
    let open = with(&scene, "allow", &line);
    assert_eq!(open.out.matches("SERVED").count(), 1, "{open:?}");
    assert_eq!(open.out.contains("ROUTE"), route.success(), "{open:?}");
    let mut buffer = [0; 8];
    assert_eq!(datagrams.recv(&mut buffer).map(|count| buffer[..count].to_vec()).unwrap(), b"out");
}

#[test]
fn no_spelling_gets_around_the_list() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let port = server.port;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost%00.crates.io",
        "localhost\\0.crates.io",
        "crates.io\\@localhost",
        "localhost\\@crates.io",
        "localhost..",
        ".localhost",
        "crates.io\\\\\\@localhost",
        "x.localhost",
        "evil-crates.io",
        "crates.io.localhost",
        "loc\\xc3\\xa4lhost",
        "\\xef\\xbd\\x8cocalhost",
        "localhost\\t",
        "localhost%2f",
        "crates.io#\\@localhost",
        "127.0.0.1.",
        "[0:0:0:0:0:0:0:1]",
        "[fe80::1%lo]",
        "localhost ",
    ];
    let mut line = String::new();
    for host in hosts {
        line += &format!("{}; ", raw(&format!("CONNECT {host}:{port} HTTP/1.1\\r\\n\\r\\n")));
        line += &format!("{}; ", raw(&format!("GET http://{host}:{port}/ HTTP/1.1\\r\\nHost: crates.io\\r\\n\\r\\n")));
    }
    let all = format!("crates.io:{port},*.crates.io:{port},localhost:{port}");
    let ran = with(&scene, &all, &line);
    assert!(!ran.out.contains("SERVED"), "{ran:?}");
    assert_eq!(server.heard(), [""; 0], "nobody may have got there");
    let refused =
        ran.out.matches("HTTP/1.1 403 Forbidden").count() + ran.out.matches("HTTP/1.1 400 Bad Request").count();
    assert_eq!(refused, 2 * hosts.len(), "{}", ran.out);
    let plain = raw(&format!("CONNECT LocalHost.:{port} HTTP/1.1\\r\\n\\r\\nGET /mine HTTP/1.1\\r\\n\\r\\n"));
    let ran = with(&scene, &all, &plain);
    assert_eq!(ran.out.matches("SERVED").count(), 1, "{ran:?}");
    assert_eq!(server.heard().len(), 1);
    // So much is kept, and no more.
    let ran = with(&scene, "crates.io", &format!("{CURL} -o /dev/null 'http://a[1-40].example.org/'"));
    let lines: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("pleach: network: denied ")).collect();
    assert_eq!((lines.len(), lines[32]), (33, "pleach: network: denied more, 8 times"), "{}", ran.err);
}

#[test]
fn one_request_is_one_request() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let port = server.port;
    let host = format!("http://localhost:{port}");
    let tricks = [
        // A second one behind the first, to somebody else.
        format!(
            "GET {host}/1 HTTP/1.1\\r\\nConnection: keep-alive\\r\\n\\r\\nGET http://example.org/evil HTTP/1.1\\r\\nHost: evil\\r\\n\\r\\n"
        ),
        format!(
            "POST {host}/2 HTTP/1.1\\r\\nContent-Length: 2\\r\\n\\r\\nabGET http://example.org/evil HTTP/1.1\\r\\n\\r\\n"
        ),
        format!(
            "POST {host}/3 HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n2\\r\\nab\\r\\n0\\r\\n\\r\\nGET /evil HTTP/1.1\\r\\n\\r\\n"
        ),
    ];
    let line = tricks.iter().map(|trick| raw(trick)).collect::<Vec<_>>().join("; ");
    let ran = with(&scene, &format!("localhost:{port}"), &line);
    assert_eq!(ran.out.matches("SERVED").count(), 3, "{ran:?}");
    let heard = server.heard();
    assert!(heard.iter().all(|one| !one.contains("evil") && one.contains("Connection: close\r\n")), "{heard:?}");
    assert!(heard[1].ends_with("\r\n\r\nab") && heard[2].ends_with("2\r\nab\r\n0\r\n\r\n"), "{heard:?}");
    // Two lengths, two readers.
    let smuggled = format!(
        "POST {host}/4 HTTP/1.1\\r\\nContent-Length: 2\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n"
    );
    let ran = with(&scene, &format!("localhost:{port}"), &raw(&smuggled));
    assert!(ran.out.starts_with("HTTP/1.1 400 Bad Request"), "{ran:?}");
    assert_eq!(server.heard().len(), 3);
}

#[test]
fn a_slow_or_huge_head_is_nobody_elses_trouble() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let port = server.port;
    let line = format!(
        "perl -MIO::Socket::INET -e '$SIG{{PIPE}} = \"IGNORE\"; for (1..60) {{ $s = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => 3128); print $s \"GET \"; $s->flush; push @a, $s }} \
         $h = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => 3128); print $h \"GET http://localhost:{port}/ HTTP/1.1\\r\\nX: \" . (\"a\" x 200000); $h->shutdown(1); print <$h>; \
         system(\"{CURL} http://localhost:{port}/\")'"
    );
    let began = std::time::Instant::now();
    let ran = with(&scene, &format!("localhost:{port}"), &line);
    assert!(ran.out.contains("HTTP/1.1 431 Request Header Fields Too Large") && ran.out.contains("SERVED"), "{ran:?}");
    assert_eq!(server.heard().len(), 1);
    assert!(began.elapsed().as_secs() < 15, "the slow ones were waited for: {:?}", began.elapsed());
}

/// A tunnel to one host of a large provider leads to all of them, for who says another name in it.
#[test]
fn a_tunnel_greets_only_whom_the_list_names() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let port = server.port;
    let greet = |name: &str| {
        format!("curl -sS -m 5 --noproxy nobody -p --connect-to {name}:443:localhost:{port} https://{name}/; ")
    };
    let ran = with(&scene, &format!("localhost:{port}"), &greet("evil.test"));
    assert!(ran.err.contains(&format!("pleach: network: denied evil.test:{port} (not in [sandbox] network, asked for over the way to another host)")), "{ran:?}");
    assert!(server.heard().iter().all(String::is_empty), "{:?}", server.heard());
    // The same where that name is listed: the greeting gets there.
    let ran =
        with(&scene, &format!("localhost:{port},*.test:{port}").replace("*.test", "*.x.test"), &greet("good.x.test"));
    assert!(!ran.err.contains("denied"), "{ran:?}");
    assert!(server.heard().iter().any(|heard| heard.contains("good.x.test")), "{:?}", server.heard());
}

/// A name on the list that leads here, as its owner may make it at any time. A file of hosts plays the owner.
#[test]
fn a_listed_name_does_not_lead_into_this_machine() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let hosts = scene.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost rebind.test\n169.254.169.254 metadata.test\n").unwrap();
    let ask = |listed: &str, asked: &str| {
        let script = format!(
            "mount --bind {} /etc/hosts && exec {} sandbox --network {listed} -- \"{CURL} http://{asked}/\"",
            hosts.display(),
            env!("CARGO_BIN_EXE_pleach")
        );
        inside_of(&scene, &["-Urm"], &script)
    };
    let port = server.port;
    let there = ask(&format!("rebind.test:{port},127.0.0.1:{port}"), &format!("rebind.test:{port}"));
    if there.err.contains("unshare:") || there.err.contains("mount:") {
        println!("no file of hosts can be put in place here: {}", there.err);
        return;
    }
    assert!(there.out.contains("SERVED"), "{there:?}");
    let denied = ask(&format!("rebind.test:{port}"), &format!("rebind.test:{port}"));
    assert!(denied.err.contains("denied rebind.test") && denied.err.contains("leads to this machine"), "{denied:?}");
    assert!(!denied.out.contains("SERVED") && server.heard().len() == 1, "{denied:?}");
    // That a name is nowhere is no denial.
    let nowhere = ask("nowhere.invalid", "nowhere.invalid");
    assert!(nowhere.out.contains("cannot reach nowhere.invalid:80") && nowhere.err.is_empty(), "{nowhere:?}");
    let denied = ask("metadata.test", "metadata.test");
    assert!(denied.err.contains("denied metadata.test:80"), "{denied:?}");
}

#[test]
fn where_it_cannot_be_held_nothing_runs() {
    let mut scene = scene("best");
    let ran = scene.path("ran");
    let line = format!("touch '{}'", ran.display());
    for tier in ["none", "reduced"] {
        let tried = scene.pleach(&["sandbox", "--tier", tier, "--network", "crates.io", "--", &line]);
        assert_eq!(tried.code, Some(125), "{tried:?}");
        assert!(
            tried.err.contains(&format!("only the full tier of the sandbox holds, and {tier} is asked for")),
            "{tried:?}"
        );
        assert!(tried.err.contains("hint: leave the tier out"), "{tried:?}");
        scene.variables.insert("PLEACH_SANDBOX".to_owned(), tier.to_owned());
        let id = scene.add(&["--network", "crates.io"], &line);
        scene.pleach(&["wait", &id.to_string()]);
        assert_eq!(scene.outcome(id), "could_not_start");
        let status = scene.ok(&["status", &id.to_string()]);
        assert!(
            status.contains("lists hosts, which only the full tier holds") && status.contains("--network none"),
            "{status}"
        );
    }
    assert!(!ran.exists());
    scene.variables.insert("PLEACH_SANDBOX".to_owned(), "best".to_owned());
    if !works("full") {
        return;
    }
    configure(&scene, "[sandbox]\nnetwork = [\"crates.io\"]\n");
    let ask = |what: &str| {
        let pleach = env!("CARGO_BIN_EXE_pleach");
        let script = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {pleach} {what}");
        inside_of(&scene, &["-Ur"], &script)
    };
    let tried = ask(&format!("sandbox -- \"{line}\""));
    assert_eq!(tried.code, Some(125), "{tried:?}");
    assert!(tried.err.contains("hosts are listed, which only the full tier holds"), "{tried:?}");
    assert!(tried.err.contains("cannot make namespaces"), "{tried:?}");
    let doctor = ask("doctor");
    assert!(doctor.out.contains("full is required (a list of hosts in [sandbox] network needs it)"), "{doctor:?}");
    assert!(!ran.exists());
}

#[test]
fn nobody_is_not_said_where_nothing_holds_it() {
    let mut scene = scene("none");
    let ran = scene.path("ran");
    let line = format!("touch '{}'", ran.display());
    let tried = scene.pleach(&["sandbox", "--tier", "none", "--network", "none", "--", &line]);
    assert_eq!(tried.code, Some(125), "{tried:?}");
    assert!(tried.err.contains("which the tier none of the sandbox does not hold"), "{tried:?}");
    assert!(tried.err.contains("hint: leave the tier out, or say `--network allow`"), "{tried:?}");
    let id = scene.add(&["--network", "none"], &line);
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.outcome(id), "could_not_start");
    let status = scene.ok(&["status", &id.to_string()]);
    assert!(status.contains("[sandbox] network is none") && status.contains("--network allow"), "{status}");
    configure(&scene, "[sandbox]\nnetwork = \"none\"\n");
    let doctor = scene.pleach(&["doctor"]);
    assert!(doctor.out.contains("none is set, but reduced is required (network = \"none\""), "{doctor:?}");
    assert!(!ran.exists());
    // Somebody who says that it may have one gets it.
    let allowed = scene.add(&["--network", "allow"], &line);
    assert_eq!(scene.pleach(&["wait", &allowed.to_string()]).code, Some(0), "{}", scene.log(allowed));
    scene.variables.insert("PLEACH_SANDBOX".to_owned(), "reduced".to_owned());
    if works("reduced") {
        let held = scene.add(&[], "true");
        assert_eq!(scene.pleach(&["wait", &held.to_string()]).code, Some(0), "{}", scene.log(held));
    }
}

#[test]
fn setup_and_checks_are_held_to_it_too() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let port = server.port;
    let call = format!(
        "{CURL} http://localhost:{port}/STEP && ! curl -sS -m 5 --noproxy \\\"*\\\" http://127.0.0.1:{port}/direct && ! {CURL} -f http://example.org/"
    );
    let step = |name: &str| call.replace("STEP", name);
    configure(
        &scene,
        &format!(
            "[sandbox]\nnetwork = [\"localhost:{port}\"]\n[worktree]\nsetup = \"{}\"\n[verify]\ncommand = \"{}\"\n",
            step("setup"),
            step("check")
        ),
    );
    let id = scene.add(&[], "echo x > x");
    assert_eq!(scene.pleach(&["wait", &id.to_string()]).code, Some(0), "{}", scene.log(id));
    let merged = scene.pleach(&["merge", &id.to_string()]);
    assert_eq!(merged.code, Some(0), "{merged:?}\n{}", scene.story());
    let heard = server.heard();
    let paths: Vec<&str> = heard.iter().filter_map(|one| one.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/setup", "/check"]);
    assert_eq!(scene.status(id)["attempts"][0]["network"]["denied"][0]["to"], "example.org:80");
}

#[test]
fn a_repository_can_only_make_the_list_shorter() {
    let Some(scene) = full() else { return };
    let (one, other) = (Server::new(), Server::new());
    let line = format!("{CURL} http://localhost:{}/; {CURL} http://localhost:{}/; exit 0", one.port, other.port);
    let served = |user: &str, repository: &str| {
        configure(&scene, &format!("[sandbox]\nnetwork = {user}\n"));
        scene.write(".pleach.toml", format!("[sandbox]\nnetwork = {repository}\n"));
        let ran = scene.pleach(&["sandbox", "--", &line]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.matches("SERVED").count()
    };
    let (first, both) = (
        format!("[\"localhost:{}\"]", one.port),
        format!("[\"localhost:{}\", \"localhost:{}\"]", one.port, other.port),
    );
    assert_eq!(served(&both, &both), 2);
    assert_eq!(served(&both, &first), 1);
    assert_eq!(served(&first, &both), 1, "what the user does not list is not added");
    assert_eq!(served("\"allow\"", &first), 1);
    assert_eq!(served("\"none\"", &both), 0);
    assert_eq!(served(&both, "\"none\""), 0);
    assert_eq!(served(&both, "[]"), 0, "an empty list is nobody");
    scene.write(".pleach.toml", "[sandbox]\nnetwork = \"allow\"\n");
    let ran = scene.pleach(&["sandbox", "--", "true"]);
    assert!(ran.err.contains("can only be set in your own file"), "{ran:?}");
}

#[test]
fn a_task_that_hangs_on_the_proxy_can_be_ended() {
    let Some(scene) = full() else { return };
    let server = Server::new();
    let hang = format!(
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => 3128); print $s \"CONNECT localhost:{} HTTP/1.1\\r\\n\\r\\n\"; $s->flush; print scalar <$s>; STDOUT->flush; <$s>; <$s>'",
        server.port
    );
    let id = scene.add(&["--network", &format!("localhost:{}", server.port)], &hang);
    scene.until("it has its tunnel", || scene.log(id).contains("200 Connection established"));
    scene.ok(&["cancel", "--now", &id.to_string()]);
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.outcome(id), "cancelled");
}
