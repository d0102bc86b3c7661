//! The matrix: what is hit, by what, under which load. A [`Cell`] names one of each; how it is played
//! and what it may cost follow from the three.

mod cost;
mod members;
mod nodes;
mod play;
mod thin;

use std::fmt;

pub use self::thin::left_out;
use crate::rate;
use crate::scenarios::Scenario;
use crate::sockets;
use crate::stage::Setup;

/// What is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node that owns shards and doesn't lead.
    Owner,
    /// The node that leads, which owns shards too.
    Leader,
    /// A node that owns nothing.
    Idle,
    /// The member that leads etcd, with the nodes' connections gathered at it.
    EtcdLeader,
    /// Another member, with the nodes' connections gathered at it.
    EtcdFollower,
    /// All three members.
    EtcdAll,
    /// Everything that runs on this machine.
    Machine,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP, SIGCONT after half the liveness window.
    PauseHalf,
    /// The same after 1.1 windows.
    PauseLong,
    /// The same after three windows.
    PauseVeryLong,
    /// No byte passes between nodes and etcd, either way.
    CutEtcd,
    /// What nodes say to etcd is held; what etcd says arrives.
    CutEtcdOneWay,
    /// No byte passes between a node and its callers, or between a member of etcd and the others.
    CutPeers,
    /// All connections are reset, over and over.
    Resets,
    /// What nodes say to etcd arrives; what etcd answers is lost.
    SwallowedReplies,
    /// A fifth of the TCP segments is lost.
    Loss,
    /// Its clocks run at 0.8 of the right rate.
    ClockSlow,
    /// Its clocks run at 1.25 of the right rate.
    ClockFast,
    /// Four threads a processor compute.
    Busy,
    /// History that it has not seen is compacted away.
    Compaction,
}

/// What callers do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing: they have called before, and do again when all is served.
    Idle,
    /// They call without a pause.
    Steady,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Leader,
        Self::Idle,
        Self::EtcdLeader,
        Self::EtcdFollower,
        Self::EtcdAll,
        Self::Machine,
    ];

    fn is_node(self) -> bool {
        matches!(self, Self::Owner | Self::Leader | Self::Idle)
    }

    fn is_etcd(self) -> bool {
        matches!(self, Self::EtcdLeader | Self::EtcdFollower | Self::EtcdAll)
    }

    /// Whether calls go to it.
    fn owns(self) -> bool {
        matches!(self, Self::Owner | Self::Leader)
    }
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Kill,
        Self::Stop,
        Self::PauseHalf,
        Self::PauseLong,
        Self::PauseVeryLong,
        Self::CutEtcd,
        Self::CutEtcdOneWay,
        Self::CutPeers,
        Self::Resets,
        Self::SwallowedReplies,
        Self::Loss,
        Self::ClockSlow,
        Self::ClockFast,
        Self::Busy,
        Self::Compaction,
    ];

    fn is_clock(self) -> bool {
        matches!(self, Self::ClockSlow | Self::ClockFast)
    }

    fn is_pause(self) -> bool {
        matches!(self, Self::PauseHalf | Self::PauseLong | Self::PauseVeryLong)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Owner => "owner",
            Self::Leader => "leader",
            Self::Idle => "idle node",
            Self::EtcdLeader => "etcd leader",
            Self::EtcdFollower => "etcd follower",
            Self::EtcdAll => "all of etcd",
            Self::Machine => "machine",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
            Self::Stop => "graceful stop",
            Self::PauseHalf => "pause 0.5 D",
            Self::PauseLong => "pause 1.1 D",
            Self::PauseVeryLong => "pause 3 D",
            Self::CutEtcd => "cut from etcd",
            Self::CutEtcdOneWay => "cut from etcd one way",
            Self::CutPeers => "cut from peers",
            Self::Resets => "resets",
            Self::SwallowedReplies => "replies swallowed",
            Self::Loss => "20 % loss",
            Self::ClockSlow => "clock x0.8",
            Self::ClockFast => "clock x1.25",
            Self::Busy => "busy processors",
            Self::Compaction => "compaction",
        })
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "idle",
            Self::Steady => "steady",
        })
    }
}

/// One of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is hit.
    pub target: Target,
    /// By what.
    pub fault: Fault,
    /// What callers do meanwhile.
    pub load: Load,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {}", self.target, self.fault, self.load)
    }
}

/// The whole matrix, with the cells that are left out.
#[must_use]
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for target in Target::ALL {
        for fault in Fault::ALL {
            cells.extend([Load::Steady, Load::Idle].map(|load| Cell { target, fault, load }));
        }
    }
    cells
}

/// The cells that are played, as scenarios.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    all().into_iter().filter(|cell| left_out(*cell).is_none()).map(Cell::scenario).collect()
}

impl Cell {
    fn scenario(self) -> Scenario {
        let about = format!("costs at most: {}", cost::told(self));
        let scenario = Scenario::of(self.to_string(), about, self.setup(), move |stage| {
            Box::pin(play::play(stage, self))
        });
        let scenario = Scenario { cell: Some(self), seconds: self.seconds(), ..scenario };
        match self.fault {
            Fault::ClockSlow | Fault::ClockFast => scenario.needing(rate::possible),
            Fault::Loss => scenario.needing(sockets::can_count),
            _ => scenario,
        }
    }

    fn setup(self) -> Setup {
        let mut setup = Setup::nodes(3);
        if self.target == Target::Idle {
            setup = setup.idle();
        }
        if self.fault.is_clock() {
            setup = setup.clocks();
        }
        if self.target.is_etcd() {
            setup = setup.etcd_members(3).etcd_proxies();
            return if self.fault == Fault::CutPeers { setup.member_proxies() } else { setup };
        }
        match self.fault {
            Fault::CutEtcd | Fault::CutEtcdOneWay | Fault::SwallowedReplies | Fault::Compaction => {
                setup.etcd_proxies()
            }
            Fault::Resets | Fault::Loss => setup.etcd_proxies().peer_proxies(),
            Fault::CutPeers => setup.peer_proxies(),
            _ => setup,
        }
    }

    /// About how long it takes, with all that goes before and after.
    fn seconds(self) -> u64 {
        let around = match cost::course(self) {
            cost::Course::Ends => 9,
            cost::Course::Silent => 12,
            _ => 7,
        };
        let gathering = if self.target.is_etcd() { 5 } else { 0 };
        around + gathering + cost::lasts(self).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let names: BTreeSet<String> = all().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), Target::ALL.len() * Fault::ALL.len() * 2);
    }

    #[test]
    fn every_target_fault_and_load_is_played() {
        let played: Vec<Cell> = scenarios().into_iter().filter_map(|played| played.cell).collect();
        for target in Target::ALL {
            assert!(played.iter().any(|cell| cell.target == target), "{target}");
        }
        for fault in Fault::ALL {
            assert!(played.iter().any(|cell| cell.fault == fault), "{fault}");
        }
        for target in Target::ALL.into_iter().filter(|target| *target != Target::EtcdFollower) {
            let idle = |cell: &Cell| cell.target == target && cell.load == Load::Idle;
            assert!(played.iter().any(idle), "{target}");
        }
    }

    #[test]
    fn a_round_takes_about_half_an_hour() {
        let seconds: u64 = scenarios().iter().map(|scenario| scenario.seconds).sum();
        assert!((20 * 60..=36 * 60).contains(&seconds), "{seconds} s");
    }
}
