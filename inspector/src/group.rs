//! Shard groups, and how people name shards.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::ClusterView;

/// A full set of shards with placement rules of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The kinds that belong to it, sorted.
    pub kinds: Vec<String>,
    /// Labels that a node must have to own shards of the group.
    pub require: BTreeMap<String, String>,
    /// Labels by which nodes are preferred.
    pub prefer: BTreeMap<String, String>,
}

/// Shards of one group, as people write them: `4711`, `10-20`, `gpu/77`, `gpu/10-20`. Without a group
/// the numbers go on through all groups, as logs and metrics number them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSpan {
    /// Which group; nothing means the first.
    pub group: Option<String>,
    /// The first shard, by its number within the group.
    pub first: u32,
    /// The last one; not below the first.
    pub last: u32,
}

impl FromStr for ShardSpan {
    type Err = BadShardSpan;

    fn from_str(text: &str) -> Result<Self, BadShardSpan> {
        let (group, numbers) = match text.split_once('/') {
            Some(("", _)) => return Err(BadShardSpan),
            Some((group, numbers)) => (Some(group.to_owned()), numbers),
            None => (None, text),
        };
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let number = |text: &str| {
            // `parse` takes a sign too.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse().map_err(|_| BadShardSpan) } else { Err(BadShardSpan) }
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(BadShardSpan);
        }
        Ok(Self { group, first, last })
    }
}

/// A text that names no shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shards are written as 4711, 10-20, gpu/77 or gpu/10-20")]
pub struct BadShardSpan;

/// A shard that the cluster doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownShard {
    /// There is no such group.
    #[error("the cluster has no shard group `{0}`")]
    Group(String),
    /// The group has no such number.
    #[error("the cluster has no shard {shard}: each group has {count}, from 0")]
    Number {
        /// As people name it.
        shard: String,
        /// Shards of each group.
        count: u32,
    },
}

impl ClusterView {
    /// The group that a shard belongs to, by its number among all shards.
    pub fn group_of(&self, number: u32) -> Option<&Group> {
        self.groups.get((number / self.shard_count) as usize)
    }

    /// How people name a shard, given its number among all shards: by its number within its group,
    /// with the group's name before it unless that is the first.
    pub fn name_of(&self, number: u32) -> String {
        match self.group_of(number) {
            Some(group) if number >= self.shard_count => {
                shard_name(Some(&group.name), number % self.shard_count)
            }
            _ => number.to_string(),
        }
    }

    /// The numbers, among all shards, of the shards that people named; sorted, each once.
    ///
    /// # Errors
    /// When the cluster has no such group or shard.
    pub fn numbers_of(&self, spans: &[ShardSpan]) -> Result<Vec<u32>, UnknownShard> {
        let mut numbers = Vec::new();
        for ShardSpan { group, first, last } in spans {
            let all = self.shard_count * self.groups.len().max(1) as u32;
            let index = match group {
                // As logs and metrics number them: the second group goes on where the first ends.
                None if *last >= self.shard_count && *last < all => {
                    numbers.extend(*first..=*last);
                    continue;
                }
                None => 0,
                Some(name) => {
                    let index = self.groups.iter().position(|group| group.name == *name);
                    index.ok_or_else(|| UnknownShard::Group(name.clone()))?
                }
            };
            if *last >= self.shard_count {
                let shard = shard_name(group.as_deref(), *last);
                return Err(UnknownShard::Number { shard, count: self.shard_count });
            }
            let base = index as u32 * self.shard_count;
            numbers.extend(base + first..=base + last);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

/// A shard's name, by its group (nothing for the first) and its number there.
pub(crate) fn shard_name(group: Option<&str>, number: u32) -> String {
    group.map_or_else(|| number.to_string(), |group| format!("{group}/{number}"))
}

impl fmt::Display for ShardSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shard_name(self.group.as_deref(), self.first))?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> ClusterView {
        let group = |name: &str| Group { name: name.to_owned(), ..Group::default() };
        ClusterView {
            cluster: "test".to_owned(),
            answered_by: "a".to_owned(),
            revision: 1,
            leader: None,
            term: 0,
            nodes: BTreeMap::new(),
            groups: vec![group("default"), group("gpu")],
            shard_count: 100,
            rebalancing_held: false,
            shards: Vec::new(),
        }
    }

    fn span(text: &str) -> ShardSpan {
        text.parse().expect("a good span")
    }

    #[test]
    fn a_span_is_printed_as_it_was_written() {
        for text in ["0", "4711", "10-20", "gpu/77", "gpu/10-20"] {
            assert_eq!(span(text).to_string(), text);
        }
        for text in ["", "/", "/7", "gpu/", "x", "7-", "-7", "+7", "9-8", "1-2-3", "4294967296"] {
            assert_eq!(text.parse::<ShardSpan>(), Err(BadShardSpan), "{text:?}");
        }
    }

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        let view = view();
        for (number, name) in [(0, "0"), (99, "99"), (100, "gpu/0"), (177, "gpu/77")] {
            assert_eq!(view.name_of(number), name);
            assert_eq!(view.numbers_of(&[span(name)]), Ok(vec![number]));
        }
        // As logs and metrics number them.
        assert_eq!(view.numbers_of(&[span("177")]), Ok(vec![177]));
        let spans = [span("gpu/0-1"), span("5"), span("default/4-6")];
        assert_eq!(view.numbers_of(&spans), Ok(vec![4, 5, 6, 100, 101]));
    }

    #[test]
    fn shards_that_are_not_there_are_told() {
        let view = view();
        let unknown = |text: &str| view.numbers_of(&[span(text)]).unwrap_err().to_string();
        assert_eq!(unknown("cpu/1"), "the cluster has no shard group `cpu`");
        assert!(unknown("gpu/99-100").contains("no shard gpu/100: each group has 100"));
        assert!(unknown("200").contains("no shard 200"));
    }
}
