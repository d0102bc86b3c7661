//! The failure classes of systems whose ownership rests on leases, as far as the pure core is
//! concerned: one thing goes wrong on purpose in a small simulated world, which checks its
//! invariants at every event. Where the proof of each class is:
//!
//! | class | failure | tests |
//! |---|---|---|
//! | C1 | pause past expiry | here `liveness::c01`; `simulation` (pauses); chaos: the pause scenarios |
//! | C2 | pause between check and effect | `models::liveness`; `simulation` (late writes of turns, gates close late); `runtime/tests/cluster.rs::a_turn_calls_actors_of_its_own_shard_while_that_moves` |
//! | C3 | clock rates | here `liveness::c03`; `models::liveness` (no margin is refuted); `simulation` (up to what the margin covers, and beyond); `core/src/time.rs` (the margin covers the drift) |
//! | C4 | wall-clock jump | `examples/tests/dependency_directions.rs::the_core_reads_no_clock_and_draws_no_numbers`; lint `disallowed_methods` |
//! | C5 | cut from the store, not from peers | here `store::c05`; `runtime/tests/failures.rs::a_node_cut_off_its_store_stops_before_another_takes_over_and_comes_back_as_a_new_one`; chaos: cut off etcd |
//! | C6 | cut from peers, not from the store | the core never asks peers, but for a refused port: `simulation` (found crashed only if gone); chaos: cut off peers |
//! | C7 | one-way and grey links | `simulation` (one-way and swizzled links, lost replies, late requests, hearts and agents cut apart); chaos: one-way cut |
//! | C8 | store's leader changes | here `store::c22` (briefly); `simulation` (the store elects); chaos: leader of etcd killed |
//! | C9 | lease expiry lag | no lease decides anything; chaos: leader of etcd and a node killed together |
//! | C10 | early revocation | here `liveness::c10`; `models::liveness` (leases as deaths are refuted); `simulation` (declared dead only without the right to run) |
//! | C11 | watch compaction | here `store::c12` (the list after it); `simulation` (compactions met); `store_conformance` watches; chaos: compaction |
//! | C12 | watch loss and stall | here `store::c12`, `liveness::c10`; `simulation` (watches lost and stalled) |
//! | C13 | ambiguous transaction | here `store::c13`; `agent` (a lost resignation, a release that may still be applied); `models` (reopening is refuted); `simulation` (lost replies); chaos: swallowed replies |
//! | C14 | two leaders | here `moves::c14`; `models::leading`; `simulation` (targets only by who leads); chaos: the pause scenarios |
//! | C15 | stuck migration | here `moves::c15` (two); `simulation` (claims swallowed); chaos: the migration scenarios |
//! | C16 | slow release | `shardlock/tests/closing.rs::the_deadline_revokes_what_is_left`, `shardlock/tests/holds.rs`; `runtime/tests/lifecycle.rs::a_stop_waits_for_turns_that_run` |
//! | C17 | starved heartbeats, hanging driver | here `liveness::c17` (two); `simulation` (hangs, late hearts) |
//! | C18 | herd on failover | here `moves::c18`; `core/tests/planner`; `greenroom-bench` `thousand` |
//! | C19 | claim on a stale view | here `moves::c19`; `agent` (back before the release is answered); `simulation` (owners and epochs checked at each write) |
//! | C20 | restart under the same name | here `liveness::c20` (two); `runtime/tests/membership.rs::a_node_takes_over_from_its_own_former_life`; chaos: restart at once |
//! | C21 | late messages | `simulation` (requests and calls up to 4 s late, or twice); `shardlock/tests/permits.rs::another_epoch_is_refused_either_way` |
//! | C22 | the store is down | here `store::c22`; `simulation` (the store away); `runtime/tests/failures.rs::a_long_outage_of_the_store_halts_the_cluster_and_kills_nobody`; chaos: all of etcd away |
//! | C23 | store is full or slow | `agent` (a refusal that teaches nothing); `store_conformance` (a server that hangs) |
//! | C24 | poison messages | `runtime/tests/lifecycle.rs::a_panic_loses_the_activation_and_nothing_else`, `runtime/tests/wire.rs` |
//! | C25 | lock leaks on cancellation | `shardlock/tests/waiting.rs::dropping_a_wait_leaves_no_trace_at_any_moment`; `shardlock/tests/loom/cancelling.rs`; `shardlock/tests/stress.rs` |

mod liveness;
mod moves;
mod rest;
mod script;
mod store;
#[path = "../simulation/world/mod.rs"]
#[allow(dead_code, reason = "the simulation uses more of it than these tests")]
mod world;
