use super::*;
use crate::{DecidedMove, NodeState, samples};

pub(in crate::page) fn watch() -> Watch {
    Watch::new("127.0.0.1:7400", Duration::from_secs(1))
}

fn life() -> Life {
    samples::life("a", 1)
}

fn view() -> ClusterView {
    let shard = |number| Shard {
        target: Some("a".to_owned()),
        owner: Some(life()),
        reason: "it had no live node".to_owned(),
        since_ms: Some(5),
        ..samples::shard(number)
    };
    samples::view([samples::node("a", 1, NodeState::Active)], (0..4).map(shard).collect())
}

fn told(decisions: Vec<Decision>) -> Told {
    let load = ShardLoad { calls_per_s: 9, busy_us_per_s: 80, activations: 2 };
    Told {
        leader: Some(life()),
        loads: Some([(1, load)].into()),
        decisions: Some(decisions),
        error: None,
    }
}

fn look_at(watch: &Watch) -> Look {
    watch.look().expect("the server goes on")
}

/// A picture in which shard 2 has this epoch.
pub(in crate::page) fn seen(watch: &Watch, epoch: u64) {
    let mut view = view();
    view.shards[2].epoch = epoch;
    watch.show(view, told(Vec::new()));
}

fn decision(number: u64, kind: &str, moves: Vec<DecidedMove>, stuck: Vec<u32>) -> Decision {
    let (term, at_ms, last_ms, times) = (1, 10, 10, 1);
    let (kind, text) = (kind.to_owned(), format!("decision {number}"));
    Decision { number, term, at_ms, last_ms, times, kind, text, moves, stuck }
}

#[test]
fn a_delta_holds_what_changed_and_nothing_else() {
    let watch = watch();
    let mut look = look_at(&watch);
    assert!(look.first.is_none(), "nothing was seen yet");
    seen(&watch, 1);
    let first = look.news.try_recv().expect("the first picture is whole");
    assert_eq!(
        (first.name(), first.data()["cells"].as_array().map(Vec::len)),
        ("snapshot", Some(4))
    );
    assert_eq!(first.data()["loads"], serde_json::json!([[1, 9, 80, 2]]));
    seen(&watch, 7);
    let delta = look.news.try_recv().expect("it changed");
    let body = delta.data();
    assert_eq!(delta.name(), "delta");
    assert_eq!(body["texts"], serde_json::json!(["a", "it had no live node"]));
    assert_eq!(body["cells"], serde_json::json!([[2, 0, 0, 0, 1, 1, null, 7, 5, 1, 0]]));
    assert_eq!(
        (&body["loads"], &body["timeline"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    // Whoever comes now sees the same.
    let late = look_at(&watch).first.expect("there is a picture");
    assert_eq!((late.name(), &late.data()["cells"][2][7]), ("snapshot", &serde_json::json!(7)));
}

#[test]
fn a_load_that_ended_is_told_as_nothing() {
    let watch = watch();
    seen(&watch, 1);
    let mut look = look_at(&watch);
    let mut ended = told(Vec::new());
    ended.loads = Some(BTreeMap::new());
    watch.show(view(), ended);
    let body = look.news.try_recv().expect("it changed").data();
    assert_eq!(body["loads"], serde_json::json!([[1, 0, 0, 0]]));
}

#[test]
fn another_number_of_shards_is_no_delta() {
    let watch = watch();
    seen(&watch, 1);
    let mut look = look_at(&watch);
    let mut other = view();
    other.shard_count = 3;
    other.shards.pop();
    watch.show(other, told(Vec::new()));
    let news = look.news.try_recv().expect("it changed");
    assert_eq!((news.name(), news.data()["cells"].as_array().map(Vec::len)), ("snapshot", Some(3)));
}

#[test]
fn trouble_keeps_the_picture_and_says_how_old_it_is_and_is_told_once() {
    let watch = watch();
    let error =
        || InspectError::TimedOut { address: "a:1".to_owned(), limit: Duration::from_secs(1) };
    watch.fail(&error());
    let first = look_at(&watch).first.expect("there is something to tell");
    assert_eq!((first.name(), &first.data()["since_ms"]), ("trouble", &serde_json::json!(null)));
    seen(&watch, 1);
    let mut look = look_at(&watch);
    watch.fail(&error());
    watch.fail(&error());
    let trouble = look.news.try_recv().expect("told").data();
    assert_eq!(trouble["error"], "a:1 did not answer within 1s");
    assert!(trouble["since_ms"].as_u64() > Some(0));
    assert!(look.news.try_recv().is_err(), "once");
    let late = look_at(&watch).first.expect("the old picture").data();
    assert_eq!((&late["trouble"], late["cells"].as_array().map(Vec::len)), (&trouble, Some(4)));
    seen(&watch, 2);
    assert_eq!(
        look.news.try_recv().expect("it goes on").data()["trouble"],
        serde_json::json!(null)
    );
}

#[test]
fn a_shard_is_stuck_from_the_word_of_the_leader_until_it_has_a_new_target_or_arrives() {
    let is_stuck = |moving: bool, decisions| {
        let watch = watch();
        let mut view = view();
        if moving {
            view.shards[2].owner = None;
        }
        watch.show(view.clone(), told(decisions));
        let body = look_at(&watch).first.expect("a picture").data();
        body["cells"][2][10] == 1
    };
    let step = |shard| DecidedMove { shard, from: None, to: "a".to_owned(), reason: String::new() };
    let stuck = decision(5, "stuck", Vec::new(), vec![2]);
    assert!(!is_stuck(true, Vec::new()));
    assert!(is_stuck(true, vec![stuck.clone()]));
    assert!(!is_stuck(false, vec![stuck.clone()]), "it has arrived");
    let moved = |number, shard| decision(number, "moves", vec![step(shard)], Vec::new());
    assert!(!is_stuck(true, vec![stuck.clone(), moved(6, 2)]), "it goes elsewhere");
    assert!(is_stuck(true, vec![stuck.clone(), moved(6, 3)]));
    assert!(is_stuck(true, vec![moved(4, 2), stuck]), "that was before");
}

#[test]
fn an_order_and_what_came_of_it_are_told_to_all() {
    let watch = watch();
    seen(&watch, 1);
    let mut look = look_at(&watch);
    watch.ordered("b", "ordered: pin shard 2".to_owned());
    let mut pinned = view();
    pinned.shards[2].pin = Some("a".to_owned());
    let step = DecidedMove { shard: 2, from: None, to: "a".to_owned(), reason: "a pin".to_owned() };
    watch.show(pinned, told(vec![decision(1, "moves", vec![step], Vec::new())]));
    let body = look.news.try_recv().expect("it changed").data();
    let entries = body["timeline"].as_array().expect("entries");
    let texts: Vec<_> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["ordered: pin shard 2", "shard 2 is pinned to a", "decision 1"]);
    assert_eq!(entries[2]["steps"][0]["count"], 1);
    assert_eq!(watch.shards_of(entries[2]["id"].as_u64().unwrap()), Some(vec![2]));
    assert_eq!(watch.shards_of(99), None);
}
