//! Shard groups: which kinds share a set of shards, and which nodes may own them.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{BadName, KIND_LEN_MAX};
use crate::record::NodeProfile;

/// The most groups that a cluster may have.
pub const GROUPS_MAX: usize = 8;
/// Name of the group that every kind belongs to unless it says otherwise.
pub const GROUP_DEFAULT: &str = "default";

/// A group's place in [`Groups`]; 0 is the default group.
pub type GroupIndex = usize;

/// Labels, by name.
pub type Labels = BTreeMap<String, String>;

/// A full set of shards with placement rules of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The kinds that belong to it, sorted: each from when a node first hosted it, and for good.
    pub kinds: Vec<String>,
    /// Which nodes may own its shards.
    pub rule: PlacementRule,
}

/// Which nodes may own a group's shards, besides that they host a kind of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementRule {
    /// Labels that a node must have.
    pub require: Labels,
    /// Labels that a node should have: others get shards only while no node has them all.
    pub prefer: Labels,
}

/// All groups of a cluster. A group is never removed and keeps its place, because the numbers of its
/// shards follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups(Vec<Group>);

impl Default for Groups {
    fn default() -> Self {
        Self(vec![Group { name: GROUP_DEFAULT.to_owned(), ..Group::default() }])
    }
}

impl Groups {
    /// The groups of a record.
    ///
    /// # Errors
    /// When there are none or more than [`GROUPS_MAX`], the first is not the default group, a name
    /// breaks its rule or comes twice, or a kind belongs to two groups.
    pub fn new(groups: &[Group]) -> Result<Self, BadGroups> {
        if groups.first().is_none_or(|group| group.name != GROUP_DEFAULT) {
            return Err(BadGroups::NoDefault);
        }
        let mut all = Self::default();
        for (place, group) in groups.iter().enumerate() {
            let index = all.add(&group.name)?;
            if index != place {
                return Err(BadGroups::Twice(group.name.clone()));
            }
            all.0[index].rule.clone_from(&group.rule);
            for kind in &group.kinds {
                all.assign(kind, &group.name)?;
            }
        }
        Ok(all)
    }

    /// The groups, each at its index.
    pub fn as_slice(&self) -> &[Group] {
        &self.0
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is always the default group")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Where a group stands, if there is one of this name.
    pub fn index_of(&self, name: &str) -> Option<GroupIndex> {
        self.0.iter().position(|group| group.name == name)
    }

    /// The group that a kind belongs to; the default group for one that nobody has hosted yet.
    pub fn of_kind(&self, kind: &str) -> GroupIndex {
        self.position_of(kind).unwrap_or(0)
    }

    fn position_of(&self, kind: &str) -> Option<GroupIndex> {
        let lists = |group: &Group| {
            group.kinds.binary_search_by(|listed| listed.as_str().cmp(kind)).is_ok()
        };
        self.0.iter().position(lists)
    }

    /// Puts a kind into a group, which is made if it isn't there. Answers whether that is new.
    ///
    /// # Errors
    /// When the kind belongs to another group, the name breaks its rule, or there are
    /// [`GROUPS_MAX`] groups already.
    pub fn assign(&mut self, kind: &str, name: &str) -> Result<bool, BadGroups> {
        if let Some(present) = self.position_of(kind) {
            if self.0[present].name == name {
                return Ok(false);
            }
            // Its actors would be in two shards at once, for as long as some node counts the old way.
            let group = self.0[present].name.clone();
            return Err(BadGroups::KindElsewhere { kind: kind.to_owned(), group });
        }
        let index = self.add(name)?;
        let kinds = &mut self.0[index].kinds;
        let at = kinds.partition_point(|listed| listed.as_str() < kind);
        kinds.insert(at, kind.to_owned());
        Ok(true)
    }

    /// Changes a group's rule.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn set_rule(&mut self, name: &str, rule: PlacementRule) -> Result<(), BadGroups> {
        let index = self.index_of(name).ok_or_else(|| BadGroups::Unknown(name.to_owned()))?;
        self.0[index].rule = rule;
        Ok(())
    }

    fn add(&mut self, name: &str) -> Result<GroupIndex, BadGroups> {
        if let Some(index) = self.index_of(name) {
            return Ok(index);
        }
        if crate::id::check_kind(name).is_err() {
            return Err(BadGroups::Name(BadName {
                field: "group",
                rule: format!("1 to {KIND_LEN_MAX} of a-z 0-9 . _ - and start with a letter"),
            }));
        }
        if self.0.len() >= GROUPS_MAX {
            return Err(BadGroups::TooMany);
        }
        self.0.push(Group { name: name.to_owned(), ..Group::default() });
        Ok(self.0.len() - 1)
    }

    /// Whether a node may own shards of a group, and if not, why.
    ///
    /// It must host a kind of the group and have the labels that the group requires. (Not *all*
    /// kinds: while a new kind is rolled out, the nodes that don't host it yet must keep the
    /// shards of those that they do.)
    pub fn admits(&self, group: GroupIndex, node: &NodeProfile) -> Result<(), Unfit> {
        let Some(rule) = self.0.get(group).map(|group| &group.rule) else {
            return Err(Unfit::HostsNothing);
        };
        if !node.kinds.iter().any(|kind| self.of_kind(kind) == group) {
            return Err(Unfit::HostsNothing);
        }
        match rule.require.iter().find(|(name, value)| node.labels.get(*name) != Some(value)) {
            None => Ok(()),
            Some((name, value)) => Err(Unfit::Label { name: name.clone(), value: value.clone() }),
        }
    }

    /// Whether a node has all labels that a group prefers.
    pub fn prefers(&self, group: GroupIndex, node: &NodeProfile) -> bool {
        let Some(group) = self.0.get(group) else { return false };
        group.rule.prefer.iter().all(|(name, value)| node.labels.get(name) == Some(value))
    }
}

/// Why a node can't own shards of a group. Prints as a fragment: "it has no label disk=ssd".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It hosts no kind of the group.
    HostsNothing,
    /// A required label is missing or has another value.
    Label {
        /// The label.
        name: String,
        /// The value that it must have.
        value: String,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostsNothing => f.write_str("it hosts no kind of the group"),
            Self::Label { name, value } => write!(f, "it has no label {name}={value}"),
        }
    }
}

/// Groups that contradict themselves or what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadGroups {
    /// The first group is not the default one.
    NoDefault,
    /// Two groups have this name.
    Twice(String),
    /// There is no group of this name.
    Unknown(String),
    /// There are as many groups as there may be.
    TooMany,
    /// A name breaks its rule.
    Name(BadName),
    /// The kind belongs to another group, for good.
    KindElsewhere {
        /// The kind.
        kind: String,
        /// The group that it belongs to.
        group: String,
    },
}

impl fmt::Display for BadGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefault => write!(f, "the first shard group must be `{GROUP_DEFAULT}`"),
            Self::Twice(name) => write!(f, "there are two shard groups named `{name}`"),
            Self::Unknown(name) => write!(f, "there is no shard group `{name}`"),
            Self::TooMany => write!(f, "a cluster may have {GROUPS_MAX} shard groups, no more"),
            Self::Name(bad) => bad.fmt(f),
            Self::KindElsewhere { kind, group } => write!(
                f,
                "the kind `{kind}` belongs to the shard group `{group}` of this cluster, and a kind \
                 never changes its group"
            ),
        }
    }
}

impl std::error::Error for BadGroups {}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn node(kinds: &[&str], with: &[(&str, &str)]) -> NodeProfile {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        NodeProfile { kinds, labels: labels(with), ..NodeProfile::default() }
    }

    #[test]
    fn a_kind_keeps_the_group_that_it_was_first_put_into() {
        let mut groups = Groups::default();
        groups.assign("ml.model", "gpu").unwrap();
        groups.assign("bank.account", "default").unwrap();
        assert_eq!((groups.of_kind("ml.model"), groups.of_kind("bank.account")), (1, 0));
        assert_eq!(groups.assign("ml.model", "gpu"), Ok(false));
        for (kind, other) in [("ml.model", "cpu"), ("bank.account", "gpu")] {
            let moved = groups.assign(kind, other).unwrap_err();
            assert!(moved.to_string().contains("never changes its group"), "{moved}");
        }
    }

    #[test]
    fn each_of_many_kinds_is_found_in_whatever_order_they_came() {
        let mut groups = Groups::default();
        for kind in ["m", "c", "x", "a", "p"] {
            groups.assign(kind, "other").unwrap();
        }
        assert_eq!(groups.as_slice()[1].kinds, ["a", "c", "m", "p", "x"]);
        assert!(["m", "c", "x", "a", "p"].iter().all(|kind| groups.of_kind(kind) == 1));
    }

    #[test]
    fn a_node_is_admitted_by_what_it_hosts_and_by_its_labels() {
        let mut groups = Groups::default();
        groups.assign("ml.model", "gpu").unwrap();
        let rule = PlacementRule { require: labels(&[("make", "h1")]), ..Default::default() };
        groups.set_rule("gpu", rule).unwrap();
        assert_eq!(groups.admits(0, &node(&["bank.account"], &[])), Ok(()));
        assert_eq!(groups.admits(0, &node(&["ml.model"], &[])), Err(Unfit::HostsNothing));
        let unfit = groups.admits(1, &node(&["ml.model"], &[("make", "h0")])).unwrap_err();
        assert_eq!(unfit.to_string(), "it has no label make=h1");
        assert_eq!(groups.admits(1, &node(&["ml.model"], &[("make", "h1")])), Ok(()));
    }

    #[test]
    fn groups_that_contradict_themselves_are_refused() {
        let group = |name: &str, kinds: &[&str]| Group {
            name: name.to_owned(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            rule: PlacementRule::default(),
        };
        assert_eq!(Groups::new(&[]), Err(BadGroups::NoDefault));
        let twice = vec![group("default", &[]), group("a", &[]), group("a", &[])];
        assert_eq!(Groups::new(&twice), Err(BadGroups::Twice("a".into())));
        let both = vec![group("default", &[]), group("a", &["k"]), group("b", &["k"])];
        assert!(matches!(Groups::new(&both), Err(BadGroups::KindElsewhere { .. })));
        let many = (0..=GROUPS_MAX).map(|n| group(&format!("g{n}"), &[]));
        let many: Vec<_> = std::iter::once(group("default", &[])).chain(many).collect();
        assert_eq!(Groups::new(&many), Err(BadGroups::TooMany));
        assert!(matches!(Groups::default().assign("k", "No Name"), Err(BadGroups::Name(_))));
    }
}
