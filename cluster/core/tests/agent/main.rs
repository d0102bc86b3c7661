//! One agent against a store of its own.

mod answers;
mod founding;
mod guards;
#[path = "../simulation/world/store.rs"]
#[allow(dead_code, reason = "the simulation uses more of it")]
mod store;
mod support;
