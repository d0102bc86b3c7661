use super::*;

fn life(node: &str, incarnation: u64) -> Life {
    Life { node: node.to_owned(), incarnation }
}

fn beat(revision: u64, node: &str, created: u64) -> Change {
    Change { revision, what: What::Beat { node: node.to_owned(), created } }
}

fn over(revision: u64, node: &str) -> Change {
    Change { revision, what: What::LifeOver { node: node.to_owned() } }
}

fn shard(revision: u64, target: &str, owner: Option<Life>, epoch: u64) -> Change {
    let shard = Shard { target: Some(target.to_owned()), owner, epoch };
    Change { revision, what: What::Shard("default/1".to_owned(), shard) }
}

fn leads(revision: u64, holder: Option<Life>, term: u64) -> Change {
    Change { revision, what: What::Leader(Leader { holder, term }) }
}

/// Two nodes, of which `a` leads and owns the shard.
fn beginning() -> Vec<Change> {
    vec![
        beat(1, "a", 1),
        beat(2, "b", 2),
        leads(3, Some(life("a", 1)), 1),
        shard(4, "a", None, 0),
        shard(5, "a", Some(life("a", 1)), 1),
    ]
}

fn after(more: impl IntoIterator<Item = Change>) -> Vec<String> {
    let mut history = beginning();
    history.extend(more);
    judge(&history)
}

fn only(more: impl IntoIterator<Item = Change>, what: &str) {
    let violations = after(more);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains(what), "{violations:?}");
}

#[test]
fn a_handoff_and_a_takeover_after_death_are_right() {
    let a = life("a", 1);
    let handoff =
        [shard(6, "b", Some(a), 1), shard(7, "b", None, 1), shard(8, "b", Some(life("b", 2)), 2)];
    assert_eq!(after(handoff.clone()), [""; 0]);
    let burial = [
        over(9, "b"),
        shard(10, "a", Some(life("b", 2)), 2),
        shard(11, "a", Some(life("a", 1)), 3),
        beat(12, "b", 12),
    ];
    assert_eq!(after(handoff.into_iter().chain(burial)), [""; 0]);
}

#[test]
fn a_shard_taken_from_the_living_is_found() {
    only(
        [shard(6, "b", Some(life("a", 1)), 1), shard(7, "b", Some(life("b", 2)), 2)],
        "took it from a#1, which was alive",
    );
}

#[test]
fn a_dead_or_unborn_owner_is_found() {
    let dead = [shard(6, "a", None, 1), shard(7, "a", Some(life("b", 1)), 2)];
    only(dead, "b#1 took it, but was not alive");
}

#[test]
fn epochs_that_jump_or_stand_still_are_found() {
    only([shard(6, "a", None, 2)], "epoch 1 became 2 without");
    only([shard(6, "a", None, 1), shard(7, "a", Some(life("a", 1)), 3)], "epoch 1 became 3");
    only([shard(6, "a", None, 1), shard(7, "a", Some(life("a", 1)), 1)], "epoch 1 became 1");
}

#[test]
fn a_target_without_a_leader_or_with_an_owner_is_found() {
    only([leads(6, None, 1), shard(7, "b", Some(life("a", 1)), 1)], "nobody alive led");
    only([shard(6, "b", None, 1)], "target and owner changed");
}

#[test]
fn a_lead_taken_from_the_living_and_a_wrong_term_are_found() {
    only([leads(6, Some(life("b", 2)), 2)], "took the lead from a#1, which was alive");
    only([leads(6, None, 1), leads(7, Some(life("b", 2)), 3)], "term 1 became 3");
    only([leads(6, None, 2)], "term 1 became 2 without");
    // Together with its holder's burial it may pass on.
    assert_eq!(after([leads(6, Some(life("b", 2)), 2), over(6, "a")]), [""; 0]);
}

#[test]
fn lost_and_unreadable_records_and_a_history_out_of_order_are_found() {
    let lost = Change { revision: 6, what: What::Lost("shards/default/1".into()) };
    only([lost], "was deleted");
    let unreadable = Change { revision: 6, what: What::Unreadable("leader".into()) };
    only([unreadable], "unreadable");
    only([beat(4, "a", 1)], "goes from revision 5 to 4");
    only([beat(6, "a", 6)], "created twice");
}

#[test]
fn a_tally_counts_what_happened_after_a_revision() {
    let mut history = beginning();
    history.extend([
        shard(6, "b", None, 1),
        shard(7, "b", Some(life("b", 2)), 2),
        over(8, "a"),
        leads(9, Some(life("b", 2)), 2),
    ]);
    assert_eq!(tally(&history, 5), Tally { moves: 1, leader_changes: 1, lives_over: 1 });
    assert_eq!(tally(&history, 0), Tally { moves: 2, leader_changes: 2, lives_over: 1 });
    assert_eq!(tally(&history, 9), Tally::default());
}
