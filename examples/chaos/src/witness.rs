//! The actor that bears witness: which process ran its turns, and when.

use std::env;
use std::time::Duration;

use greenroom::prelude::*;
use serde::{Deserialize, Serialize};

use crate::clock::machine_ns;

/// What anyone may ask of a witness.
#[greenroom::interface(kind = "chaos.witness")]
pub trait Witness {
    /// Takes a turn of `hold_ms` milliseconds and tells of it.
    async fn bear(&mut self, hold_ms: u64) -> Testimony;

    /// Tells of a reading of `hold_ms` milliseconds, which counts nothing and may run beside others.
    async fn look(&self, hold_ms: u64) -> Testimony;
}

/// What a turn tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// Name of the node that ran it.
    pub node: String,
    /// Its process.
    pub process: u32,
    /// Drawn at random by each activation.
    pub activation: u64,
    /// How many turns that count the activation had begun, this one among them if it counts.
    pub count: u64,
    /// It only read the count.
    pub is_read: bool,
    /// When the turn began, on [`machine_ns`].
    pub began_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
}

/// One activation of a witness.
#[derive(Debug)]
pub struct WitnessActor {
    node: String,
    activation: u64,
    count: u64,
}

impl Actor for WitnessActor {
    async fn activate(_: &mut Activating<'_>) -> std::result::Result<Self, ActivateError> {
        let node = env::var("GREENROOM_NODE_ID").unwrap_or_default();
        Ok(Self { node, activation: fastrand::u64(..), count: 0 })
    }
}

impl Witness for WitnessActor {
    async fn bear(&mut self, hold_ms: u64) -> Testimony {
        let began_ns = machine_ns();
        self.count += 1;
        let count = self.count;
        hold(hold_ms).await;
        self.testimony(began_ns, count, false)
    }

    async fn look(&self, hold_ms: u64) -> Testimony {
        let began_ns = machine_ns();
        let count = self.count;
        hold(hold_ms).await;
        self.testimony(began_ns, count, true)
    }
}

impl WitnessActor {
    fn testimony(&self, began_ns: u64, count: u64, is_read: bool) -> Testimony {
        Testimony {
            node: self.node.clone(),
            process: std::process::id(),
            activation: self.activation,
            count,
            is_read,
            began_ns,
            ended_ns: machine_ns(),
        }
    }
}

async fn hold(hold_ms: u64) {
    if hold_ms > 0 {
        tokio::time::sleep(Duration::from_millis(hold_ms)).await;
    }
}
