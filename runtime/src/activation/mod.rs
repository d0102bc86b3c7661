//! Actors in memory: the cell that serialises the turns of one actor, and the directory that
//! finds the cells of a shard.

mod cell;
mod directory;
mod turn;

pub(crate) use directory::{Directory, Hosted, KindOptions};
pub(crate) use turn::{Answer, Job, Submitted};
