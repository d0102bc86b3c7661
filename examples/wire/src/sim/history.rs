//! What the double saw, in the words in which the judge of real clusters reads it.

use greenroom_chaos::records::Change;
use greenroom_cluster::store::{Change as StoreChange, KeyValue};
use greenroom_wire::api::Event;

/// Type of an event that a deletion is.
const DELETE: i32 = 1;

pub(crate) fn change(event: &Event) -> Option<Change> {
    let held = event.kv.as_ref()?;
    let key = String::from_utf8_lossy(&held.key).into_owned();
    let mod_revision = held.mod_revision.unsigned_abs();
    let change = if event.r#type == DELETE {
        StoreChange::Delete { key, mod_revision }
    } else {
        let create_revision = held.create_revision.unsigned_abs();
        let value = held.value.clone().into();
        StoreChange::Put(KeyValue { key, value, create_revision, mod_revision })
    };
    Some(Change::read(&change))
}
