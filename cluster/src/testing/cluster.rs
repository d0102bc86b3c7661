//! An etcd cluster of several members.

use std::net::SocketAddr;

use super::member::{Member, compact};
use super::{START_ATTEMPTS_MAX, member};

/// An etcd cluster of one's own on the loopback interface, each member a process. All are killed
/// when this value is dropped. Members are numbered from 0.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Member>,
}

impl EtcdCluster {
    /// Starts a cluster of `members` (1 or more; a majority must run for etcd to answer) and waits
    /// until all are healthy.
    ///
    /// # Panics
    /// If etcd is not installed or doesn't become healthy.
    #[must_use]
    pub fn start(members: usize) -> Self {
        Self::start_behind(members, |listens| listens)
    }

    /// The same, with something between the members: `reached_at` is told where a member listens
    /// for the others, and says where they are to reach it. It is asked once for each member, in
    /// their order, and again for all if the start must be tried anew.
    ///
    /// # Panics
    /// If etcd is not installed or doesn't become healthy.
    #[must_use]
    pub fn start_behind(
        members: usize,
        mut reached_at: impl FnMut(SocketAddr) -> SocketAddr,
    ) -> Self {
        for _ in 0..START_ATTEMPTS_MAX {
            let members = (0..members)
                .map(|number| Member::new(&format!("etcd-{number}")).behind(&mut reached_at));
            let mut cluster = Self { members: members.collect() };
            for number in 0..cluster.members.len() {
                cluster.spawn(number);
            }
            if cluster.members.iter_mut().all(Member::becomes_healthy) {
                return cluster;
            }
        }
        panic!("etcd didn't get ports of its own in {START_ATTEMPTS_MAX} attempts");
    }

    /// The addresses of all members for clients, in their order, whether they run or not.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
    }

    /// The member that leads; `None` while none of those that answer does. Members that are
    /// stopped or gone are not heard, whatever they believe.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let running = self.members.iter().enumerate().filter(|(_, member)| member.is_running());
        let answers = running.filter_map(|(number, member)| Some((number, member.status()?)));
        let leaders = answers.filter(|(_, status)| status.leads);
        // One that was cut off may still believe it; the greatest term is right.
        let leader: Option<(usize, member::MemberStatus)> =
            leaders.max_by_key(|(_, status)| status.term);
        leader.map(|(number, _)| number)
    }

    /// Stops the process of a member (SIGSTOP): connections stay open and nothing is answered.
    pub fn stop_process(&self, number: usize) {
        self.members[number].signal("-STOP");
    }

    /// Lets the stopped process of a member go on (SIGCONT).
    pub fn continue_process(&self, number: usize) {
        self.members[number].signal("-CONT");
    }

    /// Kills the process of a member (SIGKILL) and waits until it is gone. Its data and ports are
    /// kept for a restart.
    pub fn kill(&mut self, number: usize) {
        self.members[number].kill();
    }

    /// Ends the process of a member in good order (SIGTERM), as an upgrade does, and waits until it
    /// is gone.
    pub fn terminate(&mut self, number: usize) {
        self.members[number].terminate();
    }

    /// The process of a member, if it runs.
    #[must_use]
    pub fn process_id(&self, number: usize) -> Option<u32> {
        self.members[number].process_id()
    }

    /// Whether a member answers when it is asked for its status.
    #[must_use]
    pub fn answers(&self, number: usize) -> bool {
        self.members[number].is_running() && self.members[number].status().is_some()
    }

    /// Kills a member if it runs, starts it again on the same ports and data, and waits until it is
    /// healthy.
    ///
    /// # Panics
    /// If it doesn't become healthy, as when there is no majority without it and others.
    pub fn restart(&mut self, number: usize) {
        self.kill(number);
        self.spawn(number);
        self.members[number].must_become_healthy();
    }

    /// Restarts all members at once, which is what brings a cluster back that has no majority.
    ///
    /// # Panics
    /// If any doesn't become healthy.
    pub fn restart_all(&mut self) {
        for number in 0..self.members.len() {
            self.kill(number);
            self.spawn(number);
        }
        self.members.iter_mut().for_each(Member::must_become_healthy);
    }

    /// Compacts the history up to `revision`, with `etcdctl`, through the first member that runs.
    ///
    /// # Panics
    /// If etcd refuses, or no member runs.
    pub fn compact(&self, revision: u64) {
        let running = self.members.iter().find(|member| member.is_running());
        compact(&running.expect("a member of etcd runs").endpoint(), revision);
    }

    fn spawn(&mut self, number: usize) {
        let all: Vec<String> = self.members.iter().map(Member::in_initial_cluster).collect();
        self.members[number].spawn(&all.join(","));
    }
}
