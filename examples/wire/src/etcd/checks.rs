//! What etcd refuses before it looks at its keys.

use std::collections::BTreeSet;

use tonic::Status;

use super::mvcc::Span;
use super::refusal;
use crate::api::{OpRequest, PutRequest, RequestOp, TxnRequest};

/// Most operations, and most compares, of a transaction, in etcd's default configuration.
const OPS_MAX: usize = 128;

pub(super) fn put(put: &PutRequest) -> Result<(), Status> {
    key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(refusal::value_provided());
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(refusal::lease_provided());
    }
    Ok(())
}

pub(super) fn key(key: &[u8]) -> Result<(), Status> {
    if key.is_empty() { Err(refusal::empty_key()) } else { Ok(()) }
}

pub(super) fn txn(txn: &TxnRequest) -> Result<(), Status> {
    shape(txn)?;
    for ops in [&txn.success, &txn.failure] {
        written(ops)?;
    }
    Ok(())
}

fn shape(txn: &TxnRequest) -> Result<(), Status> {
    let most = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    if most > OPS_MAX {
        return Err(refusal::too_many_ops());
    }
    txn.compare.iter().try_for_each(|compare| key(&compare.key))?;
    for op in txn.success.iter().chain(&txn.failure) {
        match &op.request {
            Some(OpRequest::RequestRange(range)) => key(&range.key)?,
            Some(OpRequest::RequestPut(request)) => put(request)?,
            Some(OpRequest::RequestDeleteRange(delete)) => key(&delete.key)?,
            Some(OpRequest::RequestTxn(nested)) => shape(nested)?,
            None => return Err(refusal::key_not_found()),
        }
    }
    Ok(())
}

type Written = (BTreeSet<Vec<u8>>, Vec<Span>);

/// The keys that are put and deleted. No key may be put twice, or put and deleted, unless by two ways
/// that exclude each other.
fn written(ops: &[RequestOp]) -> Result<Written, Status> {
    let mut deleted: Vec<Span> = ops
        .iter()
        .filter_map(|op| match &op.request {
            Some(OpRequest::RequestDeleteRange(op)) => Some(Span::new(&op.key, &op.range_end)),
            _ => None,
        })
        .collect();
    let mut put = BTreeSet::new();
    let is_deleted = |deleted: &[Span], key: &[u8]| deleted.iter().any(|span| span.contains(key));
    for op in ops {
        let Some(OpRequest::RequestTxn(nested)) = &op.request else { continue };
        let (put_then, deleted_then) = written(&nested.success)?;
        let (put_else, deleted_else) = written(&nested.failure)?;
        for key in &put_then {
            if put.contains(key) || is_deleted(&deleted, key) {
                return Err(refusal::duplicate_key());
            }
        }
        for key in &put_else {
            if put.contains(key) || is_deleted(&deleted, key) {
                return Err(refusal::duplicate_key());
            }
        }
        put.extend(put_then);
        put.extend(put_else);
        deleted.extend(deleted_then);
        deleted.extend(deleted_else);
    }
    for op in ops {
        let Some(OpRequest::RequestPut(op)) = &op.request else { continue };
        if is_deleted(&deleted, &op.key) || !put.insert(op.key.clone()) {
            return Err(refusal::duplicate_key());
        }
    }
    Ok((put, deleted))
}
