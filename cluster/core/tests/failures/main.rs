//! The failure classes of systems whose ownership rests on leases, as far as the pure core is
//! concerned: one thing goes wrong on purpose in a small simulated world, which checks its
//! invariants at every event. Which tests prove each class, here and elsewhere, stands in `PROMISES.md`.

mod liveness;
mod moves;
mod rest;
mod script;
mod store;
#[path = "../simulation/world/mod.rs"]
#[allow(dead_code, reason = "the simulation uses more of it than these tests")]
mod world;
