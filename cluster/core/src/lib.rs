//! The decisions of Greenroom's ownership protocol, and nothing but decisions.
//!
//! The principal type is [`Agent`], one node's part in the protocol: `step(now, event)` answers
//! with the effects that a shell carries out. [`planner::plan`] is what the agent asks when it
//! leads; [`ShardId::of`] is the hash that every node, gateway and client computes alike.
//!
//! This crate must never read a clock, draw a random number, do I/O, spawn or wait: time, seeds
//! and answers come in as arguments, so that a run is a function of its inputs and can be
//! simulated, replayed and model-checked.

mod agent;
mod groups;
mod id;
pub mod planner;
pub mod record;
mod time;
mod view;

pub use agent::{
    Agent, Config, DECISIONS_MAX, Decided, DecidedMove, Decision, Effect, Event, Evidence,
    Forecast, GUARDS_PER_TRANSACTION_MAX, Motion, MotionPhase, Notice, Order, OrderId, Outcome,
    Purpose, Refusal, RequestId, Restore, SHARDS_PER_ASSIGNMENT_MAX, ShardLoad, Stage, Stuck,
    SupposedNode, WhatIf,
};
pub use groups::{
    BadGroups, GROUP_DEFAULT, GROUPS_MAX, Group, GroupIndex, Groups, Labels, PlacementRule, Unfit,
};
pub use id::{
    ActorId, BadName, Epoch, Incarnation, KEY_LEN_MAX, KIND_LEN_MAX, Life, NODE_ID_LEN_MAX, NodeId,
    SHARD_COUNT_DEFAULT, SHARD_COUNT_MAX, ShardId, Term, hash_of, hash_tag,
};
pub use time::{
    BadTiming, CLOCK_DRIFT_PPM_DEFAULT, CLOCK_DRIFT_PPM_MAX, Moment, Now, Retry, Timing,
};
pub use view::{Beat, MemberView, Slot, View};
