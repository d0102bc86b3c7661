//! A short share of the simulation on the wire; `make wire` runs more.

use std::process::Command;

/// Cluster-hours in the tests: a few seeds.
const HOURS: &str = "0.15";

#[test]
fn no_seed_breaks_a_promise_and_each_is_the_same_run_again() {
    let simulation = Command::new(env!("CARGO_BIN_EXE_wire"))
        .args(["--hours", HOURS, "--repeats", "1", "--jobs", "2"])
        .output()
        .expect("the simulation can be run");
    let told = String::from_utf8_lossy(&simulation.stdout);
    let complained = String::from_utf8_lossy(&simulation.stderr);
    println!("{told}{complained}");
    assert!(simulation.status.success(), "the simulation failed:\n{told}{complained}");
}
