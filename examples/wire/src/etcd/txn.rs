//! Reading and writing: every request is a transaction, of one operation or of many.

use tonic::Status;

use super::leases::Leases;
use super::mvcc::{Mvcc, Span};
use super::{checks, compare, refusal};
use crate::api::{
    DeleteRequest, DeleteResponse, KeyValue, OpRequest, OpResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};

/// A transaction under way: it sees what it has written itself.
pub(super) struct Transaction<'a> {
    pub(super) store: &'a mut Mvcc,
    pub(super) leases: &'a mut Leases,
    has_written: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(store: &'a mut Mvcc, leases: &'a mut Leases) -> Self {
        Self { store, leases, has_written: false }
    }

    /// Ends it; answers with the store's revision.
    pub(super) fn end(self) -> i64 {
        if self.has_written {
            self.store.revision += 1;
        }
        self.store.revision
    }

    /// The revision that is read at.
    fn revision(&self) -> i64 {
        self.store.revision + i64::from(self.has_written)
    }

    /// The revision that is written at.
    fn next(&self) -> i64 {
        self.store.revision + 1
    }

    fn get(&self, key: &[u8]) -> Option<KeyValue> {
        self.store.at(&Span::new(key, b""), self.revision()).next().cloned()
    }

    pub(super) fn range(&self, request: &RangeRequest) -> RangeResponse {
        let now = self.revision();
        let at = if request.revision > 0 { request.revision } else { now };
        let span = Span::new(&request.key, &request.range_end);
        let mut found: Vec<KeyValue> = self.store.at(&span, at).cloned().collect();
        let count = found.len() as i64;
        let mut more = false;
        if request.count_only {
            found.clear();
        } else {
            if let Some(fetched) = fetched_before_sorting(request) {
                found.truncate(fetched);
            }
            found.retain(|held| passes(request, held));
            sort(request, &mut found);
            if let Ok(limit @ 1..) = usize::try_from(request.limit) {
                more = found.len() > limit;
                found.truncate(limit);
            }
        }
        if request.keys_only {
            found.iter_mut().for_each(|held| held.value.clear());
        }
        RangeResponse { header: header(now), kvs: found, more, count }
    }

    pub(super) fn put(&mut self, request: &PutRequest) -> PutResponse {
        let before = self.get(&request.key);
        let (mut value, mut lease) = (request.value.clone(), request.lease);
        if let Some(before) = &before {
            if request.ignore_value {
                value.clone_from(&before.value);
            }
            if request.ignore_lease {
                lease = before.lease;
            }
        }
        let revision = self.next();
        self.store.put(revision, &request.key, value, lease);
        self.leases.attach(&request.key, lease);
        self.has_written = true;
        let prev_kv = before.filter(|_| request.prev_kv);
        PutResponse { header: header(revision), prev_kv }
    }

    pub(super) fn delete(&mut self, request: &DeleteRequest) -> DeleteResponse {
        let span = Span::new(&request.key, &request.range_end);
        let found: Vec<KeyValue> = self.store.at(&span, self.revision()).cloned().collect();
        let next = self.next();
        for held in &found {
            self.store.delete(next, &held.key);
            self.leases.attach(&held.key, 0);
        }
        self.has_written |= !found.is_empty();
        let deleted = found.len() as i64;
        let prev_kvs = if request.prev_kv { found } else { Vec::new() };
        DeleteResponse { header: header(self.revision()), deleted, prev_kvs }
    }

    /// A put that stands alone: etcd looks for its lease before it looks for its key.
    pub(super) fn only_put(&mut self, request: &PutRequest) -> Result<PutResponse, Status> {
        checks::put(request)?;
        self.check_lease(request)?;
        self.check_key(request)?;
        Ok(self.put(request))
    }

    /// What is left as it is must be there.
    fn check_key(&self, request: &PutRequest) -> Result<(), Status> {
        if (request.ignore_value || request.ignore_lease) && self.get(&request.key).is_none() {
            return Err(refusal::key_not_found());
        }
        Ok(())
    }

    fn check_lease(&self, request: &PutRequest) -> Result<(), Status> {
        if request.lease != 0 && !self.leases.is_granted(request.lease) {
            return Err(refusal::lease_not_found());
        }
        Ok(())
    }

    /// A transaction of many operations: decides all ways first, by what is there before it.
    pub(super) fn many(&mut self, request: &TxnRequest) -> Result<TxnResponse, Status> {
        checks::txn(request)?;
        let way = Way::through(self.store, request);
        self.check(&way, &|this, op| match op {
            OpRequest::RequestPut(put) => this.check_key(put).and_then(|()| this.check_lease(put)),
            _ => Ok(()),
        })?;
        self.check(&way, &|this, op| match op {
            OpRequest::RequestRange(range) => this.store.check_revision(range.revision),
            _ => Ok(()),
        })?;
        let mut response = self.go(&way);
        response.header = header(self.revision());
        Ok(response)
    }

    fn check(
        &self,
        way: &Way<'_>,
        check: &dyn Fn(&Self, &OpRequest) -> Result<(), Status>,
    ) -> Result<(), Status> {
        let mut nested = way.nested.iter();
        for op in way.ops.iter().filter_map(|op| op.request.as_ref()) {
            match op {
                OpRequest::RequestTxn(_) => {
                    self.check(nested.next().expect("each was decided"), check)?;
                }
                op => check(self, op)?,
            }
        }
        Ok(())
    }

    fn go(&mut self, way: &Way<'_>) -> TxnResponse {
        let mut nested = way.nested.iter();
        let ops = way.ops.iter().filter_map(|op| op.request.as_ref());
        let responses = ops.map(|op| {
            let response = match op {
                OpRequest::RequestRange(range) => OpResponse::ResponseRange(self.range(range)),
                OpRequest::RequestPut(put) => OpResponse::ResponsePut(self.put(put)),
                OpRequest::RequestDeleteRange(delete) => {
                    OpResponse::ResponseDeleteRange(self.delete(delete))
                }
                OpRequest::RequestTxn(_) => {
                    let way = nested.next().expect("each was decided");
                    OpResponse::ResponseTxn(self.go(way))
                }
            };
            ResponseOp { response: Some(response) }
        });
        let responses = responses.collect();
        TxnResponse { header: header(0), succeeded: way.succeeded, responses }
    }
}

/// Which operations of a transaction are carried out, and of those within it.
struct Way<'a> {
    succeeded: bool,
    ops: &'a [RequestOp],
    nested: Vec<Way<'a>>,
}

impl<'a> Way<'a> {
    fn through(store: &Mvcc, request: &'a TxnRequest) -> Self {
        let succeeded = request.compare.iter().all(|compare| compare::holds(store, compare));
        let ops = if succeeded { &request.success } else { &request.failure };
        let nested = ops.iter().filter_map(|op| match &op.request {
            Some(OpRequest::RequestTxn(nested)) => Some(Self::through(store, nested)),
            _ => None,
        });
        Self { succeeded, ops, nested: nested.collect() }
    }
}

fn passes(request: &RangeRequest, held: &KeyValue) -> bool {
    let within = |value: i64, min: i64, max: i64| value >= min && (max == 0 || value <= max);
    within(held.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(held.create_revision, request.min_create_revision, request.max_create_revision)
}

/// How many keys etcd reads, in their order, before it sorts and cuts: one more than asked for, unless
/// an order or a bound needs all of them. So by anything but keys, without an order, it sorts only these.
fn fetched_before_sorting(request: &RangeRequest) -> Option<usize> {
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    let needs_all = request.sort_order != 0 || bounds.iter().any(|bound| *bound != 0);
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
    limit.filter(|_| !needs_all).map(|limit| limit + 1)
}

fn sort(request: &RangeRequest, found: &mut [KeyValue]) {
    const DESCEND: i32 = 2;
    // With a target but no order, etcd sorts upwards.
    if request.sort_order == 0 && request.sort_target == 0 {
        return;
    }
    found.sort_by(|a, b| {
        let order = match request.sort_target {
            0 => a.key.cmp(&b.key),
            1 => a.version.cmp(&b.version),
            2 => a.create_revision.cmp(&b.create_revision),
            3 => a.mod_revision.cmp(&b.mod_revision),
            _ => a.value.cmp(&b.value),
        };
        if request.sort_order == DESCEND { order.reverse() } else { order }
    });
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}
