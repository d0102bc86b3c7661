//! How fast the shards of a lost node get new owners.

use std::time::{Duration, Instant};

use greenroom::EtcdOptions;
use greenroom_cluster::store::EtcdStore;
use greenroom_cluster::testing::EtcdServer;

use crate::load::Load;
use crate::process::{Process, Timing};
use crate::records::{wait_until_even, wait_until_gone, wait_until_owned};
use crate::row::Row;
use crate::{NODES, Result};

/// How a node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// `kill -9`: its machine says that nobody listens any more.
    Crash,
    /// `kill -STOP`: its machine goes on accepting connections, and nothing else happens.
    Silence,
}

/// A node is lost in a certain way and must be replaced within a certain time.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) loss: Loss,
    pub(crate) timing: Timing,
    pub(crate) goal_ms: f64,
}

pub(crate) async fn lose(case: &Case, runs: usize) -> Result<Row> {
    let mut recovered = Vec::new();
    let mut notes = Vec::new();
    for run in 1..=runs {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await?;
        let mut processes = Vec::new();
        for name in NODES {
            processes.push(Process::start(name, &etcd, case.timing)?);
        }
        wait_until_owned(&store, NODES.len()).await?;
        wait_until_even(&store).await?;
        let load = Load::start(&etcd).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = load.answered();
        let began = Instant::now();
        let lost = processes.pop();
        match case.loss {
            // Dropping a process is `kill -9`.
            Loss::Crash => drop(lost),
            Loss::Silence => {
                lost.iter().try_for_each(|process| process.signal("-STOP"))?;
                processes.extend(lost);
            }
        }
        wait_until_gone(&store, NODES[NODES.len() - 1]).await?;
        recovered.push(began.elapsed().as_secs_f64() * 1e3);
        let during = load.answered() - before;
        let failed = load.stop().await;
        notes.push(format!(
            "run {run}: {during} calls answered until then, failed: {}",
            if failed.is_empty() { "none".to_owned() } else { format!("{failed:?}") }
        ));
    }
    let name = format!("{}, 1 of 3 under load, to all shards owned again", case.name);
    let mut row = Row::new(&name, "ms", recovered);
    row.goal = Some(format!("median below {:.0} ms", case.goal_ms));
    row.met = Some(row.value < case.goal_ms);
    row.notes = notes;
    row.print();
    Ok(row)
}
