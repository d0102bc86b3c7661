//! Which cells are left out, and why.

use super::{Cell, Fault, Load, Target};

/// Why a cell is not played, if it isn't.
#[must_use]
pub fn left_out(cell: Cell) -> Option<&'static str> {
    let Cell { target, fault, load } = cell;
    senseless(target, fault).or_else(|| repeated(target, fault)).or_else(|| quiet(cell, load))
}

fn senseless(target: Target, fault: Fault) -> Option<&'static str> {
    match (target, fault) {
        (Target::Machine, Fault::Busy) => None,
        (Target::Machine, _) => Some("each process has faults of its own"),
        (_, Fault::Busy) => Some("processors are the machine's: played there, it hits all targets"),
        (Target::Idle, Fault::CutPeers) => Some("nobody calls a node that owns nothing"),
        (target, Fault::ClockSlow | Fault::ClockFast) if target.is_etcd() => {
            Some("etcd's clock decides nothing about ownership: no lease is used")
        }
        _ => None,
    }
}

fn repeated(target: Target, fault: Fault) -> Option<&'static str> {
    match (target, fault) {
        (Target::Idle, Fault::PauseVeryLong) => {
            Some("it is as dead after 1.1 D, and owns nothing that could go on moving")
        }
        (Target::EtcdAll, Fault::PauseVeryLong) => {
            Some("the scenario in which all are killed for 60 s goes further")
        }
        _ => None,
    }
}

/// Without calls, faults that take no owner away show nothing that they don't show under load.
fn quiet(cell: Cell, load: Load) -> Option<&'static str> {
    let shows = match cell.target {
        Target::Owner | Target::Leader | Target::Idle => matches!(
            cell.fault,
            Fault::Kill | Fault::Stop | Fault::PauseLong | Fault::CutEtcd | Fault::SwallowedReplies
        ),
        Target::EtcdLeader | Target::EtcdAll => {
            matches!(cell.fault, Fault::Kill | Fault::PauseLong)
        }
        Target::EtcdFollower => false,
        Target::Machine => true,
    };
    let quiet = load == Load::Idle && !shows;
    quiet.then_some("without calls it shows nothing that it doesn't show under load")
}
