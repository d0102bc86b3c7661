//! Breaks the ownership protocol on purpose, one line at a time, in a copy of the workspace, and runs
//! the tests until one notices: `make mutants`, or `make mutants ARGS="no_margin term_kept"` for some.
//!
//! The principal type is [`list::Mutant`]: an exact piece of a file, and what to put there instead.
//! The product's own code knows nothing of it. A mutant whose piece is not there exactly once, or
//! that does not compile, is an error; so is one that no test notices. A run of all mutants writes
//! `cluster/core/MUTANTS.md`.

mod copy;
mod layers;
mod list;
mod page;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use copy::Copy;
use layers::{Layer, Verdict};
use list::{MUTANTS, Mutant};

/// What became of a mutant.
struct Outcome {
    mutant: &'static Mutant,
    /// The layer and the test that noticed; nothing when none did.
    noticed: Option<(Layer, String)>,
    took: Duration,
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&'static Mutant> =
        MUTANTS.iter().filter(|m| names.is_empty() || names.iter().any(|n| n == m.name)).collect();
    if chosen.len() < names.len() {
        let known: Vec<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        eprintln!("no such mutant among {names:?}; there are: {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    match run(&chosen) {
        Ok(outcomes) => {
            if names.is_empty() {
                page::write(&outcomes).expect("the page can be written");
            }
            let survivors: Vec<_> = outcomes.iter().filter(|o| o.noticed.is_none()).collect();
            println!("{} mutants, {} survive", outcomes.len(), survivors.len());
            if survivors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(chosen: &[&'static Mutant]) -> Result<Vec<Outcome>, String> {
    let copy =
        Copy::of_workspace().map_err(|error| format!("can't copy the workspace: {error}"))?;
    for mutant in chosen {
        copy.check(mutant)?;
    }
    let mut layers: Vec<Layer> = chosen.iter().flat_map(|mutant| mutant.layers).copied().collect();
    layers.sort_unstable();
    layers.dedup();
    for layer in layers {
        println!("without a mutant: {}", layer.name());
        if let Verdict::Fails(test) = layer.run(copy.path())? {
            return Err(format!("{test} of layer {} fails without a mutant", layer.name()));
        }
    }
    let mut outcomes = Vec::new();
    for mutant in chosen {
        let began = Instant::now();
        copy.apply(mutant)?;
        let noticed = first_to_notice(mutant, &copy);
        copy.restore(mutant)?;
        let outcome = Outcome { mutant, noticed: noticed?, took: began.elapsed() };
        let by = match &outcome.noticed {
            Some((layer, test)) => format!("{}: {test}", layer.name()),
            None => "SURVIVES".to_owned(),
        };
        println!("{} ({} s): {by}", mutant.name, outcome.took.as_secs());
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn first_to_notice(mutant: &Mutant, copy: &Copy) -> Result<Option<(Layer, String)>, String> {
    for layer in mutant.layers {
        if let Verdict::Fails(test) = layer.run(copy.path())? {
            return Ok(Some((*layer, test)));
        }
    }
    Ok(None)
}
