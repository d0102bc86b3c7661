//! The active actors of a kind, wherever they are: each is listed once, listing disturbs nobody, and
//! what can't be asked is reported.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::scatter::{Listed, Scatter};
use greenroom::{FailureCode, Kind, MemoryStore, ShardId};
use greenroom_proto::v1::peer_client::PeerClient;
use greenroom_proto::v1::{ActiveKeysReply, ActiveKeysRequest, ShardKeys};
use support::ledger::{TallyRef, tallies};
use support::probe::{Probe, probe};
use support::{Pace, SHARDS, config, expect_failure, join, owners, spread, start, within};
use tonic::{Code, Status};

/// An actor that only lives, as a test can see.
#[greenroom::interface(kind = "test.sleeper")]
pub trait Sleeper {
    /// Does nothing.
    async fn wake(&mut self) -> String;
    /// Waits until the test lets it go on.
    async fn turn_over(&mut self);
    /// Lists the others in its turn, for no longer than its caller waits: how many there are, and
    /// how many shards could not be asked.
    async fn census(&mut self, ctx: &mut Context) -> Result<(u64, u64), String>;
}

struct SleeperActor {
    probe: std::sync::Arc<Probe>,
    key: String,
}

impl Actor for SleeperActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        let probe = probe(ctx.key());
        probe.activated();
        Ok(Self { probe, key: ctx.key().to_owned() })
    }

    async fn deactivate(self, reason: DeactivateReason) {
        self.probe.deactivated(reason);
    }
}

impl Sleeper for SleeperActor {
    async fn wake(&mut self) -> String {
        self.key.clone()
    }

    async fn turn_over(&mut self) {
        self.probe.hold().await;
    }

    async fn census(&mut self, ctx: &mut Context) -> Result<(u64, u64), String> {
        let active = ctx.active::<SleeperRef>().map_err(|failure| failure.to_string())?;
        let listed = active.patience(Duration::from_secs(3600)).all().await;
        let unlisted: usize = listed.unlisted.iter().map(|unlisted| unlisted.shards.len()).sum();
        Ok((listed.actors.len() as u64, unlisted as u64))
    }
}

fn sleepers() -> Kind {
    SleeperRef::served_by::<SleeperActor>()
}

/// Nodes `a`, `b` and `c` with the shards spread over them; nobody is taken for dead.
async fn three() -> (MemoryStore, Vec<Node>) {
    let store = MemoryStore::new();
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        let mut config = config(&store.handle(), name, Pace::Calm);
        config.crash_detection = false;
        nodes.push(start(config, [sleepers(), tallies()]).await);
    }
    for node in &nodes {
        within("joining", node.ready()).await.expect("the node becomes ready");
        spread(node, 3).await;
    }
    (store, nodes)
}

/// Wakes so many sleepers named after the test; answers with their keys.
async fn wake(node: &Node, test: &str, count: usize) -> BTreeSet<String> {
    let keys: BTreeSet<_> = (0..count).map(|number| format!("{test} {number}")).collect();
    let sleepers = keys.iter().map(|key| node.actor::<SleeperRef>(key).expect("a good key"));
    let woken = Scatter::over(sleepers).call(SleeperRef::wake).gather();
    assert!(within("waking all", woken).await.is_complete());
    keys
}

/// The keys listed; panics if one came twice.
fn keys(listed: &Listed<SleeperRef>) -> BTreeSet<String> {
    let keys: BTreeSet<_> = listed.actors.iter().map(|actor| actor.key().to_owned()).collect();
    assert_eq!(keys.len(), listed.actors.len(), "an actor was listed twice");
    keys
}

async fn list(node: &Node) -> Listed<SleeperRef> {
    within("a listing", node.active::<SleeperRef>().all()).await
}

fn owner(node: &Node, key: &str) -> String {
    let actor: SleeperRef = node.actor(key).expect("a good key");
    let route = node.peek(actor.actor()).route.expect("the shard has an owner");
    route.owner.life.node.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_lists_each_active_actor_once() {
    let (_store, nodes) = three().await;
    assert_eq!(keys(&list(&nodes[0]).await), BTreeSet::new());
    let woken = wake(&nodes[0], "once", 100).await;
    let other: TallyRef = nodes[0].actor("once 0").expect("a good key");
    within("a call", other.add()).await.expect("it is answered");
    for node in &nodes {
        let listed = list(node).await;
        assert_eq!(keys(&listed), woken);
        assert_eq!(listed.unlisted, []);
    }
    let replies = Scatter::over_active(nodes[1].active::<SleeperRef>()).at_most(3);
    let gathered = within("a broadcast", replies.call(SleeperRef::wake).gather()).await;
    let answered = gathered.require_all().expect("all answer").into_iter();
    assert_eq!(answered.map(|(_, key)| key).collect::<BTreeSet<_>>(), woken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_larger_than_a_page_is_listed_in_whole() {
    let (_store, nodes) = three().await;
    // All in one shard, more than twice what a page may hold.
    let padding = "x".repeat(480);
    let woken = wake(&nodes[0], &format!("{{large}} {padding}"), 1200).await;
    for node in &nodes {
        let listed = list(node).await;
        assert_eq!(keys(&listed), woken);
        assert_eq!(listed.unlisted, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_wakes_nobody_and_lets_everybody_sleep() {
    let store = MemoryStore::new();
    let idle = || sleepers().idle_timeout(Duration::from_millis(300));
    let nodes =
        [join(&store, "a", Pace::Calm, idle()).await, join(&store, "b", Pace::Calm, idle()).await];
    spread(&nodes[0], 2).await;
    spread(&nodes[1], 2).await;
    let woken = wake(&nodes[0], "asleep", 20).await;
    // Nobody is called any more, but everybody is listed all the time.
    let asleep = async {
        while nodes.iter().map(Node::active_actors).sum::<usize>() > 0 {
            for node in &nodes {
                let listed = keys(&list(node).await);
                assert!(listed.is_subset(&woken), "{listed:?}");
            }
        }
    };
    within("falling asleep", asleep).await;
    assert_eq!(keys(&list(&nodes[0]).await), BTreeSet::new());
    for key in &woken {
        let probe = probe(key);
        assert_eq!((probe.activations(), probe.reasons()), (1, vec![DeactivateReason::Idle]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_of_a_node_that_can_not_be_reached_are_reported() {
    let (_store, nodes) = three().await;
    let woken = wake(&nodes[0], "crash", 60).await;
    let of_c = |key: &&String| owner(&nodes[0], key) == "c";
    let reachable: BTreeSet<_> = woken.iter().filter(|key| !of_c(key)).cloned().collect();
    assert!(reachable.len() < woken.len(), "nobody is on that node");
    let owners = owners(&nodes[0]).await;
    let lost: Vec<_> = (0..).zip(&owners).filter(|(_, owner)| *owner == "c").collect();
    let lost: Vec<_> = lost.into_iter().map(|(shard, _)| ShardId(shard)).collect();
    within("the crash", nodes[2].crash()).await;

    let patience = Duration::from_millis(200);
    let listed = nodes[0].active::<SleeperRef>().patience(patience).all();
    let listed = within("a listing", listed).await;
    assert_eq!(keys(&listed), reachable);
    let [unlisted] = &listed.unlisted[..] else { panic!("{:?}", listed.unlisted) };
    assert_eq!(unlisted.shards, lost);
    assert_eq!(unlisted.node.as_ref().map(ToString::to_string).as_deref(), Some("c"));
    expect_failure(unlisted.failure.clone(), FailureCode::Unreachable, false);

    // A scatter's time-out ends the search as well.
    let broadcast = Scatter::over_active(nodes[1].active::<SleeperRef>())
        .timeout(Duration::from_millis(500))
        .call(SleeperRef::wake);
    let gathered = within("a broadcast", broadcast.gather()).await;
    assert!(!gathered.is_complete());
    assert_eq!((gathered.answered.len(), gathered.failed.len()), (reachable.len(), 0));
    let shards: usize = gathered.unlisted.iter().map(|unlisted| unlisted.shards.len()).sum();
    assert_eq!(shards, lost.len());
    let few = gathered.require_all().expect_err("something is missing");
    let missing = format!("active actors of {} shards are not known", lost.len());
    assert!(few.to_string().contains(&missing), "{few}");

    // And so does the deadline of a turn.
    let asker: SleeperRef = nodes[0].actor(reachable.first().expect("one is left")).expect("a key");
    let census = asker.census().timeout(Duration::from_millis(500));
    match within("a census", census).await {
        Ok((actors, shards)) => {
            assert_eq!((actors, shards), (reachable.len() as u64, lost.len() as u64));
        }
        // Its caller may give up just before it does.
        Err(CallError::Failed(failure)) => {
            expect_failure(failure, FailureCode::Timeout, true);
        }
        Err(CallError::Actor(error)) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_who_stays_while_a_node_drains() {
    let (_store, nodes) = three().await;
    let woken = wake(&nodes[1], "drain", 90).await;
    let stays = |key: &&String| owner(&nodes[1], key) != "a";
    let staying: BTreeSet<_> = woken.iter().filter(stays).cloned().collect();
    assert!(staying.len() < woken.len(), "nobody has to move");
    let draining = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.stop().await }
    });
    let mut rounds = 0;
    while !draining.is_finished() || rounds < 3 {
        let replies = Scatter::over_active(nodes[1].active::<SleeperRef>()).at_most(4);
        let gathered = within("a broadcast", replies.call(SleeperRef::wake).gather()).await;
        let listed = gathered.require_all().expect("a planned change fails no call");
        let count = listed.len();
        let reached: BTreeSet<_> = listed.into_iter().map(|(_, key)| key).collect();
        assert_eq!(reached.len(), count, "an actor was called twice");
        assert!(reached.is_superset(&staying) && reached.is_subset(&woken), "{reached:?}");
        rounds += 1;
    }
    within("the stop", draining).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_on_its_way_is_asked_for_until_it_has_arrived() {
    let (_store, nodes) = three().await;
    let woken = wake(&nodes[1], "move", 30).await;
    let moving = woken.iter().find(|key| owner(&nodes[1], key) == "a").expect("one is there");
    let sleeper: SleeperRef = nodes[1].actor(moving).expect("a good key");
    let shard = sleeper.actor().shard();
    let turning = tokio::spawn(async move { sleeper.turn_over().await });
    probe(moving).arrival().await;
    let draining = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.stop().await }
    });
    // The turn keeps its shard where it is, though it is open nowhere.
    within("moving all others", async {
        while owners(&nodes[1]).await.iter().filter(|owner| *owner == "a").count() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let brief = nodes[1].active::<SleeperRef>().patience(Duration::from_millis(100)).all();
    let listed = within("a brief listing", brief).await;
    let [unlisted] = &listed.unlisted[..] else { panic!("{:?}", listed.unlisted) };
    assert_eq!(unlisted.shards, [shard]);
    let message = expect_failure(unlisted.failure.clone(), FailureCode::NotOwner, false);
    assert!(message.contains("not open at a"), "{message}");

    let patient = tokio::spawn(nodes[1].active::<SleeperRef>().all());
    probe(moving).release(1);
    let listed = within("a patient listing", patient).await.expect("no panic");
    assert_eq!(listed.unlisted, []);
    assert!(keys(&listed).is_subset(&woken));
    within("the turn", turning).await.expect("no panic").expect("it is answered");
    within("the stop", draining).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_an_owner_does_not_host_is_reported_and_not_waited_for() {
    let store = MemoryStore::new();
    let client = start(config(&store.handle(), "client", Pace::Calm), []).await;
    let _server = join(&store, "server", Pace::Calm, tallies()).await;
    within("joining", client.ready()).await.expect("the client becomes ready");
    let began = tokio::time::Instant::now();
    let listed = list(&client).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let [unlisted] = &listed.unlisted[..] else { panic!("{:?}", listed.unlisted) };
    assert_eq!((unlisted.shards.len(), listed.actors.len()), (SHARDS as usize, 0));
    expect_failure(unlisted.failure.clone(), FailureCode::UnknownKind, false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_stopped_says_so_at_once() {
    let (_store, nodes) = three().await;
    within("the stop", nodes[0].stop()).await;
    let listed = list(&nodes[0]).await;
    let [unlisted] = &listed.unlisted[..] else { panic!("{:?}", listed.unlisted) };
    assert_eq!(unlisted.shards.len(), SHARDS as usize);
    expect_failure(unlisted.failure.clone(), FailureCode::Stopping, false);
}

async fn ask(node: &Node, request: ActiveKeysRequest) -> Result<ActiveKeysReply, Status> {
    let address = format!("http://{}", node.peer_address());
    let mut client = within("connecting", PeerClient::connect(address)).await.expect("it listens");
    within("an answer", client.active_keys(request)).await.map(tonic::Response::into_inner)
}

fn question(shards: impl IntoIterator<Item = u32>) -> ActiveKeysRequest {
    ActiveKeysRequest {
        cluster: "default".to_owned(),
        kind: "test.sleeper".to_owned(),
        shards: shards.into_iter().collect(),
        ..ActiveKeysRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_make_no_sense_are_refused_with_a_reason() {
    let (_store, nodes) = three().await;
    let other_cluster = ActiveKeysRequest { cluster: "other".to_owned(), ..question([0]) };
    let no_kind = ActiveKeysRequest { kind: "test.nobody".to_owned(), ..question([0]) };
    let long = ActiveKeysRequest { after: "x".repeat(513), ..question([0]) };
    let bad = [
        (other_cluster, Code::FailedPrecondition, "another cluster"),
        (no_kind, Code::NotFound, "no kind `test.nobody`"),
        (long, Code::InvalidArgument, "after: no key is longer than 512 bytes"),
        (question([]), Code::InvalidArgument, "shards: 0 were given, 1 to 1024 are allowed"),
        (question(0..1025), Code::InvalidArgument, "shards: 1025 were given"),
        (question([2, 1]), Code::InvalidArgument, "shards: they must ascend"),
        (question([1, 1]), Code::InvalidArgument, "shards: they must ascend"),
        (question([0, SHARDS]), Code::InvalidArgument, "shards: 64 was given, 0 to 63 are allowed"),
        (question([u32::MAX]), Code::InvalidArgument, "0 to 63 are allowed"),
    ];
    for (request, code, reason) in bad {
        let refused = ask(&nodes[0], request).await.expect_err(reason);
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(reason), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_tells_of_its_shards_alone_page_by_page() {
    let (_store, nodes) = three().await;
    let woken: Vec<_> = wake(&nodes[0], "{paged}", 5).await.into_iter().collect();
    let actor: SleeperRef = nodes[0].actor(&woken[0]).expect("a good key");
    let shard = actor.actor().shard();
    let owner = owner(&nodes[0], &woken[0]);
    let owner = nodes.iter().find(|node| node.id().as_str() == owner).expect("one of them");
    let mine: Vec<_> = owners(owner).await.iter().map(|name| name == owner.id().as_str()).collect();
    let others = (0..SHARDS).filter(|shard| !mine[*shard as usize]);

    let whole = ask(owner, question(0..SHARDS)).await.expect("a good question");
    assert_eq!((whole.done, whole.elsewhere), (SHARDS, others.collect()));
    assert_eq!(whole.keys, [ShardKeys { shard: shard.0, keys: woken.clone() }]);

    let mut paged = Vec::new();
    let done = loop {
        let after = paged.last().cloned().unwrap_or_default();
        let page = ActiveKeysRequest { after, bytes_max: 1, ..question([shard.0]) };
        let page = ask(owner, page).await.expect("a good question");
        match &page.keys[..] {
            [one] if one.keys.len() == 1 => paged.push(one.keys[0].clone()),
            other => panic!("{other:?} is not one key"),
        }
        if page.done == 1 {
            break page.done;
        }
    };
    assert_eq!((done, paged), (1, woken));
}
