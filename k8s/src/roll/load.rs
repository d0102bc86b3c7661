//! Clients that call actors at a steady rate through whatever pods the service has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::http::{Answer, Connection, SendError};
use super::pod::Service;
use crate::Result;

/// How long a client waits for an answer; longer than a call may take in the cluster.
const PATIENCE: Duration = Duration::from_secs(15);

/// After so many calls a client takes another connection, and so perhaps another pod, as when one of
/// its users goes and another comes.
const CALLS_PER_CONNECTION: u32 = 500;

/// What the clients saw.
#[derive(Debug)]
pub struct Calls {
    /// Calls made.
    pub made: u64,
    /// Those that failed, by what was seen. A call that surely was not sent, because its connection
    /// had been closed, is sent once more by the client as any HTTP client does, and is none of them.
    pub failed: BTreeMap<String, u64>,
    /// How often that happened.
    pub sent_again: u64,
    /// How often an answer said that its connection is closed next.
    pub told_to_go: u64,
    /// How long calls took, in microseconds.
    pub took_us: Histogram<u64>,
}

impl Calls {
    fn new() -> Self {
        Self {
            made: 0,
            failed: BTreeMap::new(),
            sent_again: 0,
            told_to_go: 0,
            took_us: Histogram::new_with_bounds(1, 60_000_000, 3)
                .expect("a minute in microseconds"),
        }
    }
}

/// Running clients.
pub(super) struct Load {
    clients: JoinSet<Calls>,
    stop: Arc<AtomicBool>,
}

impl Load {
    pub(super) fn start(service: &Service, clients: usize, per_s: f64, actors: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (service, stop) = (service.clone(), Arc::clone(&stop));
            running.spawn(async move {
                let mut client = Client { service, connection: None, left: 0, calls: Calls::new() };
                let mut ticks = interval(Duration::from_secs_f64(1.0 / per_s));
                // After a long call, those that were due meanwhile are made at once.
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    client.call(fastrand::u32(..actors)).await;
                }
                client.calls
            });
        }
        Self { clients: running, stop }
    }

    /// Lets calls that are under way end.
    pub(super) async fn stop(mut self) -> Result<Calls> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Calls::new();
        while let Some(calls) = self.clients.join_next().await {
            let calls = calls?;
            all.made += calls.made;
            all.sent_again += calls.sent_again;
            all.told_to_go += calls.told_to_go;
            all.took_us.add(calls.took_us)?;
            for (reason, count) in calls.failed {
                *all.failed.entry(reason).or_default() += count;
            }
        }
        Ok(all)
    }
}

struct Client {
    service: Service,
    connection: Option<Connection>,
    left: u32,
    calls: Calls,
}

impl Client {
    async fn call(&mut self, actor: u32) {
        let path = format!("/v1/actors/bank.account/roll-{actor}/deposit");
        let began = Instant::now();
        let outcome = timeout(PATIENCE, self.send(&path)).await;
        self.calls.made += 1;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.calls.took_us.saturating_record(took);
        let failure = match outcome {
            Ok(Ok(Answer { status: 200, .. })) => return,
            Ok(Ok(Answer { status, body, .. })) => format!("status {status}: {body}"),
            Ok(Err(reason)) => reason,
            Err(_) => "no answer in time".to_owned(),
        };
        self.connection = None;
        *self.calls.failed.entry(failure).or_default() += 1;
    }

    async fn send(&mut self, path: &str) -> std::result::Result<Answer, String> {
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) if self.left > 0 => connection,
                _ => {
                    let endpoint = self.service.endpoint().ok_or("the service has no pod")?;
                    self.left = CALLS_PER_CONNECTION;
                    let opened = Connection::open(endpoint).await;
                    opened.map_err(|error| format!("connecting: {error}"))?
                }
            };
            self.left -= 1;
            match connection.send("POST", path, r#"{"amount": 1}"#).await {
                Ok(answer) => {
                    if answer.is_last {
                        self.calls.told_to_go += 1;
                    } else {
                        self.connection = Some(connection);
                    }
                    return Ok(answer);
                }
                Err(SendError::NotSent) => self.calls.sent_again += 1,
                Err(SendError::Broken(reason)) => {
                    let pod = self.service.name_of(connection.address());
                    return Err(format!("{pod}: {reason}"));
                }
            }
        }
    }
}
