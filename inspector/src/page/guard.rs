//! Who may talk to the page: browsers that came by a name that it knows, on behalf of itself.
//!
//! The page listens where other sites' scripts can reach it too, because they run in the operator's
//! browser. A name that another site resolves to this address is none that the page knows, and what
//! its scripts send says where it comes from.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;

const LOCALHOST: &str = "localhost";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The names by which the page may be called, besides addresses.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// These, and `localhost`. Answers with the one that is no name.
    pub(super) fn new(names: Vec<String>) -> Result<Self, String> {
        let fits = |name: &str| {
            let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            !name.is_empty() && name.len() <= 253 && name.bytes().all(sign)
        };
        if let Some(bad) = names.iter().find(|name| !fits(name)) {
            return Err(bad.clone());
        }
        let mut names: Vec<String> =
            names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        names.push(LOCALHOST.to_owned());
        Ok(Self(names))
    }

    /// Whether a `Host` header names this page. Nobody can give an address another meaning.
    fn know(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let is_address = address.unwrap_or(name).parse::<IpAddr>().is_ok();
        is_address || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Refuses what comes by another name, or on behalf of another site.
pub(super) async fn admit(
    State(hosts): State<Arc<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    match judge(&hosts, request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn judge(hosts: &Hosts, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !hosts.know(host) {
        let message = "this page is not known by that name; it can be allowed with --allow-host";
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", message));
    }
    let foreign =
        || Refusal::new(StatusCode::FORBIDDEN, "cross_site", "this comes from another site");
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if !place.is_some_and(|place| place.eq_ignore_ascii_case(host)) {
            return Err(foreign());
        }
    }
    let site = headers.get(SEC_FETCH_SITE).and_then(|site| site.to_str().ok());
    // A link on another site may lead to the page, but not past it.
    let is_visit = *method == Method::GET && path == "/";
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) && !is_visit {
        return Err(foreign());
    }
    Ok(())
}

/// Tells the browser to load nothing from elsewhere, to keep nothing, and to show the page in no
/// other.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let set = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_known_by_addresses_and_by_the_names_it_was_given() {
        let hosts = Hosts::new(vec!["Inspect.Example.org".to_owned()]).expect("a name");
        let known = ["127.0.0.1:7490", "127.0.0.1", "[::1]:7490", "10.0.0.7:80", "localhost:7490"];
        for host in known.into_iter().chain(["inspect.example.org", "INSPECT.example.org:443"]) {
            assert!(hosts.know(host), "{host}");
        }
        let unknown = ["", "evil.example", "evil.example:7490", "127.0.0.1.evil.example:7490"];
        for host in unknown.into_iter().chain(["localhost.evil.example", "::x", "localhost:7490:x"])
        {
            assert!(!hosts.know(host), "{host}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_host_is_told() {
        for bad in ["", "*", "http://x", "a b", "x:80"] {
            assert_eq!(Hosts::new(vec![bad.to_owned()]).err().as_deref(), Some(bad));
        }
    }
}
