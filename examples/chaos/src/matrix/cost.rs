//! How long a cell's fault lasts, what course it takes, and what it may cost.

use std::time::Duration;

use super::play::Played;
use super::{Cell, Fault, Target};
use crate::expect::{Allowed, Expect, about, later};
use crate::scenarios::{AT_ONCE, CRASH, CRASH_GOAL, PLANNED, SILENCE};
use crate::stage::{HEARTBEAT, MARGIN, WINDOW};

/// How long after a kill a caller may still have sent a call to the dead process.
const UNNOTICED: Duration = Duration::from_millis(500);
/// How long all of etcd may be away without any harm, less what it takes to come back.
const HARMLESS: Duration = Duration::from_secs(3);

/// What becomes of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Its process ends.
    Ends,
    /// etcd hears nothing of it until it is declared dead; then it comes back.
    Silent,
    /// It hears nothing of etcd, and comes back.
    Deaf,
    /// It is disturbed, and nobody may lose anything by it.
    Disturbed,
    /// etcd is away for longer than the right to run lasts.
    Outage,
}

pub(super) fn course(cell: Cell) -> Course {
    match (cell.target, cell.fault) {
        (Target::EtcdAll, Fault::PauseLong | Fault::PauseVeryLong) => Course::Outage,
        (target, _) if !target.is_node() => Course::Disturbed,
        (_, Fault::Kill | Fault::Stop) => Course::Ends,
        (_, Fault::PauseLong | Fault::PauseVeryLong | Fault::CutEtcd | Fault::CutEtcdOneWay) => {
            Course::Silent
        }
        (_, Fault::SwallowedReplies) => Course::Deaf,
        _ => Course::Disturbed,
    }
}

/// From the beginning of the fault to its end.
pub(super) fn lasts(cell: Cell) -> Duration {
    let seconds = Duration::from_secs;
    match (cell.fault, cell.target) {
        (Fault::Kill | Fault::Stop, Target::EtcdAll) => seconds(1),
        (Fault::Kill | Fault::Stop, target) if target.is_etcd() => seconds(4),
        (Fault::Kill | Fault::Stop, _) => Duration::ZERO,
        (Fault::PauseHalf, _) => WINDOW / 2,
        (Fault::PauseLong, _) => WINDOW.mul_f64(1.1),
        (Fault::PauseVeryLong, _) => 3 * WINDOW,
        (
            Fault::CutEtcd | Fault::CutEtcdOneWay | Fault::CutPeers | Fault::SwallowedReplies,
            Target::EtcdAll,
        ) => HARMLESS,
        (Fault::CutEtcd | Fault::CutEtcdOneWay | Fault::CutPeers, _) => WINDOW + seconds(1),
        (Fault::SwallowedReplies, target) if target.is_node() => 2 * WINDOW,
        (Fault::SwallowedReplies, _) => WINDOW + seconds(1),
        (Fault::Resets, _) => seconds(6),
        (Fault::Loss | Fault::ClockSlow | Fault::ClockFast, _) => seconds(8),
        (Fault::Busy, _) => seconds(12),
        (Fault::Compaction, target) if target.is_node() => HARMLESS,
        (Fault::Compaction, _) => seconds(5),
    }
}

/// The cost of a cell in words, for lists.
pub(super) fn told(cell: Cell) -> &'static str {
    match (course(cell), cell.target.owns()) {
        (Course::Ends, true) if cell.fault == Fault::Stop => "its shards move; no call fails",
        (Course::Ends, true) => "its shards move; calls in flight fail, in doubt",
        (Course::Ends, false) => "a member; no shard moves, no call fails",
        (Course::Silent, true) => "one fence, its shards move and come back; calls in flight fail",
        (Course::Silent, false) => "one fence; no shard moves, no call fails",
        (Course::Deaf, true) => "one fence at most; calls in flight fail, in doubt",
        (Course::Deaf, false) => "one fence at most; no shard moves, no call fails",
        (Course::Outage, _) => "calls that are made while nobody may run turns; no fence",
        (Course::Disturbed, true) if cell.fault == Fault::CutPeers => {
            "calls to it while it lasts; no fence, no move"
        }
        (Course::Disturbed, true) if cell.fault == Fault::Resets => {
            "calls in flight, in doubt; no fence, no move"
        }
        (Course::Disturbed, _) => "nothing: no failed call, no fence, no move",
    }
}

/// What the cell allows, now that it was played.
pub(super) fn expect(cell: Cell, played: &Played) -> Expect {
    let Played { before, victim, took, healed_ns } = played;
    let (took, began_ns) = (*took, before.began_ns);
    let in_flight = |span| Allowed::in_flight(began_ns, later(began_ns, span));
    let shards = if cell.target.owns() { before.owned_by(victim) } else { 0 };
    let away = about(shards);
    let and_back = *away.start()..=2 * shards + shards / 10;
    let expect = Expect::nothing_after(before);
    match course(cell) {
        Course::Ends if cell.fault == Fault::Stop => {
            expect.recovered(took, PLANNED).moves(away).lives_over(1..=1)
        }
        Course::Ends => {
            let expect = expect.recovered(took, CRASH).goal(CRASH_GOAL);
            expect.failures(in_flight(UNNOTICED)).moves(away).lives_over(1..=1)
        }
        Course::Silent => {
            let expect = expect.recovered(took, SILENCE).failures(in_flight(SILENCE));
            // The life of a caller that was cut off with it may end too.
            let lives = if cell.fault.is_pause() { 1..=1 } else { 1..=2 };
            expect.moves(and_back).lives_over(lives).fences(1..=1)
        }
        Course::Deaf => {
            let expect = expect.recovered(took, 2 * WINDOW).failures(in_flight(2 * WINDOW));
            expect.moves(0..=*and_back.end()).lives_over(0..=1).fences(0..=1)
        }
        Course::Outage => {
            let harmless_ns = later(began_ns, WINDOW - MARGIN - HEARTBEAT);
            let back_ns = later(*healed_ns, took);
            let expect = expect.failures(Allowed::between(harmless_ns, back_ns));
            expect.recovered(took, WINDOW + Duration::from_secs(3))
        }
        Course::Disturbed => {
            let until_ns = later(*healed_ns, AT_ONCE);
            let allowed = match cell.fault {
                Fault::CutPeers if cell.target.owns() => Allowed::to_node(before, victim, until_ns),
                Fault::Resets if cell.target.owns() => Allowed::in_flight(began_ns, until_ns),
                _ => Allowed::none(),
            };
            // A cluster of etcd that was away as a whole must elect first.
            let within = if cell.target == Target::EtcdAll { WINDOW } else { AT_ONCE };
            expect.failures(allowed).recovered(took, within)
        }
    }
}
