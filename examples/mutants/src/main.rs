//! Breaks the ownership protocol on purpose, one line at a time, in a copy of the workspace, and runs
//! the tests until one notices: `make mutants`, or `make mutants ARGS="no_margin term_kept"` for some.
//!
//! The principal type is [`list::Mutant`]: an exact piece of a file, and what to put there instead.
//! The product's own code knows nothing of it. A mutant whose piece is not there exactly once, or
//! that does not compile, is an error; so is one that no test notices, or not the wire where it should.
//! A run of all mutants writes `cluster/core/MUTANTS.md`.

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
    /// For each of its demands the layer and the test that noticed; nothing when none did.
    noticed: Vec<Option<(Layer, String)>>,
    took: Duration,
}

impl Outcome {
    fn survives(&self) -> bool {
        self.noticed.iter().any(Option::is_none)
    }
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
            let survivors = outcomes.iter().filter(|outcome| outcome.survives()).count();
            println!("{} mutants, {survivors} survive", outcomes.len());
            if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    let mut layers = chosen.iter().flat_map(|mutant| mutant.demands()).collect::<Vec<_>>().concat();
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
        let noticed = mutant.demands().map(|layers| first_to_notice(layers, &copy)).collect();
        copy.restore(mutant)?;
        let noticed: Result<Vec<_>, String> = noticed;
        let outcome = Outcome { mutant, noticed: noticed?, took: began.elapsed() };
        let by = outcome.noticed.iter().map(|noticed| match noticed {
            Some((layer, test)) => format!("{}: {test}", layer.name()),
            None => "SURVIVES".to_owned(),
        });
        let by = by.collect::<Vec<_>>().join("; ");
        println!("{} ({} s): {by}", mutant.name, outcome.took.as_secs());
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn first_to_notice(layers: &[Layer], copy: &Copy) -> Result<Option<(Layer, String)>, String> {
    for layer in layers {
        if let Verdict::Fails(test) = layer.run(copy.path())? {
            return Ok(Some((*layer, test)));
        }
    }
    Ok(None)
}
