//! A real etcd server for tests. Needs the feature `testing`.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take until it answers that it is healthy. Generous, since it only matters
/// when it fails.
const HEALTHY_TIMEOUT: Duration = Duration::from_secs(60);

/// How many pairs of ports to try, since another process may take a free port before etcd does.
const START_ATTEMPTS_MAX: u32 = 5;

/// A single-member etcd of one's own, on free ports of the loopback interface and with its data in
/// a temporary directory. It is killed when this value is dropped.
///
/// Its methods block and panic when they fail: they are for tests. The binary is `etcd` on the
/// `PATH`, or what the environment variable `ETCD` names.
#[derive(Debug)]
pub struct EtcdServer {
    directory: TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    process: Option<Child>,
}

impl EtcdServer {
    /// Starts a server and waits until it is healthy.
    ///
    /// # Panics
    /// If etcd is not installed or doesn't become healthy.
    #[must_use]
    pub fn start() -> Self {
        for _ in 0..START_ATTEMPTS_MAX {
            let directory = tempfile::tempdir().expect("a temporary directory for etcd");
            let (client, peer) = free_addresses();
            let mut server = Self { directory, client, peer, process: None };
            server.spawn();
            if server.becomes_healthy() {
                return server;
            }
        }
        panic!("etcd didn't get a port of its own in {START_ATTEMPTS_MAX} attempts");
    }

    /// The address for clients, such as `http://127.0.0.1:2379`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.client)
    }

    /// Stops the process (SIGSTOP): connections stay open and nothing is answered.
    pub fn stop_process(&self) {
        self.signal("-STOP");
    }

    /// Lets a stopped process go on (SIGCONT).
    pub fn continue_process(&self) {
        self.signal("-CONT");
    }

    /// Kills the process (SIGKILL) and waits until it is gone. Its data and ports are kept for a
    /// restart.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("etcd can be killed");
            process.wait().expect("etcd can be waited for");
        }
    }

    /// Kills the process if it runs, starts it again on the same ports and data, and waits until it
    /// is healthy.
    ///
    /// # Panics
    /// If it doesn't become healthy.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
        assert!(self.becomes_healthy(), "etcd ended after a restart:\n{}", self.log());
    }

    /// Compacts the history up to `revision`, with `etcdctl`.
    ///
    /// # Panics
    /// If etcd refuses.
    pub fn compact(&self, revision: u64) {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint(), "compact", &revision.to_string()])
            .output()
            .expect("`etcdctl` can be run; `make setup` installs it");
        assert!(output.status.success(), "etcdctl: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn spawn(&mut self) {
        let binary = env::var_os("ETCD").unwrap_or_else(|| "etcd".into());
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.expect("a log file for etcd");
        let (client, peer) = (self.endpoint(), format!("http://{}", self.peer));
        let process = Command::new(&binary)
            // Variables such as `ETCD_NAME` in the environment would change the server, or clash
            // with its flags.
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("ETCD")))
            .arg("--data-dir")
            .arg(self.directory.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--logger", "zap"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap_or_else(|error| {
            panic!("{} can't be run ({error}); `make setup` installs it", binary.display())
        }));
    }

    /// Waits until the server answers that it is healthy; false if the process ended.
    fn becomes_healthy(&mut self) -> bool {
        let deadline = Instant::now() + HEALTHY_TIMEOUT;
        while !self.is_healthy() {
            let process = self.process.as_mut().expect("the process was started");
            if process.try_wait().expect("etcd can be asked for its status").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "etcd doesn't become healthy:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    fn is_healthy(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.client, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /health HTTP/1.0\r\nHost: etcd\r\n\r\n")?;
            let mut answer = String::new();
            stream.take(4096).read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("etcd is running");
        let status = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} failed");
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("etcd.log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nothing to do about a failure here: it means that the process is gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Two addresses that were free a moment ago.
fn free_addresses() -> (SocketAddr, SocketAddr) {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (client, peer) = (listen(), listen());
    let address = |listener: &TcpListener| listener.local_addr().expect("a bound address");
    (address(&client), address(&peer))
}
