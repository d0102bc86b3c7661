//! What a leader decided, and why.

/// What one node decided as a leader, the oldest first. Decisions of former leaders are theirs to
/// tell, and gone with their processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// Id of the node that tells.
    pub answered_by: String,
    /// The last ones.
    pub decisions: Vec<Decision>,
}

impl Decisions {
    /// The newest move of a shard, by its number among all shards, with the decision that it was
    /// part of.
    pub fn last_move(&self, shard: u32) -> Option<(&Decision, &DecidedMove)> {
        self.decisions.iter().rev().find_map(|decision| Some((decision, decision.move_of(shard)?)))
    }
}

/// Something that a leader decided, be it to do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Grows by one with each decision of its node.
    pub number: u64,
    /// The term in which it was decided.
    pub term: u64,
    /// When, in milliseconds since 1970 on the leader's wall clock.
    pub at_ms: u64,
    /// When it was last decided again in the same words.
    pub last_ms: u64,
    /// How often it was decided, one after the other; at least once.
    pub times: u64,
    /// `lead`, `moves`, `idle`, `death` or `stuck`, or a name that a later version brings.
    pub kind: String,
    /// The decision in words.
    pub text: String,
    /// The new targets, for `moves`; only those that were asked for.
    pub moves: Vec<DecidedMove>,
    /// The shards that wait for too long, by their numbers among all, for `stuck`; only those that
    /// were asked for. A node of an earlier version doesn't say.
    pub stuck: Vec<u32>,
}

impl Decision {
    /// The new target that it gave a shard, by its number among all shards.
    pub fn move_of(&self, shard: u32) -> Option<&DecidedMove> {
        self.moves.iter().find(|step| step.shard == shard)
    }
}

/// One shard's new target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedMove {
    /// Which shard, by its number among all shards.
    pub shard: u32,
    /// Its live owner at that time.
    pub from: Option<String>,
    /// Its new target.
    pub to: String,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_move_of_a_shard_is_found() {
        let moved = |shard, to: &str| DecidedMove {
            shard,
            from: None,
            to: to.to_owned(),
            reason: String::new(),
        };
        let decision = |number, moves| Decision {
            number,
            term: 1,
            at_ms: 0,
            last_ms: 0,
            times: 1,
            kind: "moves".to_owned(),
            text: String::new(),
            moves,
            stuck: Vec::new(),
        };
        let decisions = Decisions {
            answered_by: "a".to_owned(),
            decisions: vec![
                decision(1, vec![moved(7, "a"), moved(8, "a")]),
                decision(2, vec![moved(7, "b")]),
                decision(3, Vec::new()),
            ],
        };
        let last = |shard| decisions.last_move(shard).map(|(d, step)| (d.number, step.to.as_str()));
        assert_eq!(last(7), Some((2, "b")));
        assert_eq!(last(8), Some((1, "a")));
        assert_eq!(last(9), None);
    }
}
