//! Makes places: looks for the coldest idle actors, and bids them farewell.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use metrics::Gauge;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::Why;
use super::memory::{Memory, resident_bytes, share_to_shed};
use super::policy::{Clock, Coldest, Usage};
use super::room::Room;
use crate::activation::Hosted;

/// Most farewells that are under way for one reason.
const FAREWELLS_IN_FLIGHT_MAX: usize = 64;
/// Most victims that are chosen at a time: the later it is their turn, the staler the choice.
const CHOSEN_LEN_MAX: usize = 4096;
/// How long to wait until the next look when nobody could go.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Looking takes at most one part in so many of the time.
const LOOK_ONE_IN: u32 = 5;
/// How often memory is measured,
pub(super) const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// and while actors go because of it.
const MEASURE_AGAIN: Duration = Duration::from_millis(100);

/// What can be made to go.
pub(crate) trait Evict: Send + Sync {
    /// Lets the actor go if it is still unused as it was; says whether it went.
    fn evict(self: Arc<Self>, shard: u32, unused: Usage, why: Why) -> BoxFuture<'static, bool>;
}

/// An idle actor, as it was when it was looked at.
pub(crate) struct Victim {
    pub(crate) cell: Arc<dyn Evict>,
    pub(crate) shard: u32,
    pub(crate) usage: Usage,
}

/// Where victims are looked for, and those that are on their way out.
struct Evictor {
    kinds: Vec<Arc<dyn Hosted>>,
    /// Of a group.
    shards: u32,
    clock: Clock,
    why: Why,
    /// The shard that is looked at next.
    hand: u32,
    chosen: VecDeque<Victim>,
    under_way: FuturesUnordered<BoxFuture<'static, bool>>,
}

impl Evictor {
    fn new(kinds: Vec<Arc<dyn Hosted>>, shards: u32, clock: Clock, why: Why) -> Self {
        let (chosen, under_way) = (VecDeque::new(), FuturesUnordered::new());
        // So that nodes which start together don't begin with the same keys.
        let hand = fastrand::u32(..shards);
        Self { kinds, shards, clock, why, hand, chosen, under_way }
    }

    /// Actors that are on their way out, or will be.
    fn going(&self) -> usize {
        self.chosen.len() + self.under_way.len()
    }

    /// Chooses so many of the idle actors, or fewer if there are no more in all shards.
    async fn choose(&mut self, wanted: usize) {
        let mut coldest = Coldest::new(wanted, self.clock.now());
        for _ in 0..self.shards {
            for kind in &self.kinds {
                kind.look(self.hand, &mut coldest);
            }
            self.hand = (self.hand + 1) % self.shards;
            if coldest.is_enough() {
                break;
            }
            tokio::task::coop::consume_budget().await;
        }
        self.chosen.extend(coldest.into_victims());
    }

    /// Begins farewells, as many as may be under way.
    fn begin(&mut self) {
        while self.under_way.len() < FAREWELLS_IN_FLIGHT_MAX {
            let Some(Victim { cell, shard, usage }) = self.chosen.pop_front() else { return };
            self.under_way.push(cell.evict(shard, usage, self.why));
        }
    }

    /// Lets so many actors go, or fewer if there are not so many idle ones; says how many went.
    async fn evict(&mut self, wanted: usize) -> usize {
        let (mut looked_for, mut gone) = (0, 0);
        while looked_for < wanted {
            let batch = (wanted - looked_for).min(CHOSEN_LEN_MAX);
            self.choose(batch).await;
            if self.chosen.is_empty() {
                break;
            }
            looked_for += batch;
            self.begin();
            while let Some(went) = self.under_way.next().await {
                gone += usize::from(went);
                self.begin();
            }
        }
        gone
    }
}

/// Keeps some places of a room free, and makes those that activations wait for, as long as it is
/// polled. `kinds` are those that share the room.
pub(crate) async fn keep(room: Arc<Room>, kinds: Vec<Arc<dyn Hosted>>, shards: u32, clock: Clock) {
    let mut evictor = Evictor::new(kinds, shards, clock, Why::Cap);
    // Places that activations asked for and that were not made yet.
    let mut owed = 0;
    // Not before then, unless the last look helped.
    let mut look_at = Instant::now();
    loop {
        // Some may have given up waiting since they asked.
        owed = (owed + room.asked_for()).min(room.waiting());
        let wanted = (owed + room.short_of()).saturating_sub(evictor.going());
        let now = Instant::now();
        if wanted > 0 && evictor.chosen.is_empty() && now >= look_at {
            evictor.choose(wanted.min(CHOSEN_LEN_MAX)).await;
            look_at = Instant::now() + LOOK_AGAIN.max(now.elapsed() * LOOK_ONE_IN);
        }
        evictor.begin();
        let dry = wanted > 0 && evictor.going() == 0;
        room.set_dry(dry);
        tokio::select! {
            Some(went) = evictor.under_way.next(), if !evictor.under_way.is_empty() => if went {
                owed = owed.saturating_sub(1);
                look_at = Instant::now();
            },
            () = room.crowded() => {}
            () = sleep_until(look_at), if dry => {}
        }
    }
}

/// Lets the coldest actors go while the process takes more memory than it should, as long as it is
/// polled. If that does not help, no actor may come to life until there is memory again.
pub(crate) async fn shed(
    memory: Arc<Memory>,
    kinds: Vec<Arc<dyn Hosted>>,
    shards: u32,
    clock: Clock,
    resident: Gauge,
) {
    let mut evictor = Evictor::new(kinds, shards, clock, Why::Memory);
    let mut every = interval(MEASURE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let Some(bytes) = resident_bytes() else {
            if memory.limit().is_some() {
                tracing::error!(
                    "GREENROOM_MEMORY_SHED_BYTES has no effect: this system doesn't tell how much \
                     memory a process takes"
                );
            }
            return;
        };
        resident.set(bytes as f64);
        match memory.limit() {
            Some(limit) if bytes > limit => shed_below(limit, bytes, &memory, &mut evictor).await,
            Some(_) => enough(&memory),
            None => {}
        }
    }
}

async fn shed_below(limit: u64, bytes: u64, memory: &Memory, evictor: &mut Evictor) {
    let (mut resident, mut gone) = (bytes, 0);
    while resident > limit {
        let actors = evictor.kinds.iter().map(|kind| kind.active_len()).sum();
        let went = evictor.evict(share_to_shed(resident, limit, actors)).await;
        gone += went;
        sleep(MEASURE_AGAIN).await;
        let before = resident;
        resident = resident_bytes().unwrap_or(resident);
        // Others may come as fast as these go.
        let helps = went > 0 && resident < before;
        if resident > limit && !helps && memory.set_short(true) {
            tracing::error!(
                limit,
                now = resident,
                "memory stays above its limit, whoever is let go: activations are refused"
            );
        }
        if went == 0 {
            break;
        }
    }
    if gone > 0 {
        tracing::warn!(
            limit,
            before = bytes,
            now = resident,
            gone,
            "memory passed its limit: idle actors were let go"
        );
    }
    if resident <= limit {
        enough(memory);
    }
}

fn enough(memory: &Memory) {
    if memory.set_short(false) {
        tracing::info!("memory is below its limit again: activations are taken");
    }
}
