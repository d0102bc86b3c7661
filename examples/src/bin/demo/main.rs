//! The demo: a cluster replays real flights while one of its nodes is killed, and the totals of
//! every airport and route are compared with the file.
//!
//! Run it with `make demo`, or `cargo run --release -p greenroom-examples --bin demo -- --help`.

mod nodes;
mod page;
mod replay;
mod shards;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use greenroom::logging;
use greenroom_examples::flights::{self, Flight};

use nodes::Nodes;

/// Replays real flights through a cluster of actors, and kills a node in the middle.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// Nodes, all in this process; one of them is killed if there are at least two.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    nodes: u8,
    /// Uses a real etcd at these endpoints, separated by commas, instead of the embedded store.
    #[arg(long, value_delimiter = ',')]
    etcd: Vec<String>,
    /// Ends after the verdict, with the verdict as exit code, instead of staying up.
    #[arg(long)]
    exit: bool,
    /// Kills no node.
    #[arg(long)]
    no_kill: bool,
    /// Flights under way at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    concurrency: u16,
    /// A file of flights with the columns date,delay,distance,origin,destination; the sample that
    /// comes with the demo unless given.
    #[arg(long)]
    file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failed = Box<dyn std::error::Error>;

async fn run(options: &Options) -> Result<bool, Failed> {
    // Unless asked for, a log would tear what the demo prints apart.
    if std::env::var_os("GREENROOM_LOG").is_some() {
        logging::init()?;
    }
    let flights = read(options)?;
    let mut nodes = Nodes::start(options.nodes, &options.etcd).await?;
    // A demo that ends by itself has nobody who looks.
    let page = if options.exit { None } else { page::serve(&nodes).await };
    let victim = (options.nodes > 1 && !options.no_kill).then(|| nodes.victim());
    replay::replay(&mut nodes, &flights, options.concurrency.into(), victim).await;
    let equal = verify::verify(&nodes, &flights).await;
    if !options.exit {
        stay_up(&nodes, &flights, page.as_deref()).await;
    }
    nodes.stop().await;
    Ok(equal)
}

fn read(options: &Options) -> Result<Vec<Flight>, Failed> {
    let flights = match &options.file {
        None => flights::parse(flights::SAMPLE)?,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("can't read {}: {error}", path.display()))?;
            flights::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    if flights.is_empty() {
        return Err("the file holds no flights".into());
    }
    Ok(flights)
}

async fn stay_up(nodes: &Nodes, flights: &[Flight], page: Option<&str>) {
    println!("\nThe cluster stays up until Ctrl-C. Its gateways:");
    for (id, address) in nodes.gateways() {
        println!("  {id}  http://{address}");
    }
    if let Some((_, address)) = nodes.gateways().next() {
        let airport = &flights[0].origin;
        println!("Try:");
        println!("  curl -s -d '{{}}' http://{address}/v1/actors/flight.airport/{airport}/totals");
    }
    if let Some(url) = page {
        println!("Look at its shards, and pin or move some with the token {}:", nodes.token());
        println!("  {url}");
    }
    let _ = tokio::signal::ctrl_c().await;
    println!("Handing the shards over and leaving.");
}

/// A number with thousands separated, for people.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span in milliseconds, for people.
fn millis(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1e3)
}
