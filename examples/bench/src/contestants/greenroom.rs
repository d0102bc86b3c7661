//! Greenroom: a node of its own, with an embedded store.

use greenroom::prelude::*;

use crate::system::{Counter as Addable, Result, System};

/// What anyone may ask of a counter.
#[greenroom::interface(kind = "counter")]
pub trait Counter {
    /// Adds and returns the new count.
    async fn add(&mut self, amount: u64) -> u64;
}

pub(crate) struct CounterActor(u64);

impl Actor for CounterActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self(0))
    }
}

impl Counter for CounterActor {
    async fn add(&mut self, amount: u64) -> u64 {
        self.0 += amount;
        self.0
    }
}

impl Addable for CounterRef {
    async fn add(&self, amount: u64) -> Result<u64> {
        Ok(CounterRef::add(self, amount).await?)
    }
}

pub(crate) struct Greenroom(Node);

impl System for Greenroom {
    const NAME: &'static str = "greenroom";
    const HELD: bool = false;
    type Counter = CounterRef;

    async fn start() -> Result<Self> {
        let kind = CounterRef::served_by::<CounterActor>();
        let node = Node::embedded().host(kind).start().await?;
        node.ready().await?;
        Ok(Self(node))
    }

    async fn counter(&self, key: &str) -> Result<CounterRef> {
        Ok(self.0.actor(key)?)
    }

    /// All actors go with their node.
    async fn discard(_: CounterRef) {}

    async fn stop(self) {
        self.0.stop().await;
    }
}
