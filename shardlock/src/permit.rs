//! The proof that its holder is inside.

use std::{fmt, mem, ops::Deref, ptr, sync::Arc};

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

/// A [`Permit`] that owns its way to the table, so that it can move into a task. `H` is any handle
/// that leads there, such as an `Arc` of the table itself, or of something that holds one.
#[must_use = "a permit that is dropped at once protects nothing"]
pub struct OwnedPermit<H = Arc<Gates>>
where
    H: Deref<Target: AsRef<Gates>>,
{
    /// `None` once the permit was handed to another handle.
    holder: Option<H>,
    entry: Entry,
    shard: u32,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) fn new(gate: &'a Gate, shard: u32, entry: Entry) -> Self {
        Self { gate, entry, shard }
    }

    /// The same permit, for a task. It costs a count of references, which all threads share: where
    /// another handle is at hand, [`into_owned_by`](Self::into_owned_by) is faster.
    ///
    /// # Panics
    ///
    /// When the permit is of another table.
    #[inline]
    pub fn into_owned(self, gates: &Arc<Gates>) -> OwnedPermit {
        self.into_owned_by(Arc::clone(gates))
    }

    /// The same permit, for a task that has a handle of its own to the table.
    ///
    /// # Panics
    ///
    /// When the handle leads to another table.
    #[inline]
    pub fn into_owned_by<H>(self, holder: H) -> OwnedPermit<H>
    where
        H: Deref<Target: AsRef<Gates>>,
    {
        let gate = (*holder).as_ref().find(self.shard);
        assert!(
            gate.is_some_and(|gate| ptr::eq(gate, self.gate)),
            "the permit is of another table"
        );
        let owned = OwnedPermit { holder: Some(holder), entry: self.entry, shard: self.shard };
        // The entry goes on in the other.
        mem::forget(self);
        owned
    }

    #[inline]
    fn leave(&self) {
        leave(self.gate, self.entry);
    }

    #[inline]
    fn gate(&self) -> &Gate {
        self.gate
    }
}

impl<H> OwnedPermit<H>
where
    H: Deref<Target: AsRef<Gates>>,
{
    /// The handle that leads to the table.
    #[inline]
    pub fn holder(&self) -> &H {
        self.holder.as_ref().expect("a permit that was handed on is gone")
    }

    /// The same permit with another handle to the same table.
    ///
    /// # Panics
    ///
    /// When the handle leads to another table.
    #[inline]
    pub fn hand_to<O>(mut self, other: O) -> OwnedPermit<O>
    where
        O: Deref<Target: AsRef<Gates>>,
    {
        let gate = (*other).as_ref().find(self.shard);
        assert!(
            gate.is_some_and(|gate| ptr::eq(gate, self.gate())),
            "the permit is of another table"
        );
        self.holder = None;
        OwnedPermit { holder: Some(other), entry: self.entry, shard: self.shard }
    }

    #[inline]
    fn gate(&self) -> &Gate {
        (**self.holder()).as_ref().gate(self.shard)
    }

    #[inline]
    fn leave(&self) {
        if let Some(holder) = &self.holder {
            leave((**holder).as_ref().gate(self.shard), self.entry);
        }
    }
}

#[inline]
fn leave(gate: &Gate, entry: Entry) {
    if gate.leave(entry.word) {
        gate.settle(Instant::now());
    }
}

/// The two kinds of permit differ only in how they reach the gate.
macro_rules! holder {
    ($permit:ty, $name:literal $(, $holder:ident)?) => {
        impl$(<$holder: Deref<Target: AsRef<Gates>>>)? $permit {
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

        impl$(<$holder: Deref<Target: AsRef<Gates>>>)? Drop for $permit {
            #[inline]
            fn drop(&mut self) {
                self.leave();
            }
        }

        impl$(<$holder: Deref<Target: AsRef<Gates>>>)? fmt::Debug for $permit {
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
holder!(OwnedPermit<H>, "OwnedPermit", H);
