//! One suite that every store must pass. The etcd one runs it against a real server process.

mod etcd_only;
mod memory_only;
mod over_tls;
mod reads_and_writes;
mod watches;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use greenroom_cluster::store::{
    Commit, EtcdOptions, EtcdStore, Guard, KeyValue, MemoryStore, Store, StoreError, Txn, Watch,
    WatchBatch, Write,
};
use greenroom_cluster::testing::EtcdServer;

/// What a check works on: a store, a part of its keys that is the check's own, and a way to compact
/// it.
#[derive(Clone)]
struct Subject {
    store: Arc<dyn Store>,
    prefix: String,
    compact: Arc<dyn Fn(u64) + Send + Sync>,
}

type Check = fn(Subject) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! checks {
    ($($module:ident :: $check:ident),+ $(,)?) => {
        &[$((stringify!($check), |subject| Box::pin($module::$check(subject)))),+]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    reads_and_writes::revisions_grow,
    reads_and_writes::each_kind_of_guard_holds_or_refuses,
    reads_and_writes::a_refusal_shows_every_guarded_key,
    reads_and_writes::a_key_that_is_created_anew_has_a_new_create_revision,
    reads_and_writes::what_changes_nothing_takes_no_revision,
    reads_and_writes::a_listing_is_sorted_and_keeps_to_the_prefix,
    reads_and_writes::a_listing_shows_one_revision,
    reads_and_writes::the_limits_are_kept,
    reads_and_writes::concurrent_increments_lose_nothing,
    watches::a_watch_replays_the_past_in_order_and_goes_on,
    watches::a_watch_starts_right_after_its_revision,
    watches::a_watch_in_the_future_skips_what_comes_before,
    watches::a_watch_sees_deletions,
    watches::a_revision_is_delivered_whole,
    watches::a_watch_from_a_compacted_revision_says_so,
    watches::a_deletion_at_the_compacted_revision_is_never_missed,
    watches::a_watched_view_equals_the_listing,
    watches::a_cancelled_next_loses_nothing,
];

async fn run_all(store: Arc<dyn Store>, compact: Arc<dyn Fn(u64) + Send + Sync>) {
    for (name, check) in CHECKS {
        // A failing test prints its output, so the last line names the check that failed.
        println!("{name}");
        let prefix = format!("/conformance/{name}/");
        let subject = Subject { store: Arc::clone(&store), prefix, compact: Arc::clone(&compact) };
        soon(check(subject)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_conforms() {
    let store = MemoryStore::new();
    let compacted = store.clone();
    let compact = move |revision| compacted.compact(revision).unwrap();
    run_all(Arc::new(store), Arc::new(compact)).await;
}

/// Proves: C11, C12, C19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_etcd_conforms() {
    let server = Arc::new(EtcdServer::start());
    let store = EtcdStore::connect(EtcdOptions::new([server.endpoint()])).await.unwrap();
    run_all(Arc::new(store), Arc::new(move |revision| server.compact(revision))).await;
}

impl Subject {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn get(&self, name: &str) -> Option<KeyValue> {
        self.store.get(&self.key(name)).await.unwrap().1
    }

    async fn put(&self, name: &str, value: &str) -> u64 {
        self.apply(vec![put(&self.key(name), value)]).await
    }

    async fn delete(&self, name: &str) -> u64 {
        self.apply(vec![Write::Delete { key: self.key(name) }]).await
    }

    /// Commits writes without a guard and answers with their revision.
    async fn apply(&self, writes: Vec<Write>) -> u64 {
        match self.store.commit(Txn { guards: vec![], writes }).await {
            Ok(Commit::Applied { revision }) => revision,
            other => panic!("not applied: {other:?}"),
        }
    }

    /// Tries to put `name` under `guard`; whether it was applied.
    async fn put_if(&self, guard: Guard, name: &str) -> bool {
        let txn = Txn { guards: vec![guard], writes: vec![put(&self.key(name), "guarded")] };
        matches!(self.store.commit(txn).await.unwrap(), Commit::Applied { .. })
    }

    async fn watch(&self, after_revision: u64) -> Box<dyn Watch> {
        self.store.watch(&self.prefix, after_revision).await.unwrap()
    }
}

fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.to_owned(), value: value.to_owned().into() }
}

/// The next batch that has changes.
async fn next_changes(watch: &mut dyn Watch) -> Result<WatchBatch, StoreError> {
    loop {
        let batch = watch.next().await?;
        if !batch.changes.is_empty() {
            return Ok(batch);
        }
    }
}

/// Fails a test that hangs. The time is generous: it is no claim about speed.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}
