//! What stands between a node and its peers: a port that passes connections on, refuses them, or keeps
//! silent, as the test wants it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the port does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Passes them on.
    Open,
    /// Ends them at once.
    Cut,
    /// Takes them, and says nothing.
    Silent,
}

/// A port in front of another one.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of whatever `target` will name; nothing is passed on before.
    pub async fn start(target: watch::Receiver<Option<SocketAddr>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (way, set) = watch::channel(Way::Open);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let target = *target.borrow();
                tokio::spawn(serve(stream, target, set.clone()));
            }
        });
        Self { address, way, connections }
    }

    /// From now on, for connections that are open, too.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Connections that were tried so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, target: Option<SocketAddr>, mut set: watch::Receiver<Way>) {
    let way = *set.borrow_and_update();
    let served = async {
        match (way, target) {
            (Way::Open, Some(target)) => {
                let Ok(mut target) = TcpStream::connect(target).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
            }
            (Way::Silent, _) => std::future::pending().await,
            (Way::Open | Way::Cut, _) => {}
        }
    };
    tokio::select! {
        () = served => {}
        _ = set.changed() => {}
    }
}
