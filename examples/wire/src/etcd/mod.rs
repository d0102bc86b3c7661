//! A double of etcd: exactly what a real one holds and answers, and on demand as slow, forgetful and
//! contradictory as a real one may be (see [`Faults`]).
//!
//! Members are many servers of one [`Etcd`]: what they agree on is taken for granted, since etcd's
//! consensus is not what is under test. So a clone is a handle to the same one, and what it holds
//! outlives each server.

mod checks;
mod compare;
mod faults;
mod kv;
mod lease;
mod leases;
mod mvcc;
mod refusal;
mod txn;
mod watch;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch::{Receiver, Sender};
use tonic::Status;

use self::faults::Fate;
pub use self::faults::{Faults, Troubles};
use self::leases::Leases;
use self::mvcc::Mvcc;
use self::txn::Transaction;
use crate::api::{
    CompactionRequest, CompactionResponse, Event, KvServer, LeaseServer, ResponseHeader,
    WatchServer,
};

/// Sees each change when it is made.
pub type Observer = Box<dyn FnMut(&Event) + Send>;

/// A double of etcd. Clones are handles to the same one.
#[derive(Clone)]
pub struct Etcd {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    /// The present revision, for the watches.
    revision: Sender<i64>,
}

struct State {
    store: Mvcc,
    leases: Leases,
    observer: Option<Observer>,
}

/// One server of an [`Etcd`], by its number among them.
#[derive(Clone)]
pub(crate) struct Member {
    etcd: Etcd,
    number: usize,
}

impl Default for Etcd {
    fn default() -> Self {
        Self::new(Faults::none())
    }
}

impl Etcd {
    /// An empty one.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        let state = State { store: Mvcc::new(), leases: Leases::default(), observer: None };
        let (revision, _) = tokio::sync::watch::channel(state.store.revision);
        let shared = Shared { state: Mutex::new(state), faults: Mutex::new(faults), revision };
        Self { shared: Arc::new(shared) }
    }

    /// Shows each change from now on to `observer`, while it is made.
    pub fn observe(&self, observer: Observer) {
        self.shared.state.lock().observer = Some(observer);
    }

    /// What goes wrong.
    pub fn faults<T>(&self, look: impl FnOnce(&mut Faults) -> T) -> T {
        look(&mut self.shared.faults.lock())
    }

    /// Forgets the history before the present revision, but for the last `kept` of it.
    pub fn compact(&self, kept: i64) {
        let mut state = self.shared.state.lock();
        let revision = state.store.revision - kept;
        // Refused if it is older than what is forgotten already.
        let _ = state.store.compact(revision);
    }

    /// Ends all leases at once, however much of them is left.
    pub fn lose_leases(&self) {
        let ids: Vec<i64> = self.shared.state.lock().leases.ids().collect();
        ids.into_iter().for_each(|id| drop(self.revoke(id)));
    }

    /// The services of a member, for a server.
    pub fn routes(&self, number: usize) -> tonic::service::Routes {
        let member = Member { etcd: self.clone(), number };
        tonic::service::Routes::new(KvServer::new(member.clone()))
            .add_service(WatchServer::new(member.clone()))
            .add_service(LeaseServer::new(member))
    }

    fn read<T>(&self, read: impl FnOnce(&Mvcc, &Leases) -> T) -> T {
        let state = self.shared.state.lock();
        read(&state.store, &state.leases)
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&mut Transaction<'_>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut state = self.shared.state.lock();
        let State { store, leases, observer } = &mut *state;
        let before = store.revision;
        let mut transaction = Transaction::begin(store, leases);
        let written = write(&mut transaction);
        let revision = transaction.end();
        if revision > before {
            if let Some(observer) = observer {
                store.changes_from(revision).for_each(observer);
            }
            self.shared.revision.send_replace(revision);
        }
        written
    }

    fn compact_at(&self, request: &CompactionRequest) -> Result<CompactionResponse, Status> {
        let mut state = self.shared.state.lock();
        state.store.compact(request.revision)?;
        Ok(CompactionResponse { header: header(state.store.revision) })
    }

    fn revision(&self) -> i64 {
        self.shared.state.lock().store.revision
    }

    fn revisions(&self) -> Receiver<i64> {
        self.shared.revision.subscribe()
    }
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}
