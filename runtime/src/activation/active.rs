//! Who of a shard is in memory.

use std::sync::Arc;

use parking_lot::Mutex;

use super::directory::Cells;
use crate::actor::Actor;
use crate::interface::Dispatch;
use crate::peer::active::KEY_BYTES;

/// The keys of actors in memory, as [`Hosted::active_keys`](super::Hosted::active_keys) tells them.
///
/// The shard's lock, which every call takes, is held only as long as it takes to copy what may be
/// told; nothing of an actor is used, so listing keeps nobody from being passivated.
pub(super) fn active_keys<A: Actor, I: Dispatch<A>>(
    cells: &Mutex<Cells<A, I>>,
    after: Option<&str>,
    room: &mut usize,
) -> (Vec<Arc<str>>, bool) {
    let wanted = |key: &str| after.is_none_or(|after| after < key);
    let mut cells: Vec<_> = {
        let cells = cells.lock();
        cells.values().filter(|cell| wanted(cell.id.key())).cloned().collect()
    };
    cells.sort_unstable_by(|one, other| one.id.key().cmp(other.id.key()));
    let mut active = cells.iter().filter(|cell| cell.is_active());
    let mut keys = Vec::new();
    while *room > 0 {
        let Some(cell) = active.next() else { return (keys, false) };
        *room = room.saturating_sub(cell.id.key().len() + KEY_BYTES);
        keys.push(cell.id.shared_key());
    }
    (keys, active.next().is_some())
}
