//! A node process: its signals, its port, its log.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// How to start a node.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    /// Its name in the cluster.
    pub name: String,
    /// Where it listens for peers; the same over all its restarts.
    pub listen: SocketAddr,
    /// More variables, `GREENROOM_*` among them.
    pub variables: Vec<(String, String)>,
}

/// A running node process; killed when dropped.
#[derive(Debug)]
pub struct NodeProcess {
    setup: NodeSetup,
    child: Child,
    log: PathBuf,
}

impl NodeProcess {
    /// Starts a node that logs into a new file of `logs`.
    ///
    /// # Errors
    /// When the binary or the file is missing.
    pub fn start(setup: NodeSetup, logs: &Path) -> Result<Self> {
        let taken = fs::read_dir(logs)?.count();
        let log = logs.join(format!("{}.{taken:02}.log", setup.name));
        let child = Command::new(binary()?)
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| name == "GREENROOM_LOG"))
            .env("GREENROOM_NODE_ID", &setup.name)
            .env("GREENROOM_LISTEN", setup.listen.to_string())
            .env("GREENROOM_HTTP_LISTEN", "off")
            .envs(setup.variables.iter().map(|(name, value)| (name, value)))
            // Its end is the process's end, so it must stay open.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { setup, child, log })
    }

    /// Its name in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// How it was started.
    #[must_use]
    pub fn setup(&self) -> &NodeSetup {
        &self.setup
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its log stands.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Kills it (SIGKILL) and waits until it is gone; whether that is what ended it.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn kill(&mut self) -> Result<bool> {
        self.child.kill()?;
        Ok(self.child.wait()?.signal() == Some(Signal::KILL.as_raw()))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it doesn't within `patience`.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("{} doesn't end within {patience:?}", self.name()).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // A failure means that the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of loopback that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The node of this crate stands beside this binary.
fn binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("chaos-node");
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is missing; `make chaos` builds it", path.display()).into())
}
