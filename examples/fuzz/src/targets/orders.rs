//! Operators' orders and the questions of peers and operators, to a node of their own. The first byte of
//! an input says which, the rest is the message.
//!
//! Proves: C24

use std::time::Duration;

use greenroom::ShardId;
use greenroom::fuzzing::{inspect, operate, page_of_keys, peer};
use greenroom_proto::v1::inspect_server::Inspect;
use greenroom_proto::v1::operate_server::Operate;
use greenroom_proto::v1::peer_server::Peer;
use greenroom_proto::v1::{self};
use prost::Message;
use tonic::{Request, Status};

use super::node::{SHARDS, TOKEN, home};

/// Longest that an order or a question may take.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn check(input: &[u8]) {
    let Some((which, message)) = input.split_first() else { return };
    if *which == PAGE {
        return check_page(message);
    }
    let home = home();
    let answered = home.runtime.block_on(async {
        tokio::time::timeout(PATIENCE, ask(*which, message)).await.expect("it is answered")
    });
    if let Some(Err(status)) = answered {
        assert!(!status.message().is_empty(), "{status:?}");
        assert!(status.code() != tonic::Code::Internal && status.code() != tonic::Code::Unknown);
    }
    // Whatever was ordered, the only node goes on with all shards.
    let status = home.node.status();
    assert_eq!(status.targeted, SHARDS as usize, "{status:?}");
}

const PAGE: u8 = 10;

async fn ask(which: u8, message: &[u8]) -> Option<Result<(), Status>> {
    let node = &home().node;
    let (peer, inspect, operate) = (peer(node), inspect(node), operate(node));
    Some(match which {
        0 => operate.pin(order(message)?).await.map(drop),
        1 => operate.unpin(order(message)?).await.map(drop),
        2 => operate.r#move(order(message)?).await.map(drop),
        3 => {
            let mut request = order::<v1::DrainRequest>(message)?;
            // Nobody else is there to take its shards, so without force it is refused.
            request.get_mut().force = false;
            operate.drain(request).await.map(drop)
        }
        4 => operate.hold(order(message)?).await.map(drop),
        5 => {
            let mut request = order::<v1::RuleRequest>(message)?;
            request.get_mut().force = false;
            operate.rule(request).await.map(drop)
        }
        6 => peer.report(read(message)?).await.map(drop),
        7 => peer.active_keys(read(message)?).await.map(drop),
        8 => inspect.peek(read(message)?).await.map(drop),
        9 => inspect.decisions(read(message)?).await.map(drop),
        _ => return None,
    })
}

fn read<M: Message + Default>(message: &[u8]) -> Option<Request<M>> {
    M::decode(message).ok().map(Request::new)
}

fn order<M: Message + Default>(message: &[u8]) -> Option<Request<M>> {
    let mut request = read(message)?;
    let bearer = format!("Bearer {TOKEN}").parse().expect("it is a header");
    request.metadata_mut().insert("authorization", bearer);
    Some(request)
}

/// A page of active keys that the owner of shards answered with.
fn check_page(message: &[u8]) {
    let Ok(reply) = v1::ActiveKeysReply::decode(message) else { return };
    let keys: usize = reply.keys.iter().map(|shard| shard.keys.len()).sum();
    let shards: Vec<ShardId> = [2, 5, 7].map(ShardId).into();
    let asked = shards.len();
    if let Ok(done) = page_of_keys(shards, Some("b"), reply) {
        assert!(done <= asked && done + keys > 0, "a listing must get on");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let node = || home().node.id().to_string();
    let labels = || [("disk".to_owned(), "ssd".to_owned())].into();
    let keys = |shard, keys: &[&str]| v1::ShardKeys {
        shard,
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    let (default, cluster) = (|| "default".to_owned(), || "default".to_owned());
    let load = v1::ShardLoad { shard: 1, calls_per_s: 7, busy_us_per_s: 9, activations: 2 };
    let messages = [
        v1::PinRequest { shards: vec![1, 3], node: node() }.encode_to_vec(),
        v1::UnpinRequest { shards: vec![1, 3] }.encode_to_vec(),
        v1::MoveRequest { shards: vec![2, 1], to: node() }.encode_to_vec(),
        v1::DrainRequest { node: node(), undo: false, force: true }.encode_to_vec(),
        v1::HoldRequest { resume: true }.encode_to_vec(),
        v1::RuleRequest { group: default(), require: labels(), prefer: labels(), force: true }
            .encode_to_vec(),
        v1::LoadReport { cluster: cluster(), loads: vec![load], ..v1::LoadReport::default() }
            .encode_to_vec(),
        v1::ActiveKeysRequest {
            cluster: cluster(),
            kind: "fuzz.echo".into(),
            shards: vec![0, 1, 15],
            after: "a".into(),
            bytes_max: 100,
        }
        .encode_to_vec(),
        v1::PeekRequest { kind: "fuzz.echo".into(), key: "a".into() }.encode_to_vec(),
        v1::DecisionsRequest { after: 1, shard: Some(3), limit: 5 }.encode_to_vec(),
        v1::ActiveKeysReply {
            done: 2,
            elsewhere: vec![5],
            keys: vec![keys(2, &["c", "d"]), keys(7, &["a"])],
        }
        .encode_to_vec(),
    ];
    let messages = (0..).zip(messages);
    let seeds = messages.map(|(which, message)| [&[which], &message[..]].concat());
    // A page that tells nothing.
    seeds.chain([vec![PAGE]]).collect()
}
