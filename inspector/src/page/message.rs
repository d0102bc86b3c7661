//! The pictures as the page reads them. Shards come as arrays with their texts in a table, because
//! there may be half a million; the page's `model.js` reads them.

use std::collections::{BTreeMap, HashMap};

use axum::response::sse::Event;
use serde::Serialize;

use super::timeline::Entry;
use super::watch::{Picture, Trouble};
use crate::json::Status;
use crate::{ShardCondition, ShardLoad};

/// Most kinds of moves that an entry of the timeline spells out.
const STEPS_MAX: usize = 8;

/// A server-sent event.
#[derive(Debug)]
pub(super) struct Message {
    name: &'static str,
    data: String,
}

impl Message {
    pub(super) fn event(&self) -> Event {
        Event::default().event(self.name).data(&self.data)
    }

    #[cfg(test)]
    pub(super) fn data(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).expect("it is JSON")
    }

    #[cfg(test)]
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    fn of(name: &'static str, body: &impl Serialize) -> Self {
        // Only maps with keys that are no texts can't be written.
        let data = serde_json::to_string(body).unwrap_or_default();
        Self { name, data }
    }

    /// That the node can't be asked.
    pub(super) fn trouble(trouble: &Trouble) -> Self {
        Self::of("trouble", &TroubleEntry::of(trouble))
    }

    /// The whole picture.
    pub(super) fn snapshot<'a>(
        picture: &'a Picture,
        trouble: Option<&'a Trouble>,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Self {
        Self::of("snapshot", &Body::of(picture, None, trouble, entries))
    }

    /// What is new in a picture since another of the same cluster.
    pub(super) fn delta<'a>(
        picture: &'a Picture,
        before: &'a Picture,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Self {
        Self::of("delta", &Body::of(picture, Some(before), None, entries))
    }
}

#[derive(Serialize)]
struct TroubleEntry<'a> {
    since_ms: Option<u64>,
    error: &'a str,
}

impl<'a> TroubleEntry<'a> {
    fn of(trouble: &'a Trouble) -> Self {
        Self { since_ms: trouble.since_ms, error: &trouble.error }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    number: u64,
    at_ms: u64,
    asked: &'a str,
    trouble: Option<TroubleEntry<'a>>,
    status: Status<'a>,
    loads_error: Option<&'a str>,
    texts: Vec<&'a str>,
    cells: Vec<Cell>,
    loads: Vec<[u32; 4]>,
    timeline: Vec<EntryBody<'a>>,
}

/// Number, condition, target, owner, incarnation of the owner, whether it lives, pin, epoch, since,
/// reason, and whether it is stuck. Texts are places in the table.
#[derive(Serialize)]
struct Cell(
    u32,
    u8,
    Option<usize>,
    Option<usize>,
    u64,
    u8,
    Option<usize>,
    u64,
    Option<u64>,
    usize,
    u8,
);

#[derive(Default)]
struct Texts<'a> {
    places: HashMap<&'a str, usize>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        *self.places.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }
}

impl<'a> Body<'a> {
    fn of(
        picture: &'a Picture,
        before: Option<&'a Picture>,
        trouble: Option<&'a Trouble>,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Self {
        let mut texts = Texts::default();
        let is_news = |place: usize| {
            before.is_none_or(|before| {
                let view = &picture.view;
                let (shard, earlier) = (&view.shards[place], before.view.shards.get(place));
                earlier != Some(shard)
                    || earlier.is_some_and(|earlier| {
                        before.view.condition(earlier) != view.condition(shard)
                            || before.view.live_owner(earlier) != view.live_owner(shard)
                            || before.is_stuck(earlier) != picture.is_stuck(shard)
                    })
            })
        };
        let places = (0..picture.view.shards.len()).filter(|place| is_news(*place));
        let cells = places.map(|place| cell(picture, place, &mut texts)).collect();
        let nothing = BTreeMap::new();
        let earlier = before.map_or(&nothing, |before| &before.loads);
        Self {
            number: picture.number,
            at_ms: picture.at_ms,
            asked: &picture.asked,
            trouble: trouble.map(TroubleEntry::of),
            status: Status::of(&picture.view),
            loads_error: picture.loads_error.as_deref(),
            cells,
            texts: texts.texts,
            loads: loads(&picture.loads, earlier),
            timeline: entries.map(EntryBody::of).collect(),
        }
    }
}

fn cell<'a>(picture: &'a Picture, place: usize, texts: &mut Texts<'a>) -> Cell {
    let shard = &picture.view.shards[place];
    let condition = match picture.view.condition(shard) {
        ShardCondition::AtRest => 0,
        ShardCondition::InMotion => 1,
        ShardCondition::Orphan => 2,
    };
    let mut place = |text: &'a Option<String>| text.as_deref().map(|text| texts.place(text));
    let (target, pin) = (place(&shard.target), place(&shard.pin));
    let owner = shard.owner.as_ref();
    Cell(
        shard.number,
        condition,
        target,
        owner.map(|life| texts.place(&life.node)),
        owner.map_or(0, |life| life.incarnation),
        u8::from(picture.view.live_owner(shard).is_some()),
        pin,
        shard.epoch,
        shard.since_ms,
        texts.place(&shard.reason),
        u8::from(picture.is_stuck(shard)),
    )
}

/// Shard, calls a second, busy microseconds a second and actors of those that differ.
fn loads(new: &BTreeMap<u32, ShardLoad>, old: &BTreeMap<u32, ShardLoad>) -> Vec<[u32; 4]> {
    let entry = |shard: &u32, load: ShardLoad| {
        [*shard, load.calls_per_s, load.busy_us_per_s, load.activations]
    };
    let changed = new.iter().filter(|(shard, load)| old.get(shard) != Some(load));
    let ended = old.keys().filter(|shard| !new.contains_key(shard));
    let changed = changed.map(|(shard, load)| entry(shard, *load));
    changed.chain(ended.map(|shard| entry(shard, ShardLoad::default()))).collect()
}

#[derive(Serialize)]
struct EntryBody<'a> {
    id: u64,
    at_ms: u64,
    last_ms: u64,
    times: u64,
    kind: &'a str,
    by: Option<&'a str>,
    term: u64,
    text: &'a str,
    /// How many shards it is about.
    shards: usize,
    steps: Vec<StepBody<'a>>,
    /// How many kinds of moves are left out.
    more_steps: usize,
}

/// Moves from one node to another for the same reason.
#[derive(Serialize)]
struct StepBody<'a> {
    from: Option<&'a str>,
    to: &'a str,
    reason: &'a str,
    count: usize,
}

impl<'a> EntryBody<'a> {
    fn of(entry: &'a Entry) -> Self {
        let mut alike: BTreeMap<(Option<&str>, &str, &str), usize> = BTreeMap::new();
        for step in &entry.moves {
            *alike.entry((step.from.as_deref(), &step.to, &step.reason)).or_default() += 1;
        }
        let mut steps: Vec<_> = alike
            .into_iter()
            .map(|((from, to, reason), count)| StepBody { from, to, reason, count })
            .collect();
        steps.sort_by_key(|step| std::cmp::Reverse(step.count));
        let more_steps = steps.len().saturating_sub(STEPS_MAX);
        steps.truncate(STEPS_MAX);
        Self {
            id: entry.id,
            at_ms: entry.at_ms,
            last_ms: entry.last_ms,
            times: entry.times,
            kind: &entry.kind,
            by: entry.by.as_deref(),
            term: entry.term,
            text: &entry.text,
            shards: entry.moves.len() + entry.stuck.len(),
            steps,
            more_steps,
        }
    }
}
