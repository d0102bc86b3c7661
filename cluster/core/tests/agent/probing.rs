//! Where it asks whether a silent process still listens.

use greenroom_core::Event;
use greenroom_core::record::NodeProfile;

use crate::support::{Bench, profile};

fn at(address: &str) -> NodeProfile {
    NodeProfile { peer_address: address.to_owned(), ..profile() }
}

/// On another machine's loopback address anyone may listen, or nobody.
#[test]
fn a_silent_node_is_asked_where_its_answer_can_tell_anything() {
    for (ours, theirs, is_asked) in [
        ("10.0.0.1:7000", "10.0.0.2:7000", true),
        ("10.0.0.1:7000", "b.example:7000", true),
        ("127.0.0.1:7000", "127.0.0.1:7001", true),
        ("localhost:7000", "[::1]:7001", true),
        ("127.0.0.1:7000", "10.0.0.2:7000", true),
        ("10.0.0.1:7000", "127.0.0.1:7001", false),
        ("10.0.0.1:7000", "127.9.9.9:7001", false),
        ("10.0.0.1:7000", "localhost:7001", false),
        ("10.0.0.1:7000", "[::1]:7001", false),
        ("10.0.0.1:7000", "", false),
    ] {
        let mut bench = Bench::with(|config| config.profile = at(ours));
        bench.snapshot();
        let (life, entries) = bench.join_as("b", at(theirs));
        bench.tell(Event::Changes { entries }, |_| false);
        bench.pass(1000, |_| false);
        assert_eq!(bench.probes, [], "it may just be about to beat");
        bench.pass(2000, |_| false);
        let asked = (life, theirs.to_owned());
        assert_eq!(bench.probes.contains(&asked), is_asked, "{theirs:?} from {ours}");
        assert_eq!(bench.probes.is_empty(), !is_asked);
    }
}

/// What a former life said of itself tells nothing of the present one.
#[test]
fn a_node_is_not_asked_at_the_address_of_a_former_life() {
    let mut bench = Bench::with(|config| config.profile = at("10.0.0.1:7000"));
    bench.snapshot();
    let (_, entries) = bench.join_as("b", at("10.0.0.2:7000"));
    bench.tell(Event::Changes { entries }, |_| false);
    bench.begin_again("b");
    bench.pass(3000, |_| false);
    assert_eq!(bench.probes, []);
}
