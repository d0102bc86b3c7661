//! A page that shows a cluster live, and takes orders for it: the command `greenroom inspect`, and a
//! library for programs that embed it.
//!
//! The principal type is [`Page`]. It serves one HTML page with its style and scripts, the answers of
//! the command as JSON below `/api`, and what changes as server-sent events. One task asks the node
//! for all who look; what each of them has not read yet is bounded.
//!
//! What the server must never do:
//!
//! - **Have a token.** Whoever gives an order sends the operators' token with it, and the server
//!   passes it on to the node, which judges it. The server neither keeps it nor writes it down.
//! - **Serve a page of another site.** It answers to names that it knows only, and refuses what a
//!   browser sends on behalf of another site.
//! - **Load anything from elsewhere.** All that it serves is in the program.

mod answer;
mod api;
mod assets;
mod events;
mod guard;
mod message;
mod observe;
mod orders;
mod timeline;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::client::endpoint;
use guard::Hosts;
use watch::Watch;

/// Where a page listens unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:7490";
/// How often the node is asked while somebody looks, unless told otherwise.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Most browsers that may look at the same time.
pub const VIEWERS_MAX: usize = 64;
/// Longest body of an order, in bytes.
pub const ORDER_BYTES_MAX: usize = 64 * 1024;

/// Questions below `/api` that are passed on to nodes at the same time.
const QUESTIONS_MAX: usize = 16;

/// What a page shows, and where.
#[derive(Clone, Debug)]
pub struct PageConfig {
    /// Peer address (`host:port`) of the node to ask.
    pub node: String,
    /// `host:port` to listen at; port 0 for any free one.
    pub listen: String,
    /// Names, besides `localhost` and addresses, by which browsers may call the page. A page of
    /// another site can't make its own name one of these.
    pub hosts: Vec<String>,
    /// How often the node is asked while somebody looks; at least 50 ms. Answers that take long are
    /// asked for less often.
    pub interval: Duration,
}

impl PageConfig {
    /// The defaults, for the node with this peer address (`host:port`).
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            listen: LISTEN.to_owned(),
            hosts: Vec::new(),
            interval: INTERVAL,
        }
    }
}

/// Why a page can't be served.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The node's address is none.
    #[error("`{0}` is not an address of the form host:port, such as 127.0.0.1:7400")]
    BadNode(String),
    /// A name of the page is none.
    #[error("`{0}` is no name of a host, such as inspect.example.org")]
    BadHost(String),
    /// It can't listen there.
    #[error("cannot listen at {listen}: {source}")]
    Listen {
        /// Where.
        listen: String,
        /// Why not.
        source: io::Error,
    },
}

/// A page, listening. It answers as long as [`Page::serve`] is polled.
///
/// ```no_run
/// use greenroom_inspector::page::{Page, PageConfig};
///
/// # async fn show() -> Result<(), Box<dyn std::error::Error>> {
/// let page = Page::bind(PageConfig::new("127.0.0.1:7400")).await?;
/// println!("{}", page.url());
/// page.serve().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    listener: TcpListener,
    routes: Router,
    watch: Arc<Watch>,
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Shared {
    node: Arc<str>,
    watch: Arc<Watch>,
    viewers: Arc<Semaphore>,
    questions: Arc<Semaphore>,
}

impl Shared {
    fn new(node: &str, interval: Duration) -> Self {
        Self {
            node: node.into(),
            watch: Arc::new(Watch::new(node, interval.max(Duration::from_millis(50)))),
            viewers: Arc::new(Semaphore::new(VIEWERS_MAX)),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        }
    }
}

impl Page {
    /// Begins to listen. The node need not be there yet.
    ///
    /// # Errors
    /// When an address or a name is none, or the page can't listen there.
    pub async fn bind(config: PageConfig) -> Result<Self, PageError> {
        let PageConfig { node, listen, hosts, interval } = config;
        if endpoint(&node).is_err() {
            return Err(PageError::BadNode(node));
        }
        let hosts = Hosts::new(hosts).map_err(PageError::BadHost)?;
        let failed = |source| PageError::Listen { listen: listen.clone(), source };
        let listener = TcpListener::bind(&listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared::new(&node, interval);
        let watch = Arc::clone(&shared.watch);
        Ok(Self { address, listener, routes: routes(shared, hosts), watch })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// When the server fails for good.
    pub async fn serve(self) -> io::Result<()> {
        let Self { listener, routes, watch, .. } = self;
        tokio::select! {
            served = axum::serve(listener, routes).into_future() => served,
            () = watch.run() => Ok(()),
        }
    }
}

/// See [`crate::fuzzing::page`].
pub(crate) fn without_port(config: PageConfig) -> Router {
    let hosts = Hosts::new(config.hosts).expect("the names are names");
    routes(Shared::new(&config.node, config.interval), hosts)
}

fn routes(shared: Shared, hosts: Hosts) -> Router {
    Router::new()
        .route("/api/events", get(events::events))
        .route("/api/status", get(api::status))
        .route("/api/shards", get(api::shards))
        .route("/api/why/{*shard}", get(api::why))
        .route("/api/decisions", get(api::decisions))
        .route("/api/peek", get(api::peek))
        .route("/api/timeline/{entry}", get(api::timeline))
        .route("/api/orders/pin", post(orders::pin))
        .route("/api/orders/unpin", post(orders::unpin))
        .route("/api/orders/move", post(orders::move_shards))
        .route("/api/orders/drain", post(orders::drain))
        .route("/api/orders/rebalance", post(orders::rebalance))
        .fallback(assets::asset)
        .method_not_allowed_fallback(answer::wrong_verb)
        .layer(DefaultBodyLimit::max(ORDER_BYTES_MAX))
        .layer(from_fn_with_state(Arc::new(hosts), guard::admit))
        .layer(from_fn(guard::protect))
        .with_state(shared)
}
