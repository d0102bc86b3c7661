//! The heartbeat, on a thread and a store connection of its own, so that no busy executor and no
//! burst of claims can delay it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use greenroom_core::record::{Guard, HeartbeatRecord, Key, Record, Transaction, Write};
use greenroom_core::{Event, Life, NodeId, Timing};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::codec::Codec;
use crate::connect::StoreConfig;
use crate::metrics::{Beats, Unacknowledged};
use crate::pulse::Pulses;
use crate::quiet::Quiet;
use crate::right::RightToRun;
use crate::store::{Commit, Store};

/// For how many liveness windows the driver may hang before the heart stops for it, and either of
/// them before the node counts as hung.
pub(crate) const WINDOWS_UNTIL_HUNG: u32 = 5;

/// Keeps the heartbeat of one life at a time going; ends when dropped.
#[derive(Debug)]
pub(crate) struct Heart {
    life: watch::Sender<Option<Life>>,
    right: Arc<RightToRun>,
}

impl Heart {
    pub(crate) fn start(
        store: StoreConfig,
        codec: Codec,
        timing: Timing,
        right: Arc<RightToRun>,
        report: mpsc::Sender<Event>,
        pulses: Pulses,
        node: NodeId,
    ) -> std::io::Result<Self> {
        let (life, lives) = watch::channel(None);
        let beating = Beating {
            codec,
            timing,
            right: Arc::clone(&right),
            report,
            quiet: Quiet::default(),
            pulses,
            beats: Beats::of(&node),
            node,
            clock: right.clock().clone(),
        };
        if let Clock::Simulated(_) = beating.clock {
            tokio::spawn(beating.run(store, lives));
            return Ok(Self { life, right });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("greenroom-heart".into())
            .spawn(move || runtime.block_on(beating.run(store, lives)))?;
        Ok(Self { life, right })
    }

    /// A life begins; its heartbeats start at once.
    pub(crate) fn beat(&self, life: Life) {
        self.right.begin(life.incarnation);
        self.life.send_replace(Some(life));
    }

    /// The life is over.
    pub(crate) fn stop(&self) {
        self.life.send_replace(None);
        self.right.end();
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.right.end();
    }
}

struct Beating {
    codec: Codec,
    timing: Timing,
    right: Arc<RightToRun>,
    report: mpsc::Sender<Event>,
    quiet: Quiet,
    /// That of the driver says whether to go on; that of this loop tells the probes that it does.
    pulses: Pulses,
    /// For the log.
    node: NodeId,
    beats: Beats,
    clock: Clock,
}

/// What became of one beat.
enum Beat {
    Acknowledged,
    Refused,
    Unanswered,
}

impl Beating {
    async fn run(mut self, config: StoreConfig, mut lives: watch::Receiver<Option<Life>>) {
        let mut same_lives = lives.clone();
        let beats = async {
            let store = self.connect(&config).await;
            self.beat_for_ever(&*store, &mut same_lives).await;
        };
        tokio::select! {
            // Asked first: a heart that is gone must not beat once more.
            biased;
            // The sender is gone: the node is.
            _ = lives.wait_for(|_| false) => {}
            () = beats => {}
        }
    }

    async fn beat_for_ever(
        &mut self,
        store: &dyn Store,
        lives: &mut watch::Receiver<Option<Life>>,
    ) {
        let mut sequence = 0;
        let mut acknowledged = None;
        let mut was_answered = true;
        loop {
            self.pulses.heart.beat();
            // Without a life there is nothing to beat for, but it goes round all the same.
            let waited = timeout(self.timing.heartbeat, lives.wait_for(Option::is_some)).await;
            let Ok(life) = waited.map(|life| life.map(|life| life.clone())) else { continue };
            let Ok(life) = life else { return };
            let Some(life) = life else { continue };
            if !self.driver_is_alive() {
                self.beats.unacknowledged(Unacknowledged::Withheld);
                self.unanswered("the node's driver hangs; letting its life end");
                sleep_until(Instant::now() + self.timing.heartbeat).await;
                continue;
            }
            sequence += 1;
            let began = Instant::now();
            let beat = if was_answered || self.is_heard(store, &life).await {
                self.beat(store, &life, sequence).await
            } else {
                Beat::Unanswered
            };
            was_answered = !matches!(beat, Beat::Unanswered);
            if was_answered {
                self.right.answered();
            } else {
                self.right.unanswered();
            }
            let pause = match beat {
                Beat::Acknowledged => {
                    if acknowledged != Some(life.incarnation) {
                        acknowledged = Some(life.incarnation);
                        let incarnation = life.incarnation;
                        let event = Event::HeartbeatAcknowledged { incarnation };
                        let _ = self.report.send(event).await;
                    }
                    self.timing.heartbeat
                }
                Beat::Unanswered => {
                    self.beats.unacknowledged(Unacknowledged::Unanswered);
                    self.timing.heartbeat / 4
                }
                Beat::Refused => {
                    // Somebody else may own the shards already.
                    self.right.end_of(life.incarnation);
                    self.beats.unacknowledged(Unacknowledged::Refused);
                    let incarnation = life.incarnation;
                    let _ = self.report.send(Event::HeartbeatRefused { incarnation }).await;
                    self.timing.heartbeat
                }
            };
            tokio::select! {
                () = sleep_until(began + pause) => {}
                changed = lives.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn connect(&mut self, config: &StoreConfig) -> Arc<dyn Store> {
        loop {
            self.pulses.heart.beat();
            match config.connect().await {
                Ok(store) => return store,
                Err(error) => {
                    if let Some(untold) = self.quiet.occurred() {
                        let node = &self.node;
                        tracing::warn!(%node, %error, untold, "the heartbeat can't reach the store yet");
                    }
                    tokio::time::sleep(self.timing.heartbeat).await;
                }
            }
        }
    }

    /// Whether the driver still carries decisions out. One that hangs would hold its shards, and
    /// perhaps the lead, for ever, if its node went on looking alive.
    fn driver_is_alive(&self) -> bool {
        self.pulses.driver.age() < self.timing.window * WINDOWS_UNTIL_HUNG
    }

    /// Whether the store answers this node at all. After a beat without an answer that must be known
    /// before the next: beats that arrive while their answers don't would keep a node looking alive
    /// that has no right to run, and its shards from everybody.
    async fn is_heard(&mut self, store: &dyn Store, life: &Life) -> bool {
        let key = self.codec.key(&Key::Heartbeat(life.node.clone()));
        let reason = match timeout(self.patience(), store.get(&key)).await {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.unanswered(&reason);
        false
    }

    async fn beat(&mut self, store: &dyn Store, life: &Life, sequence: u64) -> Beat {
        let record = HeartbeatRecord {
            incarnation: Some(life.incarnation),
            sequence,
            nonce: 0,
            window_ms: self.timing.window_ms(),
            interval_ms: self.timing.interval_ms(),
        };
        let write = Write::Put(Key::Heartbeat(life.node.clone()), Record::Heartbeat(record));
        let transaction = Transaction { guards: vec![Guard::alive(life)], writes: vec![write] };
        let transaction = self.codec.transaction(&transaction);
        // The right counts from here: whoever sees this beat sees it later than now.
        let sent = self.clock.moment();
        match timeout(self.patience(), store.commit(transaction)).await {
            Ok(Ok(Commit::Applied { .. })) => {
                self.right.extend(life.incarnation, self.timing.right_until(sent));
                self.quiet.over();
                self.beats.acknowledged(self.clock.moment().since(sent));
                Beat::Acknowledged
            }
            Ok(Ok(Commit::Refused { .. })) => Beat::Refused,
            Ok(Err(error)) => self.unanswered(&error.to_string()),
            Err(_) => self.unanswered("no answer in time"),
        }
    }

    fn unanswered(&mut self, reason: &str) -> Beat {
        if let Some(untold) = self.quiet.occurred() {
            let remaining = self.right.remaining();
            let node = &self.node;
            tracing::warn!(%node, reason, untold, ?remaining, "a heartbeat was not acknowledged");
        }
        Beat::Unanswered
    }

    /// How long to wait for one answer: several attempts must fit into the window.
    fn patience(&self) -> Duration {
        (self.timing.window - self.timing.margin) / 4
    }
}

#[cfg(test)]
mod tests;
