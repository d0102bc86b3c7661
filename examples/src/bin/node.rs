//! A node as one deploys it: what it hosts is in the code, all else in `GREENROOM_*` variables.
//!
//! Run it with `GREENROOM_ETCD_ENDPOINTS=http://127.0.0.1:2379 cargo run -p greenroom-examples
//! --bin node`; the README runs three of them. `GREENROOM_LOG` sets the level of the log.

use std::process::ExitCode;

use greenroom::{Node, NodeError, interceptors, logging};
use greenroom_examples::bank::{AccountActor, AccountRef};
use greenroom_examples::flights::{AirportActor, AirportRef, RouteActor, RouteRef};

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = logging::init() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), NodeError> {
    Node::from_env()?
        .host(AccountRef::served_by::<AccountActor>())
        .host(AirportRef::served_by::<AirportActor>())
        .host(RouteRef::served_by::<RouteActor>())
        // Calls on /metrics, and so on the dashboard.
        .intercept(interceptors::Metrics::new())
        .run()
        .await
}
