//! Giving shards away: from an open gate to actors that are gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use greenroom_core::{Epoch, Event, ShardId};
use greenroom_shardlock::{Gates, WriteError, WriteGuard};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::cluster::{Activations, OpenShard, report};

/// Most drained shards in one report.
const DRAINED_PER_REPORT_MAX: usize = 256;

/// What a handoff needs.
pub(super) struct Handoff {
    pub(super) gates: Arc<Gates>,
    pub(super) activations: Arc<dyn Activations>,
    /// How long turns may take to end, and then actors to take leave.
    pub(super) patience: Duration,
    pub(super) events: mpsc::Sender<Event>,
}

impl Handoff {
    /// Closes the gates, and reports shards as their turns end and their actors are gone. Until then
    /// each gate is held, so that nothing opens it.
    pub(super) async fn run(self, shards: Vec<OpenShard>) {
        let deadline = Instant::now() + self.patience;
        let drains = shards.into_iter().map(|(shard, epoch)| {
            let gate = self.gates.close(shard.0, "handoff", deadline);
            let this = &self;
            async move {
                this.empty(shard, epoch, gate.await).await;
                (shard, epoch)
            }
        });
        let drains: FuturesUnordered<_> = drains.collect();
        let mut drained = drains.ready_chunks(DRAINED_PER_REPORT_MAX);
        while let Some(shards) = drained.next().await {
            report(&self.events, Event::Drained { shards }).await;
        }
    }

    /// Lets the actors of a shard take leave, in whose gate no turn may run any more.
    async fn empty(&self, shard: ShardId, epoch: Epoch, gate: Result<WriteGuard<'_>, WriteError>) {
        let (number, epoch) = (shard.0, epoch.0);
        let guard = match gate {
            Ok(guard) => Some(guard),
            // The driver took the shard away, and its actors with it.
            Err(WriteError::Revoked { .. }) => return,
            // This task was held up, or somebody else holds the gate. It is closed, and what may
            // still run in it must not.
            Err(error) => {
                tracing::error!(shard = number, epoch, %error, "a handoff goes on without its gate");
                self.gates.revoke(shard.0);
                None
            }
        };
        let revoked = guard.as_ref().map_or(0, WriteGuard::revoked_permits);
        if revoked > 0 {
            tracing::warn!(shard = number, epoch, revoked, "turns overran the drain deadline");
        }
        if let Some(deactivation) = self.activations.deactivate(shard)
            && timeout(self.patience, deactivation).await.is_err()
        {
            tracing::warn!(shard = number, epoch, "deactivation overran the drain deadline");
        }
        tracing::debug!(shard = number, epoch, "empty: the shard can be released");
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::future::BoxFuture;
    use futures_util::poll;
    use greenroom_shardlock::{OpenError, Options};
    use parking_lot::Mutex;
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const HOLD_MAX: Duration = Duration::from_secs(30);

    /// Takes down whose actors took leave; those of one shard keep the thread busy meanwhile.
    struct Farewells {
        gates: Arc<Gates>,
        blocking: Option<u32>,
        left: Mutex<Vec<u32>>,
    }

    impl Activations for Farewells {
        fn deactivate(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>> {
            self.left.lock().push(shard.0);
            if self.blocking.is_none() {
                assert_eq!(self.gates.open(shard.0, 9), Err(OpenError::Held { by: "handoff" }));
            }
            let blocks = self.blocking == Some(shard.0);
            let gates = Arc::clone(&self.gates);
            Some(Box::pin(async move {
                if blocks {
                    // As if the thread were blocked: the clock moves, others come to the gates, and
                    // all that while no neighbour is polled.
                    let mut moved = pin!(advance(HOLD_MAX));
                    let _ = poll!(&mut moved);
                    for shard in 0..3 {
                        let _ = poll!(pin!(gates.write(shard, "another", Instant::now())));
                    }
                    moved.await;
                }
            }))
        }

        fn drop_all(&self) {}
    }

    /// Three open gates, handed over; answers with whose actors took leave, and with what was
    /// reported.
    async fn hand_over(blocking: Option<u32>) -> (Vec<u32>, Vec<u32>) {
        let options = Options { hold_max: HOLD_MAX, ..Options::default() };
        let gates = Arc::new(Gates::with_options(3, options));
        let shards: Vec<OpenShard> = (0..3).map(|shard| (ShardId(shard), Epoch(1))).collect();
        for shard in 0..3 {
            gates.open(shard, 1).unwrap();
        }
        let left = Mutex::default();
        let farewells = Arc::new(Farewells { gates: Arc::clone(&gates), blocking, left });
        let (events, mut reports) = mpsc::channel(8);
        let activations = Arc::clone(&farewells) as Arc<dyn Activations>;
        Handoff { gates: Arc::clone(&gates), activations, patience: PATIENCE, events }
            .run(shards)
            .await;
        let mut reported = Vec::new();
        while let Some(Event::Drained { shards }) = reports.recv().await {
            reported.extend(shards.into_iter().map(|(shard, _)| shard.0));
        }
        let mut left = farewells.left.lock().clone();
        left.sort_unstable();
        reported.sort_unstable();
        for shard in 0..3 {
            gates.open(shard, 2).expect("the gates are free after the handoff");
        }
        (left, reported)
    }

    /// Proves: C16, P1
    #[tokio::test(start_paused = true)]
    async fn a_gate_is_held_until_the_actors_are_gone() {
        assert_eq!(hand_over(None).await, (vec![0, 1, 2], vec![0, 1, 2]));
    }

    #[tokio::test(start_paused = true)]
    async fn no_actor_is_forgotten_when_another_shard_s_farewell_blocks_the_thread() {
        for blocking in 0..3 {
            let (left, reported) = hand_over(Some(blocking)).await;
            assert_eq!((left, reported), (vec![0, 1, 2], vec![0, 1, 2]), "{blocking} blocks");
        }
    }
}
