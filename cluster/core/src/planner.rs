#![doc = include_str!("planner/README.md")]

mod answer;
mod greatest;
mod problem;
mod rebalance;
mod shares;
mod solve;
mod survey;

pub use answer::{Idle, Move, MoveReason, Plan};
pub use problem::{Member, MemberIndex, Placement, Policy, Problem, WEIGHT_MAX};
pub use shares::shares;
pub use solve::plan;
