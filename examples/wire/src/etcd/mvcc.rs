//! What an etcd holds: each key with its versions since the last compaction, and the log of changes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use tonic::Status;

use super::refusal;
use crate::api::{Event, KeyValue};

/// A half-open range of keys, as requests name them.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    key: Vec<u8>,
    end: Option<Vec<u8>>,
    is_single: bool,
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Span {
    /// No end: the key alone. The end `\0`: the key and all after it.
    pub(crate) fn new(key: &[u8], end: &[u8]) -> Self {
        let is_single = end.is_empty();
        let end = (!is_single && end != [0]).then(|| end.to_vec());
        Self { key: key.to_vec(), end, is_single }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        if self.is_single {
            return key == self.key;
        }
        key >= self.key.as_slice() && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }

    fn bounds(&self) -> Option<Bounds<'_>> {
        let from = self.key.as_slice();
        match &self.end {
            _ if self.is_single => Some((Bound::Included(from), Bound::Included(from))),
            Some(end) if end.as_slice() <= from => None,
            Some(end) => Some((Bound::Included(from), Bound::Excluded(end))),
            None => Some((Bound::Included(from), Bound::Unbounded)),
        }
    }
}

/// What a key was from one revision on.
#[derive(Clone, Debug)]
struct Version {
    revision: i64,
    /// `None`: deleted.
    held: Option<KeyValue>,
}

/// Type of an event that a deletion is.
pub(crate) const DELETE: i32 = 1;

/// The keys and their history.
#[derive(Debug)]
pub(crate) struct Mvcc {
    pub(crate) revision: i64,
    /// The last compaction; -1 before the first.
    compacted: i64,
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
    log: VecDeque<Event>,
}

impl Mvcc {
    pub(crate) fn new() -> Self {
        Self { revision: 1, compacted: -1, keys: BTreeMap::new(), log: VecDeque::new() }
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted
    }

    /// The keys of a span as they were at a revision.
    pub(crate) fn at(&self, span: &Span, revision: i64) -> impl Iterator<Item = &KeyValue> {
        let range = span.bounds().map(|bounds| self.keys.range::<[u8], _>(bounds));
        range.into_iter().flatten().filter_map(move |(_, versions)| {
            let version = versions.iter().rev().find(|version| version.revision <= revision)?;
            version.held.as_ref()
        })
    }

    /// Whether keys can still, and already, be read at a revision; 0 stands for now.
    pub(crate) fn check_revision(&self, revision: i64) -> Result<(), Status> {
        match revision {
            ..=0 => Ok(()),
            future if future > self.revision => Err(refusal::future_revision()),
            past if past < self.compacted => Err(refusal::compacted()),
            _ => Ok(()),
        }
    }

    /// Writes a key at a revision, which is not yet the present one.
    pub(crate) fn put(&mut self, revision: i64, key: &[u8], value: Vec<u8>, lease: i64) {
        let versions = self.keys.entry(key.to_vec()).or_default();
        let before = versions.last().and_then(|version| version.held.as_ref());
        let held = KeyValue {
            key: key.to_vec(),
            create_revision: before.map_or(revision, |before| before.create_revision),
            mod_revision: revision,
            version: before.map_or(1, |before| before.version + 1),
            value,
            lease,
        };
        versions.push(Version { revision, held: Some(held.clone()) });
        self.log.push_back(Event { r#type: 0, kv: Some(held), prev_kv: None });
    }

    pub(crate) fn delete(&mut self, revision: i64, key: &[u8]) {
        let versions = self.keys.entry(key.to_vec()).or_default();
        versions.push(Version { revision, held: None });
        let held = KeyValue { key: key.to_vec(), mod_revision: revision, ..KeyValue::default() };
        self.log.push_back(Event { r#type: DELETE, kv: Some(held), prev_kv: None });
    }

    /// Forgets what was before a revision. As in etcd 3.4, a deletion at that very revision is
    /// forgotten too.
    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), Status> {
        if revision <= self.compacted {
            return Err(refusal::compacted());
        }
        if revision > self.revision {
            return Err(refusal::future_revision());
        }
        self.compacted = revision;
        self.keys.retain(|_, versions| {
            let past = versions.iter().rposition(|version| version.revision <= revision);
            if let Some(last) = past {
                versions.drain(..last);
                if versions[0].held.is_none() {
                    versions.remove(0);
                }
            }
            !versions.is_empty()
        });
        let is_kept = |event: &Event| {
            let at = mod_revision(event);
            at > revision || (at == revision && event.r#type != DELETE)
        };
        self.log.retain(is_kept);
        Ok(())
    }

    /// The changes at and after a revision, in order.
    pub(crate) fn changes_from(&self, revision: i64) -> impl Iterator<Item = &Event> {
        let first = self.log.partition_point(|event| mod_revision(event) < revision);
        self.log.range(first..)
    }

    /// What a key was before a change; nothing when that was compacted away.
    pub(crate) fn before(&self, event: &Event) -> Option<KeyValue> {
        let key = &event.kv.as_ref()?.key;
        let revision = mod_revision(event) - 1;
        if revision < self.compacted {
            return None;
        }
        self.at(&Span::new(key, b""), revision).next().cloned()
    }
}

pub(crate) fn mod_revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |held| held.mod_revision)
}
