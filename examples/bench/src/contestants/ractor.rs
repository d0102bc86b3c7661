//! ractor: an actor called with `call` and no time-out.

use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_cluster::RactorMessage;

use crate::system::{Counter, Result, System};

#[derive(RactorMessage)]
pub(crate) enum Ask {
    Add(u64, RpcReplyPort<u64>),
}

struct Tally;

impl Actor for Tally {
    type Msg = Ask;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Ask>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Ask>,
        message: Ask,
        count: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        let Ask::Add(amount, reply) = message;
        *count += amount;
        // A caller that went away needs no answer.
        let _ = reply.send(*count);
        Ok(())
    }
}

impl Counter for ActorRef<Ask> {
    async fn add(&self, amount: u64) -> Result<u64> {
        match self.call(|reply| Ask::Add(amount, reply), None).await {
            Ok(CallResult::Success(count)) => Ok(count),
            Ok(_) => Err("the actor gave no answer".into()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

pub(crate) struct Ractor;

impl System for Ractor {
    const NAME: &'static str = "ractor";
    const HELD: bool = false;
    type Counter = ActorRef<Ask>;

    async fn start() -> Result<Self> {
        Ok(Self)
    }

    async fn counter(&self, _: &str) -> Result<ActorRef<Ask>> {
        Ok(Actor::spawn(None, Tally, ()).await?.0)
    }

    async fn discard(counter: ActorRef<Ask>) {
        // An actor that has ended already is what is wanted.
        let _ = counter.stop_and_wait(None, None).await;
    }

    async fn stop(self) {}
}
