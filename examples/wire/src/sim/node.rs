//! A node on its host: the real membership, and turns that run under it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::BoxFuture;
use greenroom_cluster::store::EtcdOptions;
use greenroom_cluster::{Activations, Cluster, ClusterOptions, StoreConfig, gates};
use greenroom_core::{NodeId, ShardId};
use greenroom_shardlock::Gates;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::judge::Turns;
use super::machine::Machine;
use super::net::{ETCD_PORT, dial};
use super::shape::Shape;
use super::{CLUSTER, SHARDS};

/// The longest that a turn takes; longer than a drain may.
const TURN_MAX: Duration = Duration::from_millis(1500);
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
const TURNS_AT_A_TIME: usize = 4;

/// A node that runs, as it is seen from outside.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) cluster: Cluster,
    pub(crate) gates: Arc<Gates>,
    /// Asks it to leave.
    pub(crate) leave: Arc<Notify>,
}

/// The place of a node, where it is seen while it runs.
pub(crate) type Seat = Arc<Mutex<Option<Running>>>;

/// Clears the seat when the host's software ends, however it does.
struct Seated(Seat);

impl Drop for Seated {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Runs a node until it has left or its host crashes.
pub(crate) async fn run(
    number: usize,
    shape: Shape,
    machine: Machine,
    seat: Seat,
    turns: Arc<Mutex<Turns>>,
    seed: u64,
) -> turmoil::Result {
    let options = options(number, &shape, machine);
    let gates = Arc::new(gates(&options));
    let cluster = Cluster::start(options, Arc::clone(&gates), Arc::new(Actors)).await?;
    let leave = Arc::new(Notify::new());
    let running =
        Running { cluster: cluster.clone(), gates: Arc::clone(&gates), leave: Arc::clone(&leave) };
    *seat.lock() = Some(running.clone());
    let _seated = Seated(seat);
    for turn in 0..TURNS_AT_A_TIME {
        let rng = Rng::with_seed(seed ^ turn as u64);
        tokio::spawn(run_turns(running.clone(), Arc::clone(&turns), rng));
    }
    tokio::select! {
        biased;
        () = leave.notified() => {}
        _ = gates.watch_holds() => {}
    }
    cluster.leave(Duration::from_secs(10)).await;
    Ok(())
}

fn options(number: usize, shape: &Shape, machine: Machine) -> ClusterOptions {
    let members = (0..shape.members).map(|member| format!("http://etcd{member}:{ETCD_PORT}"));
    let mut etcd = EtcdOptions::new(members);
    etcd.dial = Some(dial());
    let node = NodeId::new(format!("n{number}")).expect("a good name");
    let mut options = ClusterOptions::new(CLUSTER, node, StoreConfig::Etcd(etcd));
    options.shards = SHARDS;
    options.timing = shape.timing;
    options.clock_drift_ppm = 1;
    options.crash_detection = shape.crash_detection;
    options.drain_deadline = DRAIN_DEADLINE;
    options.policy.stability = Duration::from_secs(2);
    options.profile.peer_address = format!("n{number}:7400");
    options.profile.kinds = vec!["turn".to_owned()];
    options.simulation = Some(Arc::new(machine));
    options
}

/// Turns, one after the other, in whatever shards are here.
async fn run_turns(node: Running, turns: Arc<Mutex<Turns>>, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.u64(10..200))).await;
        let shard = rng.u32(..SHARDS);
        let Ok(permit) = node.gates.enter(shard) else { continue };
        let (epoch, permit) = (permit.epoch(), permit.into_owned(&node.gates));
        if !node.cluster.right().holds() {
            continue;
        }
        turns.lock().begin(shard, epoch);
        // Most are short.
        sleep(TURN_MAX.mul_f64(rng.f64().powi(4))).await;
        if permit.is_valid() && node.cluster.right().holds() {
            turns.lock().acknowledge(shard, epoch);
        } else {
            turns.lock().fenced += 1;
        }
    }
}

/// Actors that take a while to say farewell.
struct Actors;

impl Activations for Actors {
    fn deactivate(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>> {
        let is_busy = shard.0.is_multiple_of(4);
        is_busy.then(|| Box::pin(sleep(Duration::from_millis(50))) as BoxFuture<'static, ()>)
    }

    fn drop_all(&self) {}
}
