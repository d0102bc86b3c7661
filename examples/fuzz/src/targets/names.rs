//! Names, one a line: of actors, nodes, shards, request contexts and failures.

use greenroom::{ActorId, FailureCode, NodeId, RequestContext, ShardId};
use greenroom_inspector::ShardSpan;

pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut context = RequestContext::new();
    for line in text.split('\n') {
        if let Some((kind, key)) = line.split_once('/') {
            check_actor(kind, key);
        }
        if let Ok(node) = NodeId::new(line) {
            assert!(node.as_str() == line && (1..=64).contains(&line.len()));
        }
        if let Ok(span) = line.parse::<ShardSpan>() {
            assert!(span.first <= span.last);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        if let Ok(code) = line.parse::<FailureCode>() {
            assert_eq!(code.as_str(), line);
        }
        let _ = greenroom_inspector::OperatorToken::new(line);
        check_context(&mut context, line);
    }
}

fn check_actor(kind: &str, key: &str) {
    let Ok(id) = ActorId::new(kind, key) else { return };
    assert_eq!((id.kind(), id.key()), (kind, key));
    assert!(!key.is_empty() && key.len() <= 512 && !kind.contains('/'));
    assert_eq!(id.to_string().split_once('/'), Some((kind, key)), "a chain names it");
    for count in [1, 16, 8192, 65_536] {
        assert_eq!(id.shard(count), ShardId::of(kind, key, count));
        assert_eq!(u64::from(id.shard(count).0), fnv1a(kind, key) % u64::from(count));
    }
}

/// As the README has it for any language.
fn fnv1a(kind: &str, key: &str) -> u64 {
    let tag = key.find('{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.find('}').map(|close| &rest[..close]).filter(|tag| !tag.is_empty())
    });
    let bytes = match tag {
        Some(tag) => tag.as_bytes().to_vec(),
        None => [kind.as_bytes(), &[0], key.as_bytes()].concat(),
    };
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A context is never larger than it may be, and a change that is refused changes nothing.
fn check_context(context: &mut RequestContext, line: &str) {
    let before = context.clone();
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    match context.set(key, value) {
        Ok(()) => assert_eq!(context.get(key), Some(value)),
        Err(_) => assert_eq!(*context, before),
    }
    if context.set_trace(key, value).is_ok() {
        assert_eq!(context.traceparent(), Some(key));
    }
    let pairs: Vec<_> = context.iter().collect();
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(pairs.len() <= RequestContext::PAIRS_MAX && bytes <= RequestContext::BYTES_MAX);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "bank.account/alice",
        "cart/cart/{user42}",
        "cart/{}{a}",
        "k/é",
        "node-1",
        "4711",
        "10-20",
        "gpu/77",
        "gpu/10-20",
        "not_owner",
        "tenant=acme",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01=vendor=1",
        "a-token-of-some-length",
    ];
    lines.into_iter().map(str::to_owned).chain([lines.join("\n")]).map(String::into_bytes).collect()
}
