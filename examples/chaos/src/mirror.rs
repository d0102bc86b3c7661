//! Follows etcd from its first revision: what stands there now, and the whole history.

use std::sync::Arc;
use std::time::Duration;

use greenroom_cluster::store::{EtcdOptions, EtcdStore, Store, StoreError, Watch};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Result;
use crate::clock::{machine_ns, since};
use crate::records::{Change, PREFIX, State, What};

/// How long a request to etcd may take: short, so that a member that hangs is left soon.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
const LOOK_PAUSE: Duration = Duration::from_millis(3);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The history as far as it was seen.
#[derive(Debug, Default)]
struct Seen {
    state: State,
    changes: Vec<Change>,
    /// When each revision was first heard of: a pair for each batch of the watch.
    heard: Vec<(u64, u64)>,
    /// When a shard's record was last written, as far as was heard.
    shard_written_ns: u64,
    /// Why the history is not whole, if it isn't.
    gap: Option<String>,
}

/// A live copy of what stands in etcd, with all that ever did. It stops when dropped.
#[derive(Debug)]
pub struct Mirror {
    store: EtcdStore,
    seen: Arc<Mutex<Seen>>,
    revision: watch::Receiver<u64>,
    _task: JoinSet<()>,
}

impl Mirror {
    /// Begins to follow an etcd whose history has not been compacted yet.
    ///
    /// # Errors
    /// When the endpoints can't work.
    pub async fn start(endpoints: &[String]) -> Result<Self> {
        let mut options = EtcdOptions::new(endpoints);
        options.request_timeout = REQUEST_TIMEOUT;
        options.connect_timeout = REQUEST_TIMEOUT;
        let store = EtcdStore::connect(options).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (told, revision) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(follow(store.clone(), Arc::clone(&seen), told));
        Ok(Self { store, seen, revision, _task: task })
    }

    /// Looks at the present state.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.seen.lock().state)
    }

    /// Waits until the state is as wanted; the moment at which that was seen.
    ///
    /// # Errors
    /// When it isn't within `patience`: `what` in words.
    pub async fn wait(
        &self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&State) -> bool,
    ) -> Result<u64> {
        let deadline = Instant::now() + patience;
        let mut revision = self.revision.clone();
        loop {
            revision.borrow_and_update();
            if self.look(&holds) {
                return Ok(machine_ns());
            }
            // Not for each of the many revisions of a takeover: a look goes over all shards.
            sleep(LOOK_PAUSE).await;
            if !matches!(timeout_at(deadline, revision.changed()).await, Ok(Ok(()))) {
                let owned = self.look(State::owned);
                return Err(format!("{what}: not within {patience:?}; owned: {owned:?}").into());
            }
        }
    }

    /// How long no shard's record has been written.
    #[must_use]
    pub fn quiet_for(&self) -> Duration {
        since(self.seen.lock().shard_written_ns)
    }

    /// Waits until the mirror shows all that etcd holds now, so that the history is whole.
    ///
    /// # Errors
    /// When etcd doesn't answer within `patience`, or part of the history was missed.
    pub async fn catch_up(&self, patience: Duration) -> Result<u64> {
        let deadline = Instant::now() + patience;
        let present = loop {
            match self.store.get("nothing").await {
                Ok((revision, _)) => break revision,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => sleep(RETRY_PAUSE).await,
            }
        };
        let mut revision = self.revision.clone();
        let reached = revision.wait_for(|revision| *revision >= present);
        if !matches!(timeout_at(deadline, reached).await, Ok(Ok(_))) {
            return Err(format!("etcd is at revision {present}, the mirror is not").into());
        }
        match &self.seen.lock().gap {
            Some(gap) => Err(gap.clone().into()),
            None => Ok(present),
        }
    }

    /// The whole history, in order.
    #[must_use]
    pub fn history(&self) -> Vec<Change> {
        self.seen.lock().changes.clone()
    }

    /// When heartbeats of a node were heard of, between two moments.
    #[must_use]
    pub fn beats(&self, node: &str, from_ns: u64, to_ns: u64) -> Vec<u64> {
        let seen = self.seen.lock();
        let mut batches = seen.heard.iter().peekable();
        let mut beats = Vec::new();
        for change in &seen.changes {
            while batches.next_if(|(upto, _)| *upto < change.revision).is_some() {}
            let Some((_, heard_ns)) = batches.peek() else { break };
            let is_its = matches!(&change.what, What::Beat { node: of, .. } if of == node);
            if is_its && (from_ns..to_ns).contains(heard_ns) {
                beats.push(*heard_ns);
            }
        }
        beats
    }

    /// When a revision was first heard of, on [`machine_ns`].
    #[must_use]
    pub fn heard_ns(&self, revision: u64) -> Option<u64> {
        let seen = self.seen.lock();
        let place = seen.heard.partition_point(|(upto, _)| *upto < revision);
        seen.heard.get(place).map(|(_, at)| *at)
    }
}

async fn follow(store: EtcdStore, seen: Arc<Mutex<Seen>>, told: watch::Sender<u64>) {
    loop {
        let after = *told.borrow();
        if let Ok(mut watch) = store.watch(PREFIX, after).await {
            let lost = read(&mut *watch, &seen, &told).await;
            if let StoreError::Compacted { oldest } = lost {
                let gap = format!("history between {after} and {oldest} was compacted unseen");
                seen.lock().gap = Some(gap);
                return;
            }
        }
        sleep(RETRY_PAUSE).await;
    }
}

async fn read(watch: &mut dyn Watch, seen: &Mutex<Seen>, told: &watch::Sender<u64>) -> StoreError {
    loop {
        let batch = match watch.next().await {
            Ok(batch) => batch,
            Err(error) => return error,
        };
        let mut seen = seen.lock();
        for change in &batch.changes {
            let change = Change::read(change);
            seen.state.apply(&change);
            if let What::Shard(..) = change.what {
                seen.shard_written_ns = machine_ns();
            }
            seen.changes.push(change);
        }
        seen.heard.push((batch.revision, machine_ns()));
        drop(seen);
        told.send_replace(batch.revision);
    }
}
