//! A node before it starts, and what can go wrong with it.

use std::path::PathBuf;

use greenroom_cluster::{ClusterError, Status, StatusPhase};

use super::{Node, assembly};
use crate::config::{Config, ConfigError};
use crate::intercept::{Interceptor, Interceptors};
use crate::kind::Kind;

/// A node before it starts: what it hosts, and how it is configured.
#[derive(Debug)]
pub struct NodeBuilder {
    pub(super) config: Config,
    pub(super) kinds: Vec<Kind>,
    pub(super) interceptors: Interceptors,
}

impl NodeBuilder {
    /// Hosts actors of a kind here. A node that hosts none takes no shards: it only calls.
    #[must_use]
    pub fn host(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Changes the configuration.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Lets every call of the node pass this, after those that were installed before.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(interceptor);
        self
    }

    /// Starts the node: opens its ports and begins to join. [`Node::ready`] waits for its shards.
    ///
    /// # Errors
    /// When a port can't be opened, a kind is hosted twice, the file to restore can't be used, or
    /// the cluster refuses the options.
    pub async fn start(self) -> Result<Node, NodeError> {
        assembly::start(self.config, self.kinds, self.interceptors).await
    }

    /// Starts the node and runs it until SIGTERM or Ctrl-C, then hands its shards over and leaves.
    ///
    /// # Errors
    /// As [`NodeBuilder::start`]; and when the cluster refuses the node later on.
    pub async fn run(self) -> Result<(), NodeError> {
        let node = self.start().await?;
        let stopped = node.parts.cluster.clone();
        tokio::select! {
            () = termination() => {}
            status = stopped.wait_for(has_stopped) => {
                if let StatusPhase::Stopped(Some(reason)) = status.phase {
                    return Err(NodeError::Refused(reason));
                }
            }
        }
        tokio::select! {
            () = node.stop() => {}
            () = termination() => {
                tracing::warn!("told to end twice: ending at once");
                node.crash().await;
            }
        }
        Ok(())
    }
}

pub(super) fn has_stopped(status: &Status) -> bool {
    matches!(status.phase, StatusPhase::Stopped(_))
}

async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: handing shards over"),
            _ = tokio::signal::ctrl_c() => tracing::info!("Ctrl-C: handing shards over"),
        },
        Err(error) => {
            tracing::warn!(%error, "can't listen for SIGTERM");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Why a node can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port can't be opened.
    #[error("{setting}: can't listen on {address}: {error}")]
    Listen {
        /// The variable that sets it.
        setting: &'static str,
        /// Which address.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file to begin the cluster with can't be used.
    #[error("GREENROOM_RESTORE_FROM: {}: {problem}", .path.display())]
    Restore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two actor types for one kind.
    #[error("the kind `{0}` is hosted twice")]
    KindTwice(&'static str),
    /// The cluster can't be joined.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refuses this node.
    #[error("{0}")]
    Refused(String),
}
