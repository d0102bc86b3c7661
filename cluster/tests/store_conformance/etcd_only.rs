//! What only a real server can show: it hangs, dies, comes back, or isn't there yet.

use std::time::Duration;

use greenroom_cluster::store::{
    Commit, EtcdOptions, EtcdStore, Store, StoreError, Txn, Watch, Write,
};
use greenroom_cluster::testing::EtcdServer;

use super::{next_changes, put, soon};

/// Short times, so that the tests that wait for them are short.
fn impatient(server: &EtcdServer) -> EtcdOptions {
    let mut options = EtcdOptions::new([server.endpoint()]);
    options.request_timeout = Duration::from_millis(500);
    options.connect_timeout = Duration::from_millis(500);
    options
}

async fn write(store: &EtcdStore, key: &str) -> Result<u64, StoreError> {
    match store.commit(Txn { guards: vec![], writes: vec![put(key, "x")] }).await? {
        Commit::Applied { revision } => Ok(revision),
        refused @ Commit::Refused { .. } => panic!("{refused:?}"),
    }
}

/// Writes until it works. Each try waits at most for the request timeout, so this is no busy loop.
async fn write_again(store: &EtcdStore, key: &str) -> u64 {
    soon(async {
        loop {
            match write(store, key).await {
                Ok(revision) => return revision,
                Err(StoreError::Transient(_) | StoreError::Ambiguous(_)) => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

async fn loss(watch: &mut dyn Watch) -> StoreError {
    soon(next_changes(watch)).await.expect_err("the watch should be lost")
}

/// Proves: C23
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_fails_requests_in_time_and_recovers() {
    let server = EtcdServer::start();
    let store = EtcdStore::connect(impatient(&server)).await.unwrap();
    write(&store, "a").await.unwrap();

    server.stop_process();
    let hung = soon(write(&store, "b")).await.unwrap_err();
    assert!(
        matches!(hung, StoreError::Ambiguous(_)),
        "it was sent, and may be applied later: {hung:?}"
    );
    assert!(hung.may_have_been_applied());
    let read = soon(store.get("a")).await.unwrap_err();
    assert!(matches!(read, StoreError::Transient(_)), "{read:?}");

    server.continue_process();
    write_again(&store, "c").await;
    assert!(store.get("a").await.unwrap().1.is_some());
}

/// Proves: C12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_on_a_server_that_hangs_is_lost_and_can_be_resumed() {
    let server = EtcdServer::start();
    let store = EtcdStore::connect(impatient(&server)).await.unwrap();
    let seen = write(&store, "a").await.unwrap();
    let mut watch = store.watch("a", seen).await.unwrap();

    server.stop_process();
    let error = loss(&mut *watch).await;
    assert!(matches!(error, StoreError::WatchLost(_)), "{error:?}");
    assert_eq!(watch.next().await, Err(error), "an ended watch repeats why");

    server.continue_process();
    let missed = write_again(&store, "a").await;
    let mut watch = store.watch("a", seen).await.unwrap();
    assert_eq!(soon(next_changes(&mut *watch)).await.unwrap().revision, missed);
}

/// Proves: C12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_watch_shows_that_it_lives() {
    let server = EtcdServer::start();
    let store = EtcdStore::connect(impatient(&server)).await.unwrap();
    let seen = write(&store, "a").await.unwrap();
    let mut watch = store.watch("quiet/", seen).await.unwrap();
    for _ in 0..2 {
        let batch = soon(watch.next()).await.unwrap();
        assert!(batch.changes.is_empty() && batch.revision >= seen, "{batch:?}");
    }
    let made = write(&store, "quiet/a").await.unwrap();
    assert_eq!(soon(next_changes(&mut *watch)).await.unwrap().revision, made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_is_found_again() {
    let mut server = EtcdServer::start();
    let store = EtcdStore::connect(impatient(&server)).await.unwrap();
    let seen = write(&store, "a").await.unwrap();
    let mut watch = store.watch("a", seen).await.unwrap();

    server.kill();
    let error = loss(&mut *watch).await;
    assert!(matches!(error, StoreError::WatchLost(_)), "{error:?}");
    // The first request may still be put on the dying connection.
    let _ = write(&store, "b").await;
    let refused = write(&store, "b").await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Transient(_)),
        "nobody listens, so nothing was sent: {refused:?}"
    );

    server.restart();
    let missed = write_again(&store, "a").await;
    let mut watch = store.watch("a", seen).await.unwrap();
    assert_eq!(soon(next_changes(&mut *watch)).await.unwrap().revision, missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_can_be_made_before_its_server_is_up() {
    let mut server = EtcdServer::start();
    server.kill();
    let store = EtcdStore::connect(impatient(&server)).await.unwrap();
    for _ in 0..3 {
        let refused = write(&store, "a").await.unwrap_err();
        assert!(matches!(refused, StoreError::Transient(_)), "{refused:?}");
    }
    assert!(matches!(store.watch("a", 0).await, Err(StoreError::Transient(_))));

    server.restart();
    write_again(&store, "a").await;
}

/// Proves: C8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_member_fails_no_call_that_another_can_answer() {
    let server = EtcdServer::start();
    let mut dead = EtcdServer::start();
    dead.kill();
    let mut options = impatient(&server);
    options.endpoints.push(dead.endpoint());
    let store = EtcdStore::connect(options).await.unwrap();
    for round in 0..50 {
        write(&store, &format!("key-{round}")).await.unwrap();
    }
}

#[tokio::test]
async fn options_that_can_never_work_are_refused() {
    for endpoints in [vec![], vec!["http://not a host"]] {
        let refused = EtcdStore::connect(EtcdOptions::new(endpoints)).await;
        assert!(matches!(refused, Err(StoreError::Permanent(_))), "{refused:?}");
    }
}

/// A caller that waits less long than the store would must not meet the same silent member for ever.
#[tokio::test]
async fn a_caller_that_loses_patience_finds_another_member() {
    let server = EtcdServer::start();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", silent.local_addr().expect("a bound address"));
    let accepts = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    // Each store begins at a member by chance.
    for number in 0..8 {
        let mut options = EtcdOptions::new([address.clone(), server.endpoint()]);
        options.request_timeout = Duration::from_secs(60);
        options.connect_timeout = Duration::from_secs(60);
        let connecting = EtcdStore::connect(options);
        let Ok(store) = tokio::time::timeout(Duration::from_secs(1), connecting).await else {
            continue;
        };
        let store = store.expect("the addresses make sense");
        let key = format!("/patience/{number}");
        let mut tries = 0;
        while tokio::time::timeout(Duration::from_millis(300), store.get(&key)).await.is_err() {
            tries += 1;
            assert!(tries < 10, "the silent member is asked again and again");
        }
    }
    accepts.abort();
}

/// A full server takes no writes and answers reads, so nodes know who owns what, and go on until
/// their right to run ends. Whether the first write too many was applied isn't known.
///
/// Proves: C23
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_refuses_writes_answers_reads_and_takes_writes_again_when_it_has_room()
 {
    let server = EtcdServer::start_with_quota(16 << 20);
    let store = EtcdStore::connect(impatient(&server)).await.unwrap();
    let small = write(&store, "small").await.unwrap();
    let mut watch = store.watch("small", small).await.unwrap();
    let large = || Txn {
        guards: vec![],
        writes: vec![Write::Put { key: "large".to_owned(), value: vec![b'x'; 1 << 19].into() }],
    };
    let mut full = None;
    for _ in 0..80 {
        if let Err(error) = soon(store.commit(large())).await {
            full = Some(error);
            break;
        }
    }
    let full = full.expect("40 MiB are more than it may have");
    assert!(matches!(full, StoreError::Ambiguous(_)), "{full:?}");
    assert!(full.to_string().contains("space"), "it says why: {full}");
    let refused = soon(write(&store, "small")).await.unwrap_err();
    assert!(refused.to_string().contains("space"), "also what is small: {refused}");
    let (revision, held) = soon(store.get("small")).await.unwrap();
    assert_eq!(held.unwrap().mod_revision, small);
    assert_eq!(soon(store.list("")).await.unwrap().revision, revision);

    server.make_room(revision);
    let again = write_again(&store, "small").await;
    let seen = soon(next_changes(&mut *watch)).await.unwrap();
    assert_eq!(seen.changes.last().unwrap().mod_revision(), again, "the watch has gone on");
}
