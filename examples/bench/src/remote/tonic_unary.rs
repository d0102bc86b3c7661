//! Plain gRPC: one request and one response a call, over one connection; no actor behind it.

use std::sync::Arc;

use tonic::transport::{Channel, Endpoint};

use super::tonic_stream::wire::Addition;
use super::tonic_stream::wire::counting_client::CountingClient;
use super::{ACTORS, Callable, Line, child};
use crate::case::Role;
use crate::system::{Counter, Result};

pub(super) const NAME: &str = "tonic unary";

#[derive(Clone)]
struct Echo(CountingClient<Channel>);

impl Counter for Echo {
    async fn add(&self, amount: u64) -> Result<u64> {
        let addition = Addition { call: 0, actor: 0, amount };
        Ok(self.0.clone().echo(addition).await?.into_inner().count)
    }
}

/// A client of the child that said this address.
pub(super) async fn client(address: &str) -> Result<CountingClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(CountingClient::new(endpoint.connect().await?))
}

pub(super) async fn connect() -> Result<Arc<dyn Callable>> {
    let child = child(NAME, "").await?;
    let echo = Echo(client(&child.said).await?);
    Line::open(NAME, Role::Orientation, vec![echo; ACTORS], child).await
}
