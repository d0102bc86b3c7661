//! One agent against a store of its own.

mod answers;
mod balancing;
mod founding;
mod guards;
mod orders;
mod probing;
mod standing;
#[path = "../simulation/world/store.rs"]
#[allow(dead_code, reason = "the simulation uses more of it")]
mod store;
mod support;
mod supposing;
mod telling;
