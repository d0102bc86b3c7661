//! kameo: an actor with a bounded mailbox of its default length, called with `ask`.

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::message::{Context, Message};

use crate::system::{Counter, Result, System};

#[derive(Actor)]
pub(crate) struct Tally(u64);

struct Add(u64);

impl Message<Add> for Tally {
    type Reply = u64;

    async fn handle(&mut self, add: Add, _: &mut Context<Self, u64>) -> u64 {
        self.0 += add.0;
        self.0
    }
}

impl Counter for ActorRef<Tally> {
    async fn add(&self, amount: u64) -> Result<u64> {
        Ok(self.ask(Add(amount)).await.map_err(|error| error.to_string())?)
    }
}

pub(crate) struct Kameo;

impl System for Kameo {
    const NAME: &'static str = "kameo";
    const HELD: bool = true;
    type Counter = ActorRef<Tally>;

    async fn start() -> Result<Self> {
        Ok(Self)
    }

    async fn counter(&self, _: &str) -> Result<ActorRef<Tally>> {
        Ok(Tally::spawn(Tally(0)))
    }

    async fn discard(counter: ActorRef<Tally>) {
        if counter.stop_gracefully().await.is_ok() {
            counter.wait_for_shutdown().await;
        }
    }

    async fn stop(self) {}
}
