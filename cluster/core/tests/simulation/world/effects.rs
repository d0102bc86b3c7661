//! The shell of a simulated node: it carries out what its agent decides.

use greenroom_core::{Effect, Epoch, Event, Evidence, Life, Notice, ShardId};

use super::invariants::More;
use super::network::AtStore;
use super::{Happening, MS, World};

impl World {
    pub(super) fn step(&mut self, node: usize, event: Event) {
        let now = self.nodes[node].now(self.now_us);
        self.nodes[node].pulse = now.moment;
        let effects = self.nodes[node].agent.step(now, event);
        self.check_moves(node, &effects);
        for effect in effects {
            if self.traced {
                println!("{:>12} us node-{node} -> {effect:?}", self.now_us);
            }
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Commit { request, transaction, .. } => {
                self.ask(node, AtStore::Commit(request, transaction));
            }
            Effect::Read { request, keys } => self.ask(node, AtStore::Read(request, keys)),
            Effect::Probe { life, address } => {
                self.counts.probes += 1;
                let span = self.rng.u64(MS..200 * MS);
                self.after(node, span, Happening::AtPort { life, address });
            }
            Effect::Answer { id, result } => self.answered(id, &result),
            Effect::Beat(life) => self.start_heart(node, life),
            Effect::StopBeating => self.stop_heart(node),
            Effect::Open(shards) => {
                for (shard, epoch) in shards {
                    self.open(node, shard, epoch);
                }
            }
            Effect::Drain(shards) => {
                // Turns go on for a while; the gate only counts as closed when they are done.
                let span = self.rng.u64(MS..300 * MS);
                self.after(node, span, Happening::TurnsEnded(shards));
            }
            Effect::Revoke(shards) => {
                for shard in shards {
                    self.nodes[node].close(shard);
                }
            }
            Effect::Fence(_) => {
                self.counts.fences += 1;
                self.nodes[node].gates.clear();
                self.nodes[node].activations.clear();
                self.stop_heart(node);
            }
            Effect::Stopped => {
                self.nodes[node].stopped = true;
                let span = self.rng.u64(200 * MS..3000 * MS);
                self.after(node, span, Happening::Restart);
            }
            Effect::Tell(notice) => self.told(&notice),
            Effect::Route(routes) => {
                for (shard, route) in routes {
                    match route {
                        Some(route) => self.nodes[node].routes.insert(shard, route),
                        None => self.nodes[node].routes.remove(&shard),
                    };
                }
            }
            Effect::Took(..) => {}
        }
    }

    fn open(&mut self, node: usize, shard: ShardId, epoch: Epoch) {
        self.counts.opened += 1;
        self.more_may_run.push(More { node, shard: Some(shard) });
        if self.nodes[node].gates.insert(shard, epoch).is_some() {
            self.violated(&format!("shard {shard} was opened while it was open"));
        }
    }

    fn told(&mut self, notice: &Notice) {
        let counts = &mut self.counts;
        match notice {
            Notice::Elected(_) => counts.elections += 1,
            Notice::Stuck { .. } => counts.stuck += 1,
            Notice::Planned { orphans, recalls, drains, rebalanced, other } => {
                counts.orphans += *orphans as u64;
                counts.recalled += *recalls as u64;
                counts.drained += *drains as u64;
                counts.rebalanced += *rebalanced as u64;
                counts.pinned_or_stuck += *other as u64;
            }
            Notice::Burying { life, evidence: Evidence::Silence(_) } => {
                counts.deaths_by_silence += u64::from(self.store.alive(life));
            }
            Notice::Burying { life, evidence: Evidence::Crash } => {
                counts.deaths_by_crash += u64::from(self.store.alive(life));
                self.check_crashed(life);
            }
            _ => {}
        }
    }

    /// The node whose process leads this life, if there is one.
    pub(super) fn process_of(&self, life: &Life) -> Option<usize> {
        self.nodes.iter().position(|node| {
            node.listens() && node.id == life.node && node.agent.life() == Some(life)
        })
    }
}
