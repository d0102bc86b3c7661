//! A run is a function of its seed.

use crate::number_from;
use crate::runner::world_after;

/// Any numbers will do.
const SAMPLED_FROM: u64 = 0x5eed;

#[test]
fn the_same_seed_is_the_same_run() {
    let samples = number_from("GREENROOM_SIM_REPEATS").unwrap_or(20);
    let mut rng = fastrand::Rng::with_seed(SAMPLED_FROM);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..samples {
        let seed = rng.u64(1..100_000);
        let fingerprint = || world_after(seed, false).fingerprint();
        let first = fingerprint();
        assert_eq!(first, fingerprint(), "two runs of seed {seed} differ");
        seen.insert(first);
    }
    assert_eq!(seen.len() as u64, samples, "different seeds are different runs");
}
