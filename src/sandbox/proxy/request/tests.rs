use super::*;

fn ask(head: &str) -> Result<Request, Bad> {
    parse(format!("{head}\r\n\r\n").as_bytes())
}

fn fetched(head: &str) -> (String, String, Body) {
    match ask(head) {
        Ok(Request::Fetch { target, head, body }) => (target.to_string(), String::from_utf8(head).unwrap(), body),
        other => panic!("{head}: {other:?}"),
    }
}

#[test]
fn a_tunnel() {
    let tunnel = |text: &str| match ask(text) {
        Ok(Request::Tunnel(target)) => target.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(tunnel("CONNECT Crates.io:443 HTTP/1.1\r\nHost: elsewhere.org:443"), "crates.io:443");
    assert_eq!(tunnel("CONNECT [::1]:443 HTTP/1.0"), "[::1]:443");
    for target in ["crates.io", "u@crates.io:443", "http://crates.io:443", "crates.io:443/", "0x7f.1:443"] {
        assert_eq!(ask(&format!("CONNECT {target} HTTP/1.1")), Err(Bad::NotAHost(target.to_owned())));
    }
}

#[test]
fn a_request_is_written_anew() {
    let (target, head, body) = fetched(
        "POST HTTP://a.ORG/x?y=z HTTP/1.1\r\nHost: evil.org\r\nAccept:  */*\t\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\n\
         Connection: keep-alive, X-Hop, Content-Length\r\nx-hop: 1\r\nContent-Length: 3",
    );
    assert_eq!(target, "a.org:80");
    assert_eq!(
        head,
        "POST /x?y=z HTTP/1.1\r\nHost: a.org\r\nAccept: */*\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(body, Body::Length(3));
    assert_eq!(fetched("GET http://a.org HTTP/1.1").1, "GET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n");
    let (target, head, _) = fetched("GET http://a.org:8080?q HTTP/1.0");
    assert_eq!(
        (target.as_str(), head.lines().take(2).collect::<Vec<_>>()),
        ("a.org:8080", vec!["GET /?q HTTP/1.0", "Host: a.org:8080"])
    );
}

#[test]
fn what_is_refused() {
    for host in ["user@a.org", "user:x@a.org", "a.org:x", "a.org\\@b.org", "127.1", "a%2eorg", "", ":80", "[::1%lo]"] {
        assert_eq!(ask(&format!("GET http://{host}/ HTTP/1.1")), Err(Bad::NotAHost(host.to_owned())));
    }
    let malformed = [
        "",
        "GET",
        "GET / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET https://a.org/ HTTP/1.1",
        "GET ftp://a.org/ HTTP/1.1",
        "GET http://a.org/ HTTP/2",
        "GET http://a.org/ HTTP/1.1 x",
        "GET  http://a.org/ HTTP/1.1",
        " GET http://a.org/ HTTP/1.1",
        "GET\thttp://a.org/ HTTP/1.1",
        "G(T http://a.org/ HTTP/1.1",
        "GET http://a.org/\u{7f} HTTP/1.1",
        "GET http://a.org/é HTTP/1.1",
        "GET http://a.org/#x HTTP/1.1",
        "GET http://a.org/ HTTP/1.1\nX: y",
        "GET http://a.org/ HTTP/1.1\r\nX",
        "GET http://a.org/ HTTP/1.1\r\n X: y",
        "GET http://a.org/ HTTP/1.1\r\nX : y",
        "GET http://a.org/ HTTP/1.1\r\nX: y\n Z: w",
        "GET http://a.org/ HTTP/1.1\r\nX: \0",
        "POST http://a.org/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1",
        "POST http://a.org/ HTTP/1.1\r\nContent-Length: 1, 1",
        "POST http://a.org/ HTTP/1.1\r\nContent-Length: +1",
        "POST http://a.org/ HTTP/1.1\r\nContent-Length: 99999999999999999999",
        "POST http://a.org/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "POST http://a.org/ HTTP/1.0\r\nTransfer-Encoding: chunked",
        "POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: xchunked",
    ];
    for head in malformed {
        assert!(matches!(ask(head), Err(Bad::Malformed(_))), "{head:?}: {:?}", ask(head));
    }
    let many = format!("GET http://a.org/ HTTP/1.1{}", "\r\nX: y".repeat(129));
    assert!(matches!(ask(&many), Err(Bad::Malformed(_))));
}

#[test]
fn where_a_body_ends() {
    let chunked = Body::Chunked(Chunk::Size { value: 0, digits: 0 });
    let all = b"3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nT: u\r\n\r\nGET http://evil.org/ HTTP/1.1\r\n\r\n";
    let end = all.windows(3).position(|three| three == b"GET").unwrap();
    let mut body = chunked;
    assert_eq!((body.take(all), body.is_over()), (Some(end), true));
    // However it is cut.
    let mut body = chunked;
    let taken: usize = all.iter().map(|byte| body.take(&[*byte]).unwrap()).sum();
    assert_eq!((taken, body.is_over()), (end, true));
    for bad in
        ["\r\n", "x\r\n", "1\n", "1\r\nab\r\n", "1 \r\n", "1\r\na\n", "0000000000000001\r\n", "0\r\n\n", "-1\r\n"]
    {
        let mut body = chunked;
        assert_eq!(body.take(bad.as_bytes()), None, "{bad:?}");
    }
    let mut body = Body::Length(3);
    assert_eq!((body.take(b"ab"), body.take(b"cd"), body.is_over()), (Some(2), Some(1), true));
}

#[test]
fn nothing_makes_it_fall_over() {
    let mut random = fastrand::Rng::with_seed(7);
    let words = [
        "GET ",
        "CONNECT ",
        "http://",
        "a.org",
        ":",
        "[",
        "]",
        "\r\n",
        " HTTP/1.1",
        "Content-Length: ",
        "chunked",
        "é",
        "\0",
        "@",
        "%",
        "0x",
        "\r",
        "\n",
    ];
    for _ in 0..20_000 {
        let count = random.usize(0..20);
        let text: String = (0..count).map(|_| words[random.usize(..words.len())]).collect();
        let _ = ask(&text);
        let mut body = Body::Chunked(Chunk::Size { value: 0, digits: 0 });
        let bytes: Vec<u8> = (0..count).map(|_| b"0aF;\r\n x"[random.usize(..8)]).collect();
        assert!(body.take(&bytes).is_none_or(|taken| taken <= bytes.len()));
    }
}
