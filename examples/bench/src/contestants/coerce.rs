//! coerce: an actor that its system does not track, called with `send`. Its mailbox has no limit.

use async_trait::async_trait;
use coerce::actor::context::ActorContext;
use coerce::actor::message::{Handler, Message, MessageUnwrapErr, MessageWrapErr};
use coerce::actor::scheduler::ActorType;
use coerce::actor::system::ActorSystem;
use coerce::actor::{Actor, LocalActorRef};

use crate::system::{Counter, Result, System};

pub(crate) struct Tally(pub(crate) u64);

impl Actor for Tally {}

pub(crate) struct Add(pub(crate) u64);

/// Between processes, amount and count are eight bytes each.
impl Message for Add {
    type Result = u64;

    fn as_bytes(&self) -> Result<Vec<u8>, MessageWrapErr> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, MessageUnwrapErr> {
        number(&bytes).map(Self)
    }

    fn read_remote_result(bytes: Vec<u8>) -> Result<u64, MessageUnwrapErr> {
        number(&bytes)
    }

    fn write_remote_result(count: u64) -> Result<Vec<u8>, MessageWrapErr> {
        Ok(count.to_le_bytes().to_vec())
    }
}

fn number(bytes: &[u8]) -> Result<u64, MessageUnwrapErr> {
    let bytes = bytes.try_into().map_err(|_| MessageUnwrapErr::DeserializationErr)?;
    Ok(u64::from_le_bytes(bytes))
}

#[async_trait]
impl Handler<Add> for Tally {
    async fn handle(&mut self, add: Add, _: &mut ActorContext) -> u64 {
        self.0 += add.0;
        self.0
    }
}

impl Counter for LocalActorRef<Tally> {
    async fn add(&self, amount: u64) -> Result<u64> {
        Ok(self.send(Add(amount)).await.map_err(|error| error.to_string())?)
    }
}

pub(crate) struct Coerce(ActorSystem);

impl System for Coerce {
    const NAME: &'static str = "coerce";
    const HELD: bool = false;
    type Counter = LocalActorRef<Tally>;

    async fn start() -> Result<Self> {
        Ok(Self(ActorSystem::new()))
    }

    async fn counter(&self, key: &str) -> Result<LocalActorRef<Tally>> {
        let counter = self.0.new_actor(key.to_owned(), Tally(0), ActorType::Anonymous).await;
        Ok(counter.map_err(|error| error.to_string())?)
    }

    async fn discard(counter: LocalActorRef<Tally>) {
        // An actor that has ended already is what is wanted.
        let _ = counter.stop().await;
    }

    async fn stop(self) {
        self.0.shutdown().await;
    }
}
