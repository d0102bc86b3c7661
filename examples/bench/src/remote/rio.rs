//! rio-rs: the child serves, and the parent has as many clients as it has calls in flight.

use std::sync::Arc;

use super::{ACTORS, Callable, Host, Line, child};
use crate::case::Role;
use crate::contestants::rio::{Clients, Rio, serve};
use crate::system::{Result, System};

pub(super) const NAME: &str = Rio::NAME;

pub(super) async fn host() -> Result<Host> {
    let serving = serve().await?;
    Ok(Host::new(&serving.address.clone(), serving))
}

pub(super) async fn connect() -> Result<Arc<dyn Callable>> {
    let child = child(NAME, "").await?;
    let clients = Clients::of(&child.said).await?;
    let counters = (0..ACTORS).map(|actor| clients.counter(&format!("counter-{actor}")));
    Line::open(NAME, Role::Rival, counters.collect(), child).await
}
