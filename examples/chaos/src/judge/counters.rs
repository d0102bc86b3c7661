//! Linearizable counters, by what the callers saw and nothing else: when each call was made, when its
//! answer came, and what that says. When its turn ran is not believed to anybody.
//!
//! A witness is a counter. Some order of all its calls must explain their answers, in which each call
//! stands somewhere between its making and its answer, and in which activations follow one another:
//! each counts from 0, and none comes back. That order is searched for (Wing and Gong, with Lowe's
//! memory of what was tried), key by key, and from one quiet moment to the next: between two pieces
//! without a call under way only the counter's possible states pass on, so a piece has few calls.

use std::collections::BTreeSet;

use super::{Violations, by_key};
use crate::calls::{Asks, Call};
use crate::witness::Testimony;

/// Calls under way together without a quiet moment, above which the search could take too long.
const PIECE_CALLS_MAX: usize = 64;

/// What a counter can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Counter {
    /// The activations until now; the last one counts.
    activations: Vec<u64>,
    count: u64,
    /// Calls without an answer that were counted all the same. Which ones makes no difference: all
    /// add one, so the earliest are taken.
    doubts_used: usize,
}

/// One answered call.
#[derive(Clone, Copy, Debug)]
struct Answered<'a> {
    called_ns: u64,
    answered_ns: u64,
    turn: &'a Testimony,
    asks: Asks,
}

/// Judges all calls of a run: each key is a linearizable counter while an owner lives.
#[must_use]
pub fn judge(calls: &[Call]) -> Vec<String> {
    let mut violations = Violations::default();
    for (key, calls) in by_key(calls) {
        if let Err(why) = judge_key(&calls) {
            violations.push(format!("{key}: {why}"));
        }
    }
    violations.into_lines()
}

fn judge_key(calls: &[&Call]) -> Result<(), String> {
    let answered = calls.iter().filter_map(|call| {
        let turn = call.testimony()?;
        let (called_ns, answered_ns) = (call.sent_ns, call.answered_ns);
        Some(Answered { called_ns, answered_ns, turn, asks: call.asks })
    });
    let mut answered: Vec<Answered<'_>> = answered.collect();
    answered.sort_by_key(|call| call.called_ns);
    let mut doubts: Vec<u64> =
        calls.iter().filter(|call| call.may_have_counted()).map(|call| call.sent_ns).collect();
    doubts.sort_unstable();

    let mut states = BTreeSet::from([Counter::default()]);
    for piece in pieces(&answered) {
        if piece.len() > PIECE_CALLS_MAX {
            return Err(format!("{} calls without a quiet moment can't be judged", piece.len()));
        }
        let mut search = Search { piece, doubts: &doubts, tried: BTreeSet::new() };
        let ends = search.ends(&states);
        if ends.is_empty() {
            return Err(format!("no order of calls explains {piece:?} after {states:?}"));
        }
        states = ends;
    }
    Ok(())
}

/// Cuts calls, sorted by when they were made, wherever none is under way.
fn pieces<'a, 'b>(calls: &'b [Answered<'a>]) -> impl Iterator<Item = &'b [Answered<'a>]> {
    let mut until_ns = 0;
    calls.chunk_by(move |call, next| {
        until_ns = until_ns.max(call.answered_ns);
        next.called_ns < until_ns
    })
}

struct Search<'a> {
    piece: &'a [Answered<'a>],
    doubts: &'a [u64],
    tried: BTreeSet<(u64, Counter)>,
}

impl Search<'_> {
    /// All that the counter can be after the piece.
    fn ends(&mut self, begins: &BTreeSet<Counter>) -> BTreeSet<Counter> {
        let mut ends = BTreeSet::new();
        // Which calls have been put in order, as bits, and what the counter is after them.
        let mut open: Vec<(u64, Counter)> = begins.iter().map(|state| (0, state.clone())).collect();
        while let Some((done, state)) = open.pop() {
            if !self.tried.insert((done, state.clone())) {
                continue;
            }
            let left = || (0..self.piece.len()).filter(move |place| done & (1 << place) == 0);
            let Some(until_ns) = left().map(|place| self.piece[place].answered_ns).min() else {
                ends.insert(state);
                continue;
            };
            // What was called after another one's answer can't stand before it.
            for place in left().filter(|place| self.piece[*place].called_ns <= until_ns) {
                let doubts = self.doubts.partition_point(|called_ns| *called_ns <= until_ns);
                if let Some(next) = state.after(&self.piece[place], doubts) {
                    open.push((done | (1 << place), next));
                }
            }
        }
        ends
    }
}

impl Counter {
    /// The counter after a call, if it can have given that answer when so many calls in doubt have
    /// been made.
    fn after(&self, call: &Answered<'_>, doubts: usize) -> Option<Self> {
        let mut next = self.clone();
        let activation = call.turn.activation;
        if self.activations.last() != Some(&activation) {
            if self.activations.contains(&activation) {
                return None;
            }
            next.activations.push(activation);
            next.count = 0;
        }
        let before = match call.asks {
            Asks::Turn => call.turn.count.checked_sub(1)?,
            Asks::Read => call.turn.count,
        };
        let unseen = before.checked_sub(next.count)?;
        next.doubts_used += usize::try_from(unseen).ok()?;
        next.count = call.turn.count;
        (next.doubts_used <= doubts).then_some(next)
    }
}

#[cfg(test)]
mod tests;
