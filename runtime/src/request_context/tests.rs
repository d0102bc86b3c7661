//! The bounds of what travels, and what goes over what.

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn message(result: Result<(), Failure>) -> String {
    let failure = result.expect_err("it is refused");
    assert_eq!((failure.code, failure.may_have_run), (FailureCode::BadArguments, false));
    failure.message
}

#[test]
fn keys_and_values_have_bounds_that_a_refusal_names() {
    let mut context = RequestContext::new();
    let (key, value) = ("k".repeat(64), "v".repeat(256));
    context.set(&key, &value).unwrap();
    assert_eq!(context.get(&key), Some(&*value));
    for key in ["", "Tenant", "tenant id", "ключ", &"k".repeat(65)] {
        let message = message(context.set(key, ""));
        assert!(message.contains("1 to 64 bytes of a-z 0-9 . _ -"), "{message}");
    }
    let long = message(context.set("a", &"v".repeat(257)));
    assert!(long.contains("`a` has 257 bytes, at most 256"), "{long}");
    assert!(message(context.set("a", "1\n2")).contains("control characters"));
    assert_eq!(context.iter().count(), 1);
}

#[test]
fn the_whole_has_a_bound_and_a_pair_may_be_replaced_at_it() {
    let mut context = RequestContext::new();
    for number in 0..16 {
        context.set(&format!("key-{number}"), "x").unwrap();
    }
    let more = message(context.set("more", "x"));
    assert!(more.contains("16 pairs") && more.contains("`more`"), "{more}");
    context.set("key-3", "y").unwrap();
    assert_eq!(context.get("key-3"), Some("y"));

    let mut context = RequestContext::new();
    // 12 times 64 + 256 bytes, then 256: the whole is full.
    for number in 10..22 {
        context.set(&format!("{number}{}", "k".repeat(62)), &"v".repeat(256)).unwrap();
    }
    context.set("rest", &"v".repeat(252)).unwrap();
    assert!(message(context.set("a", "")).contains("4097 bytes"), "one byte too many");
    context.set("rest", "").unwrap();
    context.set("a", "").unwrap();
    assert!(context.remove("a") && !context.remove("a"));
}

#[test]
fn a_traceparent_is_as_w3c_has_it_or_refused() {
    let mut context = RequestContext::new();
    context.set_trace(PARENT, "vendor=1").unwrap();
    assert_eq!((context.traceparent(), context.tracestate()), (Some(PARENT), Some("vendor=1")));
    let later = PARENT.replacen("00", "01", 1) + "-more";
    context.set_trace(&later, "").unwrap();
    assert_eq!((context.traceparent(), context.tracestate()), (Some(&*later), None));
    for wrong in [
        "",
        "00",
        &PARENT[..54],
        &(PARENT.to_owned() + "-more"),
        &(PARENT.to_owned() + "x"),
        &PARENT.replacen("00", "ff", 1),
        &PARENT.to_uppercase(),
        &PARENT.replace('-', "_"),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        &"é".repeat(30),
    ] {
        let message = message(context.set_trace(wrong, ""));
        assert!(message.contains("traceparent"), "{message}");
    }
    context.set_trace(PARENT, &"x".repeat(513)).unwrap();
    assert_eq!(context.tracestate(), None);
    context.remove_trace();
    assert!(context.is_empty());
}

#[test]
fn what_a_caller_says_goes_over_what_the_call_inherits() {
    let mut inherited = RequestContext::new();
    inherited.set("tenant", "acme").unwrap();
    inherited.set("user", "ann").unwrap();
    inherited.set_trace(PARENT, "").unwrap();
    let inherited = Arc::new(inherited);
    let mut changes = Changes::default();
    changes.set("user", "bob");
    let merged = changes.over(Some(&inherited)).unwrap();
    let pairs: Vec<_> = merged.iter().collect();
    assert_eq!(pairs, [("tenant", "acme"), ("user", "bob")]);
    assert_eq!(merged.traceparent(), Some(PARENT));

    let mut changes = Changes::default();
    changes.set("dropped", "");
    changes.replace(RequestContext::new());
    changes.set("user", "cy");
    let whole = changes.over(Some(&inherited)).unwrap();
    assert_eq!(whole.iter().collect::<Vec<_>>(), [("user", "cy")]);
    assert_eq!(whole.traceparent(), None);

    let mut changes = Changes::default();
    changes.set("Bad", "");
    changes.replace(RequestContext::new());
    assert!(message(changes.over(None).map(drop)).contains("Bad"));
}

#[test]
fn a_debug_print_shows_no_values() {
    let mut context = RequestContext::new();
    context.set("user", "ann@example.org").unwrap();
    let printed = format!("{context:?}");
    assert!(printed.contains("user") && !printed.contains("ann"), "{printed}");
}
