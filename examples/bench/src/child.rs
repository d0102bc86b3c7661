//! Child processes: this program again, with one task. A child tells one line, and then lives until
//! its standard input closes, which the end of its parent does in any case.

use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use clap::Subcommand;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::system::Result;
use crate::{crowd, memory, remote};

/// How long a child may take to tell its line. Generous, since it only matters when it fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for a child that brings millions of actors to life.
const CROWD_TIMEOUT: Duration = Duration::from_secs(900);

/// What a child is for.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Task {
    /// Hosts counters for calls from the parent, and tells where.
    #[command(hide = true)]
    Host {
        system: String,
        /// What the hosts need to know of the parent: for greenroom, the store's address.
        #[arg(long, default_value = "")]
        at: String,
    },
    /// Tells the bytes that an idle actor takes.
    #[command(hide = true)]
    Weigh { system: String, actors: usize },
    /// Tells how a node fares that so many actors fill.
    #[command(hide = true)]
    Crowd {
        actors: usize,
        /// For how long the actors are called.
        millis: u64,
    },
}

impl Task {
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Host { system, at } => {
                vec!["host".into(), system.clone(), "--at".into(), at.clone()]
            }
            Self::Weigh { system, actors } => {
                vec!["weigh".into(), system.clone(), actors.to_string()]
            }
            Self::Crowd { actors, millis } => {
                vec!["crowd".into(), actors.to_string(), millis.to_string()]
            }
        }
    }

    fn timeout(&self) -> Duration {
        match self {
            Self::Crowd { .. } => CROWD_TIMEOUT,
            Self::Host { .. } | Self::Weigh { .. } => ANSWER_TIMEOUT,
        }
    }

    /// In the child: does the task until the parent lets go.
    pub(crate) async fn perform(self) -> Result<()> {
        thread::spawn(|| {
            // Nothing is ever written; this returns when the parent is gone or done.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
        match self {
            Self::Weigh { system, actors } => tell(&memory::weigh(&system, actors).await?),
            Self::Crowd { actors, millis } => {
                let crowd = crowd::fill(actors, Duration::from_millis(millis)).await?;
                tell(&serde_json::to_string(&crowd)?)
            }
            Self::Host { system, at } => {
                let host = remote::host(&system, &at).await?;
                tell(&host.address)?;
                std::future::pending().await
            }
        }
    }
}

fn tell(line: &impl std::fmt::Display) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A child that has told its line. It is killed when this value is dropped.
pub(crate) struct Child {
    pub(crate) said: String,
    _process: tokio::process::Child,
}

impl Child {
    /// Starts a child and waits for its line.
    pub(crate) async fn start(task: &Task) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(task.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = process.stdout.take().ok_or("the child has no output")?;
        let mut lines = BufReader::new(out).lines();
        let line = timeout(task.timeout(), lines.next_line())
            .await
            .map_err(|_| format!("the child is silent: {task:?}"))??;
        let said = line.ok_or_else(|| format!("the child ended: {task:?}"))?;
        Ok(Self { said, _process: process })
    }
}
