//! Leases, and the keys that end with them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, Instant};
use tonic::Status;

use super::refusal;

/// The shortest lease in seconds, in etcd's default configuration.
const TTL_MIN: i64 = 2;

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) ttl: i64,
    pub(super) ends: Instant,
    pub(super) keys: BTreeSet<Vec<u8>>,
}

/// The leases that were granted and have not ended.
#[derive(Debug, Default)]
pub(super) struct Leases {
    granted: BTreeMap<i64, Lease>,
    attached: BTreeMap<Vec<u8>, i64>,
    last: i64,
}

impl Leases {
    pub(super) fn is_granted(&self, id: i64) -> bool {
        self.granted.contains_key(&id)
    }

    pub(super) fn get(&self, id: i64) -> Option<&Lease> {
        self.granted.get(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.granted.keys().copied()
    }

    /// Grants a lease, with a number of one's own unless one is given.
    pub(super) fn grant(&mut self, id: i64, ttl: i64) -> Result<(i64, i64), Status> {
        if self.is_granted(id) {
            return Err(refusal::lease_exists());
        }
        let id = if id == 0 { self.last + 1 } else { id };
        self.last = self.last.max(id);
        let ttl = ttl.max(TTL_MIN);
        self.granted.insert(id, Lease { ttl, ends: after(ttl), keys: BTreeSet::new() });
        Ok((id, ttl))
    }

    /// Begins a lease anew; answers with its span, 0 if there is none.
    pub(super) fn keep_alive(&mut self, id: i64) -> i64 {
        let Some(lease) = self.granted.get_mut(&id) else { return 0 };
        lease.ends = after(lease.ttl);
        lease.ttl
    }

    /// Ends a lease; answers with the keys that end with it.
    pub(super) fn revoke(&mut self, id: i64) -> Option<BTreeSet<Vec<u8>>> {
        let keys = self.granted.remove(&id)?.keys;
        self.attached.retain(|key, _| !keys.contains(key));
        Some(keys)
    }

    /// Those that are over.
    pub(super) fn over(&self) -> Vec<i64> {
        let now = Instant::now();
        let over = self.granted.iter().filter(|(_, lease)| lease.ends <= now);
        over.map(|(id, _)| *id).collect()
    }

    /// A key was written with this lease, or with none.
    pub(super) fn attach(&mut self, key: &[u8], id: i64) {
        let before = self.attached.remove(key);
        if let Some(lease) = before.and_then(|before| self.granted.get_mut(&before)) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.granted.get_mut(&id) {
            lease.keys.insert(key.to_vec());
            self.attached.insert(key.to_vec(), id);
        }
    }
}

fn after(ttl: i64) -> Instant {
    Instant::now() + Duration::from_secs(ttl.unsigned_abs())
}
