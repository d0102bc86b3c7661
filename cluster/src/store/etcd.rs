//! The store in etcd. This is the only file that names `etcd-client`; the parts below it take from
//! here what they need of it.
//!
//! What `etcd-client` leaves to its user is done here: a time limit on every request, a fresh
//! connection after one that didn't answer, and watches that notice when they hear nothing any
//! more.

mod classify;
mod convert;
mod cursor;
mod options;
mod watch;

use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::{
    Certificate, Channel, Client, Compare, CompareOp, ConnectOptions, Error, Event, EventType,
    GetOptions, GetResponse, Identity, KeyValue as EtcdKeyValue, KvClient, ResponseHeader,
    TlsOptions, Txn as EtcdTxn, TxnOp, TxnOpResponse, TxnResponse, WatchClient, WatchOptions,
    WatchResponse, WatchStream,
};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Endpoint;

use self::classify::{Failure, Purpose};
use self::convert::{compare, key_value, operation, outcome, read_revision, signed};
use self::cursor::Cursor;
use self::watch::EtcdWatch;
use super::txn::check_key;
use super::{Commit, KeyValue, Listing, Store, StoreError, Txn, Watch};

pub use self::options::{Dial, EtcdOptions, EtcdTls};

/// The most bytes of one reply. The library's default of 4 MiB is less than a full listing may
/// have.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A store in an etcd cluster (3.4 or newer). A clone shares the connection.
///
/// It must be used on the tokio runtime that it was connected on, because its connection lives
/// there.
#[derive(Clone)]
pub struct EtcdStore {
    shared: Arc<Shared>,
}

struct Shared {
    options: EtcdOptions,
    lines: Mutex<Lines>,
    /// Held while connecting, so that many callers without a connection open only one.
    connecting: tokio::sync::Mutex<()>,
}

/// The connection in use.
struct Lines {
    /// Counts how often a connection was given up; it also says whose member's turn it is.
    generation: u64,
    line: Option<Line>,
}

/// A connection to one member. The library's own balancing over many is not used: it goes on
/// choosing members that are down.
#[derive(Clone)]
struct Line {
    generation: u64,
    kv: KvClient,
    watch: WatchClient,
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EtcdStore")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl EtcdStore {
    /// Prepares a store. An etcd that can't be reached now is no error: requests fail until it can
    /// be.
    ///
    /// # Errors
    /// [`StoreError::Permanent`] if the options can't ever work, among them a user that etcd
    /// rejects.
    pub async fn connect(options: EtcdOptions) -> Result<Self, StoreError> {
        if options.endpoints.is_empty() {
            return Err(StoreError::Permanent("no address of etcd is given".to_owned()));
        }
        for endpoint in &options.endpoints {
            // Without a user this opens no connection, but it says whether the address makes sense.
            let anonymous = EtcdOptions { user: None, ..options.clone() };
            open(endpoint, &anonymous).await.map_err(|error| failure(Purpose::Read, &error))?;
        }
        // Clients begin at a random member, so that not all of them load the first.
        let lines = Lines { generation: fastrand::u64(..1 << 32), line: None };
        let shared =
            Shared { options, lines: Mutex::new(lines), connecting: tokio::sync::Mutex::default() };
        let store = Self { shared: Arc::new(shared) };
        match store.request(Purpose::Read, async |_| Ok(())).await {
            Err(StoreError::Permanent(why)) => return Err(StoreError::Permanent(why)),
            Err(error) => tracing::warn!(%error, "etcd can't be reached yet"),
            Ok(()) => {}
        }
        Ok(store)
    }

    /// The connection in use, or a new one to the member whose turn it is.
    async fn line(&self) -> Result<Line, Error> {
        let _only_one = self.shared.connecting.lock().await;
        let generation = {
            let lines = self.shared.lines.lock();
            if let Some(line) = &lines.line {
                return Ok(line.clone());
            }
            lines.generation
        };
        let options = &self.shared.options;
        let turn = generation % options.endpoints.len() as u64;
        let client = open(&options.endpoints[turn as usize], options).await?;
        let line = Line {
            generation,
            kv: client.kv_client().max_decoding_message_size(REPLY_BYTES_MAX),
            watch: client.watch_client().max_decoding_message_size(REPLY_BYTES_MAX),
        };
        let mut lines = self.shared.lines.lock();
        if lines.generation == generation {
            lines.line = Some(line.clone());
        }
        Ok(line)
    }

    /// Gives up a connection on which something failed or was not answered, so that the next
    /// request opens a new one to the next member instead of waiting for this one to be declared
    /// dead.
    fn give_up(&self, generation: u64) {
        let mut lines = self.shared.lines.lock();
        if lines.generation == generation {
            lines.generation += 1;
            lines.line = None;
        }
    }

    /// Sends a request. What surely was not applied is tried at each member once, within the same
    /// time limit.
    async fn request<T, F>(
        &self,
        purpose: Purpose,
        send: impl Fn(Line) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        let deadline = Instant::now() + self.shared.options.request_timeout;
        let mut attempts_left = self.shared.options.endpoints.len();
        loop {
            attempts_left = attempts_left.saturating_sub(1);
            let mut generation = self.shared.lines.lock().generation;
            let mut phase = Purpose::Read;
            // Whoever asks may lose patience sooner.
            let unanswered = Unanswered { store: self, generation };
            let attempt = async {
                let line = self.line().await?;
                (generation, phase) = (line.generation, purpose);
                send(line).await
            };
            let outcome = timeout_at(deadline, attempt).await;
            unanswered.answered();
            let timed_out = outcome.is_err();
            let error = match outcome {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(error)) => failure(phase, &error),
                Err(_) => phase.timed_out(),
            };
            let is_transient = matches!(error, StoreError::Transient(_));
            if timed_out || is_transient {
                self.give_up(generation);
            }
            if timed_out || !is_transient || attempts_left == 0 {
                return Err(error);
            }
        }
    }

    async fn read(&self, key: &str, options: GetOptions) -> Result<GetResponse, StoreError> {
        self.request(Purpose::Read, |mut line| {
            let (key, options) = (key.to_owned(), options.clone());
            async move { line.kv.get(key, Some(options)).await }
        })
        .await
    }
}

/// A request under way. Dropped before it was answered, it gives up the connection that was in use
/// when it began, as a time-out does: the next request must not wait for the same silent member.
struct Unanswered<'a> {
    store: &'a EtcdStore,
    generation: u64,
}

impl Unanswered<'_> {
    fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.store.give_up(self.generation);
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        // etcd answers a range sorted by key unless asked otherwise.
        let mut reply = self.read(prefix, GetOptions::new().with_prefix()).await?;
        let revision = read_revision(reply.header())?;
        let items = reply.take_kvs().into_iter().filter_map(key_value).collect();
        Ok(Listing { revision, items })
    }

    async fn get(&self, key: &str) -> Result<(u64, Option<KeyValue>), StoreError> {
        check_key(key)?;
        let mut reply = self.read(key, GetOptions::new()).await?;
        let revision = read_revision(reply.header())?;
        Ok((revision, reply.take_kvs().into_iter().find_map(key_value)))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        txn.check()?;
        let guarded = txn.guarded_keys();
        let request = EtcdTxn::new()
            .when(txn.guards.iter().map(compare).collect::<Vec<_>>())
            .and_then(txn.writes.iter().map(operation).collect::<Vec<_>>())
            .or_else(guarded.iter().map(|key| TxnOp::get(*key, None)).collect::<Vec<_>>());
        let reply = self
            .request(Purpose::Write, |mut line| {
                let request = request.clone();
                async move { line.kv.txn(request).await }
            })
            .await?;
        outcome(&reply, &guarded)
    }

    async fn watch(&self, prefix: &str, after_revision: u64) -> Result<Box<dyn Watch>, StoreError> {
        let cursor = Cursor::after(after_revision);
        let start_revision = signed(cursor.start_revision());
        let (generation, stream, created) = self
            .request(Purpose::Read, |mut line| {
                let prefix = prefix.to_owned();
                async move {
                    // `fragment` stays off, so that etcd never splits a revision.
                    let options = WatchOptions::new()
                        .with_prefix()
                        .with_start_revision(start_revision)
                        .with_progress_notify();
                    let mut stream = line.watch.watch(prefix, Some(options)).await?;
                    let created = stream.message().await?;
                    Ok((line.generation, stream, created))
                }
            })
            .await?;
        let created =
            created.ok_or_else(|| StoreError::Transient("etcd closed the new watch".to_owned()))?;
        let watch = EtcdWatch::open(self.clone(), generation, stream, cursor, &created)?;
        Ok(Box::new(watch))
    }
}

/// Prepares a connection to one member. With a user it also asks for a token, else nothing is sent
/// yet.
async fn open(endpoint: &str, options: &EtcdOptions) -> Result<Client, Error> {
    // TCP_NODELAY is on by the library's default. Without open requests or watches no pings are
    // sent: etcd takes them for abuse and hangs up, and the first request on a connection that died
    // meanwhile finds it out.
    let connect = ConnectOptions::new()
        .with_connect_timeout(options.connect_timeout)
        .with_keep_alive(options.keep_alive_interval, options.keep_alive_timeout)
        .with_keep_alive_while_idle(false)
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    let connect = match &options.user {
        Some((name, password)) => connect.with_user(name, password),
        None => connect,
    };
    let connect = if endpoint.starts_with("https://") {
        connect.with_tls(tls(&options.tls).await?)
    } else {
        connect
    };
    match &options.dial {
        Some(dial) => {
            let channel = Channel::Tonic(dial.0(tonic_endpoint(endpoint, options)?));
            Client::from_channel(channel, Some(connect)).await
        }
        None => Client::connect([endpoint], Some(connect)).await,
    }
}

/// The member with the time-outs that the library gives it when it opens the connection itself.
fn tonic_endpoint(endpoint: &str, options: &EtcdOptions) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(endpoint.to_owned())?
        .connect_timeout(options.connect_timeout)
        .http2_keep_alive_interval(options.keep_alive_interval)
        .keep_alive_timeout(options.keep_alive_timeout)
        .keep_alive_while_idle(false))
}

/// Reads the files anew, since certificates are renewed while nodes run.
async fn tls(tls: &EtcdTls) -> Result<TlsOptions, Error> {
    let options = match &tls.authorities {
        Some(file) => TlsOptions::new().ca_certificate(Certificate::from_pem(pem(file).await?)),
        None => TlsOptions::new().with_native_roots(),
    };
    Ok(match &tls.identity {
        Some((certificate, key)) => {
            options.identity(Identity::from_pem(pem(certificate).await?, pem(key).await?))
        }
        None => options,
    })
}

async fn pem(file: &Path) -> Result<Vec<u8>, Error> {
    let file = file.to_owned();
    // A file system may hang, and this may be the heartbeat's thread.
    let read = tokio::task::spawn_blocking(move || {
        let bytes = std::fs::read(&file);
        bytes.map_err(|error| std::io::Error::other(format!("{}: {error}", file.display())))
    });
    Ok(read.await.map_err(std::io::Error::other)??)
}

fn failure(purpose: Purpose, error: &Error) -> StoreError {
    match error {
        Error::GRpcStatus(status) => {
            let mut source = status.source();
            let mut never_sent = false;
            while let Some(cause) = source {
                never_sent |= cause.is::<tonic::ConnectError>();
                source = cause.source();
            }
            let failure = Failure { code: status.code(), message: status.message(), never_sent };
            purpose.classify(&failure)
        }
        Error::InvalidArgs(_) | Error::InvalidUri(_) => StoreError::Permanent(error.to_string()),
        _ => match purpose {
            Purpose::Read => StoreError::Transient(error.to_string()),
            Purpose::Write => StoreError::Ambiguous(error.to_string()),
        },
    }
}
