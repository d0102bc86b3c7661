//! Between etcd's requests and replies and the store's own types.

use bytes::Bytes;

use super::{
    Compare, CompareOp, EtcdKeyValue, Event, EventType, ResponseHeader, TxnOp, TxnOpResponse,
    TxnResponse,
};
use crate::store::{Change, Commit, Guard, KeyValue, StoreError, Write};

pub(super) fn compare(guard: &Guard) -> Compare {
    match guard {
        Guard::ModRevision { key, is } => {
            Compare::mod_revision(key.as_str(), CompareOp::Equal, signed(*is))
        }
        Guard::CreateRevision { key, is } => {
            Compare::create_revision(key.as_str(), CompareOp::Equal, signed(*is))
        }
        Guard::CreateRevisionNot { key, not } => {
            Compare::create_revision(key.as_str(), CompareOp::NotEqual, signed(*not))
        }
    }
}

pub(super) fn operation(write: &Write) -> TxnOp {
    match write {
        Write::Put { key, value } => TxnOp::put(key.as_str(), value.as_ref(), None),
        Write::Delete { key } => TxnOp::delete(key.as_str(), None),
    }
}

pub(super) fn outcome(reply: &TxnResponse, guarded: &[&str]) -> Result<Commit, StoreError> {
    let malformed = || StoreError::Ambiguous("etcd's reply is malformed".to_owned());
    let revision = unsigned(reply.header().ok_or_else(malformed)?.revision());
    if reply.succeeded() {
        return Ok(Commit::Applied { revision });
    }
    let mut current = Vec::with_capacity(guarded.len());
    for (key, read) in guarded.iter().zip(reply.op_responses()) {
        let TxnOpResponse::Get(mut read) = read else {
            return Err(malformed());
        };
        current.push(((*key).to_owned(), read.take_kvs().into_iter().find_map(key_value)));
    }
    if current.len() < guarded.len() {
        return Err(malformed());
    }
    Ok(Commit::Refused { revision, current })
}

pub(super) fn read_revision(header: Option<&ResponseHeader>) -> Result<u64, StoreError> {
    let malformed = || StoreError::Transient("etcd's reply has no header".to_owned());
    Ok(unsigned(header.ok_or_else(malformed)?.revision()))
}

pub(super) fn change(event: &Event) -> Option<Change> {
    let item = event.kv()?;
    match event.event_type() {
        EventType::Put => key_value(item.clone()).map(Change::Put),
        EventType::Delete => {
            let (key, mod_revision) = (item.key().to_vec(), unsigned(item.mod_revision()));
            key_string(key).map(|key| Change::Delete { key, mod_revision })
        }
    }
}

pub(super) fn key_value(item: EtcdKeyValue) -> Option<KeyValue> {
    let (create_revision, mod_revision) =
        (unsigned(item.create_revision()), unsigned(item.mod_revision()));
    let (key, value) = item.into_key_value();
    let key = key_string(key)?;
    Some(KeyValue { key, value: Bytes::from(value), create_revision, mod_revision })
}

/// Our keys are text, so a key that isn't was put under our prefix by someone else and means
/// nothing to us.
fn key_string(key: Vec<u8>) -> Option<String> {
    String::from_utf8(key)
        .inspect_err(|error| {
            let key = String::from_utf8_lossy(error.as_bytes()).into_owned();
            tracing::warn!(record = key, "the name of a record is no text, ignored");
        })
        .ok()
}

/// etcd's revisions are signed but never negative.
pub(super) fn unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}

/// No revision is beyond etcd's range, so a guard on one beyond never holds, as it should.
pub(super) fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
