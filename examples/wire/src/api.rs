//! The messages and services of etcd's API, version 3, as the client library has them. This is the only
//! file here that names it.

pub use etcd_client::proto::{
    PbCompactionRequest as CompactionRequest, PbCompactionResponse as CompactionResponse,
    PbCompare as Compare, PbDeleteRequest as DeleteRequest, PbDeleteResponse as DeleteResponse,
    PbEvent as Event, PbKeyValue as KeyValue, PbKvServer as KvServer, PbKvService as KvService,
    PbLeaseGrantRequest as LeaseGrantRequest, PbLeaseGrantResponse as LeaseGrantResponse,
    PbLeaseKeepAliveRequest as LeaseKeepAliveRequest,
    PbLeaseKeepAliveResponse as LeaseKeepAliveResponse, PbLeaseLeasesRequest as LeaseLeasesRequest,
    PbLeaseLeasesResponse as LeaseLeasesResponse, PbLeaseRevokeRequest as LeaseRevokeRequest,
    PbLeaseRevokeResponse as LeaseRevokeResponse, PbLeaseServer as LeaseServer,
    PbLeaseService as LeaseService, PbLeaseStatus as LeaseStatus,
    PbLeaseTimeToLiveRequest as LeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse as LeaseTimeToLiveResponse, PbPutRequest as PutRequest,
    PbPutResponse as PutResponse, PbRangeRequest as RangeRequest, PbRangeResponse as RangeResponse,
    PbRangeStreamResponse as RangeStreamResponse, PbResponseHeader as ResponseHeader,
    PbResponseOp as ResponseOp, PbTargetUnion as TargetUnion, PbTxnOpRequest as OpRequest,
    PbTxnOpResponse as OpResponse, PbTxnRequest as TxnRequest, PbTxnRequestOp as RequestOp,
    PbTxnResponse as TxnResponse, PbWatchRequest as WatchRequest,
    PbWatchRequestUnion as WatchRequestUnion, PbWatchResponse as WatchResponse,
    PbWatchServer as WatchServer, PbWatchService as WatchService,
};
