//! `make fuzz`: builds the targets with libFuzzer's instrumentation and runs each for a while, beginning
//! with inputs from the product's own writers and with what was found in earlier runs. What it found is
//! kept, and told with the command that gives it to the same function again.

mod engine;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use greenroom_fuzz::{ALL, Target};

/// Feeds every reader of outside bytes with what nobody would send.
#[derive(Parser)]
struct Args {
    /// Targets; all unless given.
    #[arg(value_parser = target)]
    targets: Vec<&'static Target>,
    /// How long each is run, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Give this file to a target once, without libFuzzer, instead.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Tell what the targets are, instead.
    #[arg(long)]
    list: bool,
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = || ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    greenroom_fuzz::find(name).ok_or_else(|| format!("there are {}", names()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let targets: Vec<&Target> =
        if args.targets.is_empty() { ALL.iter().collect() } else { args.targets };
    let done = match (&args.replay, &targets[..]) {
        _ if args.list => {
            for Target { name, reads, .. } in targets {
                println!("{name:10} {reads}");
            }
            Ok(true)
        }
        (Some(file), [target]) => replay(target, file),
        (Some(_), _) => Err("name the target that is to read the file".to_owned()),
        (None, _) => engine::fuzz(&targets, Duration::from_secs(args.seconds)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A finding panics.
fn replay(target: &Target, file: &PathBuf) -> Result<bool, String> {
    let input = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    greenroom_fuzz::check(target.name, &input);
    println!("{} takes {} bytes and finds nothing", target.name, input.len());
    Ok(true)
}
