//! A TCP proxy that can do to a connection what networks do.

mod loss;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::sockets::is_of_process;

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
    /// Loses this many of a hundred TCP segments that arrive here from either side, their
    /// acknowledgements among them, so that the kernels at both ends must send again. Connections
    /// are made without loss.
    Lose(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    mode: Mode,
    /// The mode is for connections of this process only.
    from: Option<u32>,
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
        let (state, states) = watch::channel(State { mode: Mode::Pass, from: None, resets: 0 });
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
        self.set_for(mode, None);
    }

    /// What to do from now on with connections of one process; all others pass.
    pub fn set_from(&self, process: u32, mode: Mode) {
        self.set_for(mode, Some(process));
    }

    fn set_for(&self, mode: Mode, from: Option<u32>) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.from = from;
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
                let Ok((client, from)) = accepted else { continue };
                let Ok(to) = client.local_addr() else { continue };
                let told = Told { state: state.clone(), from, to, known: None };
                let disturbed = Arc::clone(&disturbed);
                connections.spawn(Connection { client, told, disturbed }.run(target));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What one connection is told to do.
#[derive(Clone)]
struct Told {
    state: watch::Receiver<State>,
    from: SocketAddr,
    to: SocketAddr,
    /// Whether it is of this process, once that was looked up.
    known: Option<(u32, bool)>,
}

impl Told {
    fn mode(&mut self) -> Mode {
        let state = *self.state.borrow_and_update();
        let Some(process) = state.from else { return state.mode };
        if self.known.is_none_or(|(known, _)| known != process) {
            self.known = Some((process, is_of_process(process, self.from, self.to)));
        }
        if self.known == Some((process, true)) { state.mode } else { Mode::Pass }
    }

    /// Waits until the state changes; for ever once the proxy, and with it this task, is gone.
    async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// Waits until the connection is to be reset.
    async fn reset(mut self, resets: u64) {
        while self.state.borrow().resets == resets && self.mode() != Mode::Reset {
            self.changed().await;
        }
    }

    /// Loses segments on these sockets whenever the mode says so.
    async fn lose(mut self, sockets: [OwnedFd; 2], disturbed: &AtomicU64) -> io::Error {
        let mut share = 0;
        loop {
            let wanted = if let Mode::Lose(share) = self.mode() { share } else { 0 };
            if wanted != share {
                share = wanted;
                disturbed.fetch_add(1, Ordering::Relaxed);
                let set = |socket| loss::set(&SockRef::from(socket), share);
                if let Err(error) = sockets.iter().try_for_each(set) {
                    return error;
                }
            }
            self.changed().await;
        }
    }
}

struct Connection {
    client: TcpStream,
    told: Told,
    disturbed: Arc<AtomicU64>,
}

impl Connection {
    async fn run(mut self, target: SocketAddr) {
        let resets = self.told.state.borrow().resets;
        let reset = self.told.clone().reset(resets);
        let disturbed = Arc::clone(&self.disturbed);
        tokio::select! {
            () = reset => {
                disturbed.fetch_add(1, Ordering::Relaxed);
            }
            ended = connect_and_copy(&mut self.client, target, self.told, &self.disturbed) => {
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
    mut told: Told,
    disturbed: &AtomicU64,
) -> io::Result<()> {
    // A client in a black hole must not learn whether anybody listens behind it.
    while told.mode() == Mode::BlackHole {
        told.changed().await;
    }
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let sockets = [client.as_fd().try_clone_to_owned()?, server.as_fd().try_clone_to_owned()?];
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let pump = |way| Pump { way, told: told.clone(), disturbed };
    let copied = async {
        tokio::try_join!(
            pump(Way::ToServer).copy(from_client, to_server),
            pump(Way::ToClient).copy(from_server, to_client),
        )
    };
    let copied = tokio::select! {
        copied = copied => copied.map(|_| ()),
        error = told.clone().lose(sockets, disturbed) => Err(error),
    };
    if copied.is_err() {
        let _ = server.set_zero_linger();
    }
    copied
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
    told: Told,
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
                Fate::Hold => self.told.changed().await,
            }
        }
    }

    fn fate(&mut self) -> Fate {
        match (self.told.mode(), self.way) {
            (Mode::Delay(delay), _) => Fate::DeliverAfter(delay),
            (Mode::BlackHole, _) | (Mode::HoldRequests, Way::ToServer) => Fate::Hold,
            (Mode::SwallowReplies, Way::ToClient) => Fate::Swallow,
            _ => Fate::Deliver,
        }
    }
}
