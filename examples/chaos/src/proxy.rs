//! A TCP proxy that can do to a connection what networks do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

const CHUNK_BYTES_MAX: usize = 64 << 10;

/// What a proxy does with what comes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Keeps connections and accepts new ones, and moves no byte either way until the mode changes:
    /// what a network does that drops packets, which TCP then sends again.
    BlackHole,
    /// The same for what clients send only.
    HoldRequests,
    /// Throws away what servers send. A connection that lost bytes so is reset when the mode
    /// changes.
    SwallowReplies,
    /// Resets every connection, and each new one.
    Reset,
    /// Passes everything on, each way so much later.
    Delay(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    mode: Mode,
    /// Grows when all connections of that moment are to be reset.
    resets: u64,
}

/// A proxy in front of one address; it ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    /// Chunks and connections that were not simply passed on.
    disturbed: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Opens a proxy on a free port of loopback that passes everything on to `target`.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, states) = watch::channel(State { mode: Mode::Pass, resets: 0 });
        let disturbed = Arc::new(AtomicU64::new(0));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, target, states, Arc::clone(&disturbed)));
        Ok(Self { address, state, disturbed, _task: task })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to do from now on.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.resets += u64::from(mode == Mode::Reset);
        });
    }

    /// Resets all present connections, once.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// How many chunks of bytes were held, delayed or thrown away, and connections reset, until
    /// now: 0 means that no fault of this proxy ever took effect.
    #[must_use]
    pub fn disturbed(&self) -> u64 {
        self.disturbed.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: watch::Receiver<State>,
    disturbed: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let (state, disturbed) = (state.clone(), Arc::clone(&disturbed));
                connections.spawn(Connection { client, state, disturbed }.run(target));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Connection {
    client: TcpStream,
    state: watch::Receiver<State>,
    disturbed: Arc<AtomicU64>,
}

impl Connection {
    async fn run(mut self, target: SocketAddr) {
        let resets = self.state.borrow().resets;
        let mut changes = self.state.clone();
        let is_reset = changes.wait_for(|state| state.resets > resets || state.mode == Mode::Reset);
        let disturbed = Arc::clone(&self.disturbed);
        tokio::select! {
            _ = is_reset => {
                disturbed.fetch_add(1, Ordering::Relaxed);
            }
            ended = connect_and_copy(&mut self.client, target, &self.state, &self.disturbed) => {
                if ended.is_ok() {
                    return;
                }
            }
        }
        // An end without a farewell: what is dropped now sends a reset.
        let _ = self.client.set_zero_linger();
    }
}

async fn connect_and_copy(
    client: &mut TcpStream,
    target: SocketAddr,
    state: &watch::Receiver<State>,
    disturbed: &AtomicU64,
) -> io::Result<()> {
    // A client in a black hole must not learn whether anybody listens behind it.
    let _ = state.clone().wait_for(|state| state.mode != Mode::BlackHole).await;
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let copied = tokio::try_join!(
        Pump { way: Way::ToServer, state: state.clone(), disturbed }.copy(from_client, to_server),
        Pump { way: Way::ToClient, state: state.clone(), disturbed }.copy(from_server, to_client),
    );
    if copied.is_err() {
        let _ = server.set_zero_linger();
    }
    copied.map(|_| ())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// What to do with a chunk, now.
enum Fate {
    Deliver,
    DeliverAfter(Duration),
    Hold,
    Swallow,
}

/// One direction of a connection.
struct Pump<'a> {
    way: Way,
    state: watch::Receiver<State>,
    disturbed: &'a AtomicU64,
}

impl Pump<'_> {
    async fn copy(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES_MAX];
        let mut lost = false;
        loop {
            let len = from.read(&mut chunk).await?;
            if !self.is_let_through().await {
                lost |= len > 0;
                if len == 0 {
                    return Ok(());
                }
                continue;
            }
            if lost {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if len == 0 {
                return to.shutdown().await;
            }
            to.write_all(&chunk[..len]).await?;
        }
    }

    /// Waits until what was read may go on; false if it is lost.
    async fn is_let_through(&mut self) -> bool {
        loop {
            let fate = self.fate();
            if !matches!(fate, Fate::Deliver) {
                self.disturbed.fetch_add(1, Ordering::Relaxed);
            }
            match fate {
                Fate::Deliver => return true,
                Fate::DeliverAfter(delay) => {
                    sleep(delay).await;
                    return true;
                }
                Fate::Swallow => return false,
                Fate::Hold => {
                    // Without a sender the proxy is gone, and this task with it.
                    let _ = self.state.changed().await;
                }
            }
        }
    }

    fn fate(&mut self) -> Fate {
        match (self.state.borrow_and_update().mode, self.way) {
            (Mode::Delay(delay), _) => Fate::DeliverAfter(delay),
            (Mode::BlackHole, _) | (Mode::HoldRequests, Way::ToServer) => Fate::Hold,
            (Mode::SwallowReplies, Way::ToClient) => Fate::Swallow,
            _ => Fate::Deliver,
        }
    }
}
