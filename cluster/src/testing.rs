//! Real etcd servers for tests, and records as they stand in them. Needs the feature `testing`.
//!
//! The methods of servers block and panic when they fail: they are for tests. The binary is `etcd` on
//! the `PATH`, or what the environment variable `ETCD` names.

mod cluster;
mod member;
mod records;

pub use self::cluster::EtcdCluster;
pub use self::member::EtcdTlsFiles;
use self::member::{Member, compact, make_room};
pub use self::records::Records;

/// How many sets of ports to try, since another process may take a free port before etcd does.
const START_ATTEMPTS_MAX: u32 = 5;

/// A single-member etcd of one's own, on free ports of the loopback interface and with its data in
/// a temporary directory. It is killed when this value is dropped.
#[derive(Debug)]
pub struct EtcdServer {
    member: Member,
}

impl EtcdServer {
    /// Starts a server and waits until it is healthy.
    ///
    /// # Panics
    /// If etcd is not installed or doesn't become healthy.
    #[must_use]
    pub fn start() -> Self {
        Self::start_member(|| Member::new("default"))
    }

    /// Starts a server that speaks TLS with its clients, and waits until it is healthy.
    ///
    /// # Panics
    /// If etcd is not installed or doesn't become healthy.
    #[must_use]
    pub fn start_with_tls(files: &EtcdTlsFiles) -> Self {
        Self::start_member(|| Member::with_tls("default", files.clone()))
    }

    /// Starts a server whose data may have so many bytes, and waits until it is healthy. Beyond that
    /// it takes no writes any more.
    ///
    /// # Panics
    /// If etcd is not installed or doesn't become healthy.
    #[must_use]
    pub fn start_with_quota(bytes: u64) -> Self {
        Self::start_member(|| Member::new("default").with_quota(bytes))
    }

    fn start_member(member: impl Fn() -> Member) -> Self {
        for _ in 0..START_ATTEMPTS_MAX {
            let mut server = Self { member: member() };
            server.spawn();
            if server.member.becomes_healthy() {
                return server;
            }
        }
        panic!("etcd didn't get a port of its own in {START_ATTEMPTS_MAX} attempts");
    }

    /// The address for clients, such as `http://127.0.0.1:2379`; with `https` over TLS.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.member.endpoint()
    }

    /// Stops the process (SIGSTOP): connections stay open and nothing is answered.
    pub fn stop_process(&self) {
        self.member.signal("-STOP");
    }

    /// Lets a stopped process go on (SIGCONT).
    pub fn continue_process(&self) {
        self.member.signal("-CONT");
    }

    /// Kills the process (SIGKILL) and waits until it is gone. Its data and ports are kept for a
    /// restart.
    pub fn kill(&mut self) {
        self.member.kill();
    }

    /// Kills the process if it runs, starts it again on the same ports and data, and waits until it
    /// is healthy.
    ///
    /// # Panics
    /// If it doesn't become healthy.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
        self.member.must_become_healthy();
    }

    /// Compacts the history up to `revision`, with `etcdctl`.
    ///
    /// # Panics
    /// If etcd refuses.
    pub fn compact(&self, revision: u64) {
        compact(&self.endpoint(), revision);
    }

    /// Compacts the history up to `revision`, gives back its room, and lets a server that was full
    /// take writes again, with `etcdctl`.
    ///
    /// # Panics
    /// If etcd refuses.
    pub fn make_room(&self, revision: u64) {
        self.compact(revision);
        make_room(&self.endpoint());
    }

    fn spawn(&mut self) {
        let alone = self.member.in_initial_cluster();
        self.member.spawn(&alone);
    }
}
