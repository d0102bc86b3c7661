use super::*;
use crate::record::{Key, Record, ShardRecord};
use crate::view::tests::{Picture, name};
use crate::{Epoch, Incarnation, Life};

const TIMEOUT: Duration = Duration::from_secs(10);
const SHARD: ShardId = ShardId(0);
const OTHER: ShardId = ShardId(1);

/// What a leader sees of two shards, and of those who live.
struct Seen {
    picture: Picture,
    motions: Motions,
}

fn at(seconds: u64) -> Moment {
    Moment(1).after(Duration::from_secs(seconds))
}

impl Seen {
    fn with(nodes: &[&str]) -> Self {
        let mut picture = Picture::of(2);
        for node in nodes {
            picture.join(node);
        }
        Self { picture, motions: Motions::default() }
    }

    /// A shard has this owner and this target since a time.
    fn place(
        &mut self,
        shard: ShardId,
        owner: Option<&str>,
        target: &str,
        since: Moment,
    ) -> Option<Duration> {
        let life = |node: &str| Life {
            node: name(node),
            incarnation: Incarnation(
                self.picture.view.heartbeat(&name(node)).unwrap().create_revision,
            ),
        };
        let record = ShardRecord {
            owner: owner.map(life),
            target: Some(name(target)),
            epoch: Epoch(1),
            ..ShardRecord::default()
        };
        self.picture.put(Key::Shard(shard), Record::Shard(record));
        self.motions.observe(&self.picture.view, shard, since)
    }

    fn stuck(&mut self, now: Moment) -> Vec<ShardId> {
        let stuck = self.motions.stuck(now, TIMEOUT, |_| false);
        stuck.into_iter().map(|(shard, _)| shard).collect()
    }

    fn avoids(&self, shard: ShardId, now: Moment) -> Option<&str> {
        self.motions.avoided(shard, now, TIMEOUT).map(NodeId::as_str)
    }

    fn is_unable(&self, node: &str, now: Moment) -> bool {
        self.motions.is_unable(&name(node), now, TIMEOUT)
    }
}

#[test]
fn a_shard_is_timed_from_its_target_to_its_arrival() {
    let mut seen = Seen::with(&["a", "b"]);
    assert_eq!(seen.place(SHARD, Some("a"), "a", at(0)), None, "it is where it should be");
    assert_eq!(seen.motions.iter().count(), 0);
    assert_eq!(seen.place(SHARD, Some("a"), "b", at(1)), None);
    assert_eq!(seen.motions.iter().next().unwrap().1.phase(), MotionPhase::Releasing);
    assert_eq!(seen.place(SHARD, None, "b", at(3)), None);
    assert_eq!(seen.motions.iter().next().unwrap().1.phase(), MotionPhase::Claiming);
    assert_eq!(seen.place(SHARD, Some("b"), "b", at(4)), Some(Duration::from_secs(3)));
    assert_eq!(seen.motions.iter().count(), 0);
}

#[test]
fn a_shard_that_is_called_back_has_arrived_nowhere() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, Some("a"), "b", at(1));
    assert_eq!(seen.place(SHARD, Some("a"), "a", at(2)), None);
    assert_eq!(seen.motions.iter().count(), 0);
}

#[test]
fn who_waits_too_long_is_told_of_once_a_timeout() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, Some("a"), "b", at(0));
    assert_eq!(seen.stuck(at(9)), []);
    let changes = seen.motions.changes();
    assert_eq!(seen.stuck(at(10)), [SHARD]);
    assert!(seen.motions.changes() > changes, "a plan may be another now");
    assert_eq!(seen.stuck(at(19)), []);
    assert_eq!(seen.stuck(at(20)), [SHARD]);
    assert_eq!(seen.avoids(SHARD, at(20)), None, "its owner does not release it");
    // Each phase has its own time.
    seen.place(SHARD, None, "b", at(21));
    assert_eq!(seen.stuck(at(30)), []);
    assert_eq!(seen.stuck(at(31)), [SHARD]);
}

#[test]
fn orphans_that_no_node_may_own_are_not_told_of() {
    let mut seen = Seen::with(&["a"]);
    seen.place(SHARD, None, "gone", at(0));
    seen.place(OTHER, None, "gone", at(0));
    let stuck = seen.motions.stuck(at(10), TIMEOUT, |shard| shard == SHARD);
    let stuck: Vec<_> = stuck.into_iter().map(|(shard, motion)| (shard, motion.phase())).collect();
    assert_eq!(stuck, [(OTHER, MotionPhase::Orphaned)]);
}

#[test]
fn a_target_that_claims_nothing_is_avoided_for_four_timeouts() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, None, "b", at(0));
    assert_eq!(seen.avoids(SHARD, at(9)), None);
    seen.stuck(at(10));
    assert_eq!((seen.avoids(SHARD, at(10)), seen.avoids(OTHER, at(10))), (Some("b"), None));
    assert!(seen.is_unable("b", at(10)) && !seen.is_unable("a", at(10)));
    assert_eq!(seen.motions.next_able(at(11), TIMEOUT), Some(at(50)));
    // Served elsewhere meanwhile.
    seen.place(SHARD, Some("a"), "a", at(12));
    assert_eq!(seen.avoids(SHARD, at(49)), Some("b"));
    assert!(seen.is_unable("b", at(49)));
    assert_eq!(seen.avoids(SHARD, at(50)), None);
    assert!(!seen.is_unable("b", at(50)));
    assert_eq!(seen.motions.next_able(at(50), TIMEOUT), None);
}

#[test]
fn a_target_that_claims_in_the_end_is_forgiven() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, None, "b", at(0));
    seen.stuck(at(10));
    seen.place(SHARD, Some("b"), "b", at(11));
    assert_eq!(seen.avoids(SHARD, at(11)), None);
    assert!(!seen.is_unable("b", at(11)));
}

/// It may have had trouble with that shard alone.
#[test]
fn a_target_that_claims_others_is_able() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, None, "b", at(0));
    seen.place(OTHER, None, "b", at(1));
    seen.place(OTHER, Some("b"), "b", at(2));
    seen.stuck(at(10));
    assert_eq!(seen.avoids(SHARD, at(10)), Some("b"));
    assert!(!seen.is_unable("b", at(10)));
}

#[test]
fn what_was_claimed_long_before_proves_nothing() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(OTHER, None, "b", at(0));
    seen.place(OTHER, Some("b"), "b", at(1));
    seen.place(SHARD, None, "b", at(5));
    seen.stuck(at(15));
    assert!(seen.is_unable("b", at(15)));
}

#[test]
fn a_new_life_has_a_clean_slate() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, None, "b", at(0));
    seen.place(OTHER, None, "a", at(0));
    seen.stuck(at(10));
    let changes = seen.motions.changes();
    seen.motions.forgive(&name("b"));
    assert!(seen.motions.changes() > changes, "a plan may be another now");
    assert_eq!((seen.avoids(SHARD, at(10)), seen.avoids(OTHER, at(10))), (None, Some("a")));
    assert!(!seen.is_unable("b", at(10)) && seen.is_unable("a", at(10)));
}

#[test]
fn who_is_gone_is_forgotten() {
    let mut seen = Seen::with(&["a", "b"]);
    seen.place(SHARD, None, "b", at(0));
    seen.place(OTHER, None, "a", at(0));
    seen.stuck(at(10));
    seen.picture.delete(Key::Heartbeat(name("b")));
    let changes = seen.motions.changes();
    seen.motions.forget_all_but(&seen.picture.view);
    assert!(seen.motions.changes() > changes);
    assert_eq!((seen.avoids(SHARD, at(10)), seen.avoids(OTHER, at(10))), (None, Some("a")));
    assert!(!seen.is_unable("b", at(10)) && seen.is_unable("a", at(10)));
}

#[test]
fn what_is_stuck_reads_as_prose() {
    let told = |count: u32, from: Option<&str>, to: Option<&str>, phase| {
        let shards = (7..7 + count).map(ShardId).collect();
        Stuck { shards, from: from.map(name), to: to.map(name), phase }.to_string()
    };
    assert_eq!(
        told(1, None, Some("b"), MotionPhase::Claiming),
        "shard 7 is stuck claiming on the way from nobody to b"
    );
    assert_eq!(
        told(8, Some("a"), Some("b"), MotionPhase::Releasing),
        "shards 7, 8, 9, 10, 11, 12, 13, 14 are stuck releasing on the way from a to b"
    );
    assert_eq!(
        told(10, None, None, MotionPhase::Orphaned),
        "shards 7, 8, 9, 10, 11, 12, 13, 14 and 2 more are stuck orphaned on the way from nobody to \
         nobody"
    );
}
