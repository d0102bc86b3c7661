//! What can be done to the nodes of a stage.

use std::time::Duration;

use rustix::process::Signal;

use super::{HEARTBEAT, PATIENCE, Stage};
use crate::Result;
use crate::calls::Asks;
use crate::clock::machine_ns;
use crate::load;
use crate::proxy::{Mode, Proxy};
use crate::rate::ClockRate;
use crate::records::Life;
use crate::shard::shard_of;

impl Stage {
    /// The present life of a node.
    ///
    /// # Errors
    /// When etcd knows of none.
    pub fn life(&self, name: &str) -> Result<Life> {
        let life = self.mirror.look(|state| state.life(name));
        life.ok_or_else(|| format!("{name} is not alive").into())
    }

    /// Kills a node with SIGKILL; its life.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn kill(&mut self, name: &str) -> Result<Life> {
        let life = self.life(name)?;
        let killed = self.process(name)?.kill()?;
        self.place_of(name)?.process = None;
        self.require(killed, format!("{name} had ended before it was killed"));
        Ok(life)
    }

    /// Sends a signal to a node.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn signal(&mut self, name: &str, signal: Signal) -> Result<()> {
        self.process(name)?.signal(signal)
    }

    /// Stops a node in good order (SIGTERM) and waits until its process has ended.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn terminate(&mut self, name: &str) -> Result<()> {
        self.signal(name, Signal::TERM)?;
        self.terminated(name).await
    }

    /// Waits until the process of a node that was told to stop has ended.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn terminated(&mut self, name: &str) -> Result<()> {
        let status = self.process(name)?.ended(PATIENCE).await?;
        self.place_of(name)?.process = None;
        if !status.success() {
            self.complain(format!("{name} did not stop in good order: {status}"));
        }
        Ok(())
    }

    /// The process id of a node.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn process_id(&mut self, name: &str) -> Result<u32> {
        Ok(self.process(name)?.id())
    }

    /// What the proxies between a node and etcd do from now on.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set_etcd(&self, name: &str, mode: Mode) -> Result<()> {
        self.place_named(name)?.etcd.iter().for_each(|proxy| proxy.set(mode));
        Ok(())
    }

    /// Resets all present connections of a node to etcd.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn reset_etcd(&self, name: &str) -> Result<()> {
        self.place_named(name)?.etcd.iter().for_each(Proxy::reset);
        Ok(())
    }

    /// What the proxy in front of a node does from now on.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set_peers(&self, name: &str, mode: Mode) -> Result<()> {
        self.place_named(name)?.peer.iter().for_each(|proxy| proxy.set(mode));
        Ok(())
    }

    /// Resets all present connections of a node's peers to it.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn reset_peers(&self, name: &str) -> Result<()> {
        self.place_named(name)?.peer.iter().for_each(Proxy::reset);
        Ok(())
    }

    /// The clocks of a node run at this rate from now on.
    ///
    /// # Errors
    /// When there is no such node, or its clocks can't be changed.
    pub fn set_clock(&mut self, name: &str, rate: f64) -> Result<()> {
        let clock = self.place_of(name)?.clock.as_mut();
        clock.ok_or_else(|| format!("the clocks of {name} can't be changed"))?.set(rate)
    }

    /// How far the clocks of a node are off.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn skew(&self, name: &str) -> Result<Duration> {
        Ok(self.place_named(name)?.clock.as_ref().map(ClockRate::skew).unwrap_or_default())
    }

    /// Makes it a condition that the heartbeats of a node, as etcd heard them since a moment, came at
    /// the rate of its clock.
    ///
    /// # Errors
    /// When too few were heard.
    pub fn require_rate(&mut self, name: &str, rate: f64, since_ns: u64) -> Result<()> {
        let beats = self.mirror.beats(name, since_ns, machine_ns());
        let mut intervals: Vec<u64> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
        intervals.sort_unstable();
        let median = *intervals.get(intervals.len() / 2).ok_or("too few heartbeats were heard")?;
        let median = Duration::from_nanos(median);
        let expected = HEARTBEAT.div_f64(rate);
        let off = median.abs_diff(expected).as_secs_f64() / expected.as_secs_f64();
        let what =
            format!("heartbeats of {name} came every {median:.3?}, not every {expected:.3?}");
        // Nearer to what it must be than to what it would be without the fault.
        self.require(off < (rate - 1.0).abs() / 2.0, what);
        let skew = self.skew(name)?;
        self.note(format!("{name} sent a heartbeat every {median:.3?}, its clocks {skew:.2?} off"));
        Ok(())
    }

    /// Makes it a condition that etcd heard at most `beats_max` heartbeats of a node between two
    /// moments.
    pub fn require_silent(&mut self, name: &str, from_ns: u64, to_ns: u64, beats_max: usize) {
        let beats = self.mirror.beats(name, from_ns, to_ns).len();
        self.require(beats <= beats_max, format!("etcd heard {beats} heartbeats of {name}"));
    }

    /// Makes it a condition that the proxies of a node have done harm.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn require_disturbed(&mut self, name: &str) -> Result<()> {
        let place = self.place_named(name)?;
        let harm: u64 = place.etcd.iter().chain(&place.peer).map(Proxy::disturbed).sum();
        self.require(harm > 0, format!("the proxies of {name} let everything through"));
        self.note(format!("{harm} chunks or connections of {name} disturbed"));
        Ok(())
    }

    /// Calls that hold their turns for `hold`, on `count` keys whose shards the load does not use
    /// and `wanted` accepts (by owner's name); waits until their turns run, as far as can be known
    /// from outside. The number of calls made.
    pub async fn hold(
        &mut self,
        count: usize,
        hold: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> usize {
        let used: std::collections::HashSet<u32> = load::keys().map(|key| shard_of(&key)).collect();
        let owners = self.mirror.look(super::fault::owners);
        let keys = (0..).map(|number| format!("hold-{number}"));
        let is_wanted = |key: &String| {
            let shard = shard_of(key);
            let owner = owners.get(&shard);
            !used.contains(&shard) && owner.is_some_and(|owner| wanted(&owner.node))
        };
        let keys: Vec<String> = keys.take(20 * count).filter(is_wanted).take(count).collect();
        let made = keys.len();
        let hold_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
        for key in keys {
            let caller = self.caller().clone();
            self.holds.spawn(async move {
                // So much longer that it can end even if its start was delayed.
                caller.call(&key, Asks::Turn, hold_ms, hold + PATIENCE / 2).await;
            });
        }
        // On an idle actor a call takes its turn within milliseconds.
        tokio::time::sleep(Duration::from_millis(300)).await;
        made
    }
}
