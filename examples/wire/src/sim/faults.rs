//! What may happen to a cluster.

use std::time::Duration;

use greenroom_wire::etcd::{Faults, Troubles};

use super::stage::Stage;

/// What may happen to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A node and a member of etcd, or all of them, hear nothing of each other.
    ///
    /// Proves: C5
    Cut,
    /// One of the two doesn't hear the other.
    CutOneWay,
    /// What they send to each other arrives together, much later.
    Hold,
    /// Everything between them takes long.
    Slow,
    /// Answers take long, and then a node hears nothing of etcd any more.
    ///
    /// Proves: C7
    Fade,
    /// A node ends without a word, and comes back later.
    Crash,
    /// A node ends without a word, and is back at once.
    ///
    /// Proves: C20
    Restart,
    /// A node leaves in good order, and comes back later.
    Leave,
    /// Many nodes crash together.
    Cascade,
    /// A member of etcd goes down.
    MemberDown,
    /// All of etcd goes down.
    EtcdDown,
    /// A member loses sight of the others.
    Leaderless,
    /// etcd elects: all requests suffer for a moment.
    Election,
    /// Requests are late, lost, denied; watches stall and end.
    Troubles,
    /// The watches that there are stall or end; the history may be forgotten meanwhile.
    ///
    /// Proves: C12
    Watches,
    /// The history is forgotten.
    ///
    /// Proves: C11
    Compaction,
    /// All leases end early.
    LeasesLost,
}

impl Fault {
    pub(crate) const ALL: [Self; 17] = [
        Self::Cut,
        Self::CutOneWay,
        Self::Hold,
        Self::Slow,
        Self::Fade,
        Self::Crash,
        Self::Restart,
        Self::Leave,
        Self::Cascade,
        Self::MemberDown,
        Self::EtcdDown,
        Self::Leaderless,
        Self::Election,
        Self::Troubles,
        Self::Watches,
        Self::Compaction,
        Self::LeasesLost,
    ];

    /// Makes it happen, and plans its end.
    pub(crate) fn strike(self, stage: &mut Stage) {
        let node = stage.rng.usize(..stage.shape.nodes);
        let member = stage.rng.usize(..stage.shape.members);
        // Long enough for a death in half of the cases.
        let window = stage.shape.timing.window;
        let span = window.mul_f64(stage.rng.f64() * 2.5);
        let moment = window.mul_f64(stage.rng.f64() * 0.5);
        match self {
            Self::Cut => {
                let members = stage.some_members(member);
                members.into_iter().for_each(|member| stage.cut(node, member, None, span));
            }
            Self::CutOneWay => {
                let to_member = stage.rng.bool();
                let members = stage.some_members(member);
                let way = Some(to_member);
                members.into_iter().for_each(|member| stage.cut(node, member, way, span));
            }
            Self::Hold => stage.hold(node, member, span),
            Self::Slow => stage.slow(node, member, span),
            Self::Fade => {
                // As late as a heartbeat's answer may be, and still counts.
                let late = window / 4;
                stage.trouble(Troubles { told_late: 1000, late, ..Troubles::default() }, moment);
                stage.cut_in(moment, node, span);
            }
            Self::Crash => stage.crash(node, span),
            Self::Restart => stage.crash(node, Duration::ZERO),
            Self::Leave => stage.leave(node, span),
            Self::Cascade => {
                let first = stage.rng.usize(..stage.shape.nodes);
                let many = stage.rng.usize(2..=stage.shape.nodes);
                let all = stage.shape.nodes;
                (0..many).for_each(|next| stage.crash((first + next) % all, span));
            }
            Self::MemberDown => stage.member_down(member, span),
            Self::EtcdDown => {
                (0..stage.shape.members).for_each(|member| stage.member_down(member, moment));
            }
            Self::Leaderless => stage.leaderless(member, span),
            Self::Election => {
                let troubles =
                    Troubles { refused: 400, denied: 200, dropped: 200, deferred: 100, ..late() };
                stage.trouble(troubles, moment);
            }
            Self::Troubles => {
                let mut some = || stage.rng.u32(..60);
                let troubles = Troubles {
                    slow: some(),
                    refused: some(),
                    unanswered: some(),
                    denied: some(),
                    deferred: some(),
                    dropped: some(),
                    stalled: some() * 10,
                    cancelled: some() * 6,
                    ..late()
                };
                stage.trouble(troubles, span * 4);
            }
            Self::Watches => {
                stage.etcd.faults(Faults::disturb_watches);
                if stage.rng.bool() {
                    stage.compact_in(moment);
                }
            }
            Self::Compaction => {
                let kept = stage.rng.i64(0..20);
                stage.etcd.compact(kept);
            }
            Self::LeasesLost => stage.etcd.lose_leases(),
        }
    }
}

fn late() -> Troubles {
    Troubles { late: Duration::from_secs(4), ..Troubles::default() }
}
