//! Shows shards moving after a node was killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use greenroom::{Node, NodeId, View};

use crate::thousands;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints who owns how many shards, whenever that changes, until none is left without a live owner.
pub(crate) async fn follow_the_shards(node: &Node, victim: &NodeId) {
    let began = Instant::now();
    let mut shown = None;
    while began.elapsed() < PATIENCE {
        let Some(view) = node.view().await else {
            return;
        };
        let (owned, without) = owners(&view);
        let dead = view.member(victim).is_none();
        let now = Some((owned.clone(), without, dead));
        if now != shown {
            let shares = owned.iter().map(|(id, count)| {
                let mark = if id == victim { " (killed)" } else { "" };
                format!("{id}{mark} {}", thousands(*count as u64))
            });
            let shares: Vec<String> = shares.collect();
            println!(
                "  +{:.1} s  {}, without owner {}",
                began.elapsed().as_secs_f64(),
                shares.join(", "),
                thousands(without as u64)
            );
            shown = now;
        }
        if dead && without == 0 {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    println!("  shards are still without an owner after {PATIENCE:?}");
}

fn owners(view: &View) -> (BTreeMap<NodeId, usize>, usize) {
    let (mut owned, mut without) = (BTreeMap::new(), 0);
    for slot in view.shards() {
        match slot.record.owner.as_ref().filter(|life| view.alive(life)) {
            Some(life) => *owned.entry(life.node.clone()).or_default() += 1,
            None => without += 1,
        }
    }
    (owned, without)
}
