//! Asks the owners of all shards for the active actors of a kind: page by page, several owners at a
//! time, and again whoever owns a shard by then when its owner has changed or can't be reached.
//!
//! What is left to list is, for each shard, the keys after some key. That holds whoever owns the
//! shard, so a listing goes on at a new owner where it ended at the former one, and no key is listed
//! twice.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use greenroom_cluster::{Owner, Route};
use greenroom_core::{Life, NodeId, ShardId};
use tokio::time::{Instant, timeout_at};

use super::Unlisted;
use crate::call::ActorRef;
use crate::failure::{Failure, FailureCode};
use crate::peer::active::{Line, PAGE_SHARDS_MAX, Page, PageRequest};
use crate::router::Router;

/// Owners that are asked at a time; of each, one page may be in memory.
const OWNERS_AT_A_TIME: usize = 8;
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// The listing of a kind.
pub(super) struct Listing {
    router: Router,
    kind: &'static str,
    patience: Duration,
    deadline: Option<Instant>,
    /// Owners that still have something to tell in this round.
    waiting: VecDeque<Asking>,
    asked: FuturesUnordered<BoxFuture<'static, Asked>>,
    /// For the next round; before the first one, all shards.
    again: Vec<(Left, Arc<Obstacle>)>,
    /// Shards that nobody will be asked for again.
    given_up: Vec<(Left, Arc<Obstacle>)>,
    /// When something was last listed, or its reader last came for more.
    progress: Instant,
    pause: Duration,
    begun: bool,
}

/// What is left of a shard.
struct Left {
    shard: ShardId,
    /// The keys after this one, or all.
    after: Option<Arc<str>>,
}

/// Why something could not be listed.
struct Obstacle {
    node: Option<NodeId>,
    failure: Failure,
}

/// What an owner is asked for, one page after the other.
struct Asking {
    owner: Arc<Owner>,
    /// The way there; `None` to this node itself.
    line: Option<Line>,
    left: VecDeque<Left>,
}

/// What an owner told.
struct Asked {
    asking: Asking,
    page: Result<Page, Failure>,
}

impl Listing {
    pub(super) fn new(router: Router, kind: &'static str, deadline: Option<Instant>) -> Self {
        let patience = router.call_timeout();
        Self {
            router,
            kind,
            patience,
            deadline,
            waiting: VecDeque::new(),
            asked: FuturesUnordered::new(),
            again: Vec::new(),
            given_up: Vec::new(),
            progress: Instant::now(),
            pause: PAUSE_FIRST,
            begun: false,
        }
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn no_later_than(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
    }

    /// The next actors; `None` when there are no more, or the others can't be listed.
    pub(super) async fn next(&mut self) -> Option<Vec<ActorRef>> {
        self.progress = Instant::now();
        if !self.begun {
            self.begin();
        }
        loop {
            while self.asked.len() < OWNERS_AT_A_TIME
                && let Some(asking) = self.waiting.pop_front()
            {
                let limit = self.limit(Instant::now());
                let (router, kind) = (self.router.clone(), self.kind);
                self.asked.push(Box::pin(asking.ask(router, kind, limit)));
            }
            match self.asked.next().await {
                Some(asked) => {
                    let actors = self.take(asked);
                    if !actors.is_empty() {
                        return Some(actors);
                    }
                }
                None if self.again.is_empty() || !self.wait().await => return None,
                None => self.begin_round(),
            }
        }
    }

    /// Shards of which the listing knows nothing, or not all.
    pub(super) fn into_unlisted(mut self) -> Vec<Unlisted> {
        self.given_up.append(&mut self.again);
        let mut unlisted: Vec<Unlisted> = Vec::new();
        for (left, obstacle) in self.given_up {
            let Obstacle { node, failure } = &*obstacle;
            let same = unlisted
                .iter_mut()
                .find(|known| known.node == *node && known.failure.code == failure.code);
            match same {
                Some(known) => known.shards.push(left.shard),
                None => unlisted.push(Unlisted {
                    shards: vec![left.shard],
                    node: node.clone(),
                    failure: failure.clone(),
                }),
            }
        }
        for unlisted in &mut unlisted {
            unlisted.shards.sort_unstable();
        }
        unlisted
    }

    fn begin(&mut self) {
        self.begun = true;
        let nobody = Arc::new(Obstacle::no_owner());
        let shards = (0..self.router.shard_count()).map(ShardId);
        let all = shards.map(|shard| (Left { shard, after: None }, Arc::clone(&nobody)));
        self.again = all.collect();
        self.begin_round();
    }

    /// Asks for all that is left, whoever owns it now.
    fn begin_round(&mut self) {
        let again = std::mem::take(&mut self.again);
        if self.router.is_closed() {
            let failure = Failure::new(FailureCode::Stopping, "this node has stopped");
            let stopped = Arc::new(Obstacle { node: None, failure });
            self.given_up.extend(again.into_iter().map(|(left, _)| (left, Arc::clone(&stopped))));
            return;
        }
        let nobody = Arc::new(Obstacle::no_owner());
        let mut owners: BTreeMap<Life, Asking> = BTreeMap::new();
        for (mut left, _) in again {
            // Only now and then does a node learn late which group a kind belongs to.
            left.shard = self.router.in_its_group(left.shard, self.kind);
            match self.router.cluster().routes().route(left.shard) {
                Some(Route { owner, .. }) => {
                    let asking = owners.entry(owner.life.clone()).or_insert_with(|| Asking {
                        line: None,
                        left: VecDeque::new(),
                        owner,
                    });
                    asking.left.push_back(left);
                }
                None => self.again.push((left, Arc::clone(&nobody))),
            }
        }
        self.waiting = owners.into_values().collect();
        for asking in &mut self.waiting {
            asking.left.make_contiguous().sort_unstable_by_key(|left| left.shard);
        }
    }

    /// Waits until it is worth to ask again; `false` when it no longer is.
    async fn wait(&mut self) -> bool {
        let limit = self.limit(self.progress);
        if Instant::now() >= limit {
            return false;
        }
        let routes = Arc::clone(self.router.cluster().routes());
        let Some((first, _)) = self.again.first() else { return true };
        let changed = pin!(routes.changed(first.shard));
        let pause = self.pause.mul_f64(0.5 + fastrand::f64());
        self.pause = PAUSE_MAX.min(self.pause * 2);
        let _ = timeout_at(limit.min(Instant::now() + pause), changed).await;
        true
    }

    /// Until when an owner may be waited for that is waited for since then.
    fn limit(&self, since: Instant) -> Instant {
        let limit = since + self.patience;
        self.deadline.map_or(limit, |deadline| limit.min(deadline))
    }

    /// Takes in what an owner told.
    fn take(&mut self, Asked { mut asking, page }: Asked) -> Vec<ActorRef> {
        let node = asking.owner.life.node.clone();
        let (page, actors) = match page.and_then(|page| {
            let actors = self.actors(&node, &page)?;
            Ok((page, actors))
        }) {
            Ok(told) => told,
            Err(failure) => {
                let may_pass = failure.code != FailureCode::UnknownKind
                    && failure.code != FailureCode::BadReply;
                let obstacle = Arc::new(Obstacle { node: Some(node), failure });
                let left = asking.left.into_iter().map(|left| (left, Arc::clone(&obstacle)));
                if may_pass { &mut self.again } else { &mut self.given_up }.extend(left);
                return Vec::new();
            }
        };
        let moved = Arc::new(Obstacle::moved(&node));
        for left in asking.left.drain(..page.done) {
            if page.elsewhere.binary_search(&left.shard).is_ok() {
                self.again.push((left, Arc::clone(&moved)));
            }
        }
        if let (Some(begun), Some((shard, keys))) = (asking.left.front_mut(), page.keys.last())
            && begun.shard == *shard
        {
            begun.after = keys.last().cloned();
        }
        if page.done > page.elsewhere.len() || !actors.is_empty() {
            self.progress = Instant::now();
            self.pause = PAUSE_FIRST;
        }
        if !asking.left.is_empty() {
            // Before other owners, so that few connections are open.
            self.waiting.push_front(asking);
        }
        actors
    }

    fn actors(&self, node: &NodeId, page: &Page) -> Result<Vec<ActorRef>, Failure> {
        let bad = |key: &str, why: &str| {
            let message = format!("{node} listed the key {key:?}, which {why}");
            Failure::new(FailureCode::BadReply, message)
        };
        let mut actors = Vec::new();
        for (shard, keys) in &page.keys {
            for key in keys {
                let actor = self.router.actor(self.kind, key);
                let actor = actor.map_err(|failure| bad(key, &failure.message))?;
                if actor.shard() != *shard {
                    return Err(bad(key, &format!("is not of shard {shard}")));
                }
                actors.push(actor);
            }
        }
        Ok(actors)
    }
}

impl Obstacle {
    fn no_owner() -> Self {
        let message = "the shard has no owner at present";
        Self { node: None, failure: Failure::new(FailureCode::NotOwner, message) }
    }

    fn moved(from: &NodeId) -> Self {
        let failure =
            Failure::new(FailureCode::NotOwner, format!("the shard is not open at {from}"));
        Self { node: Some(from.clone()), failure }
    }
}

impl Asking {
    /// Asks for the next page.
    async fn ask(mut self, router: Router, kind: &'static str, limit: Instant) -> Asked {
        let page = self.page(&router, kind, limit).await;
        Asked { asking: self, page }
    }

    async fn page(
        &mut self,
        router: &Router,
        kind: &'static str,
        limit: Instant,
    ) -> Result<Page, Failure> {
        // Only the first shard of a page can have been listed in part.
        let others = self.left.iter().skip(1).take_while(|left| left.after.is_none());
        let shards = self.left.front().into_iter().chain(others).take(PAGE_SHARDS_MAX);
        let request = PageRequest {
            kind,
            shards: shards.map(|left| left.shard).collect(),
            after: self.left.front().and_then(|left| left.after.clone()),
        };
        let Owner { life, address } = &*self.owner;
        if life.node == *router.node() {
            return router.list_here(&request).await;
        }
        let late = |_| {
            let message = format!("{} did not answer in time", life.node);
            Err(Failure::new(FailureCode::Timeout, message))
        };
        let asked = async {
            let line = match &mut self.line {
                Some(line) => line,
                None => self.line.insert(Line::open(router.cluster_name(), address).await?),
            };
            line.ask(&request).await
        };
        timeout_at(limit, asked).await.unwrap_or_else(late)
    }
}
