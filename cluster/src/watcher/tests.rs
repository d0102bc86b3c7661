//! What reaches the driver while watches are cut, compacted under it, or silent. Time is tokio's
//! paused clock, so it costs none.

use std::collections::BTreeSet;

use async_trait::async_trait;
use greenroom_core::record::{HeartbeatRecord, Key, Record, Transaction, Write};

use super::*;
use crate::store::{Commit, KeyValue, Listing, MemoryStore, Txn, WatchBatch};

const SECOND: Duration = Duration::from_secs(1);

/// A watcher, the store that it follows, and the way to it, which can be cut.
struct Followed {
    store: MemoryStore,
    way: MemoryStore,
    codec: Codec,
    events: mpsc::Receiver<Event>,
    watcher: tokio::task::JoinHandle<()>,
}

impl Followed {
    fn begin(as_seen: impl FnOnce(MemoryStore) -> Arc<dyn Store>) -> Self {
        let store = MemoryStore::new();
        let way = store.handle();
        let codec = Codec::new("t", 8);
        let (sender, events) = mpsc::channel(64);
        let watcher = Watcher {
            store: as_seen(way.clone()),
            codec: codec.clone(),
            events: sender,
            quiet: Quiet::default(),
            node: name("watcher"),
        };
        let watcher = tokio::spawn(watcher.run());
        Self { store, way, codec, events, watcher }
    }

    async fn write(&self, writes: Vec<Write>) -> u64 {
        let transaction = self.codec.transaction(&Transaction { guards: Vec::new(), writes });
        match self.store.commit(transaction).await.unwrap() {
            Commit::Applied { revision } => revision,
            Commit::Refused { .. } => panic!("nothing is in the way"),
        }
    }

    async fn put(&self, node: &str) -> u64 {
        self.write(vec![Write::Put(Key::Heartbeat(name(node)), beat())]).await
    }

    async fn delete(&self, node: &str) -> u64 {
        self.write(vec![Write::Delete(Key::Heartbeat(name(node)))]).await
    }

    /// The next event, if there is one soon.
    async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(REREAD_INTERVAL * 2, self.events.recv()).await.ok().flatten()
    }

    async fn expect_snapshot(&mut self, revision: u64, nodes: &[&str]) {
        let event = self.next().await.expect("everything is read");
        let Event::Snapshot { revision: read_at, entries } = event else { panic!("{event:?}") };
        let keys: BTreeSet<Key> = entries.into_iter().map(|entry| entry.key).collect();
        let expected = nodes.iter().map(|node| Key::Heartbeat(name(node))).collect();
        assert_eq!((read_at, keys), (revision, expected));
    }

    /// Of which node, at which revision, and whether it is there since.
    async fn expect_changes(&mut self, expected: &[(&str, u64, bool)]) {
        let mut told = Vec::new();
        while told.len() < expected.len() {
            let event = self.next().await.expect("changes are told");
            let Event::Changes { entries } = event else { panic!("{event:?}") };
            told.extend(entries.into_iter().map(|e| (e.key, e.revision, e.held.is_some())));
        }
        let key = |node: &str| Key::Heartbeat(name(node));
        let expected: Vec<_> =
            expected.iter().map(|(node, revision, is)| (key(node), *revision, *is)).collect();
        assert_eq!(told, expected);
    }
}

fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn beat() -> Record {
    Record::Heartbeat(HeartbeatRecord {
        incarnation: None,
        sequence: 0,
        nonce: 7,
        window_ms: 6000,
        interval_ms: 1000,
    })
}

#[tokio::test(start_paused = true)]
async fn changes_follow_a_list_in_their_order() {
    let mut followed = Followed::begin(|way| Arc::new(way));
    followed.expect_snapshot(followed.store.list("").await.unwrap().revision, &[]).await;
    let (a, b) = (followed.put("a").await, followed.put("b").await);
    let gone = followed.delete("a").await;
    followed.expect_changes(&[("a", a, true), ("b", b, true), ("a", gone, false)]).await;
}

/// A watch that went on from what is left of the history would never tell what was deleted before.
///
/// Proves: C11, C12
#[tokio::test(start_paused = true)]
async fn what_was_missed_is_read_anew_also_if_its_history_is_gone() {
    let mut followed = Followed::begin(|way| Arc::new(way));
    followed.expect_snapshot(followed.store.list("").await.unwrap().revision, &[]).await;
    for node in ["a", "b"] {
        let revision = followed.put(node).await;
        followed.expect_changes(&[(node, revision, true)]).await;
    }
    followed.way.set_available(false);
    assert!(matches!(followed.next().await, Some(Event::WatchLost)));
    followed.delete("a").await;
    let revision = followed.put("c").await;
    followed.store.compact(revision).unwrap();
    followed.way.set_available(true);
    loop {
        match followed.next().await.expect("it comes back") {
            Event::WatchLost => {}
            Event::Snapshot { revision: read_at, entries } => {
                let keys: Vec<Key> = entries.into_iter().map(|entry| entry.key).collect();
                let expected = ["b", "c"].map(|node| Key::Heartbeat(name(node)));
                assert_eq!((read_at, &keys[..]), (revision, &expected[..]));
                break;
            }
            other => panic!("nothing can be told before all was read: {other:?}"),
        }
    }
    let revision = followed.put("d").await;
    followed.expect_changes(&[("d", revision, true)]).await;
}

/// Its watches stay open and never tell anything.
#[derive(Debug)]
struct Silent(MemoryStore);

struct SilentWatch;

#[async_trait]
impl Watch for SilentWatch {
    async fn next(&mut self) -> Result<WatchBatch, StoreError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Store for Silent {
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.0.list(prefix).await
    }

    async fn get(&self, key: &str) -> Result<(u64, Option<KeyValue>), StoreError> {
        self.0.get(key).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.0.commit(txn).await
    }

    async fn watch(&self, _: &str, _: u64) -> Result<Box<dyn Watch>, StoreError> {
        Ok(Box::new(SilentWatch))
    }
}

/// Proves: C12
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_silent_for_ever_is_healed_by_reading_again() {
    let mut followed = Followed::begin(|way| Arc::new(Silent(way)));
    followed.expect_snapshot(followed.store.list("").await.unwrap().revision, &[]).await;
    let revision = followed.put("a").await;
    let before = Instant::now();
    followed.expect_snapshot(revision, &["a"]).await;
    let after = before.elapsed();
    assert!(after > 20 * SECOND && after <= 36 * SECOND + SECOND / 1000, "after {after:?}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nobody_listens_any_more() {
    let Followed { watcher, events, .. } = Followed::begin(|way| Arc::new(way));
    drop(events);
    let ended = tokio::time::timeout(REREAD_INTERVAL * 2, watcher).await;
    assert!(ended.is_ok(), "it goes on for nobody");
}
