//! Caps on actors in memory: never more than allowed, room by the farewells of those that are missed
//! least, and refusals that surely did not run where nobody can go.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::poll;
use greenroom::prelude::*;
use greenroom::{FailureCode, Kind, MemoryStore};
use support::http::get_text;
use support::probe::probe;
use support::{Pace, begin, config, expect_failure, failure, start, within};

/// An actor whose values are counted by its test, whose name is the first word of the key.
#[greenroom::interface(kind = "test.lodger")]
pub trait Lodger {
    /// How often it was called.
    async fn knock(&mut self) -> u64;
    /// Waits until the test lets it go on.
    async fn stay(&mut self);
    /// Waits until the test lets it go on, then calls another actor.
    async fn visit(&mut self, ctx: &mut Context, other: String) -> Result<u64, String>;
    /// Waits beside others until the test lets it go on, and panics if that is asked for.
    async fn peer(&self, panics: bool);
}

struct LodgerActor {
    house: &'static House,
    key: String,
    knocks: u64,
}

/// How many lodgers of a test there are, and have ever been at a time.
#[derive(Debug, Default)]
struct House {
    lodgers: AtomicUsize,
    most: AtomicUsize,
}

impl House {
    fn of(key: &str) -> &'static Self {
        static HOUSES: std::sync::Mutex<Vec<(String, &'static House)>> =
            std::sync::Mutex::new(Vec::new());
        let name = key.split(' ').next().unwrap_or_default();
        let mut houses = HOUSES.lock().expect("no test panics here");
        if let Some((_, house)) = houses.iter().find(|(other, _)| other == name) {
            return house;
        }
        let house: &'static House = Box::leak(Box::default());
        houses.push((name.to_owned(), house));
        house
    }

    fn enter(&self) {
        let lodgers = self.lodgers.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(lodgers, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for LodgerActor {
    fn drop(&mut self) {
        self.house.lodgers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor for LodgerActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        let house = House::of(ctx.key());
        house.enter();
        let lodger = Self { house, key: ctx.key().to_owned(), knocks: 0 };
        if ctx.key().contains("slow") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if ctx.key().contains("unwanted") {
            panic!("as the test wants it");
        }
        Ok(lodger)
    }

    async fn deactivate(self, reason: DeactivateReason) {
        if self.key.contains("slow") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if self.key.contains("lingering") {
            probe(&self.key).hold().await;
        }
        probe(&self.key).deactivated(reason);
    }
}

impl Lodger for LodgerActor {
    async fn knock(&mut self) -> u64 {
        self.knocks += 1;
        self.knocks
    }

    async fn stay(&mut self) {
        probe(&self.key).hold().await;
    }

    async fn visit(&mut self, ctx: &mut Context, other: String) -> Result<u64, String> {
        probe(&self.key).hold().await;
        let other: LodgerRef = ctx.actor(&other).map_err(|failure| failure.to_string())?;
        other.knock().await.map_err(|error| error.to_string())
    }

    async fn peer(&self, panics: bool) {
        probe(&self.key).hold().await;
        assert!(!panics, "as the test wants it");
    }
}

fn lodgers() -> Kind {
    LodgerRef::served_by::<LodgerActor>()
}

fn lodger(node: &Node, key: impl AsRef<str>) -> LodgerRef {
    node.actor(key.as_ref()).expect("a good key")
}

/// A node of its own that has room for so many, ready.
async fn house_for(activations_max: usize, kind: Kind) -> Node {
    let mut config = config(&MemoryStore::new(), "house", Pace::Calm);
    config.activations_max = activations_max;
    let node = start(config, [kind]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

async fn knock(node: &Node, key: impl AsRef<str>) -> u64 {
    within("a call", lodger(node, key).knock()).await.expect("it is answered")
}

/// With activations and farewells that take their time, from many tasks on several threads.
///
/// Proves: P5
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_are_never_more_actors_than_allowed_and_no_call_fails_for_it() {
    const ROOM: usize = 24;
    for name in ["crowd-slow", "crowd"] {
        let node = house_for(ROOM, lodgers()).await;
        let callers = (0..16).map(|_| {
            let node = node.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    let number = fastrand::u32(..400);
                    let lodger = lodger(&node, format!("{name} {number}"));
                    lodger.knock().await.expect("somebody is always idle soon");
                    assert!(node.active_actors() <= ROOM);
                }
            })
        });
        for caller in within("all callers", join_all(callers.collect::<Vec<_>>())).await {
            caller.expect("no caller panics");
        }
        let most = House::of(name).most();
        assert!(most <= ROOM, "{name}: {most} actors where {ROOM} may be");
        assert!(most > ROOM / 2, "{name}: the room was not used: {most}");
        within("the stop", node.stop()).await;
        assert_eq!(House::of(name).lodgers.load(Ordering::SeqCst), 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_has_a_cap_of_its_own() {
    let node = house_for(1_000_000, lodgers().activations_max(3)).await;
    for number in 0..30 {
        assert_eq!(knock(&node, format!("kind {number}")).await, 1);
    }
    assert_eq!(House::of("kind").most(), 3);
    assert_eq!(node.active_actors(), 3);
    let gone: Vec<_> = (0..30).flat_map(|n| probe(&format!("kind {n}")).reasons()).collect();
    assert_eq!(gone, [DeactivateReason::Pressure; 27]);
}

/// More strangers come between two calls of the favourites than there is room for, so whoever goes by
/// the time of the last call alone lets the favourites go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_are_called_again_and_again_stay_while_a_scan_passes() {
    const FAVOURITES: usize = 30;
    let node = house_for(100, lodgers()).await;
    let visit_all = || async {
        let knocks = (0..FAVOURITES).map(|number| knock(&node, format!("scan favourite {number}")));
        join_all(knocks).await
    };
    visit_all().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for round in 2..6 {
        assert_eq!(visit_all().await, [round; FAVOURITES], "some had to start anew");
        for number in 0..120 {
            knock(&node, format!("scan stranger {round} {number}")).await;
            // Time is what the choice rests on.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(House::of("scan").most() <= 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_last_place_is_taken_some_are_made_free() {
    let node = house_for(200, lodgers()).await;
    for number in 0..200 {
        knock(&node, format!("spare {number}")).await;
    }
    within("the farewells of some", async {
        while node.active_actors() > 190 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(node.active_actors() >= 180, "and no more than that: {}", node.active_actors());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_is_idle_an_activation_is_refused_and_living_actors_are_called() {
    let node = house_for(2, lodgers()).await;
    let (one, other) = (lodger(&node, "full one"), lodger(&node, "full other"));
    let (staying, also) = (begin(one.stay()).await, begin(other.stay()).await);
    probe("full one").arrival().await;
    probe("full other").arrival().await;
    let began = Instant::now();
    let refused = within("a call too many", lodger(&node, "full third").knock()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "long before its deadline");
    let refused = failure(refused);
    assert!(refused.retry_after().is_some(), "{refused:?}");
    let message = expect_failure(refused, FailureCode::Overloaded, false);
    assert!(message.contains("at most 2 actors"), "{message}");
    assert!(message.contains("GREENROOM_ACTIVATIONS_MAX"), "{message}");
    let sent = within("a one-way call", lodger(&node, "full fourth").knock().send()).await;
    assert_eq!(sent, Ok(()), "it waits for a place, so it is taken");
    // Who lives is called as ever.
    let behind = begin(one.knock()).await;
    probe("full one").release(1);
    assert_eq!(within("the long turn", staying).await, Ok(()));
    assert_eq!(within("the call behind it", behind).await, Ok(1));
    assert_eq!(knock(&node, "full third").await, 1, "one is idle now");
    assert_eq!(probe("full one").reasons(), [DeactivateReason::Pressure]);
    probe("full other").release(1);
    assert_eq!(within("the other long turn", also).await, Ok(()));
    assert!(House::of("full").most() <= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_waits_for_the_farewell_that_makes_its_place() {
    let node = house_for(1, lodgers()).await;
    assert_eq!(knock(&node, "leave lingering").await, 1);
    let next = lodger(&node, "leave next");
    let mut next = begin(next.knock()).await;
    let farewell = probe("leave lingering");
    farewell.arrival().await;
    // Longer than it waits where nobody can go.
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(poll!(&mut next).is_pending(), "there is no place yet");
    farewell.release(1);
    assert_eq!(within("the call that waited", next).await, Ok(1));
    assert_eq!(House::of("leave").most(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_that_waits_in_vain_is_refused_before_its_deadline() {
    let node = house_for(1, lodgers()).await;
    assert_eq!(knock(&node, "vain lingering").await, 1);
    let next = lodger(&node, "vain next");
    let refused = within("a call", next.knock().timeout(Duration::from_millis(500))).await;
    let message = expect_failure(failure(refused), FailureCode::Overloaded, false);
    assert!(message.contains("at most 1 actors"), "{message}");
    probe("vain lingering").release(1);
    assert_eq!(knock(&node, "vain next").await, 1);
}

/// Each holds the place that the other's call needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_that_need_more_room_than_there_is_are_refused_and_wait_for_nobody() {
    let node = house_for(2, lodgers()).await;
    let visits: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| {
            let visitor = lodger(&node, format!("ring {name}"));
            tokio::spawn(async move { visitor.visit("ring host".to_owned()).await })
        })
        .collect();
    for name in ["ring a", "ring b"] {
        probe(name).arrival().await;
    }
    probe("ring a").release(1);
    within("the first visit", async {
        while !visits[0].is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    probe("ring b").release(1);
    let visits = within("both visits", join_all(visits)).await;
    let visits: Vec<_> = visits.into_iter().map(|visit| visit.expect("no panic")).collect();
    match &visits[0] {
        Err(CallError::Actor(refused)) => assert!(refused.contains("overloaded"), "{refused}"),
        other => panic!("{other:?} where nobody was idle"),
    }
    assert_eq!(visits[1], Ok(1), "the first visitor was idle by then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_come_back_however_an_activation_or_an_actor_ends() {
    let node = house_for(1, lodgers()).await;
    for _ in 0..300 {
        let failed = within("a call", lodger(&node, "place unwanted").knock()).await;
        let message = expect_failure(failure(failed), FailureCode::ActivationFailed, false);
        assert!(message.contains("panicked"), "{message}");
    }
    assert_eq!(node.active_actors(), 0);
    assert_eq!(knock(&node, "place good").await, 1);
    // A read that panics while another read has the actor too.
    let peered = lodger(&node, "place good");
    let wild = begin(peered.peer(true)).await;
    let calm = begin(peered.peer(false)).await;
    probe("place good").arrival().await;
    probe("place good").arrival().await;
    probe("place good").release(1);
    expect_failure(failure(within("the wild read", wild).await), FailureCode::Panicked, true);
    let early = within("a call", lodger(&node, "place next").knock()).await;
    expect_failure(failure(early), FailureCode::Overloaded, false);
    probe("place good").release(1);
    assert_eq!(within("the calm read", calm).await, Ok(()));
    assert_eq!(knock(&node, "place next").await, 1);
    assert_eq!(House::of("place").most(), 1);
    within("the stop", node.stop()).await;
    assert_eq!(House::of("place").lodgers.load(Ordering::SeqCst), 0);
}

/// What nodes report as actors in memory are cells, which take memory with nobody in them too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_that_comes_to_nothing_leaves_nothing_behind() {
    let mut config = config(&MemoryStore::new(), "traces", Pace::Calm);
    config.load_report_interval = Duration::from_millis(100);
    let node = start(config, [lodgers()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    for number in 0..300 {
        let failed = lodger(&node, format!("traces unwanted {number}")).knock().await;
        expect_failure(failure(failed), FailureCode::ActivationFailed, false);
    }
    assert_eq!(knock(&node, "traces good").await, 1);
    let reported = within("a report", async {
        loop {
            let loads = node.loads().await.expect("the node has not left");
            let cells: u32 = loads.iter().map(|(_, load)| load.activations).sum();
            if cells > 0 {
                return cells;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(reported, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_went_and_who_was_refused_is_counted_by_reason() {
    let mut config = config(&MemoryStore::new(), "told", Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    config.activations_max = 1;
    let node = start(config, [lodgers()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    for number in 0..3 {
        knock(&node, format!("told {number}")).await;
    }
    let busy = lodger(&node, "told 2");
    let staying = begin(busy.stay()).await;
    probe("told 2").arrival().await;
    let refused = within("a call too many", lodger(&node, "told 3").knock()).await;
    expect_failure(failure(refused), FailureCode::Overloaded, false);
    probe("told 2").release(1);
    assert_eq!(within("the long turn", staying).await, Ok(()));
    let text = get_text(node.http_address().expect("it has a gateway"), "/metrics").await;
    for (name, reason, count) in [
        ("greenroom_passivations_total", "cap", 2),
        ("greenroom_passivations_total", "idle", 0),
        ("greenroom_passivations_total", "memory", 0),
        ("greenroom_activations_refused_total", "node_cap", 1),
        ("greenroom_activations_refused_total", "kind_cap", 0),
        ("greenroom_activations_refused_total", "memory", 0),
    ] {
        let labels = format!("{{node=\"told\",kind=\"test.lodger\",reason=\"{reason}\"}}");
        let line = format!("{name}{labels} {count}\n");
        assert!(text.contains(&line), "no {line} in {text}");
    }
    let line = "greenroom_calls_refused_total{node=\"told\",limit=\"activations\"} 1\n";
    assert!(text.contains(line), "no {line} in {text}");
}
