//! Checks of revisions, guards, listings and limits.

use bytes::Bytes;
use greenroom_cluster::store::{
    Commit, Guard, StoreError, TXN_BYTES_MAX, TXN_GUARDS_MAX, TXN_WRITES_MAX, Txn, Write,
};

use super::{Subject, put};

pub(super) async fn revisions_grow(subject: Subject) {
    let (before, absent) = subject.store.get(&subject.key("a")).await.unwrap();
    assert!(before >= 1);
    assert_eq!(absent, None);

    let first = subject.put("a", "1").await;
    let second = subject.put("a", "2").await;
    let third = subject.apply(vec![put(&subject.key("a"), "3"), put(&subject.key("b"), "3")]).await;
    assert!(
        before < first && first < second && second < third,
        "{before} {first} {second} {third}"
    );

    let a = subject.get("a").await.unwrap();
    assert_eq!((a.create_revision, a.mod_revision, a.value), (first, third, Bytes::from("3")));
    let b = subject.get("b").await.unwrap();
    assert_eq!((b.create_revision, b.mod_revision), (third, third));
    let (now, _) = subject.store.get(&subject.key("a")).await.unwrap();
    assert_eq!(now, third);
}

pub(super) async fn each_kind_of_guard_holds_or_refuses(subject: Subject) {
    let key = || subject.key("guarded");
    let modified = |is| Guard::ModRevision { key: key(), is };
    let created = |is| Guard::CreateRevision { key: key(), is };
    let not_created = |not| Guard::CreateRevisionNot { key: key(), not };

    // The key is absent.
    assert!(subject.put_if(modified(0), "x").await);
    assert!(subject.put_if(created(0), "x").await);
    assert!(subject.put_if(not_created(7), "x").await);
    assert!(!subject.put_if(modified(1), "x").await);
    assert!(!subject.put_if(created(1), "x").await);
    assert!(!subject.put_if(not_created(0), "x").await);

    // The key exists, and was changed since it was created.
    let first = subject.put("guarded", "1").await;
    let second = subject.put("guarded", "2").await;
    assert!(subject.put_if(modified(second), "x").await);
    assert!(subject.put_if(created(first), "x").await);
    assert!(subject.put_if(not_created(0), "x").await);
    assert!(subject.put_if(not_created(second), "x").await);
    assert!(!subject.put_if(modified(0), "x").await);
    assert!(!subject.put_if(modified(first), "x").await);
    assert!(!subject.put_if(created(0), "x").await);
    assert!(!subject.put_if(created(second), "x").await);
    assert!(!subject.put_if(not_created(first), "x").await);
    assert!(!subject.put_if(modified(u64::MAX), "x").await);
}

pub(super) async fn a_refusal_shows_every_guarded_key(subject: Subject) {
    subject.put("a", "1").await;
    let last = subject.put("b", "2").await;
    let guard = |name, is| Guard::ModRevision { key: subject.key(name), is };
    let exists = Guard::CreateRevisionNot { key: subject.key("b"), not: 0 };
    let guards = vec![guard("b", last), guard("absent", 0), guard("a", last), exists];
    let writes = vec![put(&subject.key("a"), "never"), put(&subject.key("c"), "never")];

    let commit = subject.store.commit(Txn { guards, writes }).await.unwrap();

    let (a, b) = (subject.get("a").await, subject.get("b").await);
    assert_eq!(
        a.as_ref().map(|a| &a.value),
        Some(&Bytes::from("1")),
        "a refused write was applied"
    );
    assert_eq!(subject.get("c").await, None, "a refused write was applied");
    let current = vec![(subject.key("b"), b), (subject.key("absent"), None), (subject.key("a"), a)];
    assert_eq!(commit, Commit::Refused { revision: last, current });
}

pub(super) async fn a_key_that_is_created_anew_has_a_new_create_revision(subject: Subject) {
    let first = subject.put("a", "1").await;
    let deleted = subject.delete("a").await;
    assert_eq!(subject.get("a").await, None);
    let again = subject.put("a", "1").await;
    assert!(first < deleted && deleted < again);
    let a = subject.get("a").await.unwrap();
    assert_eq!((a.create_revision, a.mod_revision), (again, again));
}

pub(super) async fn what_changes_nothing_takes_no_revision(subject: Subject) {
    let before = subject.put("a", "1").await;
    assert_eq!(subject.delete("absent").await, before);
    assert_eq!(subject.apply(vec![]).await, before);
    let delete_two = ["absent", "a"].map(|name| Write::Delete { key: subject.key(name) });
    assert_eq!(subject.apply(delete_two.into()).await, before + 1);
}

pub(super) async fn a_listing_is_sorted_and_keeps_to_the_prefix(subject: Subject) {
    for name in ["p/2", "p/10", "p0", "p", "o", "p/", "p/\u{fc}"] {
        subject.put(name, name).await;
    }
    let revision = subject.delete("o").await;

    let listing = subject.store.list(&subject.key("p/")).await.unwrap();
    let keys: Vec<&str> = listing.items.iter().map(|item| item.key.as_str()).collect();
    assert_eq!(keys, ["p/", "p/10", "p/2", "p/\u{fc}"].map(|name| subject.key(name)));
    assert!(listing.items.iter().all(|item| item.key.as_bytes().ends_with(&item.value)));
    assert_eq!(listing.revision, revision);

    let nothing = subject.store.list(&subject.key("q")).await.unwrap();
    assert_eq!((nothing.revision, nothing.items.len()), (revision, 0));
    let everything = subject.store.list("").await.unwrap();
    assert!(everything.items.iter().any(|item| item.key == subject.key("p0")));
}

pub(super) async fn a_listing_shows_one_revision(subject: Subject) {
    let writer = tokio::spawn({
        let subject = subject.clone();
        async move {
            for round in 0..200 {
                let value = round.to_string();
                let names = ["a", "b", "c"].map(|name| put(&subject.key(name), &value));
                subject.apply(names.into()).await;
            }
        }
    });
    while !writer.is_finished() {
        let listing = subject.store.list(&subject.prefix).await.unwrap();
        let torn = listing.items.windows(2).any(|pair| {
            pair[0].value != pair[1].value || pair[0].mod_revision != pair[1].mod_revision
        });
        assert!(!torn, "{listing:?}");
        assert!(listing.items.iter().all(|item| item.mod_revision <= listing.revision));
    }
    writer.await.unwrap();
}

pub(super) async fn the_limits_are_kept(subject: Subject) {
    let guards = |count: usize| -> Vec<Guard> {
        let key = |number| subject.key(&format!("absent-{number}"));
        (0..count).map(|number| Guard::ModRevision { key: key(number), is: 0 }).collect()
    };
    let writes = |count: usize| -> Vec<Write> {
        (0..count).map(|number| put(&subject.key(&format!("key-{number}")), "x")).collect()
    };
    let full = Txn { guards: guards(TXN_GUARDS_MAX), writes: writes(TXN_WRITES_MAX) };
    assert!(matches!(subject.store.commit(full).await.unwrap(), Commit::Applied { .. }));
    let mut full = Txn { guards: guards(TXN_GUARDS_MAX), writes: writes(TXN_WRITES_MAX) };
    full.guards[0] = Guard::ModRevision { key: subject.key("key-0"), is: 0 };
    match subject.store.commit(full).await.unwrap() {
        Commit::Refused { current, .. } => assert_eq!(current.len(), TXN_GUARDS_MAX),
        applied @ Commit::Applied { .. } => panic!("{applied:?}"),
    }
    let almost_all = Bytes::from(vec![b'x'; TXN_BYTES_MAX - subject.key("big").len()]);
    let big =
        |value| Txn { guards: vec![], writes: vec![Write::Put { key: subject.key("big"), value }] };
    let commit = subject.store.commit(big(almost_all)).await.unwrap();
    assert!(matches!(commit, Commit::Applied { .. }));

    let twice = vec![put(&subject.key("a"), "1"), Write::Delete { key: subject.key("a") }];
    let too_much = [
        (Txn { guards: guards(TXN_GUARDS_MAX + 1), writes: writes(1) }, "129 guards"),
        (Txn { guards: guards(1), writes: writes(TXN_WRITES_MAX + 1) }, "129 writes"),
        (Txn { guards: vec![], writes: twice }, "twice"),
        (Txn { guards: vec![], writes: vec![put("", "1")] }, "empty key"),
        (big(Bytes::from(vec![b'x'; TXN_BYTES_MAX])), "bytes"),
    ];
    for (txn, clue) in too_much {
        match subject.store.commit(txn).await {
            Err(StoreError::Permanent(why)) => assert!(why.contains(clue), "{why}"),
            other => panic!("{clue}: {other:?}"),
        }
    }
    assert!(matches!(subject.store.get("").await, Err(StoreError::Permanent(_))));
}

pub(super) async fn concurrent_increments_lose_nothing(subject: Subject) {
    const TASKS: u32 = 16;
    const INCREMENTS: u32 = 8;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    increment(&subject).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let sum = subject.get("counter").await.unwrap();
    assert_eq!(sum.value, Bytes::from((TASKS * INCREMENTS).to_string()));
}

/// Adds one to the counter, however often someone else is faster.
async fn increment(subject: &Subject) {
    let mut current = subject.get("counter").await;
    loop {
        let count = current
            .as_ref()
            .map_or(0, |item| std::str::from_utf8(&item.value).unwrap().parse::<u32>().unwrap());
        let is = current.as_ref().map_or(0, |item| item.mod_revision);
        let guards = vec![Guard::ModRevision { key: subject.key("counter"), is }];
        let writes = vec![put(&subject.key("counter"), &(count + 1).to_string())];
        match subject.store.commit(Txn { guards, writes }).await.unwrap() {
            Commit::Applied { .. } => return,
            Commit::Refused { current: mut seen, .. } => current = seen.remove(0).1,
        }
    }
}
