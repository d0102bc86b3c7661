//! A node for those targets that need one: made once, with few shards, and so calm that nobody takes it
//! for dead however long an input takes.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::stream;
use greenroom::prelude::*;
use greenroom::{Config, MemoryStore, StoreConfig, Token};
use tokio::runtime::{Builder, Runtime};

use super::arguments::Everything;

pub(super) const SHARDS: u32 = 16;
/// Largest payload; smaller than usual, so that inputs reach the limit.
pub(super) const PAYLOAD_BYTES_MAX: usize = 2048;
pub(super) const TOKEN: &str = "a-token-for-fuzzing";

/// Gives back what it gets, in several ways.
#[greenroom::interface(kind = "fuzz.echo")]
pub(crate) trait Echo {
    /// The same value.
    async fn echo(&self, value: Everything) -> Everything;
    /// The same value, as an error.
    async fn fail(&mut self, value: Everything) -> Result<(), Everything>;
    /// The letters, after letting others run.
    async fn later(&mut self, text: String) -> String;
    /// The letters, one by one.
    async fn letters(&self, text: String) -> Streamed<char>;
    /// What cannot be written as JSON.
    async fn odd(&self) -> std::collections::BTreeMap<Vec<u8>, u8>;
}

struct EchoActor;

impl Actor for EchoActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        if ctx.key() == "broken" { Err(ActivateError::new("it is broken")) } else { Ok(Self) }
    }
}

impl Echo for EchoActor {
    async fn echo(&self, value: Everything) -> Everything {
        value
    }

    async fn fail(&mut self, value: Everything) -> Result<(), Everything> {
        Err(value)
    }

    async fn later(&mut self, text: String) -> String {
        tokio::task::yield_now().await;
        text
    }

    async fn letters(&self, text: String) -> Streamed<char> {
        let letters: Vec<char> = text.chars().collect();
        Streamed::new(stream::iter(letters))
    }

    async fn odd(&self) -> std::collections::BTreeMap<Vec<u8>, u8> {
        [(vec![1], 2)].into()
    }
}

/// A node, and the runtime that it lives on.
pub(super) struct Home {
    pub(super) runtime: Runtime,
    pub(super) node: Node,
}

/// The node of this process.
pub(super) fn home() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let node = runtime.block_on(start());
        Home { runtime, node }
    })
}

async fn start() -> Node {
    let mut config = Config::embedded(StoreConfig::Memory(MemoryStore::new()));
    config.shards = SHARDS;
    config.http_listen = None;
    config.liveness_window = Duration::from_secs(600);
    config.liveness_margin = Duration::from_secs(60);
    config.limits.payload_bytes_max = PAYLOAD_BYTES_MAX;
    config.limits.call_timeout = Duration::from_millis(200);
    config.activations_max = 1000;
    config.operator_token = Some(Token::new(TOKEN).expect("it is long enough"));
    let kind = EchoRef::served_by::<EchoActor>();
    let node = Node::with(config).host(kind).start().await.expect("the node starts");
    node.ready().await.expect("the node becomes ready");
    node
}
