//! What happened lately: what leaders decided, what changed between two pictures, and what was
//! ordered through this page. It outlives leaders, whose decisions are gone with their processes.

use std::collections::VecDeque;

use crate::{DecidedMove, Decision, Life};

/// Most entries that are kept.
const ENTRIES_MAX: usize = 500;
/// Most moves and stuck shards that are kept in all of them.
const SHARDS_MAX: usize = 262_144;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Grows by one with each entry.
    pub(super) id: u64,
    /// When, and when last again, in milliseconds since 1970: on the leader's clock if it decided,
    /// else on this server's.
    pub(super) at_ms: u64,
    pub(super) last_ms: u64,
    pub(super) times: u64,
    pub(super) kind: String,
    /// Which node decided or did it, if one did.
    pub(super) by: Option<String>,
    /// The leader's term; 0 if no leader decided.
    pub(super) term: u64,
    pub(super) text: String,
    pub(super) moves: Vec<DecidedMove>,
    pub(super) stuck: Vec<u32>,
    decided: Option<(Life, u64)>,
}

/// What happened, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    entries: VecDeque<Entry>,
    last: u64,
    shards: usize,
}

impl Timeline {
    /// A leader decided something. Answers with the entry if it is new, or was decided again.
    pub(super) fn decided(&mut self, leader: &Life, decision: Decision) -> Option<u64> {
        let Decision { number, term, at_ms, last_ms, times, kind, text, moves, stuck } = decision;
        let key = (leader.clone(), number);
        let known = self.entries.iter_mut().rev();
        if let Some(known) = known.into_iter().find(|entry| entry.decided.as_ref() == Some(&key)) {
            let is_news = known.times != times;
            (known.times, known.last_ms) = (times, last_ms);
            return is_news.then_some(known.id);
        }
        let is_told = |entry: &Entry| entry.kind == "leader" && entry.term == term;
        if kind == "lead" && self.entries.iter().any(is_told) {
            return None;
        }
        let by = Some(leader.node.clone());
        let (id, decided) = (0, Some(key));
        Some(self.push(Entry {
            id,
            at_ms,
            last_ms,
            times,
            kind,
            by,
            term,
            text,
            moves,
            stuck,
            decided,
        }))
    }

    /// Something was seen at this time.
    pub(super) fn seen(
        &mut self,
        at_ms: u64,
        kind: &str,
        term: u64,
        by: Option<String>,
        text: String,
    ) -> u64 {
        self.push(Entry {
            id: 0,
            at_ms,
            last_ms: at_ms,
            times: 1,
            kind: kind.to_owned(),
            by,
            term,
            text,
            moves: Vec::new(),
            stuck: Vec::new(),
            decided: None,
        })
    }

    /// Whether a leader declared this life dead.
    pub(super) fn tells_the_end_of(&self, life: &Life) -> bool {
        let start = format!("declared {life} dead");
        self.entries.iter().any(|entry| entry.kind == "death" && entry.text.starts_with(&start))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn push(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.id = self.last;
        self.shards += entry.shards();
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES_MAX
            || (self.shards > SHARDS_MAX && self.entries.len() > 1)
        {
            self.shards -= self.entries.pop_front().map_or(0, |entry| entry.shards());
        }
        self.last
    }
}

impl Entry {
    fn shards(&self) -> usize {
        self.moves.len() + self.stuck.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> Life {
        Life { node: "a".to_owned(), incarnation: 7 }
    }

    fn decision(number: u64, times: u64, kind: &str, moves: usize) -> Decision {
        let moved = DecidedMove { shard: 1, from: None, to: "a".to_owned(), reason: String::new() };
        Decision {
            number,
            term: 3,
            at_ms: 1,
            last_ms: times,
            times,
            kind: kind.to_owned(),
            text: String::new(),
            moves: vec![moved; moves],
            stuck: Vec::new(),
        }
    }

    #[test]
    fn a_decision_that_comes_again_changes_its_entry_and_adds_none() {
        let mut timeline = Timeline::default();
        let id = timeline.decided(&life(), decision(1, 1, "idle", 0));
        assert!(id.is_some());
        assert_eq!(timeline.decided(&life(), decision(1, 1, "idle", 0)), None);
        assert_eq!(timeline.decided(&life(), decision(1, 5, "idle", 0)), id);
        assert_eq!(timeline.iter().map(|entry| entry.times).collect::<Vec<_>>(), [5]);
        // The next life of the node counts anew.
        let next = Life { incarnation: 8, ..life() };
        assert!(timeline.decided(&next, decision(1, 1, "idle", 0)).is_some());
    }

    #[test]
    fn a_new_leader_is_told_once() {
        let mut timeline = Timeline::default();
        timeline.seen(1, "leader", 3, None, String::new());
        assert_eq!(timeline.decided(&life(), decision(1, 1, "lead", 0)), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut timeline = Timeline::default();
        for number in 0..2 * ENTRIES_MAX as u64 {
            timeline.decided(&life(), decision(number, 1, "moves", 8192));
            assert!(timeline.shards <= SHARDS_MAX && timeline.entries.len() <= ENTRIES_MAX);
        }
        assert_eq!(timeline.entries.len(), SHARDS_MAX / 8192);
        for number in 0..2 * ENTRIES_MAX as u64 {
            timeline.decided(&life(), decision(10_000 + number, 1, "idle", 0));
        }
        assert_eq!((timeline.entries.len(), timeline.shards), (ENTRIES_MAX, 0));
        let last = timeline.last;
        assert!(timeline.get(last).is_some() && timeline.get(1).is_none());
    }
}
