//! Which actors of a kind are in memory: what the owner of shards tells about them, and how it is
//! asked. Pages are bounded in shards and bytes, and go by the order of keys, so that a listing can go
//! on after any key, at whoever owns the shard then.

use std::sync::Arc;
use std::time::Duration;

use greenroom_core::{KEY_LEN_MAX, ShardId};
use greenroom_proto::v1::peer_client::PeerClient;
use greenroom_proto::v1::{ActiveKeysReply, ActiveKeysRequest, ShardKeys};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::failure::{Failure, FailureCode};
use crate::router::{Router, unknown_kind};

/// Most shards that one page may be about.
pub(crate) const PAGE_SHARDS_MAX: usize = 1024;
/// Bytes of keys in one page, beyond which no more are added.
const PAGE_BYTES_MAX: usize = 256 << 10;
/// What a key takes in a page besides its bytes.
pub(crate) const KEY_BYTES: usize = 4;
/// Largest page that is read: with all its shards, and one key more than fits.
const MESSAGE_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Which page of active keys.
pub(crate) struct PageRequest<'a> {
    pub(crate) kind: &'a str,
    /// In ascending order; at least one, at most [`PAGE_SHARDS_MAX`].
    pub(crate) shards: Vec<ShardId>,
    /// Only the keys after this one of the first shard.
    pub(crate) after: Option<Arc<str>>,
}

/// A page of active keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// How many of the shards, from the first one on, are done with.
    pub(crate) done: usize,
    /// Those of them that are not open at the node that was asked; in ascending order.
    pub(crate) elsewhere: Vec<ShardId>,
    /// By shard, each in ascending order. If the last of these shards is not done with, more of its
    /// keys follow.
    pub(crate) keys: Vec<(ShardId, Vec<Arc<str>>)>,
}

impl Router {
    /// What this node can tell.
    ///
    /// # Errors
    /// `unknown_kind` when it hosts no such kind; `not_owner` when it has no right to speak for its
    /// shards.
    pub(crate) async fn list_here(&self, request: &PageRequest<'_>) -> Result<Page, Failure> {
        self.list(request, PAGE_BYTES_MAX).await
    }

    async fn list(&self, request: &PageRequest<'_>, bytes: usize) -> Result<Page, Failure> {
        let kind = request.kind;
        let hosted = self.hosted(kind).ok_or_else(|| unknown_kind(kind))?;
        let (mut page, mut room) = (Page::default(), bytes);
        let mut after = request.after.as_deref();
        for &shard in &request.shards {
            if room == 0 {
                break;
            }
            tokio::task::coop::consume_budget().await;
            // The permit keeps the shard from moving before its part is told.
            let entered = self.enter(shard, None, None);
            let Some(_permit) = entered.ok().filter(|_| self.in_its_group(shard, kind) == shard)
            else {
                page.elsewhere.push(shard);
                page.done += 1;
                continue;
            };
            let (keys, more) = hosted.active_keys(shard, after.take(), &mut room);
            if !keys.is_empty() {
                page.keys.push((shard, keys));
            }
            if more {
                break;
            }
            page.done += 1;
        }
        // Without the right to run, another node may have brought other actors to life.
        if self.cluster().right().holds() {
            Ok(page)
        } else {
            let message = "the node has lost its right to run";
            Err(Failure::new(FailureCode::NotOwner, message))
        }
    }
}

/// Answers a peer.
pub(super) async fn answer(
    router: &Router,
    request: ActiveKeysRequest,
) -> Result<ActiveKeysReply, Status> {
    if request.cluster != router.cluster_name() {
        return Err(Status::failed_precondition("the question is about another cluster"));
    }
    let shards: Vec<ShardId> = request.shards.iter().copied().map(ShardId).collect();
    let bad = |message: String| Err(Status::invalid_argument(message));
    if !(1..=PAGE_SHARDS_MAX).contains(&shards.len()) {
        let len = shards.len();
        return bad(format!("shards: {len} were given, 1 to {PAGE_SHARDS_MAX} are allowed"));
    }
    if !shards.is_sorted_by(|one, next| one < next) {
        return bad("shards: they must ascend".to_owned());
    }
    let shard_max = router.shards_in_all() - 1;
    if let Some(beyond) = shards.last().filter(|last| last.0 > shard_max) {
        return bad(format!("shards: {beyond} was given, 0 to {shard_max} are allowed"));
    }
    if request.after.len() > KEY_LEN_MAX {
        return bad(format!("after: no key is longer than {KEY_LEN_MAX} bytes"));
    }
    let bytes = match request.bytes_max as usize {
        0 => PAGE_BYTES_MAX,
        bytes => bytes.min(PAGE_BYTES_MAX),
    };
    let after = Some(request.after).filter(|after| !after.is_empty()).map(Arc::from);
    let request = PageRequest { kind: &request.kind, shards, after };
    let page = router.list(&request, bytes).await.map_err(|failure| match failure.code {
        FailureCode::UnknownKind => Status::not_found(failure.message),
        _ => Status::unavailable(failure.message),
    })?;
    let keys = page.keys.into_iter().map(|(shard, keys)| ShardKeys {
        shard: shard.0,
        keys: keys.iter().map(ToString::to_string).collect(),
    });
    Ok(ActiveKeysReply {
        // At most as many as were asked for.
        done: page.done as u32,
        elsewhere: page.elsewhere.into_iter().map(|shard| shard.0).collect(),
        keys: keys.collect(),
    })
}

/// The way to a node that is asked.
pub(crate) struct Line {
    cluster: String,
    client: PeerClient<Channel>,
}

impl Line {
    /// Connects to a node.
    pub(crate) async fn open(cluster: &str, address: &str) -> Result<Self, Failure> {
        let unreachable = |why: String| {
            let message = format!("the owner at {address} can't be reached: {why}");
            Failure::new(FailureCode::Unreachable, message)
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| unreachable(error.to_string()))?
            .tcp_nodelay(true);
        // The transport's own time-out leaves out the look-up of the name.
        let channel = timeout(CONNECT_TIMEOUT, endpoint.connect())
            .await
            .map_err(|_| unreachable(format!("no connection within {CONNECT_TIMEOUT:?}")))?
            .map_err(|error| unreachable(error.to_string()))?;
        let client = PeerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { cluster: cluster.to_owned(), client })
    }

    /// Asks for a page.
    pub(crate) async fn ask(&mut self, request: &PageRequest<'_>) -> Result<Page, Failure> {
        let message = ActiveKeysRequest {
            cluster: self.cluster.clone(),
            kind: request.kind.to_owned(),
            shards: request.shards.iter().map(|shard| shard.0).collect(),
            after: request.after.as_deref().unwrap_or_default().to_owned(),
            bytes_max: 0,
        };
        let reply = self.client.active_keys(message).await.map_err(|status| {
            let code = match status.code() {
                Code::NotFound => FailureCode::UnknownKind,
                Code::OutOfRange | Code::ResourceExhausted => FailureCode::BadReply,
                _ => FailureCode::Unreachable,
            };
            Failure::new(code, status.message())
        })?;
        page(request, reply.into_inner()).map_err(|wrong| {
            let message = format!("the owner's page of active keys {wrong}");
            Failure::new(FailureCode::BadReply, message)
        })
    }
}

/// A page as it was told, unless it can't be right.
pub(super) fn page(
    request: &PageRequest<'_>,
    reply: ActiveKeysReply,
) -> Result<Page, &'static str> {
    let ActiveKeysReply { done, elsewhere, keys } = reply;
    let done = done as usize;
    if done > request.shards.len() {
        return Err("is about more shards than were asked for");
    }
    if done == 0 && keys.is_empty() {
        return Err("tells nothing");
    }
    let elsewhere: Vec<ShardId> = elsewhere.into_iter().map(ShardId).collect();
    let is_done = |shard| request.shards[..done].binary_search(shard).is_ok();
    if !elsewhere.is_sorted_by(|one, next| one < next) || !elsewhere.iter().all(is_done) {
        return Err("is not open for shards that it was not asked for");
    }
    // The shard after those that are done may have been listed in part.
    let told = &request.shards[..request.shards.len().min(done + 1)];
    let mut page = Page { done, elsewhere, keys: Vec::new() };
    for ShardKeys { shard, keys } in keys {
        let shard = ShardId(shard);
        let asked = told.binary_search(&shard).is_ok();
        let follows = page.keys.last().is_none_or(|(last, _)| *last < shard);
        if !asked || !follows || keys.is_empty() {
            return Err("has keys of shards that it was not asked for");
        }
        let begun = request.after.as_deref().filter(|_| shard == request.shards[0]);
        let after = keys.first().zip(begun).is_none_or(|(first, begun)| &**first > begun);
        if !after || !keys.is_sorted_by(|one, next| one < next) {
            return Err("has keys out of order");
        }
        page.keys.push((shard, keys.into_iter().map(Arc::from).collect()));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(shards: &[u32], after: Option<&str>) -> PageRequest<'static> {
        let shards = shards.iter().copied().map(ShardId).collect();
        PageRequest { kind: "test.kind", shards, after: after.map(Arc::from) }
    }

    fn reply(done: u32, elsewhere: &[u32], keys: &[(u32, &[&str])]) -> ActiveKeysReply {
        let keys = keys.iter().map(|(shard, keys)| ShardKeys {
            shard: *shard,
            keys: keys.iter().map(ToString::to_string).collect(),
        });
        ActiveKeysReply { done, elsewhere: elsewhere.to_vec(), keys: keys.collect() }
    }

    #[test]
    fn a_page_that_answers_its_question_is_taken() {
        let asked = request(&[2, 5, 7, 9], Some("b"));
        let told = reply(3, &[5], &[(2, &["c", "d"]), (9, &["a", "b"])]);
        let page = page(&asked, told).expect("it is right");
        assert_eq!((page.done, page.elsewhere), (3, vec![ShardId(5)]));
        let shards: Vec<_> = page.keys.iter().map(|(shard, keys)| (shard.0, keys.len())).collect();
        assert_eq!(shards, [(2, 2), (9, 2)]);
    }

    #[test]
    fn a_page_that_can_not_be_right_is_refused() {
        let asked = || request(&[2, 5, 7], Some("b"));
        let wrong = [
            (reply(4, &[], &[]), "more shards"),
            (reply(u32::MAX, &[], &[]), "more shards"),
            (reply(0, &[], &[]), "tells nothing"),
            (reply(1, &[5], &[]), "is not open"),
            (reply(3, &[7, 5], &[]), "is not open"),
            (reply(3, &[5, 5], &[]), "is not open"),
            (reply(3, &[3], &[]), "is not open"),
            (reply(1, &[], &[(7, &["a"])]), "has keys of shards"),
            (reply(3, &[], &[(3, &["a"])]), "has keys of shards"),
            (reply(3, &[], &[(7, &["a"]), (5, &["a"])]), "has keys of shards"),
            (reply(3, &[], &[(5, &["a"]), (5, &["b"])]), "has keys of shards"),
            (reply(3, &[], &[(5, &[])]), "has keys of shards"),
            (reply(3, &[], &[(5, &["b", "a"])]), "out of order"),
            (reply(3, &[], &[(5, &["a", "a"])]), "out of order"),
            (reply(3, &[], &[(2, &["a", "c"])]), "out of order"),
            (reply(3, &[], &[(2, &["b"])]), "out of order"),
        ];
        for (told, reason) in wrong {
            let text = format!("{told:?}");
            let refused = page(&asked(), told).expect_err(&text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
