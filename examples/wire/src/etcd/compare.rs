//! The conditions of transactions.

use std::cmp::Ordering;

use super::mvcc::{Mvcc, Span};
use crate::api::{Compare, KeyValue, TargetUnion};

/// `compare.target` for a value.
const VALUE: i32 = 3;

/// Whether a condition holds for each key that it names; a key that is absent has 0 everywhere and no
/// value at all.
pub(super) fn holds(store: &Mvcc, compare: &Compare) -> bool {
    let span = Span::new(&compare.key, &compare.range_end);
    let mut found = store.at(&span, store.revision).peekable();
    if found.peek().is_none() {
        return compare.target != VALUE && holds_for(compare, &KeyValue::default());
    }
    found.all(|held| holds_for(compare, held))
}

fn holds_for(compare: &Compare, held: &KeyValue) -> bool {
    let number = |held: i64, wanted: Option<i64>| held.cmp(&wanted.unwrap_or(0));
    let wanted = compare.target_union.as_ref();
    let order = match compare.target {
        0 => number(
            held.version,
            match wanted {
                Some(TargetUnion::Version(version)) => Some(*version),
                _ => None,
            },
        ),
        1 => number(
            held.create_revision,
            match wanted {
                Some(TargetUnion::CreateRevision(revision)) => Some(*revision),
                _ => None,
            },
        ),
        2 => number(
            held.mod_revision,
            match wanted {
                Some(TargetUnion::ModRevision(revision)) => Some(*revision),
                _ => None,
            },
        ),
        VALUE => match wanted {
            Some(TargetUnion::Value(value)) => held.value.cmp(value),
            _ => held.value.as_slice().cmp(b""),
        },
        _ => number(
            held.lease,
            match wanted {
                Some(TargetUnion::Lease(lease)) => Some(*lease),
                _ => None,
            },
        ),
    };
    match compare.result {
        0 => order == Ordering::Equal,
        1 => order == Ordering::Greater,
        2 => order == Ordering::Less,
        _ => order != Ordering::Equal,
    }
}
