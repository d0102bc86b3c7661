//! Checks of watches: order, completeness, compaction and cancellation.

use std::collections::BTreeMap;

use greenroom_cluster::store::{Change, KeyValue, StoreError, Watch};

use super::{Subject, next_changes, put};

/// Collects changes until the watch has come to `revision`, and checks what must hold for every
/// batch.
async fn collect(watch: &mut dyn Watch, revision: u64) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut reached = 0;
    while reached < revision {
        let batch = watch.next().await.unwrap();
        assert!(batch.revision >= reached, "the watch went back: {batch:?} after {reached}");
        for change in &batch.changes {
            assert!(change.mod_revision() <= batch.revision, "{batch:?}");
            assert!(change.mod_revision() > reached || reached == 0, "{batch:?} after {reached}");
        }
        assert!(batch.changes.is_sorted_by_key(Change::mod_revision), "{batch:?}");
        reached = batch.revision;
        changes.extend(batch.changes);
    }
    changes
}

fn revisions(changes: &[Change]) -> Vec<u64> {
    changes.iter().map(Change::mod_revision).collect()
}

pub(super) async fn a_watch_replays_the_past_in_order_and_goes_on(subject: Subject) {
    let start = subject.store.list(&subject.prefix).await.unwrap().revision;
    let mut made = Vec::new();
    // More revisions than one of etcd's batches holds, so that the replay comes in pieces.
    for round in 0..1200 {
        made.push(subject.put(&format!("key-{}", round % 7), &round.to_string()).await);
    }
    let mut watch = subject.watch(start).await;
    let mut seen = collect(&mut *watch, made[1199]).await;

    for round in 0..20 {
        made.push(subject.put("live", &round.to_string()).await);
    }
    seen.extend(collect(&mut *watch, made[1219]).await);

    assert_eq!(revisions(&seen), made);
    let Change::Put(item) = &seen[8] else { panic!("{:?}", seen[8]) };
    let expected = KeyValue {
        key: subject.key("key-1"),
        value: "8".into(),
        create_revision: made[1],
        mod_revision: made[8],
    };
    assert_eq!(item, &expected);
}

pub(super) async fn a_watch_starts_right_after_its_revision(subject: Subject) {
    let mut made = Vec::new();
    for round in 0..5 {
        made.push(subject.put("a", &round.to_string()).await);
    }
    for (index, after) in made.iter().enumerate().take(4) {
        let mut watch = subject.watch(*after).await;
        let seen = collect(&mut *watch, made[4]).await;
        assert_eq!(revisions(&seen), made[index + 1..]);
    }
    // Neighbours of the prefix are not seen.
    let prefix = subject.key("b");
    let mut watch = subject.store.watch(&prefix, made[4]).await.unwrap();
    subject.put("a", "not seen").await;
    let inside = subject.put("b1", "seen").await;
    subject.put("c", "not seen").await;
    let batch = next_changes(&mut *watch).await.unwrap();
    assert_eq!(revisions(&batch.changes), [inside]);
}

pub(super) async fn a_watch_in_the_future_skips_what_comes_before(subject: Subject) {
    let now = subject.put("a", "0").await;
    let mut watch = subject.watch(now + 2).await;
    for round in 1..=3 {
        subject.put("a", &round.to_string()).await;
    }
    assert_eq!(revisions(&collect(&mut *watch, now + 3).await), [now + 3]);
}

pub(super) async fn a_watch_sees_deletions(subject: Subject) {
    let start = subject.put("a", "1").await;
    let mut live = subject.watch(start).await;
    let deleted = subject.delete("a").await;
    let mut late = subject.watch(start).await;
    let expected = [Change::Delete { key: subject.key("a"), mod_revision: deleted }];
    assert_eq!(collect(&mut *live, deleted).await, expected);
    assert_eq!(collect(&mut *late, deleted).await, expected);
}

pub(super) async fn a_revision_is_delivered_whole(subject: Subject) {
    let start = subject.store.list(&subject.prefix).await.unwrap().revision;
    let mut live = subject.watch(start).await;
    let keys: Vec<String> =
        (0..100).map(|number| subject.key(&format!("key-{number:03}"))).collect();
    let first = subject.apply(keys.iter().map(|key| put(key, "1")).collect()).await;
    let second = subject.apply(keys.iter().map(|key| put(key, "2")).collect()).await;
    let mut late = subject.watch(start).await;
    for watch in [&mut live, &mut late] {
        let mut seen = 0;
        while seen < 200 {
            let batch = next_changes(&mut **watch).await.unwrap();
            assert_eq!(batch.changes.len() % 100, 0, "a revision was torn");
            assert_eq!(batch.changes.last().unwrap().mod_revision(), batch.revision);
            assert!([first, second].contains(&batch.revision));
            seen += batch.changes.len();
        }
    }
}

pub(super) async fn a_watch_from_a_compacted_revision_says_so(subject: Subject) {
    let mut made = Vec::new();
    for round in 0..6 {
        made.push(subject.put("a", &round.to_string()).await);
    }
    (subject.compact)(made[3]);

    let mut watch = subject.watch(made[1]).await;
    assert_eq!(next_changes(&mut *watch).await, Err(StoreError::Compacted { oldest: made[3] }));
    assert_eq!(
        watch.next().await,
        Err(StoreError::Compacted { oldest: made[3] }),
        "an ended watch repeats why"
    );

    // The revision that the error names is one to watch after.
    let mut watch = subject.watch(made[3]).await;
    assert_eq!(revisions(&collect(&mut *watch, made[5]).await), made[4..]);
    let listing = subject.store.list(&subject.prefix).await.unwrap();
    assert_eq!((listing.revision, listing.items.len()), (made[5], 1));
}

pub(super) async fn a_deletion_at_the_compacted_revision_is_never_missed(subject: Subject) {
    let before = subject.put("a", "1").await;
    let deleted = subject.delete("a").await;
    let after = subject.put("b", "1").await;
    (subject.compact)(deleted);

    let mut watch = subject.watch(before).await;
    match next_changes(&mut *watch).await {
        Ok(batch) => assert_eq!(revisions(&batch.changes)[0], deleted, "the deletion was skipped"),
        Err(error) => assert_eq!(error, StoreError::Compacted { oldest: deleted }),
    }
    let mut watch = subject.watch(deleted).await;
    assert_eq!(revisions(&collect(&mut *watch, after).await), [after]);
}

pub(super) async fn a_watched_view_equals_the_listing(subject: Subject) {
    let mut view: BTreeMap<String, KeyValue> = BTreeMap::new();
    let start = subject.store.list(&subject.prefix).await.unwrap().revision;
    let mut watch = subject.watch(start).await;
    let writers: Vec<_> = (0..4_u32)
        .map(|writer| {
            let subject = subject.clone();
            tokio::spawn(async move {
                // A fixed but irregular walk over few keys, so that the writers collide.
                let mut step = writer + 1;
                for _ in 0..100 {
                    step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let name = format!("key-{}", (step >> 16) % 11);
                    if (step >> 24) % 3 == 0 {
                        subject.delete(&name).await;
                    } else {
                        subject.put(&name, &step.to_string()).await;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = subject.put("last", "x").await;
    for change in collect(&mut *watch, last).await {
        match change {
            Change::Put(item) => drop(view.insert(item.key.clone(), item)),
            Change::Delete { key, .. } => {
                assert!(view.remove(&key).is_some(), "{key} was deleted twice");
            }
        }
    }
    let listing = subject.store.list(&subject.prefix).await.unwrap();
    assert_eq!(view.into_values().collect::<Vec<_>>(), listing.items);
}

pub(super) async fn a_cancelled_next_loses_nothing(subject: Subject) {
    let start = subject.store.list(&subject.prefix).await.unwrap().revision;
    let mut watch = subject.watch(start).await;
    let (mut made, mut seen) = (Vec::new(), Vec::new());
    let mut cancelled = 0_u32;
    for round in 0..300 {
        made.push(subject.put("a", &round.to_string()).await);
        // Twice, so that at least the second finds nothing to deliver and is dropped half-way.
        for _ in 0..2 {
            tokio::select! {
                biased;
                batch = watch.next() => seen.extend(revisions(&batch.unwrap().changes)),
                () = tokio::task::yield_now() => cancelled += 1,
            }
        }
    }
    while seen.len() < made.len() {
        seen.extend(revisions(&next_changes(&mut *watch).await.unwrap().changes));
    }
    assert_eq!(seen, made);
    assert!(cancelled > 0, "nothing was cancelled, so nothing was checked");
}
