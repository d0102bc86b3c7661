//! Two models of the ownership protocol, checked in all their states: who may run and who may take
//! over (`liveness`), and who may give shards to whom (`leading`).
//!
//! They are models and not the agent itself: an agent keeps clocks, queues and maps that make every
//! state new, so that no search of its states would ever end. What is small enough is the product's
//! own: `Timing::right_until` says until when a node may run, `Guard::holds` whether a transaction is
//! applied. How the agent combines the two is checked by the simulation, which runs the agent.
//!
//! Each promise is an `always`; each has a `sometimes` beside it that shows that the model gets to
//! where the promise matters. Known ways to break the protocol are variants that must be refuted, and
//! print their shortest counterexample: `cargo test -p greenroom-core --test models -- --nocapture`.
//! `GREENROOM_MODELS=large` searches more lives and a longer window, for minutes.

mod leading;
mod liveness;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// Whether there is time for the large search.
fn is_large() -> bool {
    std::env::var("GREENROOM_MODELS").is_ok_and(|size| size == "large")
}

/// Searches all states: what must always hold does, and what must be possible is.
fn holds<M>(model: M, name: &str)
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + PartialEq + Clone + Send + Sync,
    M::Action: Debug + PartialEq + Clone,
{
    let began = Instant::now();
    // A search without a limit of time or of states is done only when nothing is left.
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    println!(
        "{name}: {} states, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        match property.expectation {
            Expectation::Always | Expectation::Eventually => {
                if let Some(path) = found {
                    panic!("{name}: {}: {:#?}", property.name, path.into_actions());
                }
            }
            Expectation::Sometimes => {
                let path = found.unwrap_or_else(|| panic!("{name}: never: {}", property.name));
                println!("  {} in {} steps", property.name, path.into_actions().len());
            }
        }
    }
}

/// Searches for the shortest way to break a promise.
fn is_refuted<M>(model: M, name: &str, promise: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + PartialEq + Clone + Send + Sync,
    M::Action: Debug + PartialEq + Clone,
{
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyOf([promise].into()));
    let checker = checker.spawn_bfs().join();
    let path = checker.discovery(promise);
    let path = path.unwrap_or_else(|| panic!("{name}: {promise} holds all the same"));
    let actions = path.into_actions();
    println!("{name} breaks \"{promise}\" in {} steps: {actions:?}", actions.len());
}
