//! Actors in memory: the cell that serialises the turns of one actor, and the directory that
//! finds the cells of a shard.

mod cell;
mod directory;
mod mailbox;
mod run;
mod turn;

use std::future::poll_fn;
use std::task::Poll;

use greenroom_core::ActorId;
use greenroom_shardlock::Permit;

pub(crate) use directory::{Directory, Hosted, KindOptions};
pub(crate) use turn::{Answer, Job, Submitted};

/// Submits a call from within a task, whose stack its turn is first polled on.
pub(crate) async fn submit(
    hosted: &dyn Hosted,
    id: &ActorId,
    job: Job,
    permit: Permit<'_>,
) -> Submitted {
    let mut call = Some((job, permit));
    let submitted = poll_fn(|cx| match call.take() {
        Some((job, permit)) => Poll::Ready(hosted.submit(id, job, permit, cx)),
        None => Poll::Pending,
    });
    submitted.await
}
