//! Actors in memory: the cell that serialises the turns of one actor, and the directory that
//! finds the cells of a shard.

mod active;
mod caller;
mod cell;
mod directory;
mod mailbox;
mod name;
mod origin;
mod passivate;
mod run;
mod runtime;
mod streams;
mod turn;

pub(crate) use caller::{Farewell, is_gone as caller_is_gone};
pub(crate) use directory::{Directory, Hosted, KindOptions};
pub(crate) use name::Name;
pub(crate) use origin::Origin;
pub(crate) use streams::Tenure;
pub(crate) use turn::{Answer, Job, Later, RemoteReplier, Replier, Submitted};
