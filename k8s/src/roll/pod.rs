//! A pod: its process, its probes, and its place among the endpoints of the service.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::etcd::Etcd;
use super::report::{Ending, PodReport};
use super::{Roll, http};
use crate::Result;
use crate::workload::{Pod, Probe, Workload};

/// The pods that calls go to. What changes is known to the callers after a while only.
#[derive(Clone)]
pub(super) struct Service {
    lag: Duration,
    endpoints: Arc<watch::Sender<Vec<(String, SocketAddr)>>>,
}

impl Service {
    pub(super) fn new(lag: Duration) -> Self {
        Self { lag, endpoints: Arc::new(watch::Sender::new(Vec::new())) }
    }

    /// Any of the pods.
    pub(super) fn endpoint(&self) -> Option<SocketAddr> {
        fastrand::choice(self.endpoints.borrow().iter()).map(|(_, address)| *address)
    }

    /// Whose address it is, or the address of one that has gone.
    pub(super) fn name_of(&self, address: SocketAddr) -> String {
        let endpoints = self.endpoints.borrow();
        let found = endpoints.iter().find(|(_, endpoint)| *endpoint == address);
        found.map_or_else(
            || "a pod that is no endpoint any more".to_owned(),
            |(name, _)| name.clone(),
        )
    }

    fn set(&self, name: &str, address: SocketAddr, ready: bool) {
        let (endpoints, lag) = (Arc::clone(&self.endpoints), self.lag);
        let name = name.to_owned();
        tokio::spawn(async move {
            sleep(lag).await;
            endpoints.send_modify(|endpoints| {
                endpoints.retain(|(_, endpoint)| *endpoint != address);
                if ready {
                    endpoints.push((name, address));
                }
            });
        });
    }
}

/// Everything that pods of an ordinal have in common.
#[derive(Clone)]
pub(super) struct Template<'a> {
    pub(super) roll: &'a Roll,
    pub(super) objects: &'a [Value],
    pub(super) etcd: &'a Etcd,
    pub(super) ordinal: usize,
    pub(super) scratch: PathBuf,
}

/// What the probes have found so far.
#[derive(Clone, Debug, Default)]
struct Health {
    started: Option<Duration>,
    first_ready: Option<Duration>,
    ready: bool,
    unready: Vec<Duration>,
}

/// A running pod; killed when dropped.
pub(super) struct PodProcess<'a> {
    template: Template<'a>,
    name: String,
    address: SocketAddr,
    child: Child,
    health: watch::Receiver<Health>,
    prober: JoinHandle<()>,
    service: Service,
    unready: Vec<Duration>,
}

impl<'a> Template<'a> {
    pub(super) fn start(self, ip: Ipv4Addr, service: &Service) -> Result<PodProcess<'a>> {
        let set = Workload::find(self.objects, "greenroom")?;
        let name = format!("greenroom-{}", self.ordinal);
        let secret = self.scratch.join(&name);
        fs::create_dir_all(&secret)?;
        fs::write(secret.join("token"), "a-token-for-operators")?;
        let mounts = vec![("/etc/greenroom/operator".to_owned(), secret)];
        let pod = Pod { name: name.clone(), ip: ip.to_string(), mounts };
        let variables = set.environment(&pod)?.into_iter().map(|(name, value)| {
            // All pods of this machine would listen on the same port.
            (name, self.etcd.resolved(&value.replace("0.0.0.0", &ip.to_string())))
        });
        let log = self.scratch.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(&self.roll.node)
            .env_clear()
            .envs(variables)
            .envs(self.roll.variables.iter().cloned())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.roll.node.display()))?;
        let probes = [set.probe("startupProbe")?, set.probe("readinessProbe")?];
        let address = SocketAddr::from((ip, probes[1].port));
        let (told, health) = watch::channel(Health::default());
        let prober = tokio::spawn(probe(probes, ip, told, service.clone(), name.clone()));
        let service = service.clone();
        Ok(PodProcess {
            template: self,
            name,
            address,
            child,
            health,
            prober,
            service,
            unready: Vec::new(),
        })
    }
}

/// What a kubelet does: until the startup probe succeeds, nothing else is asked; a pod is ready after
/// one success and unready after so many failures in a row.
async fn probe(
    [startup, readiness]: [Probe; 2],
    ip: Ipv4Addr,
    told: watch::Sender<Health>,
    service: Service,
    name: String,
) {
    let began = Instant::now();
    let ticks = |probe: &Probe| {
        let mut ticks = interval(probe.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let mut starting = ticks(&startup);
    loop {
        starting.tick().await;
        if http::get((ip, startup.port).into(), &startup.path, startup.timeout).await {
            break;
        }
    }
    told.send_modify(|health| health.started = Some(began.elapsed()));
    let address = SocketAddr::from((ip, readiness.port));
    let (mut failures, mut since) = (0, Instant::now());
    let mut asking = ticks(&readiness);
    loop {
        asking.tick().await;
        let succeeded = http::get(address, &readiness.path, readiness.timeout).await;
        failures = if succeeded { 0 } else { failures + 1 };
        let ready = told.borrow().ready;
        if succeeded && !ready {
            told.send_modify(|health| {
                health.ready = true;
                match health.first_ready {
                    None => health.first_ready = Some(began.elapsed()),
                    Some(_) => health.unready.push(since.elapsed()),
                }
            });
            service.set(&name, address, true);
        } else if ready && failures == readiness.failures {
            since = Instant::now();
            told.send_modify(|health| health.ready = false);
            service.set(&name, address, false);
        }
    }
}

impl PodProcess<'_> {
    /// Waits until it is ready.
    pub(super) async fn ready(&mut self, patience: Duration) -> Result<()> {
        let ready = timeout(patience, self.health.wait_for(|health| health.ready)).await;
        if matches!(ready, Ok(Ok(_))) {
            return Ok(());
        }
        let log = self.template.scratch.join(format!("{}.log", self.name));
        let log = fs::read_to_string(log).unwrap_or_default();
        Err(format!("{} is not ready within {patience:?}; its log:\n{log}", self.name).into())
    }

    /// Takes it out of the service, sleeps, tells it to end, and kills it if it doesn't in time.
    pub(super) async fn end(&mut self) -> Result<Ending> {
        let set = Workload::find(self.template.objects, "greenroom")?;
        self.prober.abort();
        self.service.set(&self.name, self.address, false);
        sleep(set.pre_stop()).await;
        let told = Instant::now();
        self.signal_end();
        // preStop counts.
        let left = set.grace().saturating_sub(set.pre_stop());
        match timeout(left, self.child.wait()).await {
            Ok(status) => Ok(Ending { took: told.elapsed(), status: status?.to_string() }),
            Err(_) => {
                self.child.kill().await?;
                Ok(Ending { took: told.elapsed(), status: "killed after the grace period".into() })
            }
        }
    }

    /// A new process of the same name, with another address, as a new pod has.
    pub(super) fn start_anew(&mut self, ip: Ipv4Addr, service: &Service) -> Result<()> {
        let unready = self.flaps();
        *self = self.template.clone().start(ip, service)?;
        self.unready = unready;
        Ok(())
    }

    /// SIGTERM.
    pub(super) fn signal_end(&mut self) {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            // One that has ended by itself is no concern here; its status tells.
            let _ = kill_process(id, Signal::TERM);
        }
    }

    /// For how long it was not ready, each time that it had been before and did not end.
    pub(super) fn flaps(&mut self) -> Vec<Duration> {
        let now = self.health.borrow().unready.clone();
        self.unready.iter().copied().chain(now).collect()
    }

    pub(super) fn report(&self, ending: Ending) -> PodReport {
        let health = self.health.borrow();
        PodReport {
            name: self.name.clone(),
            ending,
            started: health.started.unwrap_or_default(),
            ready: health.first_ready.unwrap_or_default(),
        }
    }
}

impl Drop for PodProcess<'_> {
    fn drop(&mut self) {
        self.prober.abort();
    }
}
