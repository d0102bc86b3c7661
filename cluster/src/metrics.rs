//! What a node tells of ownership in numbers, through the `metrics` facade: whoever installs a
//! recorder in the process receives them.
//!
//! [`ALL`] is the one table of them; `METRICS.md` beside the crate shows it. Every metric has the
//! label `node`, because several nodes of one process share its recorder.

mod beats;
mod gates;
mod ledger;
mod survey;
mod table;

pub(crate) use beats::{Beats, Unacknowledged};
pub(crate) use gates::on_wait;
pub(crate) use ledger::Ledger;
pub use table::*;

#[cfg(test)]
mod tests;
