//! Interceptors that are ready: [`Log`] and [`Metrics`].
//!
//! ```
//! # async fn start() -> Result<(), greenroom::NodeError> {
//! use greenroom::{Node, interceptors};
//!
//! let node = Node::embedded()
//!     .intercept(interceptors::Metrics::new())
//!     .intercept(interceptors::Log::new())
//!     .start()
//!     .await?;
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```

mod log;
mod metrics;

pub use log::Log;
pub use metrics::Metrics;
