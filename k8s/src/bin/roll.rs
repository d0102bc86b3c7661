//! Rolls the nodes of an overlay, as local processes under load, and reports what callers saw.
//! `make roll` builds and runs it; `make roll ARGS=--help` lists the options.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use greenroom_k8s::roll::Roll;

/// Rolls the nodes of an overlay, as local processes under load, and reports what callers saw.
#[derive(Parser)]
struct Options {
    /// Folder of the overlay.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/overlays/production"))]
    overlay: PathBuf,
    /// The node's program; the one beside this unless told otherwise.
    #[arg(long)]
    node: Option<PathBuf>,
    /// Start this many nodes, 2 at least, instead of what the overlay asks for.
    #[arg(long)]
    replicas: Option<usize>,
    /// How many clients call.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// How many calls each makes in a second.
    #[arg(long, default_value_t = 50.0)]
    calls_per_s: f64,
    /// How many actors they call.
    #[arg(long, default_value_t = 2000)]
    actors: u32,
    /// How long clients still use a pod after it was told to end, and don't know of a new one; below
    /// the overlay's preStop.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    endpoints_lag: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let beside = || std::env::current_exe().map(|own| own.with_file_name("node"));
    let node = match options.node.map_or_else(beside, Ok) {
        Ok(node) => node,
        Err(error) => {
            eprintln!("where is this program? {error}");
            return ExitCode::FAILURE;
        }
    };
    let roll = Roll {
        overlay: options.overlay,
        node,
        variables: Vec::new(),
        replicas: options.replicas,
        clients: options.clients,
        calls_per_s: options.calls_per_s,
        actors: options.actors,
        endpoints_lag: options.endpoints_lag,
        quiet: Duration::from_secs(5),
    };
    match roll.run().await {
        Ok(report) => {
            println!("{report}");
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
