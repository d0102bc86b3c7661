//! Interceptors that are ready: [`Log`] and [`Metrics`], and with the feature `otel` also `Trace`,
//! for OpenTelemetry.
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
#[cfg(feature = "otel")]
mod trace;

pub use log::Log;
pub use metrics::Metrics;
#[cfg(feature = "otel")]
pub use trace::Trace;
