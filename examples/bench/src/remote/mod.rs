//! Calls between two processes of one machine: the parent calls, a child hosts.

mod coerce;
mod greenroom;
mod ractor;
mod rio;
mod tonic_stream;
mod tonic_unary;

use std::any::Any;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_cluster::testing::EtcdServer;

use crate::case::{Better, Case, Contestant, Effort, Role, compete};
use crate::child::{Child, Task};
use crate::goal::Goal;
use crate::load::{Load, Sample, drive};
use crate::report::Report;
use crate::system::{Counter, Result};

/// Counters that each child hosts.
const ACTORS: usize = 1_000;

/// A case with its number of calls in flight.
const CASES: [(Case, usize); 3] = [
    (case("remote, 1 call in flight", &[Goal::P50TimesOf(1.25, tonic_stream::NAME)]), 1),
    (
        case(
            "remote, 64 calls in flight",
            &[Goal::TimesOf(0.8, tonic_stream::NAME), Goal::P99Below(Duration::from_millis(1))],
        ),
        64,
    ),
    (
        case(
            "remote, 1,024 calls in flight",
            &[Goal::TimesOf(0.8, tonic_stream::NAME), Goal::Times(8.0)],
        ),
        1_024,
    ),
];

const fn case(name: &'static str, goals: &'static [Goal]) -> Case {
    Case { name, unit: "calls/s", better: Better::More, goals }
}

/// What a child hosts.
pub(crate) struct Host {
    /// What the parent needs to know.
    pub(crate) address: String,
    /// Ends when dropped.
    _hosting: Box<dyn Any + Send>,
}

impl Host {
    fn new(address: &impl ToString, hosting: impl Any + Send) -> Self {
        Self { address: address.to_string(), _hosting: Box::new(hosting) }
    }
}

/// In the child: hosts the counters of one system.
pub(crate) async fn host(system: &str, at: &str) -> Result<Host> {
    match system {
        greenroom::NAME => greenroom::host(at).await,
        ractor::NAME => ractor::host().await,
        coerce::NAME => coerce::host().await,
        rio::NAME => rio::host().await,
        tonic_unary::NAME | tonic_stream::NAME => tonic_stream::host().await,
        _ => Err(format!("no system between processes is called {system}").into()),
    }
}

/// Measures all remote cases that the report wants.
pub(crate) async fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    let wanted: Vec<_> = CASES.iter().filter(|(case, _)| report.wants(case.name)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let store = etcd().await?;
    let mut lines: Vec<Arc<dyn Callable>> = Vec::new();
    let mut calling = None;
    if let Some(store) = &store {
        match greenroom::connect(&store.endpoint()).await {
            Ok((node, line)) => {
                calling = Some(node);
                lines.push(line);
            }
            Err(error) => eprintln!("{} is left out: {error}", greenroom::NAME),
        }
    } else {
        eprintln!("{} is left out: there is no etcd on the PATH", greenroom::NAME);
    }
    for (name, line) in [
        (ractor::NAME, ractor::connect().await),
        (coerce::NAME, coerce::connect().await),
        (rio::NAME, rio::connect().await),
        (tonic_unary::NAME, tonic_unary::connect().await),
        (tonic_stream::NAME, tonic_stream::connect().await),
    ] {
        match line {
            Ok(line) => lines.push(line),
            Err(error) => eprintln!("{name} is left out: {error}"),
        }
    }
    for (case, callers) in wanted {
        let load = Load { callers: *callers, span: effort.span };
        let contestants = lines.iter().map(|line| Arc::clone(line).contestant(load));
        let findings = compete(case, contestants.collect(), effort, true).await;
        report.add(case, &findings);
    }
    if let Some(node) = calling {
        node.stop().await;
    }
    Ok(())
}

/// A store that two processes can share, if this machine has one.
async fn etcd() -> Result<Option<EtcdServer>> {
    let binary = std::env::var_os("ETCD").unwrap_or_else(|| "etcd".into());
    let version =
        Command::new(binary).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    Ok(Some(tokio::task::spawn_blocking(EtcdServer::start).await?))
}

/// A child that hosts `system`.
async fn child(system: &str, at: &str) -> Result<Child> {
    let task = Task::Host { system: system.to_owned(), at: at.to_owned() };
    Child::start(&task).await
}

/// Counters in a child, kept for all cases.
struct Line<C> {
    name: &'static str,
    role: Role,
    counters: Arc<[C]>,
    _child: Child,
}

impl<C: Counter> Line<C> {
    /// A line to counters that have been called once each, so that nothing is left to be set up.
    async fn open(
        name: &'static str,
        role: Role,
        counters: Vec<C>,
        child: Child,
    ) -> Result<Arc<dyn Callable>> {
        for counter in &counters {
            counter.add(1).await?;
        }
        Ok(Arc::new(Self { name, role, counters: counters.into(), _child: child }))
    }
}

/// A line of any system.
trait Callable: Send + Sync {
    fn contestant(self: Arc<Self>, load: Load) -> Box<dyn Contestant>;
}

impl<C: Counter> Callable for Line<C> {
    fn contestant(self: Arc<Self>, load: Load) -> Box<dyn Contestant> {
        Box::new(Remote { line: self, load })
    }
}

struct Remote<C> {
    line: Arc<Line<C>>,
    load: Load,
}

impl<C: Counter> Contestant for Remote<C> {
    fn name(&self) -> &'static str {
        self.line.name
    }

    fn role(&self) -> Role {
        self.line.role
    }

    fn run(&mut self) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(drive(&self.line.counters, self.load))
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
