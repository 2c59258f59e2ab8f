//! Who is heard: only who has the token, names us as the host, and comes from our own page or from no page at all.
//!
//! The token is in the address after `#`, which no browser sends to anybody; our script says it in a header. There is no cookie,
//! so that another server on loopback, whose pages count as the same site, neither gets it nor can act with it.

use std::net::SocketAddr;

use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Request, StatusCode};

use crate::ops::token;

/// Nothing but our own files, and no script or style in a document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Who is heard.
pub(super) struct Guard {
    hosts: [String; 2],
    token: String,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: &str) -> Self {
        let port = address.port();
        Self { hosts: [address.to_string(), format!("localhost:{port}")], token: format!("Bearer {token}") }
    }

    /// Why a request is not even looked at. What is `open` is the page itself, in which nobody's data is.
    pub(super) fn refuses<T>(&self, request: &Request<T>, open: bool) -> Option<(StatusCode, &'static str)> {
        let headers = request.headers();
        let said = |name| headers.get(name).map(HeaderValue::as_bytes);
        let host = said(HOST).unwrap_or_default();
        let is_ours = |host: &[u8]| self.hosts.iter().any(|ours| host.eq_ignore_ascii_case(ours.as_bytes()));
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        // A name that somebody's server gave for our address (DNS rebinding).
        if headers.get_all(HOST).iter().count() != 1 || !is_ours(host) || authority.is_some_and(|said| !is_ours(said)) {
            return Some((StatusCode::FORBIDDEN, "this is served as 127.0.0.1 only"));
        }
        // Somebody else's page.
        let from = said(ORIGIN);
        if from.is_some_and(|from| from.strip_prefix(b"http://") != Some(host)) {
            return Some((StatusCode::FORBIDDEN, "another page asked"));
        }
        let site = said_of(headers, "sec-fetch-site");
        let is_visit = open && said_of(headers, "sec-fetch-dest") == b"document";
        if !matches!(site, b"" | b"same-origin" | b"none") && !is_visit {
            return Some((StatusCode::FORBIDDEN, "another page asked"));
        }
        let token = said(AUTHORIZATION).unwrap_or_default();
        if !open && !token::is_same(token, self.token.as_bytes()) {
            return Some((StatusCode::FORBIDDEN, "the token is missing or wrong: open the address that was printed"));
        }
        None
    }
}

fn said_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default()
}

/// What every answer says to the browser.
pub(super) fn seal(headers: &mut HeaderMap) {
    let fixed = HeaderValue::from_static;
    headers.insert(CONTENT_SECURITY_POLICY, fixed(POLICY));
    headers.insert(CACHE_CONTROL, fixed("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert("cross-origin-resource-policy", fixed("same-origin"));
    headers.insert("cross-origin-opener-policy", fixed("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(open: bool, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let guard = Guard::new("127.0.0.1:4000".parse().unwrap(), "secret");
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.refuses(&request.body(()).unwrap(), open).map(|(status, _)| status)
    }

    #[test]
    fn only_our_own_page_is_heard() {
        let (host, token) = (("host", "127.0.0.1:4000"), ("authorization", "Bearer secret"));
        assert_eq!(verdict(false, &[host, token]), None);
        assert_eq!(verdict(false, &[host, token, ("origin", "http://127.0.0.1:4000")]), None);
        assert_eq!(verdict(true, &[host]), None);
        assert_eq!(verdict(true, &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")]), None);
        for wrong in [
            &[host][..],
            &[token],
            &[host, ("authorization", "Bearer secre")],
            &[host, ("authorization", "Bearer secret ")],
            &[("host", "evil.example:4000"), token],
            &[("host", "127.0.0.1:4001"), token],
            &[("host", "127.0.0.1"), token],
            &[host, ("host", "evil.example"), token],
            &[host, token, ("origin", "http://evil.example")],
            &[host, token, ("origin", "http://127.0.0.1:4001")],
            &[host, token, ("origin", "http://localhost:4000")],
            &[host, token, ("origin", "https://127.0.0.1:4000")],
            &[host, token, ("origin", "null")],
            &[host, token, ("sec-fetch-site", "cross-site")],
            &[host, token, ("sec-fetch-site", "same-site")],
            &[host, token, ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")],
        ] {
            assert_eq!(verdict(false, wrong), Some(StatusCode::FORBIDDEN), "{wrong:?}");
        }
        assert_eq!(verdict(true, &[("host", "evil.example")]), Some(StatusCode::FORBIDDEN));
        assert_eq!(
            verdict(true, &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "script")]),
            Some(StatusCode::FORBIDDEN)
        );
    }
}
