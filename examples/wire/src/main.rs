//! Simulates clusters on the wire: `make wire`, or `wire --help`.
//!
//! Each seed is a process of its own, since the operating system's clock and random numbers are
//! replaced for all of it.

mod many;
mod sim;

use std::process::ExitCode;

use clap::Parser;

/// Runs nodes on a simulated network against an etcd that answers as badly as it may.
#[derive(Debug, Parser)]
struct Arguments {
    /// Replays one seed.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: prints the nodes' logs.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// With --seed: prints what came of it as JSON, for other programs.
    #[arg(long, requires = "seed", conflicts_with = "trace")]
    json: bool,
    /// Runs seeds until so many cluster-hours are simulated.
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// So many of them run a second time, which must be the same.
    #[arg(long, default_value_t = 2)]
    repeats: u64,
    /// Seeds that run at a time.
    #[arg(long, default_value_t = processors())]
    jobs: usize,
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(seed) = arguments.seed else {
        return many::run(&arguments);
    };
    if arguments.trace {
        tracing_subscriber::fmt().without_time().with_ansi(false).init();
    }
    let outcome = sim::run(seed);
    if arguments.json {
        println!("{}", serde_json::to_string(&outcome).expect("plain values"));
        return ExitCode::SUCCESS;
    }
    println!("{outcome:#?}");
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}
