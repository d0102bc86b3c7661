//! Asks the node for all who look, and tells them what changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use greenroom_proto::v1::DecisionsRequest;
use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, sleep};

use super::message::Message;
use super::observe::changes;
use super::timeline::{Entry, Timeline};
use crate::ask::Line;
use crate::client::{Limits, REQUEST_TIMEOUT};
use crate::{ClusterView, Decision, InspectError, Life, Shard, ShardCondition, ShardLoad};

/// How often the node is asked while nobody looks, so that the timeline goes on.
const UNSEEN_INTERVAL: Duration = Duration::from_secs(10);
/// Most messages that wait for a viewer; one that is further behind gets the whole picture again.
const UNREAD_MAX: usize = 32;
/// So many decisions are asked for at first.
const DECISIONS_FIRST: u32 = 200;
/// Leaders repeat only what they decided lately; so many are asked for again each time.
const DECISIONS_AGAIN: u64 = 16;
/// Of the time in which the node is asked, so many times as much it is left alone.
const REST_FACTOR: u32 = 9;

/// The node gets so many times as long as its last answer took before it counts as silent, but at
/// least this.
const PATIENCE_FACTOR: u32 = 5;
const PATIENCE_MIN: Duration = Duration::from_secs(3);

/// The leader must not hold the picture up: what it knows besides is worth less.
const LEADER_LIMITS: Limits =
    Limits { connect: Duration::from_secs(2), request: Duration::from_secs(5) };

/// The picture of the cluster that all who look share.
#[derive(Debug)]
pub(super) struct Watch {
    node: String,
    interval: Duration,
    inner: Mutex<Inner>,
    /// Somebody wants to see something now.
    wanted: Notify,
}

#[derive(Debug)]
struct Inner {
    picture: Option<Picture>,
    trouble: Option<Trouble>,
    timeline: Timeline,
    /// Entries that nobody was told of.
    untold: Vec<u64>,
    /// Nothing once the server ends.
    news: Option<broadcast::Sender<Arc<Message>>>,
}

/// What was last seen.
#[derive(Debug)]
pub(super) struct Picture {
    /// Grows by one with each picture.
    pub(super) number: u64,
    /// When, in milliseconds since 1970 on this server's clock.
    pub(super) at_ms: u64,
    /// The address of the node that was asked.
    pub(super) asked: String,
    pub(super) view: ClusterView,
    pub(super) loads: BTreeMap<u32, ShardLoad>,
    /// Why the leader's knowledge is missing or old.
    pub(super) loads_error: Option<String>,
    /// Shards that the leader found stuck and gave no new target since.
    stuck: BTreeMap<u32, u64>,
}

impl Picture {
    pub(super) fn is_stuck(&self, shard: &Shard) -> bool {
        self.stuck.contains_key(&shard.number)
            && self.view.condition(shard) != ShardCondition::AtRest
    }
}

/// That the node can't be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// When the last picture was taken, if there is one.
    pub(super) since_ms: Option<u64>,
    pub(super) error: String,
}

/// What a viewer gets: one message at once, if there is something to see, and what comes after it.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) first: Option<Arc<Message>>,
    pub(super) news: broadcast::Receiver<Arc<Message>>,
}

/// What is known of the leader.
struct Leader {
    line: Line,
    life: Option<Life>,
    /// Number of its last decision that was seen.
    decided: u64,
}

impl Watch {
    pub(super) fn new(node: &str, interval: Duration) -> Self {
        let news = Some(broadcast::Sender::new(UNREAD_MAX));
        let timeline = Timeline::default();
        let inner =
            Mutex::new(Inner { picture: None, trouble: None, timeline, untold: Vec::new(), news });
        Self { node: node.to_owned(), interval, inner, wanted: Notify::new() }
    }

    /// Asks for as long as it is polled; once dropped, those who look are told no more.
    pub(super) async fn run(&self) {
        let _ending = Ending(self);
        let mut node = Line::new(&self.node, Limits::default());
        let mut leader =
            Leader { line: Line::new(&self.node, LEADER_LIMITS), life: None, decided: 0 };
        loop {
            let began = Instant::now();
            self.see(&mut node, &mut leader).await;
            let rest = began.elapsed() * REST_FACTOR;
            let viewed = self.inner().news.as_ref().is_some_and(|news| news.receiver_count() > 0);
            let interval = if viewed { self.interval } else { UNSEEN_INTERVAL };
            tokio::select! {
                () = sleep(interval.max(rest)) => {}
                // Not more often for being wanted by many.
                () = self.wanted.notified() => sleep((self.interval / 4).max(rest)).await,
            }
        }
    }

    /// Begins to look; nothing once the server ends.
    pub(super) fn look(&self) -> Option<Look> {
        let inner = self.inner();
        let news = inner.news.as_ref()?.subscribe();
        let first = match (&inner.picture, &inner.trouble) {
            (Some(picture), trouble) => {
                Some(Message::snapshot(picture, trouble.as_ref(), inner.timeline.iter()))
            }
            (None, Some(trouble)) => Some(Message::trouble(trouble)),
            (None, None) => None,
        };
        self.wanted.notify_one();
        Some(Look { first: first.map(Arc::new), news })
    }

    /// An order was carried out through this page.
    pub(super) fn ordered(&self, by: &str, text: String) {
        let mut inner = self.inner();
        let entry = inner.timeline.seen(now_ms(), "order", 0, Some(by.to_owned()), text);
        inner.untold.push(entry);
        self.wanted.notify_one();
    }

    /// The shards that an entry of the timeline is about.
    pub(super) fn shards_of(&self, entry: u64) -> Option<Vec<u32>> {
        let inner = self.inner();
        let Entry { moves, stuck, .. } = inner.timeline.get(entry)?;
        Some(moves.iter().map(|step| step.shard).chain(stuck.iter().copied()).collect())
    }

    async fn see(&self, node: &mut Line, leader: &mut Leader) {
        let began = Instant::now();
        match node.view().await {
            Ok(view) => {
                let patience = (began.elapsed() * PATIENCE_FACTOR).max(PATIENCE_MIN);
                node.set_patience(patience.min(REQUEST_TIMEOUT));
                let told = leader.tell(&view, node.address()).await;
                self.show(view, told);
            }
            Err(error) => {
                node.set_patience(REQUEST_TIMEOUT);
                self.fail(&error);
            }
        }
    }

    fn fail(&self, error: &InspectError) {
        let mut inner = self.inner();
        let since_ms = inner.picture.as_ref().map(|picture| picture.at_ms);
        let trouble = Trouble { since_ms, error: error.to_string() };
        if inner.trouble.as_ref() != Some(&trouble) {
            inner.tell(Message::trouble(&trouble));
            inner.trouble = Some(trouble);
        }
    }

    fn show(&self, view: ClusterView, told: Told) {
        let mut inner = self.inner();
        inner.trouble = None;
        let at_ms = now_ms();
        let before = inner.picture.take();
        let old = before.as_ref().map(|before| &before.view);
        let news = inner.news_of(old, &view, &told, at_ms);
        let mut stuck = before.as_ref().map(|before| before.stuck.clone()).unwrap_or_default();
        if old.is_some_and(|old| old.leader != view.leader) {
            stuck.clear();
        }
        for decision in told.decisions.iter().flatten() {
            let number = decision.number;
            stuck.extend(decision.stuck.iter().map(|shard| (*shard, number)));
            for step in &decision.moves {
                if stuck.get(&step.shard).is_some_and(|found| *found < number) {
                    stuck.remove(&step.shard);
                }
            }
        }
        stuck.retain(|shard, _| {
            let place = view.shards.binary_search_by_key(shard, |shard| shard.number);
            place.is_ok_and(|place| view.condition(&view.shards[place]) != ShardCondition::AtRest)
        });
        let loads = told.loads.unwrap_or_else(|| {
            before.as_ref().map(|before| before.loads.clone()).unwrap_or_default()
        });
        let picture = Picture {
            number: before.as_ref().map_or(0, |before| before.number) + 1,
            at_ms,
            asked: self.node.clone(),
            view,
            loads,
            loads_error: told.error,
            stuck,
        };
        let comparable = before.filter(|before| {
            let (old, new) = (&before.view, &picture.view);
            old.cluster == new.cluster
                && old.shards.len() == new.shards.len()
                && old.shard_count == new.shard_count
        });
        let message = match comparable {
            Some(before) => {
                let entries = news.iter().filter_map(|id| inner.timeline.get(*id));
                Message::delta(&picture, &before, entries)
            }
            None => Message::snapshot(&picture, None, inner.timeline.iter()),
        };
        inner.tell(message);
        inner.picture = Some(picture);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A picture that a panic left half made is replaced by the next one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&self, message: Message) {
        if let Some(news) = &self.news {
            let _ = news.send(Arc::new(message));
        }
    }

    /// Writes down what happened, and answers with the entries that are new or changed.
    fn news_of(
        &mut self,
        old: Option<&ClusterView>,
        view: &ClusterView,
        told: &Told,
        at_ms: u64,
    ) -> Vec<u64> {
        let mut news = std::mem::take(&mut self.untold);
        let seen = old.map(|old| changes(old, view)).unwrap_or_default();
        let (ends, others): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|change| change.ended.is_some());
        for change in others {
            let term = if change.kind == "leader" { view.term } else { 0 };
            news.push(self.timeline.seen(at_ms, change.kind, term, None, change.text));
        }
        if let (Some(leader), Some(decisions)) = (&told.leader, &told.decisions) {
            for decision in decisions {
                news.extend(self.timeline.decided(leader, decision.clone()));
            }
        }
        for change in ends {
            // The leader says more of it.
            if !change.ended.as_ref().is_some_and(|life| self.timeline.tells_the_end_of(life)) {
                news.push(self.timeline.seen(at_ms, change.kind, 0, None, change.text));
            }
        }
        news
    }
}

/// What the leader told.
struct Told {
    leader: Option<Life>,
    loads: Option<BTreeMap<u32, ShardLoad>>,
    decisions: Option<Vec<Decision>>,
    error: Option<String>,
}

impl Leader {
    async fn tell(&mut self, view: &ClusterView, asked: &str) -> Told {
        let address = view.deciding_address(asked);
        if self.line.address() != address {
            self.line = Line::new(address, LEADER_LIMITS);
        }
        if self.life != view.leader {
            (self.life, self.decided) = (view.leader.clone(), 0);
        }
        let mut told =
            Told { leader: self.life.clone(), loads: None, decisions: None, error: None };
        if self.life.is_none() {
            told.error = Some("nobody leads".to_owned());
            return told;
        }
        match self.line.loads().await {
            Ok(loads) if loads.leads => told.loads = Some(loads.shards),
            Ok(loads) => told.error = Some(format!("{} does not lead", loads.answered_by)),
            Err(error) => {
                told.error = Some(error.to_string());
                // A node of an earlier version has no loads, but decisions.
                if !matches!(error, InspectError::NotANode { .. }) {
                    return told;
                }
            }
        }
        let after = self.decided.saturating_sub(DECISIONS_AGAIN);
        let request = DecisionsRequest { after, shard: None, limit: DECISIONS_FIRST };
        match self.line.decisions(request).await {
            Ok(decisions) => {
                let last = decisions.decisions.last().map(|decision| decision.number);
                self.decided = last.unwrap_or(self.decided);
                told.decisions = Some(decisions.decisions);
            }
            Err(error) => told.error = Some(error.to_string()),
        }
        told
    }
}

/// Ends the streams of those who look.
struct Ending<'a>(&'a Watch);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.inner().news = None;
    }
}

#[allow(clippy::disallowed_methods, reason = "times that people read")]
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests;
