//! A real etcd and a double, in step.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use greenroom_cluster::testing::EtcdServer;
use greenroom_wire::api::{
    CompactionRequest, CompactionResponse, DeleteRequest, DeleteResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse, OpRequest, PutRequest, PutResponse, RangeRequest, RangeResponse,
    TargetUnion, TxnRequest, TxnResponse, WatchRequest, WatchRequestUnion,
};
use greenroom_wire::etcd::Etcd;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::transport::Server;

use crate::caller::{Caller, Comparable, next};
use crate::operations::{LEASES, Operation};

pub(crate) struct Pair {
    _server: EtcdServer,
    real: Caller,
    double: Caller,
    /// Both are compacted up to here.
    compacted: i64,
    /// Lists so far: their leases must not be the same.
    lists: i64,
    counts: Counts,
}

/// How often each kind of request was accepted, and refused.
#[derive(Default)]
pub(crate) struct Counts(BTreeMap<&'static str, (u64, u64)>);

impl Counts {
    /// A kind of request that hardly ever succeeds, or a double that refuses nothing, proves little.
    pub(crate) fn must_be_plenty(&self) {
        for kind in ["range", "put", "delete", "txn", "compact", "grant", "revoke", "watch"] {
            let (accepted, _) = self.0.get(kind).copied().unwrap_or_default();
            assert!(accepted >= 5, "only {accepted} of {kind} were accepted");
        }
        for kind in ["range", "put", "txn", "compact", "revoke", "watch"] {
            let (_, refused) = self.0.get(kind).copied().unwrap_or_default();
            assert!(refused >= 1, "no {kind} was refused");
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (accepted, refused)) in &self.0 {
            write!(f, "{kind} {accepted} and {refused} refused; ")?;
        }
        Ok(())
    }
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let server = tokio::task::spawn_blocking(EtcdServer::start).await.expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let serving = Server::builder().add_routes(Etcd::default().routes(0));
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        Self {
            real: Caller::of(&server.endpoint()),
            double: Caller::of(&format!("http://{address}")),
            _server: server,
            compacted: 0,
            lists: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether no list has parted them.
    pub(crate) async fn is_in_step(&mut self) -> bool {
        let everything =
            || RangeRequest { key: vec![0], range_end: vec![0], ..RangeRequest::default() };
        let real: Result<RangeResponse, _> = self.real.ask("KV/Range", everything()).await;
        let double: Result<RangeResponse, _> = self.double.ask("KV/Range", everything()).await;
        real.expect("a listing") == double.expect("a listing")
    }

    /// Sends a list to both; an error tells the first answers that differ.
    pub(crate) async fn run(&mut self, operations: &[Operation]) -> Result<(), String> {
        self.lists += 1;
        for operation in operations {
            self.carry_out(operation).await?;
        }
        for lease in 1..=LEASES {
            self.carry_out(&Operation::Revoke(lease)).await?;
        }
        let (key, range_end) = (vec![0], vec![0]);
        self.carry_out(&Operation::Delete(DeleteRequest { key, range_end, prev_kv: true })).await
    }

    async fn carry_out(&mut self, operation: &Operation) -> Result<(), String> {
        let now = self.revision().await;
        match operation.clone() {
            Operation::Range(mut range) => {
                self.resolve_range(now, &mut range);
                self.both::<_, RangeResponse>("range", "KV/Range", range).await.map(drop)
            }
            Operation::Put(mut put) => {
                put.lease = self.lease(put.lease);
                self.both::<_, PutResponse>("put", "KV/Put", put).await.map(drop)
            }
            Operation::Delete(delete) => {
                self.both::<_, DeleteResponse>("delete", "KV/DeleteRange", delete).await.map(drop)
            }
            Operation::Txn(mut txn) => {
                self.resolve_txn(now, &mut txn);
                self.both::<_, TxnResponse>("txn", "KV/Txn", txn).await.map(drop)
            }
            Operation::Compact(back) => {
                let revision = at(now, back);
                let request = CompactionRequest { revision, physical: false };
                let done =
                    self.both::<_, CompactionResponse>("compact", "KV/Compact", request).await?;
                if done {
                    self.compacted = revision;
                }
                Ok(())
            }
            Operation::Watch { span, from, filters, prev_kv } => {
                self.watch(span, at(now, from).max(1), filters, prev_kv).await
            }
            lease => self.of_leases(lease).await,
        }
    }

    async fn of_leases(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Grant(id, ttl) => {
                let request = LeaseGrantRequest { id: self.lease(id), ttl };
                self.both::<_, LeaseGrantResponse>("grant", "Lease/LeaseGrant", request).await?;
            }
            Operation::Revoke(id) => {
                let request = LeaseRevokeRequest { id: self.lease(id) };
                self.both::<_, LeaseRevokeResponse>("revoke", "Lease/LeaseRevoke", request).await?;
            }
            Operation::TimeToLive(id) => {
                let request = LeaseTimeToLiveRequest { id: self.lease(id), keys: true };
                let method = "Lease/LeaseTimeToLive";
                self.both::<_, LeaseTimeToLiveResponse>("time to live", method, request).await?;
            }
            Operation::KeepAlive(id) => {
                let request = LeaseKeepAliveRequest { id: self.lease(id) };
                let mut answers = Vec::new();
                for caller in [&mut self.real, &mut self.double] {
                    let (_sender, mut stream) = caller.open("Lease/LeaseKeepAlive", request).await;
                    let mut answer: LeaseKeepAliveResponse = next(&mut stream).await;
                    answer.strip();
                    answers.push(format!("{answer:?}"));
                }
                same("a lease kept alive", &answers[0], &answers[1])?;
            }
            _ => {
                let (method, request) = ("Lease/LeaseLeases", LeaseLeasesRequest {});
                self.both::<_, LeaseLeasesResponse>("leases", method, request).await?;
            }
        }
        Ok(())
    }

    /// Watches from the past on, into two changes that are made meanwhile.
    async fn watch(
        &mut self,
        (key, range_end): (Vec<u8>, Vec<u8>),
        from: i64,
        filters: Vec<i32>,
        prev_kv: bool,
    ) -> Result<(), String> {
        // What is left of the very revision of a compaction is not the same in all versions of etcd.
        let start_revision = if from == self.compacted { from + 1 } else { from };
        let mut union = WatchRequestUnion::CreateRequest(Default::default());
        if let WatchRequestUnion::CreateRequest(create) = &mut union {
            (create.key, create.range_end) = (key.clone(), range_end);
            (create.start_revision, create.prev_kv) = (start_revision, prev_kv);
            create.filters.clone_from(&filters);
        }
        let create = WatchRequest { request_union: Some(union) };
        let real = self.real.watch(create.clone()).await;
        let double = self.double.watch(create).await;
        let put = PutRequest { key: key.clone(), value: b"w".to_vec(), ..PutRequest::default() };
        self.both::<_, PutResponse>("put", "KV/Put", put).await?;
        let delete = DeleteRequest { key, ..DeleteRequest::default() };
        self.both::<_, DeleteResponse>("delete", "KV/DeleteRange", delete).await?;
        let (deleted, is_put_last) = (self.revision().await, filters == [1]);
        // With deletions left out, the put before the last is the end.
        let until = deleted - i64::from(is_put_last);
        let is_seen = start_revision <= until;
        let (real, double) = if is_seen {
            (real.until(until).await, double.until(until).await)
        } else {
            (String::new(), String::new())
        };
        self.counts.count("watch", !real.contains("cancelled"));
        same(&format!("a watch from {start_revision}"), &real, &double)
    }

    /// Sends a request to both; answers with whether it was accepted.
    async fn both<Q, A>(
        &mut self,
        kind: &'static str,
        method: &str,
        request: Q,
    ) -> Result<bool, String>
    where
        Q: prost::Message + Clone + Debug + 'static,
        A: prost::Message + Default + Comparable + 'static,
    {
        let real: Result<A, Status> = self.real.ask(method, request.clone()).await;
        let double: Result<A, Status> = self.double.ask(method, request.clone()).await;
        let told = |answer: &Result<A, Status>| match answer {
            Ok(answer) => format!("{answer:?}"),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        };
        self.counts.count(kind, real.is_ok());
        same(&format!("{request:?}"), &told(&real), &told(&double))?;
        Ok(real.is_ok())
    }

    async fn revision(&mut self) -> i64 {
        let nothing = RangeRequest { key: b"no".to_vec(), ..RangeRequest::default() };
        let answer: Result<RangeResponse, _> = self.real.ask("KV/Range", nothing).await;
        answer.expect("a listing").header.expect("a header").revision
    }

    /// The number that a lease of this list has in both.
    fn lease(&self, id: i64) -> i64 {
        if id == 0 { 0 } else { self.lists * 100 + id }
    }

    fn resolve_range(&self, now: i64, range: &mut RangeRequest) {
        for revision in [
            &mut range.revision,
            &mut range.min_mod_revision,
            &mut range.max_mod_revision,
            &mut range.min_create_revision,
            &mut range.max_create_revision,
        ] {
            *revision = at(now, *revision);
        }
    }

    fn resolve_txn(&self, now: i64, txn: &mut TxnRequest) {
        for union in txn.compare.iter_mut().filter_map(|compare| compare.target_union.as_mut()) {
            match union {
                TargetUnion::CreateRevision(revision) | TargetUnion::ModRevision(revision) => {
                    *revision = at(now, *revision);
                }
                TargetUnion::Lease(lease) => *lease = self.lease(*lease),
                TargetUnion::Version(_) | TargetUnion::Value(_) => {}
            }
        }
        let ops = txn.success.iter_mut().chain(&mut txn.failure);
        for op in ops.filter_map(|op| op.request.as_mut()) {
            match op {
                OpRequest::RequestRange(range) => self.resolve_range(now, range),
                OpRequest::RequestPut(put) => put.lease = self.lease(put.lease),
                OpRequest::RequestTxn(txn) => self.resolve_txn(now, txn),
                OpRequest::RequestDeleteRange(_) => {}
            }
        }
    }
}

impl Counts {
    fn count(&mut self, kind: &'static str, is_accepted: bool) {
        let (accepted, refused) = self.0.entry(kind).or_default();
        *accepted += u64::from(is_accepted);
        *refused += u64::from(!is_accepted);
    }
}

/// The revision that is told backwards from the present one; 0 stays.
fn at(now: i64, back: i64) -> i64 {
    match back {
        0 => 0,
        1.. => (now + 1 - back).max(1),
        ahead => now - ahead,
    }
}

fn same(request: &str, real: &str, double: &str) -> Result<(), String> {
    if real == double {
        return Ok(());
    }
    Err(format!("{request}\n  etcd:   {real}\n  double: {double}"))
}
