//! The request context of a call over HTTP, as the headers `traceparent`, `tracestate` and `baggage`
//! of W3C have it.

use std::sync::Arc;

use axum::http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::request_context::RequestContext;

/// Longest `baggage` that is read, in bytes: as much as its specification asks for.
const BAGGAGE_BYTES_MAX: usize = 8192;

/// What travels with a call that has these headers; `None` if there is nothing.
///
/// What breaks a bound or a form is left out, as the specifications have it: such headers are often
/// written by others than whoever makes the call, and are no reason to fail it.
pub(super) fn of(headers: &HeaderMap) -> Option<Arc<RequestContext>> {
    let mut context = RequestContext::new();
    if let Some(parent) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        let _ = context.set_trace(parent.trim(), &joined(headers, "tracestate"));
    }
    let baggage = joined(headers, "baggage");
    if baggage.len() <= BAGGAGE_BYTES_MAX {
        for member in baggage.split(',').filter(|member| !member.trim().is_empty()) {
            if add(&mut context, member).is_none() {
                tracing::debug!("a member of a baggage header was left out");
            }
        }
    } else {
        tracing::debug!(bytes = baggage.len(), "a baggage header was left out");
    }
    (!context.is_empty()).then(|| Arc::new(context))
}

/// Takes one `key=value;properties`; properties mean nothing here.
fn add(context: &mut RequestContext, member: &str) -> Option<()> {
    let pair = member.split(';').next()?;
    let (key, value) = pair.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    context.set(key.trim(), &value).ok()
}

/// All lines of a header as one list.
fn joined(headers: &HeaderMap, name: &str) -> String {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(lines: &[(&'static str, &str)]) -> Option<Arc<RequestContext>> {
        let lines = lines.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        of(&headers)
    }

    fn pairs(baggage: &str) -> Vec<(String, String)> {
        let context = read(&[("baggage", baggage)]).unwrap_or_default();
        context.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn without_headers_there_is_no_context() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("baggage", ""), ("tracestate", "vendor=1")]), None);
    }

    #[test]
    fn baggage_becomes_pairs_and_what_does_not_fit_is_left_out() {
        let all =
            " tenant = acme , user=J%C3%BCrgen%20M;ttl=3, Upper=1, bad=%ff, none, empty=,a=%0a";
        assert_eq!(
            pairs(all),
            [pair("empty", ""), pair("tenant", "acme"), pair("user", "Jürgen M")]
        );
        let many: Vec<_> = (10..40).map(|number| format!("k{number}=v")).collect();
        assert_eq!(pairs(&many.join(",")).len(), 16);
        assert_eq!(pairs(&format!("tenant=acme,{}", "x".repeat(8192))), []);
        let lines = read(&[("baggage", "a=1"), ("baggage", "b=2")]).unwrap();
        assert_eq!((lines.get("a"), lines.get("b")), (Some("1"), Some("2")));
    }

    #[test]
    fn a_broken_traceparent_is_none() {
        let read_trace = |parent: &str| {
            let context =
                read(&[("traceparent", parent), ("tracestate", "a=1"), ("tracestate", "b=2")]);
            context.and_then(|context| {
                Some((context.traceparent()?.to_owned(), context.tracestate()?.to_owned()))
            })
        };
        assert_eq!(read_trace(PARENT), Some((PARENT.to_owned(), "a=1,b=2".to_owned())));
        assert_eq!(read_trace("00-1-2-3"), None);
    }
}
