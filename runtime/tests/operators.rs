//! Operators' orders over the wire: what they do, who carries them out, and who is refused.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{MemoryStore, NodeId, ShardId, View};
use greenroom_core::record::{NodeState, ShardRecord};
use greenroom_proto::v1::inspect_client::InspectClient;
use greenroom_proto::v1::{
    DecisionsRequest, DrainRequest, HoldRequest, MoveRequest, PinRequest, RuleRequest, UnpinRequest,
};
use support::ledger::{Load, tallies};
use support::operator::{TOKEN, by, operate, operated, order, ready, refused, with_token};
use support::{PATIENCE, Pace, SHARDS, config, owners, spread, start, within};
use tonic::{Code, Request};

async fn join(store: &MemoryStore, name: &str, pace: Pace) -> Node {
    ready(operated(store, name, pace)).await
}

/// Nodes `a`, `b` and `c` with an even share each, as all of them know.
async fn three(store: &MemoryStore, pace: Pace) -> [Node; 3] {
    let nodes =
        [join(store, "a", pace).await, join(store, "b", pace).await, join(store, "c", pace).await];
    for node in &nodes {
        spread(node, 3).await;
    }
    nodes
}

fn pin(shards: &[u32], node: &str) -> PinRequest {
    PinRequest { shards: shards.to_vec(), node: node.to_owned() }
}

async fn view(node: &Node) -> View {
    node.view().await.expect("the node has not left")
}

async fn record(node: &Node, shard: u32) -> ShardRecord {
    view(node).await.shard(ShardId(shard)).record.clone()
}

/// Waits until what `node` knows meets the condition.
async fn until(node: &Node, what: &str, condition: impl Fn(&View) -> bool) {
    let met = async {
        while !condition(&view(node).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, met).await;
}

fn owned_by(view: &View, shard: u32, node: &str) -> bool {
    view.live_owner(ShardId(shard)).is_some_and(|(life, _)| life.node.as_str() == node)
}

fn count(view: &View, node: &str) -> usize {
    (0..SHARDS).filter(|shard| owned_by(view, *shard, node)).count()
}

fn state(view: &View, node: &str) -> Option<NodeState> {
    let node = NodeId::new(node).expect("a test names its nodes well");
    view.member(&node).map(|member| member.record.state)
}

fn name(node: &str) -> Option<NodeId> {
    Some(NodeId::new(node).expect("a test names its nodes well"))
}

async fn some_shard_of(node: &Node, owner: &str) -> u32 {
    let owners = owners(node).await;
    let shard = owners.iter().position(|name| name == owner).expect("it owns some");
    u32::try_from(shard).expect("few shards")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_shard_goes_to_its_node_and_stays_until_it_is_unpinned() {
    let store = MemoryStore::new();
    let [a, b, c] = three(&store, Pace::Calm).await;
    let shard = some_shard_of(&a, "a").await;
    let mut at_c = operate(&c).await;
    let done = within("pinning", at_c.pin(order(pin(&[shard], "b")))).await;
    assert_eq!(by(done), "c");
    assert_eq!(record(&c, shard).await.pin, name("b"));
    until(&a, "the move", |view| owned_by(view, shard, "b")).await;
    // All that b doesn't have to keep goes away, and this stays.
    let done = within("draining", at_c.drain(order(drain("a")))).await;
    assert_eq!(by(done), "a");
    until(&c, "the drain", |view| count(view, "a") == 0).await;
    assert!(owned_by(&view(&c).await, shard, "b"));
    let unpin = UnpinRequest { shards: vec![shard] };
    assert_eq!(by(within("unpinning", at_c.unpin(order(unpin))).await), "c");
    assert_eq!(record(&c, shard).await.pin, None);
    drop((a, b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_pinned_without_a_node_stay_where_each_is() {
    let store = MemoryStore::new();
    let [a, b, _c] = three(&store, Pace::Calm).await;
    let shards = [some_shard_of(&a, "a").await, some_shard_of(&a, "b").await];
    let done = within("pinning", operate(&b).await.pin(order(pin(&shards, "")))).await;
    assert_eq!(by(done), "b");
    assert_eq!(record(&b, shards[0]).await.pin, name("a"));
    assert_eq!(record(&b, shards[1]).await.pin, name("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_outlives_its_node_and_calls_the_shard_back() {
    let store = MemoryStore::new();
    let [a, b, _c] = three(&store, Pace::Quick).await;
    let shard = some_shard_of(&a, "a").await;
    let done = within("pinning", operate(&a).await.pin(order(pin(&[shard], "b")))).await;
    assert_eq!(by(done), "a");
    until(&a, "the move", |view| owned_by(view, shard, "b")).await;
    within("the crash", b.crash()).await;
    let elsewhere = |view: &View| owned_by(view, shard, "a") || owned_by(view, shard, "c");
    until(&a, "the failover", elsewhere).await;
    assert_eq!(record(&a, shard).await.pin, name("b"));
    let _b = join(&store, "b", Pace::Quick).await;
    until(&a, "the way back", |view| owned_by(view, shard, "b")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_through_a_node_that_does_not_lead_is_passed_on_once() {
    let store = MemoryStore::new();
    let calm = |name: &str| {
        let mut config = operated(&store, name, Pace::Calm);
        config.rebalance_stability = Duration::from_secs(3600);
        config
    };
    // The first one has it all, and nothing evens that out.
    let a = ready(calm("a")).await;
    let b = ready(calm("b")).await;
    assert!(a.status().leads && !b.status().leads);
    let keys: Vec<String> = (0..32).map(|n| format!("moved-{n}")).collect();
    let load = Load::start(&[&a, &b], &keys, PATIENCE);
    let shards: Vec<u32> = (0..SHARDS).collect();
    let to_b = || MoveRequest { shards: shards.clone(), to: "b".to_owned() };
    let mut at_b = operate(&b).await;
    let mut marked = order(to_b());
    marked.metadata_mut().insert("greenroom-forwarded-by", "c".parse().expect("ASCII"));
    let message = refused(within("the refusal", at_b.r#move(marked)).await, Code::Unavailable);
    assert!(message.contains("only the leader can do that, which is a"), "{message}");
    assert_eq!(by(within("moving", at_b.r#move(order(to_b()))).await), "a");
    until(&b, "the move", |view| count(view, "b") == SHARDS as usize).await;
    load.goes_on(200).await;
    let report = load.stop().await;
    assert_eq!(report.failures, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_shard_is_not_moved() {
    let store = MemoryStore::new();
    let [a, _b, c] = three(&store, Pace::Calm).await;
    let shard = some_shard_of(&a, "a").await;
    let mut at_c = operate(&c).await;
    by(within("pinning", at_c.pin(order(pin(&[shard], "a")))).await);
    until(&a, "the pin", |view| view.shard(ShardId(shard)).record.pin.is_some()).await;
    let to_b = MoveRequest { shards: vec![shard], to: "b".to_owned() };
    let message =
        refused(within("the refusal", at_c.r#move(order(to_b))).await, Code::FailedPrecondition);
    // The leader's own words, be it another node.
    assert!(
        message.contains(&format!("shard {shard} is pinned to a: unpin it first")),
        "{message}"
    );
}

fn drain(node: &str) -> DrainRequest {
    DrainRequest { node: node.to_owned(), undo: false, force: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_through_another_and_takes_shards_again() {
    let store = MemoryStore::new();
    let [a, b, c] = three(&store, Pace::Calm).await;
    let keys: Vec<String> = (0..16).map(|n| format!("drained-{n}")).collect();
    let load = Load::start(&[&a, &b, &c], &keys, PATIENCE);
    let mut at_c = operate(&c).await;
    let mut marked = order(drain("b"));
    marked.metadata_mut().insert("greenroom-forwarded-by", "a".parse().expect("ASCII"));
    let message =
        refused(within("the refusal", at_c.drain(marked)).await, Code::FailedPrecondition);
    assert!(message.contains("this is c, not b"), "{message}");
    assert_eq!(by(within("draining", at_c.drain(order(drain("b")))).await), "b");
    assert_eq!(state(&view(&b).await, "b"), Some(NodeState::Draining));
    until(&a, "the drain", |view| count(view, "b") == 0).await;
    let undo = DrainRequest { undo: true, ..drain("b") };
    assert_eq!(by(within("undoing", at_c.drain(order(undo))).await), "b");
    assert_eq!(state(&view(&b).await, "b"), Some(NodeState::Active));
    spread(&a, 3).await;
    load.goes_on(100).await;
    assert_eq!(load.stop().await.failures, []);
    let message = refused(within("a ghost", at_c.drain(order(drain("z")))).await, Code::NotFound);
    assert!(message.contains("no live node is named z"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_node_of_a_group_is_drained_by_force_alone() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Calm).await;
    let mut at_a = operate(&a).await;
    let message =
        refused(within("draining", at_a.drain(order(drain("a")))).await, Code::FailedPrecondition);
    assert!(message.contains("no other node may own the shards of group default"), "{message}");
    assert_eq!(state(&view(&a).await, "a"), Some(NodeState::Active));
    let forced = DrainRequest { force: true, ..drain("a") };
    assert_eq!(by(within("draining", at_a.drain(order(forced))).await), "a");
    until(&a, "the drain", |view| count(view, "a") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_stops_rebalancing_and_its_end_lets_it_go_on() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Calm).await;
    let mut at_a = operate(&a).await;
    assert_eq!(by(within("holding", at_a.hold(order(HoldRequest { resume: false }))).await), "a");
    assert!(view(&a).await.rebalancing().held);
    let b = join(&store, "b", Pace::Calm).await;
    let address = format!("http://{}", a.peer_address());
    let mut inspect = InspectClient::connect(address).await.expect("the node listens");
    // The leader saw both nodes and decided to do nothing, because of the hold.
    let said_so = async {
        loop {
            let told = inspect.decisions(DecisionsRequest::default()).await.expect("it answers");
            let decisions = told.into_inner().decisions;
            let last = decisions.last().expect("it decided something");
            if last.kind == "idle" && last.text.contains("hold") && last.times > 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the decision to do nothing", said_so).await;
    assert_eq!(count(&view(&b).await, "b"), 0);
    let mut at_b = operate(&b).await;
    assert_eq!(by(within("resuming", at_b.hold(order(HoldRequest { resume: true }))).await), "b");
    spread(&a, 2).await;
    // Rebalancing waits for its moves, and then for nothing any more. Of one shard only the last is told.
    let mut idle_in_a_row = async |shard| {
        let request = DecisionsRequest { shard, ..Default::default() };
        let told = inspect.decisions(request).await.expect("it answers").into_inner().decisions;
        told.windows(2).filter(|two| two.iter().all(|one| one.kind == "idle")).count()
    };
    let waits = async {
        while idle_in_a_row(None).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("reasons to wait", waits).await;
    assert_eq!(idle_in_a_row(Some(0)).await, 0);
}

/// Something that belongs to a group of its own.
#[greenroom::interface(kind = "test.model")]
pub trait Model {
    /// Nothing much.
    async fn ask(&self) -> u64;
}

struct ModelActor;

impl Actor for ModelActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self)
    }
}

impl Model for ModelActor {
    async fn ask(&self) -> u64 {
        42
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_of_a_second_group_are_ordered_and_explained_by_their_own_numbers() {
    let store = MemoryStore::new();
    let models = || ModelRef::served_by::<ModelActor>().in_group("gpu");
    let a = start(operated(&store, "a", Pace::Calm), [tallies(), models()]).await;
    let last = 2 * SHARDS - 1;
    until(&a, "the shards of both groups", |view| {
        view.shards().len() == 2 * SHARDS as usize
            && (0..=last).all(|shard| owned_by(view, shard, "a"))
    })
    .await;
    let mut at_a = operate(&a).await;
    by(within("pinning", at_a.pin(order(pin(&[last], "a")))).await);
    assert_eq!(record(&a, last).await.pin, name("a"));
    assert_eq!(record(&a, SHARDS - 1).await.pin, None);
    let beyond = within("the refusal", at_a.pin(order(pin(&[last + 1], "a")))).await;
    refused(beyond, Code::NotFound);
    let address = format!("http://{}", a.peer_address());
    let mut inspect = InspectClient::connect(address).await.expect("the node listens");
    for (shard, group, other) in [(last, "gpu", "default"), (0, "default", "gpu")] {
        let told = async {
            loop {
                let request = DecisionsRequest { shard: Some(shard), ..Default::default() };
                let told = inspect.decisions(request).await.expect("it answers").into_inner();
                let about = |name: &str| {
                    let name = format!("of group {name}:");
                    told.decisions.iter().any(|decision| decision.text.contains(&name))
                };
                assert!(!about(other), "{told:?}");
                if about(group) {
                    let moves = told.decisions.iter().flat_map(|decision| &decision.moves);
                    let moves: Vec<u32> = moves.map(|step| step.shard).collect();
                    assert_eq!(moves, [shard], "{told:?}");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("a decision about the group", told).await;
    }
}

fn rule(labels: &[(&str, &str)], force: bool) -> RuleRequest {
    let require = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    RuleRequest {
        group: "default".to_owned(),
        require: require.collect(),
        force,
        ..RuleRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_decides_who_may_own_a_group() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Calm).await;
    let mut labelled = operated(&store, "b", Pace::Calm);
    labelled.labels.insert("disk".to_owned(), "ssd".to_owned());
    let b = ready(labelled).await;
    spread(&a, 2).await;
    let mut at_a = operate(&a).await;
    let nobody = [("disk", "tape")];
    let result = within("the refusal", at_a.rule(order(rule(&nobody, false)))).await;
    let message = refused(result, Code::FailedPrecondition);
    assert!(message.contains("force it if"), "{message}");
    assert!(view(&a).await.groups().as_slice()[0].rule.require.is_empty());
    let unknown = RuleRequest { group: "gpu".to_owned(), ..RuleRequest::default() };
    refused(within("an unknown group", at_a.rule(order(unknown))).await, Code::NotFound);

    let done = within("the rule", at_a.rule(order(rule(&[("disk", "ssd")], false)))).await;
    assert_eq!(by(done), "a");
    until(&b, "the move", |view| count(view, "b") == SHARDS as usize).await;
    let done = within("by force", at_a.rule(order(rule(&nobody, true)))).await;
    assert_eq!(by(done), "a");
    assert_eq!(view(&a).await.groups().as_slice()[0].rule.require["disk"], "tape");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_nothing_is_changed() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Calm).await;
    let b = ready(config(&store.handle(), "b", Pace::Calm)).await;
    spread(&a, 2).await;
    let mut at_a = operate(&a).await;
    let wrong = |token: &str| with_token(pin(&[1], "a"), token);
    let without = Request::new(pin(&[1], "a"));
    let mut bare = Request::new(pin(&[1], "a"));
    bare.metadata_mut().insert("authorization", TOKEN.parse().expect("ASCII"));
    let near = format!("{TOKEN}x");
    for request in [without, bare, wrong(""), wrong("correct-horse"), wrong(&near)] {
        let message =
            refused(within("the refusal", at_a.pin(request)).await, Code::Unauthenticated);
        assert!(!message.contains("horse"), "{message}");
    }
    let drain = within("the refusal", at_a.drain(Request::new(drain("a")))).await;
    refused(drain, Code::Unauthenticated);
    let hold = within("the refusal", at_a.hold(Request::new(HoldRequest::default()))).await;
    refused(hold, Code::Unauthenticated);
    // A node that has no token takes no orders, whatever they carry.
    let mut at_b = operate(&b).await;
    let message =
        refused(within("the refusal", at_b.pin(wrong(TOKEN))).await, Code::PermissionDenied);
    assert!(message.contains("GREENROOM_OPERATOR_TOKEN"), "{message}");
    // What is passed on to it is refused there, and the asker is told by whom.
    let message = refused(
        within("the refusal", at_a.drain(order(self::drain("b")))).await,
        Code::PermissionDenied,
    );
    assert!(message.starts_with("b: "), "{message}");
    let view = view(&a).await;
    assert!(view.shards().iter().all(|slot| slot.record.pin.is_none()));
    assert!(!view.rebalancing().held);
    assert_eq!(state(&view, "a"), Some(NodeState::Active));
    assert_eq!(state(&view, "b"), Some(NodeState::Active));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Calm).await;
    let mut at_a = operate(&a).await;
    let cases = [
        (pin(&[], "a"), Code::InvalidArgument, "1 to 65536"),
        (pin(&[1; 65_537], "a"), Code::InvalidArgument, "1 to 65536"),
        (pin(&[1], "no such name"), Code::InvalidArgument, "node"),
        (pin(&[1], "z"), Code::NotFound, "no live node is named z"),
        (pin(&[1, SHARDS], "a"), Code::NotFound, "no shard 64"),
    ];
    for (request, code, reason) in cases {
        let message = refused(within("the refusal", at_a.pin(order(request))).await, code);
        assert!(message.contains(reason), "{message}");
    }
    let endless = pin(&vec![1; 2 << 20], "a");
    refused(within("the refusal", at_a.pin(order(endless))).await, Code::OutOfRange);
    assert!(record(&a, 1).await.pin.is_none());
    // As many as there may be in one request.
    let many: Vec<u32> = (0..SHARDS).cycle().take(65_536).collect();
    assert_eq!(by(within("pinning", at_a.pin(order(pin(&many, "a")))).await), "a");
}
