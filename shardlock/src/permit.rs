//! The proof that its holder is inside.

use std::{fmt, mem, ptr, sync::Arc};

use tokio::time::Instant;

use crate::{
    Gates,
    gate::{Entry, Gate},
};

/// The right to run in a shard, while it is held and valid. Dropping it goes out.
///
/// A permit that is never dropped (`mem::forget`) keeps its gate from draining, until a deadline or
/// its owner revokes it.
#[must_use = "a permit that is dropped at once protects nothing"]
pub struct Permit<'a> {
    gate: &'a Gate,
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
    #[inline]
    pub(crate) fn new(gate: &'a Gate, shard: u32, entry: Entry) -> Self {
        Self { gate, entry, shard }
    }

    /// The same permit, for a task. It costs a count of references, which all threads share: where a
    /// borrowed permit does, it is faster.
    ///
    /// # Panics
    ///
    /// When the permit is of another table.
    #[inline]
    pub fn into_owned(self, gates: &Arc<Gates>) -> OwnedPermit {
        let ours = gates.find(self.shard).is_some_and(|gate| ptr::eq(gate, self.gate));
        assert!(ours, "the permit is of another table");
        let owned = OwnedPermit { gates: Arc::clone(gates), entry: self.entry, shard: self.shard };
        // The entry goes on in the other.
        mem::forget(self);
        owned
    }

    #[inline]
    fn gate(&self) -> &Gate {
        self.gate
    }
}

impl OwnedPermit {
    #[inline]
    fn gate(&self) -> &Gate {
        self.gates.gate(self.shard)
    }
}

/// The two kinds of permit differ only in how they reach the gate.
macro_rules! holder {
    ($permit:ty, $name:literal) => {
        impl $permit {
            /// The shard that was entered.
            #[must_use]
            #[inline]
            pub fn shard(&self) -> u32 {
                self.shard
            }

            /// The epoch that the gate had on entering: the one to fence durable writes with.
            #[must_use]
            #[inline]
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
                self.gate().is_current(self.entry.word)
            }
        }

        impl Drop for $permit {
            #[inline]
            fn drop(&mut self) {
                let gate = self.gate();
                if gate.leave(self.entry.word) {
                    gate.settle(Instant::now());
                }
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
