//! The actor that people write by hand: a task, a channel for its mailbox, a oneshot for the reply.

use tokio::sync::{mpsc, oneshot};

use crate::system::{Counter, Result, System};

/// As many as a mailbox of kameo takes unless told otherwise.
const MAILBOX_LEN_MAX: usize = 64;

#[derive(Clone)]
pub(crate) struct ChannelCounter(mpsc::Sender<(u64, oneshot::Sender<u64>)>);

/// Starts a counter; it ends when nobody holds its address.
fn spawn_counter() -> ChannelCounter {
    let (sender, mut mailbox) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(MAILBOX_LEN_MAX);
    tokio::spawn(async move {
        let mut count = 0;
        while let Some((amount, reply)) = mailbox.recv().await {
            count += amount;
            // A caller that went away needs no answer.
            let _ = reply.send(count);
        }
    });
    ChannelCounter(sender)
}

impl Counter for ChannelCounter {
    async fn add(&self, amount: u64) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send((amount, reply)).await;
        sent.map_err(|_| "the actor has ended")?;
        Ok(answer.await?)
    }
}

pub(crate) struct TokioChannel;

impl System for TokioChannel {
    const NAME: &'static str = "tokio channel";
    const HELD: bool = true;
    type Counter = ChannelCounter;

    async fn start() -> Result<Self> {
        Ok(Self)
    }

    async fn counter(&self, _: &str) -> Result<ChannelCounter> {
        Ok(spawn_counter())
    }

    async fn discard(_: ChannelCounter) {}

    async fn stop(self) {}
}
