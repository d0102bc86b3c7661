//! One etcd process, its ports and its data.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a server may take until it answers that it is healthy. Generous, since it only matters
/// when it fails.
const HEALTHY_TIMEOUT: Duration = Duration::from_secs(60);

/// An etcd process; killed when dropped.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    directory: TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    /// Where the other members reach it: its own address, or that of something in between.
    reached_at: SocketAddr,
    /// Where `/health` answers without TLS, and the files, if clients must speak TLS.
    tls: Option<(SocketAddr, EtcdTlsFiles)>,
    /// How many bytes its data may have, if not as many as etcd allows by itself.
    quota: Option<u64>,
    process: Option<Child>,
}

/// What an etcd needs to speak TLS with its clients, each a file in PEM.
#[derive(Clone, Debug)]
pub struct EtcdTlsFiles {
    /// The server's certificate, good for `127.0.0.1`.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that must have signed the clients' certificates; any client may come without.
    pub client_authority: Option<PathBuf>,
}

/// What a member says of its part in the cluster.
#[derive(Debug)]
pub(super) struct MemberStatus {
    /// The term of the election that it knows of.
    pub(super) term: u64,
    /// It takes itself for the leader.
    pub(super) leads: bool,
}

impl Member {
    /// A member that doesn't run yet, on ports that were free a moment ago.
    pub(super) fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory for etcd");
        let (client, peer) = free_addresses();
        let name = name.to_owned();
        let (reached_at, tls, quota, process) = (peer, None, None, None);
        Self { name, directory, client, peer, reached_at, tls, quota, process }
    }

    /// Lets the other members reach it where `reached_at` says, given where it listens for them.
    pub(super) fn behind(mut self, reached_at: impl FnOnce(SocketAddr) -> SocketAddr) -> Self {
        self.reached_at = reached_at(self.peer);
        self
    }

    /// As [`Member::new`]; its clients speak TLS.
    pub(super) fn with_tls(name: &str, files: EtcdTlsFiles) -> Self {
        let (health, _) = free_addresses();
        let mut member = Self::new(name);
        member.tls = Some((health, files));
        member
    }

    /// Its data may have so many bytes.
    pub(super) fn with_quota(mut self, bytes: u64) -> Self {
        self.quota = Some(bytes);
        self
    }

    pub(super) fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.client)
    }

    /// How the member stands in the list that all members of a new cluster are given.
    pub(super) fn in_initial_cluster(&self) -> String {
        format!("{}=http://{}", self.name, self.reached_at)
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(super) fn spawn(&mut self, initial_cluster: &str) {
        let binary = env::var_os("ETCD").unwrap_or_else(|| "etcd".into());
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.expect("a log file for etcd");
        let (client, peer) = (self.endpoint(), format!("http://{}", self.peer));
        let reached_at = format!("http://{}", self.reached_at);
        let mut command = Command::new(&binary);
        if let Some((health, files)) = &self.tls {
            command.arg("--listen-metrics-urls").arg(format!("http://{health}"));
            command.arg("--cert-file").arg(&files.certificate).arg("--key-file").arg(&files.key);
            if let Some(authority) = &files.client_authority {
                command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(authority);
            }
        }
        if let Some(bytes) = self.quota {
            command.args(["--quota-backend-bytes", &bytes.to_string()]);
        }
        let process = command
            // Variables such as `ETCD_NAME` in the environment would change the server, or clash
            // with its flags.
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("ETCD")))
            .args(["--name", &self.name, "--data-dir"])
            .arg(self.directory.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &reached_at])
            .args(["--initial-cluster", initial_cluster, "--logger", "zap"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap_or_else(|error| {
            panic!("{} can't be run ({error}); `make setup` installs it", binary.display())
        }));
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("etcd can be killed");
            process.wait().expect("etcd can be waited for");
        }
    }

    /// Ends it in good order (SIGTERM) and waits until it is gone.
    pub(super) fn terminate(&mut self) {
        self.signal("-TERM");
        let mut process = self.process.take().expect("etcd is running");
        process.wait().expect("etcd can be waited for");
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        Some(self.process.as_ref()?.id())
    }

    pub(super) fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("etcd is running");
        let status = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} failed");
    }

    /// Waits until the server answers that it is healthy, which in a cluster needs a majority;
    /// false if the process ended.
    pub(super) fn becomes_healthy(&mut self) -> bool {
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

    pub(super) fn must_become_healthy(&mut self) {
        assert!(self.becomes_healthy(), "etcd ended after a restart:\n{}", self.log());
    }

    /// Asks the member itself, with `etcdctl`; `None` if it doesn't answer soon.
    pub(super) fn status(&self) -> Option<MemberStatus> {
        let output = etcdctl(&self.endpoint())
            .args(["--dial-timeout=500ms", "--command-timeout=1s"])
            .args(["endpoint", "status", "--write-out=json"])
            .output()
            .expect("`etcdctl` can be run; `make setup` installs it");
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        let status = &answer.get(0)?["Status"];
        let me = status["header"]["member_id"].as_u64()?;
        Some(MemberStatus {
            term: status["raftTerm"].as_u64()?,
            leads: status["leader"].as_u64()? == me,
        })
    }

    fn is_healthy(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let address = self.tls.as_ref().map_or(&self.client, |(health, _)| health);
            let mut stream = TcpStream::connect_timeout(address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /health HTTP/1.0\r\nHost: etcd\r\n\r\n")?;
            let mut answer = String::new();
            stream.take(4096).read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("etcd.log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nothing to do about a failure here: it means that the process is gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Compacts the history up to `revision` through the member at `endpoint`.
pub(super) fn compact(endpoint: &str, revision: u64) {
    ctl(endpoint, &["compact", &revision.to_string()]);
}

fn etcdctl(endpoint: &str) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", endpoint]);
    command
}

/// Two addresses that were free a moment ago.
fn free_addresses() -> (SocketAddr, SocketAddr) {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (client, peer) = (listen(), listen());
    let address = |listener: &TcpListener| listener.local_addr().expect("a bound address");
    (address(&client), address(&peer))
}

/// Gives back the room of what was compacted away, and takes back the alarm that there was none.
pub(super) fn make_room(endpoint: &str) {
    ctl(endpoint, &["defrag"]);
    ctl(endpoint, &["alarm", "disarm"]);
}

fn ctl(endpoint: &str, arguments: &[&str]) {
    let output = etcdctl(endpoint)
        .args(arguments)
        .output()
        .expect("`etcdctl` can be run; `make setup` installs it");
    assert!(output.status.success(), "etcdctl: {}", String::from_utf8_lossy(&output.stderr));
}
