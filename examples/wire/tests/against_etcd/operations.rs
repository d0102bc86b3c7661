//! Random requests. Revisions in them are told backwards from the present one, since that is not
//! known before they are sent: 1 is the present one, 2 the one before, -1 the next.

use greenroom_wire::api::{
    Compare, DeleteRequest, OpRequest, PutRequest, RangeRequest, RequestOp, TargetUnion, TxnRequest,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A request to both.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRequest),
    Txn(TxnRequest),
    Compact(i64),
    /// Leases are numbered within a list.
    Grant(i64, i64),
    Revoke(i64),
    KeepAlive(i64),
    TimeToLive(i64),
    Leases,
    Watch {
        span: (Vec<u8>, Vec<u8>),
        from: i64,
        filters: Vec<i32>,
        prev_kv: bool,
    },
}

pub(crate) const LEASES: i64 = 3;

pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..40)
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => range().prop_map(Operation::Range),
        6 => put().prop_map(Operation::Put),
        2 => delete().prop_map(Operation::Delete),
        8 => txn(2).prop_map(Operation::Txn),
        1 => (-1..8_i64).prop_map(Operation::Compact),
        1 => (1..=LEASES, prop_oneof![Just(1), 60..90_i64]).prop_map(|(id, ttl)| Operation::Grant(id, ttl)),
        1 => (1..=LEASES).prop_map(Operation::Revoke),
        1 => (1..=LEASES).prop_map(Operation::KeepAlive),
        1 => (1..=LEASES).prop_map(Operation::TimeToLive),
        1 => Just(Operation::Leases),
        2 => watch(),
    ]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    select(vec!["a", "a/1", "a/2", "b", "c", "d\u{7f}"]).prop_map(|key| key.as_bytes().to_vec())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    select(vec!["", "x", "y", "zz"]).prop_map(|value| value.as_bytes().to_vec())
}

/// One key, some, all from one on, all that begin alike, or none.
fn span() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    prop_oneof![
        3 => key().prop_map(|key| (key, vec![])),
        2 => (key(), key()),
        1 => key().prop_map(|key| (key, vec![0])),
        1 => Just((b"a/".to_vec(), b"a0".to_vec())),
        1 => Just((vec![0], vec![0])),
    ]
}

/// Mostly none.
fn past() -> impl Strategy<Value = i64> {
    prop_oneof![5 => Just(0), 4 => 1..12_i64, 1 => Just(-1)]
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let bounds = (past(), past(), past(), past());
    let shape = (0..3_i32, 0..5_i32, 0..4_i64, any::<[bool; 3]>());
    (span(), past(), shape, bounds, 0..4_u8).prop_map(
        |((key, range_end), revision, shape, bounds, which)| {
            let (sort_order, sort_target, limit, [serializable, keys_only, count_only]) = shape;
            let mut range = RangeRequest {
                key,
                range_end,
                limit,
                revision,
                serializable,
                keys_only,
                count_only: count_only && which == 0,
                ..RangeRequest::default()
            };
            if which == 1 {
                (range.sort_order, range.sort_target) = (sort_order, sort_target);
            }
            if which == 2 {
                (range.min_mod_revision, range.max_mod_revision) =
                    (bounds.0.max(0), bounds.1.max(0));
                (range.min_create_revision, range.max_create_revision) =
                    (bounds.2.max(0), bounds.3.max(0));
            }
            range
        },
    )
}

fn put() -> impl Strategy<Value = PutRequest> {
    let lease = prop_oneof![4 => Just(0), 1 => 1..=LEASES];
    (key(), value(), lease, any::<bool>(), 0..12_u8).prop_map(
        |(key, value, lease, prev_kv, ignore)| {
            let (ignore_value, ignore_lease) = (ignore == 1, ignore == 2);
            // Now and then both are given, which is refused.
            let value = if ignore_value && prev_kv { vec![] } else { value };
            let key = if ignore == 3 && prev_kv { vec![] } else { key };
            PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRequest> {
    (span(), any::<bool>()).prop_map(|((key, range_end), prev_kv)| DeleteRequest {
        key,
        range_end,
        prev_kv,
    })
}

/// What a delete in a transaction may name. How etcd looks for overlaps of open ends with puts is an
/// accident of its interval tree that nobody relies on.
fn delete_in_txn() -> impl Strategy<Value = DeleteRequest> {
    let spans = prop_oneof![
        key().prop_map(|key| (key, vec![])),
        Just((b"a/".to_vec(), b"a0".to_vec())),
        Just((b"b".to_vec(), b"d".to_vec())),
    ];
    (spans, any::<bool>()).prop_map(|((key, range_end), prev_kv)| DeleteRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn compare() -> impl Strategy<Value = Compare> {
    let union = prop_oneof![
        (0..4_i64).prop_map(TargetUnion::Version),
        past().prop_map(TargetUnion::CreateRevision),
        past().prop_map(TargetUnion::ModRevision),
        value().prop_map(TargetUnion::Value),
        (0..=LEASES).prop_map(TargetUnion::Lease),
    ];
    (span(), union, 0..4_i32).prop_map(|((key, range_end), union, result)| {
        let target = match union {
            TargetUnion::Version(_) => 0,
            TargetUnion::CreateRevision(_) => 1,
            TargetUnion::ModRevision(_) => 2,
            TargetUnion::Value(_) => 3,
            TargetUnion::Lease(_) => 4,
        };
        Compare { result, target, key, range_end, target_union: Some(union) }
    })
}

fn txn(depth: u32) -> BoxedStrategy<TxnRequest> {
    let op = || {
        let simple = prop_oneof![
            2 => range().prop_map(OpRequest::RequestRange),
            3 => put().prop_map(OpRequest::RequestPut),
            1 => delete_in_txn().prop_map(OpRequest::RequestDeleteRange),
        ];
        let op = if depth == 0 {
            simple.boxed()
        } else {
            prop_oneof![5 => simple, 1 => txn(depth - 1).prop_map(OpRequest::RequestTxn)].boxed()
        };
        op.prop_map(|request| RequestOp { request: Some(request) })
    };
    (vec(compare(), 0..3), vec(op(), 0..4), vec(op(), 0..4))
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
        .boxed()
}

fn watch() -> impl Strategy<Value = Operation> {
    // A span without any key is a watch that is refused in other words by each version.
    let span = span().prop_map(|(key, end)| match end.as_slice() {
        [_, ..] if end != [0] && end <= key => (key, b"e".to_vec()),
        _ => (key, end),
    });
    let filters = select(vec![vec![], vec![], vec![0], vec![1]]);
    (span, -2..14_i64, filters, any::<bool>()).prop_map(|(span, from, filters, prev_kv)| {
        Operation::Watch { span, from, filters, prev_kv }
    })
}
