//! What only the store in memory can do: be cut off, and forget.

use greenroom_cluster::store::{HISTORY_REVISIONS_MAX, MemoryStore, Store, StoreError, Txn};

use super::{put, soon};

async fn write(store: &MemoryStore, key: &str) -> Result<(), StoreError> {
    store.commit(Txn { guards: vec![], writes: vec![put(key, "x")] }).await.map(drop)
}

fn is_transient<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Transient(_)))
}

#[tokio::test]
async fn an_outage_fails_every_call_and_breaks_every_watch() {
    let store = MemoryStore::new();
    let handle = store.handle();
    let mut waiting = handle.watch("", 1).await.unwrap();
    let waiting = tokio::spawn(async move { waiting.next().await });
    let mut unread = store.watch("", 1).await.unwrap();

    store.set_available(false);
    assert!(is_transient(&store.list("").await));
    assert!(is_transient(&store.get("a").await));
    assert!(is_transient(&store.watch("", 1).await));
    assert!(is_transient(&write(&store, "a").await));
    assert!(is_transient(&write(&handle, "a").await));
    assert!(matches!(soon(waiting).await.unwrap(), Err(StoreError::WatchLost(_))));

    store.set_available(true);
    write(&handle, "b").await.unwrap();
    assert_eq!(store.list("").await.unwrap().items.len(), 1, "a write of the outage was applied");
    assert!(matches!(unread.next().await, Err(StoreError::WatchLost(_))), "the cut was overlooked");
}

#[tokio::test]
async fn a_cut_handle_leaves_the_others_alone() {
    let store = MemoryStore::new();
    let (cut, other) = (store.handle(), store.handle());
    let mut watch = other.watch("", 1).await.unwrap();
    let mut broken = cut.watch("", 1).await.unwrap();

    cut.set_available(false);
    assert!(is_transient(&write(&cut.clone(), "a").await), "a clone is the same handle");
    write(&other, "b").await.unwrap();
    write(&store, "c").await.unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().changes.len(), 2);
    assert!(matches!(broken.next().await, Err(StoreError::WatchLost(_))));

    cut.set_available(true);
    assert_eq!(cut.list("").await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_watch_that_falls_too_far_behind_is_lost() {
    let store = MemoryStore::new();
    let mut watch = store.watch("a", 0).await.unwrap();
    write(&store, "a").await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, 2);
    for _ in 0..=HISTORY_REVISIONS_MAX {
        write(&store, "a").await.unwrap();
    }
    assert!(matches!(watch.next().await, Err(StoreError::WatchLost(_))));
    let mut late = store.watch("a", 2).await.unwrap();
    assert_eq!(late.next().await, Err(StoreError::Compacted { oldest: 3 }));
}

#[tokio::test]
async fn only_the_past_can_be_compacted_and_only_once() {
    let store = MemoryStore::new();
    write(&store, "a").await.unwrap();
    assert!(matches!(store.compact(3), Err(StoreError::Permanent(_))));
    store.compact(2).unwrap();
    assert_eq!(store.compact(2), Err(StoreError::Compacted { oldest: 2 }));
}
