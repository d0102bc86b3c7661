//! What the gateway takes: so many calls at a time, and so many in a span of time, of everybody and of
//! each client. Decided by the head of a request, before its body is read.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Client, Refusal};
use crate::failure::{Failure, FailureCode};
use crate::overload::{HINT_DEFAULT, Limit, Refusals, about};

/// Clients whose rates are remembered: those that called last.
const CLIENTS_MAX: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
const RATE_CALLS_MAX: u32 = 10_000_000;

/// What the HTTP gateway of a node takes. Probes and metrics are never limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Most calls that are served at a time, so that no more bodies than these are in memory;
    /// 1 to 1000000.
    pub calls_max: usize,
    /// Calls in a span of time, of all clients together.
    pub rate: Option<Rate>,
    /// Calls in a span of time, of each client.
    pub client_rate: Option<Rate>,
    /// The header that tells clients apart, set by a proxy in front of the gateway, which must not let
    /// clients set it. Without it, or in a request without such a header, a client is the address
    /// that it connects from; of an IPv6 address the first 64 bits.
    pub client_header: Option<String>,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self { calls_max: 4096, rate: None, client_rate: None, client_header: None }
    }
}

/// So many calls in a span of time: each span brings in as many tokens, evenly spread, and a call takes
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 10000000.
    pub calls: u32,
    /// From a nanosecond to a day for each call.
    pub per: Duration,
    /// Tokens that can be saved: how many calls may come at the same moment; 1 to 10000000.
    pub burst: u32,
}

impl Rate {
    /// Reads `100/s`, `30/m` or `1000/h`; with a burst of what comes in a second, at least one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (calls, span) = text.split_once('/')?;
        let seconds = match span.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let calls: u32 = calls.trim().parse().ok().filter(|calls| *calls > 0)?;
        let burst = (calls / seconds).max(1);
        Some(Self { calls, per: Duration::from_secs(seconds.into()), burst })
    }

    fn check(&self, name: &str, complaints: &mut Vec<String>) {
        let calls = self.calls;
        if !(1..=RATE_CALLS_MAX).contains(&calls) {
            complaints.push(format!("GREENROOM_{name} must be 1 to {RATE_CALLS_MAX}, got {calls}"));
        }
        let (each, day) = (self.per / self.calls.max(1), Duration::from_secs(24 * 3600));
        if each.is_zero() || each > day {
            complaints.push(format!(
                "GREENROOM_{name} must allow a call in at least a nanosecond and at most a day, got one \
                 in {each:?}"
            ));
        }
    }

    /// Of a rate that was checked.
    fn quota(&self) -> Quota {
        let quota = Quota::with_period(self.per / self.calls).expect("a checked rate");
        quota.allow_burst(NonZeroU32::new(self.burst).expect("a checked burst"))
    }
}

impl GatewayLimits {
    /// All but the plain numbers, whose ranges stand in the table of settings.
    pub(crate) fn check(&self, complaints: &mut Vec<String>) {
        if let Some(rate) = self.rate {
            rate.check("GATEWAY_RATE", complaints);
        }
        if let Some(rate) = self.client_rate {
            rate.check("GATEWAY_CLIENT_RATE", complaints);
        }
        if let Some(name) = &self.client_header
            && HeaderName::try_from(name).is_err()
        {
            complaints.push(format!(
                "GREENROOM_GATEWAY_CLIENT_HEADER must be the name of a header, got {name:?}"
            ));
        }
    }
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Lets calls in.
pub(super) struct Doorkeeper<C: Clock = MonotonicClock> {
    refusals: Arc<Refusals>,
    calls_max: usize,
    places: Arc<Semaphore>,
    all: Option<Limiter<C>>,
    client_quota: Option<Quota>,
    client_header: Option<HeaderName>,
    /// A client that is forgotten begins with a full burst. Many that take turns could be forgotten on
    /// purpose, so that the rate of all is the bound that holds.
    clients: Mutex<LruCache<u64, Limiter<C>>>,
    /// Clients are known by a hash with a key of this process, however long their names are.
    hasher: RandomState,
    clock: C,
}

impl<C: Clock + Clone> Doorkeeper<C> {
    /// Of limits that were checked.
    pub(super) fn new(limits: &GatewayLimits, refusals: Arc<Refusals>, clock: C) -> Self {
        let limiter = |rate: Rate| Limiter::direct_with_clock(rate.quota(), clock.clone());
        Self {
            refusals,
            calls_max: limits.calls_max,
            places: Arc::new(Semaphore::new(limits.calls_max)),
            all: limits.rate.map(limiter),
            client_quota: limits.client_rate.map(|rate| rate.quota()),
            client_header: limits.client_header.as_ref().and_then(|name| name.try_into().ok()),
            clients: Mutex::new(LruCache::new(CLIENTS_MAX)),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Lets a call in, or refuses it. It counts as served until the permit is dropped.
    fn admit(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!("the gateway serves {} calls already", self.calls_max);
            let hint = about(HINT_DEFAULT);
            Refusal::from(self.refusals.refuse(Limit::Gateway, message, hint))
        })?;
        // First the client's own, so that one that asks too often takes nothing from the others.
        if let Some(quota) = self.client_quota {
            let client = self.client(headers, extensions);
            let mut clients = self.clients.lock();
            let limiter = clients
                .get_or_insert(client, || Limiter::direct_with_clock(quota, self.clock.clone()));
            self.check(limiter, Limit::ClientRate, "this client calls")?;
        }
        if let Some(all) = &self.all {
            self.check(all, Limit::GatewayRate, "all clients together call")?;
        }
        Ok(place)
    }

    fn check(&self, limiter: &Limiter<C>, limit: Limit, who: &str) -> Result<(), Refusal> {
        limiter.check().map_err(|until| {
            self.refusals.count(limit);
            let wait = until.wait_time_from(self.clock.now());
            let message = format!("{who} more often than allowed");
            let failure = Failure::new(FailureCode::Overloaded, message).with_retry_after(wait);
            // Not `overloaded`: the node may be idle.
            Refusal { code: "rate_limited", ..Refusal::from(failure) }
        })
    }

    /// Who calls.
    fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> u64 {
        let named = self.client_header.as_ref().and_then(|name| headers.get(name));
        if let Some(name) = named {
            return self.hasher.hash_one(("name", name.as_bytes()));
        }
        let peer = extensions.get::<ConnectInfo<Client>>();
        let peer = peer.map(|ConnectInfo(client)| network(client.address.ip()));
        self.hasher.hash_one(("address", peer))
    }
}

/// What one client surely has to itself: an IPv4 address, or the first half of an IPv6 address, whose
/// second half it may choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A call's place among those that are served; free when all of its clones are dropped.
#[derive(Clone, Debug)]
pub(super) struct Place(
    #[expect(dead_code, reason = "it is there to be dropped")] Arc<OwnedSemaphorePermit>,
);

/// In front of what calls are.
pub(super) async fn limit(
    State(doorkeeper): State<Arc<Doorkeeper>>,
    mut request: Request,
    next: Next,
) -> Response {
    match doorkeeper.admit(request.headers(), request.extensions()) {
        Ok(place) => {
            let place = Place(Arc::new(place));
            request.extensions_mut().insert(place.clone());
            let response = next.run(request).await;
            drop(place);
            response
        }
        Err(refusal) => {
            debug_assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
            refusal.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
