//! What the planner is told.

use std::time::Duration;

use super::policy::Strategy;
use crate::NodeId;

/// The greatest weight of a [`Member`].
pub const WEIGHT_MAX: u32 = 1000;

/// Index into [`Problem::members`].
pub type MemberIndex = usize;

/// A live node, as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is; only named in reasons, never compared.
    pub node: NodeId,
    /// Its capacity relative to the others', `0..=`[`WEIGHT_MAX`]; a greater number counts as the
    /// bound. A member of weight 0 has no share, and takes shards only while no member that is
    /// [`Standing::Taking`] has a weight; then they all count alike.
    pub weight: u32,
    /// The failure domain that it is in: a small number that the caller gives to each. It only
    /// matters with [`Policy::spread_zones`](super::Policy::spread_zones).
    pub zone: u32,
    /// What may be done to it.
    pub standing: Standing,
}

/// What a member may be given and what may be taken from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has a share like any other.
    #[default]
    Taking,
    /// It keeps what it has and is given nothing new, except by pins: it was found unable to claim
    /// shards.
    Keeping,
    /// It drains: all its shards go, and none comes.
    Leaving,
}

/// Where one shard is and where it is meant to be.
///
/// Dead nodes aren't members, so they can't be named here; an index past the end of the members
/// is taken for a dead node as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The live node that owns the shard, if one does.
    pub owner: Option<MemberIndex>,
    /// The live node that is meant to own it, if there is one.
    pub target: Option<MemberIndex>,
    /// Where an operator wants it, if anywhere.
    pub pin: Option<Pin>,
    /// What runs there, in a unit of the caller's that is the same for all shards. How many shards
    /// a member has matters to [`Strategy::Count`], how much load to [`Strategy::Load`].
    pub load: u32,
    /// A target that was found unable to claim this shard in time. The shard doesn't go there while
    /// any other member takes shards, not even if it is pinned there.
    pub avoid: Option<MemberIndex>,
}

impl Placement {
    /// How much of a member's share the shard takes up.
    pub(super) fn size(&self, strategy: Strategy) -> u64 {
        match strategy {
            Strategy::Count => 1,
            Strategy::Load => u64::from(self.load),
        }
    }
}

/// An operator's wish for one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// It belongs to this member.
    To(MemberIndex),
    /// It belongs to a node that is no live member. Until that returns, the shard is served
    /// wherever it can be.
    Elsewhere,
}

/// Everything that a plan depends on, besides the [`Policy`](super::Policy).
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The live nodes. Ties are broken by their order, so the caller sorts them by node id.
    pub members: &'a [Member],
    /// All shards; the index is the shard's number. At most 65,536.
    pub shards: &'a [Placement],
    /// How long the membership, weights and standings included, has been as it is now.
    pub stable_for: Duration,
}

impl Problem<'_> {
    pub(super) fn takes(&self, member: MemberIndex) -> bool {
        self.members[member].standing == Standing::Taking
    }

    pub(super) fn any_takes(&self) -> bool {
        self.members.iter().any(|member| member.standing == Standing::Taking)
    }
}
