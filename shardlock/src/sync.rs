//! What the algorithm stands on: atomics and a lock. It takes them from here alone, so that the
//! models in `tests/loom` can put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use parking_lot::{Mutex, MutexGuard};
