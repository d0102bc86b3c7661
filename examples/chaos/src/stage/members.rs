//! What can be done to the members of etcd.

use std::time::Duration;

use greenroom_cluster::testing::EtcdCluster;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::{Setup, Stage};
use crate::Result;
use crate::proxy::{Mode, Proxy};

/// How long nodes take to go to another member after theirs has reset their connections.
const GATHERING: Duration = Duration::from_millis(1500);

/// Starts etcd, and the proxies between its members if there are to be any.
pub(super) fn start(setup: &Setup) -> (EtcdCluster, Vec<Proxy>) {
    let count = setup.etcd_members;
    if !setup.member_proxies {
        return (EtcdCluster::start(count), Vec::new());
    }
    let mut proxies = Vec::new();
    let etcd = EtcdCluster::start_behind(count, |listens| {
        let proxy = Handle::current().block_on(Proxy::start(listens));
        let proxy = proxy.expect("a free port of loopback");
        let address = proxy.address();
        proxies.push(proxy);
        address
    });
    // A start that had to be tried anew has left some that nobody uses.
    let last = proxies.split_off(proxies.len() - count);
    (etcd, last)
}

impl Stage {
    /// The member of etcd that leads.
    ///
    /// # Errors
    /// When none does.
    pub fn etcd_leader(&self) -> Result<usize> {
        Ok(block_in_place(|| self.etcd.leader()).ok_or("no member of etcd leads")?)
    }

    /// Brings the connections of all nodes to one member of etcd, so that what happens to it happens
    /// to them.
    pub async fn gather_at(&self, member: usize) {
        let others = || self.proxies_before(|number| number != member);
        others().for_each(|proxy| proxy.set(Mode::Reset));
        sleep(GATHERING).await;
        others().for_each(|proxy| proxy.set(Mode::Pass));
    }

    /// What the proxies between all nodes and some members of etcd do from now on.
    pub fn set_members(&self, members: &[usize], mode: Mode) {
        self.proxies_before(|number| members.contains(&number)).for_each(|proxy| proxy.set(mode));
    }

    /// Resets all present connections of nodes to some members of etcd.
    pub fn reset_members(&self, members: &[usize]) {
        self.proxies_before(|number| members.contains(&number)).for_each(Proxy::reset);
    }

    /// How much the proxies between all nodes and some members of etcd have disturbed until now.
    #[must_use]
    pub fn disturbed_before(&self, members: &[usize]) -> u64 {
        self.proxies_before(|number| members.contains(&number)).map(Proxy::disturbed).sum()
    }

    /// Cuts some members of etcd off the others, or lets them hear each other again; how many chunks
    /// to each member were held until now.
    ///
    /// # Errors
    /// When one of them doesn't run.
    pub fn part_members(&self, parted: &[usize], mode: Mode) -> Result<Vec<u64>> {
        for (number, proxy) in self.members.iter().enumerate() {
            if parted.contains(&number) || mode == Mode::Pass {
                proxy.set(mode);
                continue;
            }
            // A proxy tells connections apart by one process; where all are parted none is left.
            let process = parted.first().and_then(|number| self.etcd.process_id(*number));
            proxy.set_from(process.ok_or("the member doesn't run")?, mode);
        }
        Ok(self.members.iter().map(Proxy::disturbed).collect())
    }

    fn proxies_before(&self, wanted: impl Fn(usize) -> bool) -> impl Iterator<Item = &Proxy> {
        let proxies = self.places.values().flat_map(|place| place.etcd.iter().enumerate());
        proxies.filter(move |(number, _)| wanted(*number)).map(|(_, proxy)| proxy)
    }
}
