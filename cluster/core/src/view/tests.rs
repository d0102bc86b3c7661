use super::*;
use crate::Term;
use crate::record::NodeProfile;

/// A picture, and the store that it is of, as far as revisions go.
pub(crate) struct Picture {
    pub(crate) view: View,
    pub(crate) revision: u64,
}

pub(crate) fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn beat() -> Record {
    Record::Heartbeat(HeartbeatRecord {
        incarnation: None,
        sequence: 0,
        nonce: 0,
        window_ms: 6000,
        interval_ms: 1000,
    })
}

impl Picture {
    pub(crate) fn of(shards: u32) -> Self {
        Self { view: View::new(shards), revision: 0 }
    }

    /// A key is written for the first time.
    pub(crate) fn put(&mut self, key: Key, record: Record) -> News {
        self.put_again(key, record, self.revision + 1)
    }

    /// A key that was created before is written.
    pub(crate) fn put_again(&mut self, key: Key, record: Record, create_revision: u64) -> News {
        self.revision += 1;
        let revision = self.revision;
        let held = Some(Held { create_revision, mod_revision: revision, record });
        self.view.apply(Entry { key, revision, held })
    }

    pub(crate) fn delete(&mut self, key: Key) -> News {
        self.revision += 1;
        self.view.apply(Entry { key, revision: self.revision, held: None })
    }

    /// A node lives, and has said what it is.
    pub(crate) fn join(&mut self, node: &str) -> Life {
        self.put(Key::Heartbeat(name(node)), beat());
        let beat = self.view.heartbeat(&name(node)).unwrap();
        let life = life_of(&name(node), beat);
        self.put(Key::Node(name(node)), node_record(&life, NodeState::Active));
        life
    }
}

fn node_record(life: &Life, state: NodeState) -> Record {
    let profile = NodeProfile { weight: 1, kinds: vec!["k".to_owned()], ..NodeProfile::default() };
    Record::Node(NodeRecord { incarnation: life.incarnation, state, profile })
}

fn owned_by(life: &Life, epoch: u64) -> Record {
    let target = Some(life.node.clone());
    Record::Shard(ShardRecord {
        target,
        owner: Some(life.clone()),
        epoch: Epoch(epoch),
        ..ShardRecord::default()
    })
}

const NOTHING: News = News { any: false, members: false, groups: false };
const SOMETHING: News = News { any: true, ..NOTHING };
const MEMBERS: News = News { members: true, ..SOMETHING };

#[test]
fn older_news_change_nothing() {
    let mut picture = Picture::of(2);
    let (a, b) = (picture.join("a"), picture.join("b"));
    let key = Key::Shard(ShardId(1));
    assert_eq!(picture.put(key.clone(), owned_by(&a, 1)), SOMETHING);
    let newest = picture.view.shard(ShardId(1)).mod_revision;
    let changes = picture.view.changes();
    for (mod_revision, record) in [(newest, owned_by(&b, 9)), (newest - 1, owned_by(&b, 9))] {
        let held = Some(Held { create_revision: 1, mod_revision, record });
        let entry = Entry { key: key.clone(), revision: newest + 5, held };
        assert_eq!(picture.view.apply(entry), NOTHING);
    }
    let absent = Entry { key, revision: newest + 5, held: None };
    assert_eq!(picture.view.apply(absent), NOTHING, "records of shards are never deleted");
    assert_eq!(picture.view.live_owner(ShardId(1)), Some((&a, Epoch(1))));
    assert_eq!((picture.view.changes(), picture.view.revision()), (changes, newest + 5));

    let beat_of = Key::Heartbeat(name("a"));
    let late = Entry { key: beat_of, revision: a.incarnation.0, held: None };
    assert_eq!(picture.view.apply(late), NOTHING, "a deletion from before it was written");
    assert!(picture.view.alive(&a));
}

#[test]
fn a_shard_beyond_the_last_one_and_a_foreign_record_are_left_out() {
    let mut picture = Picture::of(2);
    let a = picture.join("a");
    assert_eq!(picture.put(Key::Shard(ShardId(2)), owned_by(&a, 1)), NOTHING);
    assert_eq!(picture.put(Key::Shard(ShardId(0)), beat()), NOTHING);
    picture.put(Key::Heartbeat(name("b")), owned_by(&a, 1));
    assert_eq!(picture.view.heartbeats().count(), 1);
    picture.put(Key::Leader, beat());
    assert_eq!(picture.view.leader(), (None, 0));
    assert_eq!(picture.view.shards().len(), 2);
}

#[test]
fn a_member_lives_and_says_so_itself() {
    let mut picture = Picture::of(2);
    let beat_of = || Key::Heartbeat(name("a"));
    assert_eq!(picture.put(beat_of(), beat()), MEMBERS);
    assert!(picture.view.member(&name("a")).is_none(), "it has said nothing of itself yet");
    let first = life_of(&name("a"), picture.view.heartbeat(&name("a")).unwrap());
    assert_eq!(picture.put(Key::Node(name("a")), node_record(&first, NodeState::Active)), MEMBERS);
    assert_eq!(picture.view.member(&name("a")).unwrap().life, first);
    assert!(picture.view.member(&name("a")).unwrap().takes_shards());

    let changes = picture.view.changes();
    assert_eq!(picture.put_again(beat_of(), beat(), first.incarnation.0), SOMETHING);
    assert_eq!(picture.view.changes(), changes, "one more beat is no change");
    assert!(picture.view.alive(&first));

    assert_eq!(picture.delete(beat_of()), MEMBERS);
    assert!(picture.view.changes() > changes);
    assert!(!picture.view.alive(&first) && picture.view.members().count() == 0);
    assert!(picture.view.node(&name("a")).is_some(), "what it said is there still");

    picture.put(beat_of(), beat());
    assert!(picture.view.member(&name("a")).is_none(), "a new life, that has said nothing yet");
    assert!(!picture.view.alive(&first));
}

#[test]
fn who_drains_weighs_nothing_or_hosts_nothing_takes_no_shards() {
    let mut picture = Picture::of(2);
    let mut groups = Groups::default();
    groups.assign("k", "default").unwrap();
    groups.assign("other", "second").unwrap();
    let news = picture.put(Key::Groups, Record::Groups(groups));
    assert_eq!(news, News { groups: true, ..SOMETHING });
    assert_eq!(picture.view.shards().len(), 4, "each group has its own");
    assert_eq!([0, 1, 2, 3].map(|shard| picture.view.group_of(ShardId(shard))), [0, 0, 1, 1]);

    let life = picture.join("a");
    let takes = |picture: &Picture| {
        let member = picture.view.member(&name("a"))?;
        Some([0, 1].map(|group| picture.view.takes_shards_of(&member, group)))
    };
    assert_eq!(takes(&picture), Some([true, false]), "it hosts no kind of the second");
    let mut weightless = node_record(&life, NodeState::Active);
    if let Record::Node(record) = &mut weightless {
        record.profile.weight = 0;
    }
    for (record, expected) in [
        (node_record(&life, NodeState::Draining), Some([false, false])),
        (weightless, Some([false, false])),
        (node_record(&life, NodeState::Dead), None),
    ] {
        picture.put(Key::Node(name("a")), record);
        assert_eq!(takes(&picture), expected);
    }
}

#[test]
fn groups_are_added_and_never_taken_back() {
    let mut picture = Picture::of(2);
    let mut groups = Groups::default();
    groups.assign("k", "second").unwrap();
    picture.put(Key::Groups, Record::Groups(groups.clone()));
    let a = picture.join("a");
    picture.put(Key::Shard(ShardId(3)), owned_by(&a, 1));
    picture.put(Key::Groups, Record::Groups(Groups::default()));
    assert_eq!(picture.view.groups(), &groups);
    assert_eq!(picture.view.live_owner(ShardId(3)), Some((&a, Epoch(1))));
}

#[test]
fn calls_go_to_an_owner_that_lives_and_has_said_where_it_is() {
    let mut picture = Picture::of(1);
    let a = picture.join("a");
    assert_eq!(picture.view.route(ShardId(0)), None);
    picture.put(Key::Shard(ShardId(0)), owned_by(&a, 4));
    assert_eq!(picture.view.route(ShardId(0)), Some((a.clone(), Epoch(4))));
    picture.delete(Key::Heartbeat(name("a")));
    assert_eq!(picture.view.route(ShardId(0)), None, "it is dead");
    picture.put(Key::Heartbeat(name("a")), beat());
    let next = life_of(&name("a"), picture.view.heartbeat(&name("a")).unwrap());
    picture.put(Key::Shard(ShardId(0)), owned_by(&next, 5));
    assert_eq!(picture.view.live_owner(ShardId(0)), Some((&next, Epoch(5))));
    assert_eq!(picture.view.route(ShardId(0)), None, "what is known of it is of its former life");
}

#[test]
fn guards_are_foretold_for_every_sort_of_key() {
    let mut picture = Picture::of(1);
    let a = picture.join("a");
    let created = a.incarnation.0;
    picture.put_again(Key::Heartbeat(name("a")), beat(), created);
    let beaten = picture.revision;
    picture.put(Key::Shard(ShardId(0)), owned_by(&a, 1));
    let written = picture.view.shard(ShardId(0)).mod_revision;
    let leads = LeaderRecord { holder: Some(a.clone()), term: Term(1) };
    picture.put(Key::Leader, Record::Leader(leads));
    let led = picture.view.leader().1;
    let view = &picture.view;
    let absent = Key::Heartbeat(name("b"));
    for (guard, holds) in [
        (Guard::ModRevision(Key::Shard(ShardId(0)), written), true),
        (Guard::ModRevision(Key::Shard(ShardId(0)), written - 1), false),
        (Guard::alive(&a), true),
        (Guard::dead(&a), false),
        (Guard::ModRevision(Key::Heartbeat(name("a")), beaten), true),
        (Guard::ModRevision(Key::Heartbeat(name("a")), created), false),
        (Guard::ModRevision(absent.clone(), 0), true),
        (Guard::CreateRevision(absent.clone(), 0), true),
        (Guard::CreateRevisionNot(absent, 0), false),
        (Guard::ModRevision(Key::Leader, led), true),
        (Guard::ModRevision(Key::Leader, led + 1), false),
        (Guard::ModRevision(Key::Meta, 0), true),
        (Guard::ModRevision(Key::Meta, 1), false),
        (Guard::ModRevision(Key::Node(name("a")), view.revision_of(&Key::Node(name("a")))), true),
        (Guard::ModRevision(Key::Node(name("a")), 0), false),
    ] {
        assert_eq!(view.holds(&guard), holds, "{guard:?}");
    }
}

#[test]
fn a_list_tells_also_who_is_gone_and_reads_the_groups_first() {
    let mut picture = Picture::of(1);
    let (a, b) = (picture.join("a"), picture.join("b"));
    let mut groups = Groups::default();
    groups.assign("k", "second").unwrap();
    let at = picture.revision + 10;
    let entry = |key: Key, create_revision, mod_revision, record| {
        let held = Some(Held { create_revision, mod_revision, record });
        Entry { key, revision: at, held }
    };
    let beat_of_a = Key::Heartbeat(name("a"));
    let entries = vec![
        entry(Key::Shard(ShardId(1)), at - 1, at - 1, owned_by(&a, 1)),
        entry(beat_of_a, a.incarnation.0, at - 2, beat()),
        entry(Key::Node(name("a")), 2, 2, node_record(&a, NodeState::Active)),
        entry(Key::Groups, at - 3, at - 3, Record::Groups(groups)),
    ];
    picture.view.apply_snapshot(at, entries);
    assert!(picture.view.alive(&a) && !picture.view.alive(&b));
    assert_eq!(picture.view.nodes().map(|(node, _)| node.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(picture.view.live_owner(ShardId(1)), Some((&a, Epoch(1))));
    assert_eq!(picture.view.revision(), at);
    // What the watch still tells of before is old.
    let late = Entry {
        key: Key::Heartbeat(name("b")),
        revision: at - 1,
        held: Some(Held { create_revision: b.incarnation.0, mod_revision: at - 1, record: beat() }),
    };
    assert_eq!(picture.view.apply(late), NOTHING);
    picture.view.apply_snapshot(at - 5, Vec::new());
    assert_eq!(picture.view.revision(), at, "it only grows");
    assert!(picture.view.alive(&a), "a list from before");
}

#[test]
fn nobody_leads_when_the_leader_s_record_is_gone_and_terms_go_on() {
    let mut picture = Picture::of(1);
    let a = picture.join("a");
    let record = LeaderRecord { holder: Some(a), term: Term(7) };
    picture.put(Key::Leader, Record::Leader(record));
    picture.delete(Key::Leader);
    let (leader, revision) = picture.view.leader();
    let leader = leader.unwrap();
    assert_eq!((&leader.holder, leader.term, revision), (&None, Term(7), 0));
    picture.put(
        Key::Rebalancing,
        Record::Rebalancing(RebalancingRecord { held: true, ..Default::default() }),
    );
    assert!(picture.view.rebalancing().held);
    picture.delete(Key::Rebalancing);
    assert!(!picture.view.rebalancing().held);
    assert_eq!(picture.view.revision_of(&Key::Rebalancing), 0);
}
