//! Node processes whose logs are looked at.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greenroom_cluster::testing::EtcdServer;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const TOKEN: &str = "correct-horse-battery";
const SHARDS: u64 = 64;

/// The example node, on free ports.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command
        .env_clear()
        .env("GREENROOM_NODE_ID", name)
        .env("GREENROOM_LISTEN", "127.0.0.1:0")
        .env("GREENROOM_HTTP_LISTEN", "127.0.0.1:0")
        .env("GREENROOM_SHARDS", SHARDS.to_string())
        .env("GREENROOM_OPERATOR_TOKEN", TOKEN);
    command
}

/// A node process that logs to a file; killed when dropped.
pub(crate) struct Logged {
    child: Child,
    folder: TempDir,
}

impl Logged {
    pub(crate) fn start(name: &str, etcd: &EtcdServer, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let log = File::create(folder.path().join("log")).expect("a file for the log");
        let child = command(name)
            .env("GREENROOM_ETCD_ENDPOINTS", etcd.endpoint())
            .env("GREENROOM_REBALANCE_STABILITY", "200ms")
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node binary starts");
        Self { child, folder }
    }

    /// What was logged until now, in whole lines.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).expect("the log is text");
        let whole = log.rfind('\n').map_or(0, |end| end + 1);
        log[..whole].to_owned()
    }

    /// Where peers reach it.
    pub(crate) fn peer(&self) -> String {
        self.address("peers")
    }

    /// Where its gateway listens.
    pub(crate) fn http(&self) -> String {
        self.address("http")
    }

    /// An address that the node told when it began to listen.
    fn address(&self, field: &str) -> String {
        let line = self.wait_for_log("listening");
        let at = line.split_once(field).and_then(|(_, rest)| rest.split_once("127.0.0.1:"));
        let (_, rest) = at.unwrap_or_else(|| panic!("no {field}: {line}"));
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        format!("127.0.0.1:{port}")
    }

    /// The first line that contains this, once there is one.
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        until(part, || self.log().lines().find(|line| line.contains(part)).map(str::to_owned))
    }

    /// Waits until the node serves its part of the shards among so many nodes.
    pub(crate) fn wait_until_spread(&self, nodes: u64) {
        until("the shards are spread", || {
            let (status, body) = get(&self.http(), "/ready");
            let (claimed, targeted) = (body["claimed"].as_u64()?, body["targeted"].as_u64()?);
            let fair = claimed.abs_diff(SHARDS / nodes) <= SHARDS / 10;
            (status == 200 && claimed == targeted && fair).then_some(())
        });
    }

    /// Tells it to end, waits until it has, and answers with all that it logged.
    pub(crate) fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is installed");
        assert!(sent.success(), "kill -TERM {pid}");
        until("the node ends", || self.child.try_wait().expect("a child can be waited for"));
        self.log()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first thing that `look` finds.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Calls an actor through a gateway; status and body.
pub(crate) fn post(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (u16, Value) {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let body = body.to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    send(address, "POST", &format!("/v1/actors/{path}"), &format!("{head}{headers}"), &body)
}

fn get(address: &str, path: &str) -> (u16, Value) {
    send(address, "GET", path, "", "")
}

fn send(address: &str, verb: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{verb} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    write!(stream, "{head}{headers}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the gateway answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}")))
}
