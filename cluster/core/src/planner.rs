#![doc = include_str!("planner/README.md")]

mod answer;
mod budget;
mod exchange;
mod gain;
mod greatest;
mod places;
mod policy;
mod problem;
mod rebalance;
mod settle;
mod shares;
mod solve;
mod surplus;
mod survey;

pub use answer::{Furthest, Idle, Move, MoveReason, Plan};
pub use policy::{EVEN_PERMILLE, Policy, Strategy};
pub use problem::{Member, MemberIndex, Pin, Placement, Problem, Standing, WEIGHT_MAX};
pub use settle::{Settled, settle};
pub use shares::shares;
pub use solve::plan;
