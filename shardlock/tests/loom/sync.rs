//! Loom's atomics and lock, for the files of the algorithm.

pub(crate) use loom::sync::{
    MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// Like the one that the crate uses, it knows no poison.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}
