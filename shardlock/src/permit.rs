//! The proof that its holder is inside.

use std::{fmt, sync::Arc};

use crate::{Gates, gate::Entry};

/// The right to run in a shard, while it is held and valid. Dropping it goes out.
///
/// A permit that is never dropped (`mem::forget`) keeps its gate from draining, until a deadline or
/// an operator revokes it.
#[must_use = "a permit that is dropped at once protects nothing"]
pub struct Permit<'a> {
    gates: &'a Gates,
    entry: Entry,
    shard: u32,
}

/// A [`Permit`] that owns its share of the table, so that it can move into a task.
#[must_use = "a permit that is dropped at once protects nothing"]
pub struct OwnedPermit {
    gates: Arc<Gates>,
    entry: Entry,
    shard: u32,
}

impl<'a> Permit<'a> {
    pub(crate) fn new(gates: &'a Gates, shard: u32, entry: Entry) -> Self {
        Self { gates, entry, shard }
    }
}

impl OwnedPermit {
    pub(crate) fn new(gates: Arc<Gates>, shard: u32, entry: Entry) -> Self {
        Self { gates, entry, shard }
    }
}

/// The two kinds of permit differ only in how they reach the table.
macro_rules! holder {
    ($permit:ty, $name:literal) => {
        impl $permit {
            /// The shard that was entered.
            #[must_use]
            pub fn shard(&self) -> u32 {
                self.shard
            }

            /// The epoch that the gate had on entering: the one to fence durable writes with.
            #[must_use]
            pub fn epoch(&self) -> u64 {
                self.entry.epoch
            }

            /// False once the permit is revoked; then it never becomes valid again. A gate that is
            /// only closing leaves it valid.
            ///
            /// One atomic load. True is a statement about the past: the permit may be revoked
            /// before the caller acts on the answer.
            #[must_use]
            #[inline]
            pub fn is_valid(&self) -> bool {
                self.gates.is_current(self.shard, self.entry.generation)
            }
        }

        impl Drop for $permit {
            #[inline]
            fn drop(&mut self) {
                self.gates.leave(self.shard, self.entry.generation);
            }
        }

        impl fmt::Debug for $permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name)
                    .field("shard", &self.shard())
                    .field("epoch", &self.epoch())
                    .field("valid", &self.is_valid())
                    .finish_non_exhaustive()
            }
        }
    };
}

holder!(Permit<'_>, "Permit");
holder!(OwnedPermit, "OwnedPermit");
