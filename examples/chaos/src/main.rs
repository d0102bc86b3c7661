//! Plays the scenarios, one after the other, and prints what the judges say.
//!
//! Run it with `make chaos`. It needs `etcd` and `etcdctl` on the path (`make setup` installs them),
//! and no root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use greenroom::logging;
use greenroom_chaos::Result;
use greenroom_chaos::judge::logs::LogTally;
use greenroom_chaos::matrix;
use greenroom_chaos::report::summary::Summary;
use greenroom_chaos::report::{Place, Row, Verdict, meets_goal, print_header, write};
use greenroom_chaos::scenarios::{Scenario, all};
use greenroom_chaos::stage::Stage;
use tokio::signal::unix::{Signal, SignalKind, signal};

const REPORT: &str = "target/chaos/report.json";
const SUMMARY: &str = "target/chaos/summary.json";
const LOGS: &str = "target/chaos/logs";
/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Breaks real clusters, one fault at a time, and judges what they did.
#[derive(Debug, Parser)]
struct Options {
    /// Only scenarios whose names contain this.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Plays the matrix of targets, faults and loads instead of the scenarios.
    #[arg(long)]
    matrix: bool,
    /// Prints what would be played, and for the matrix what is left out and why, and ends.
    #[arg(long)]
    list: bool,
    /// How often each is played.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Keeps the logs of the nodes, in target/chaos/logs, also of scenarios in which all held.
    #[arg(long)]
    keep_logs: bool,
    /// Kills the leader of etcd for ten minutes instead of one.
    #[arg(long)]
    long: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let only = options.only.as_deref().unwrap_or_default();
    let all = if options.matrix { matrix::scenarios() } else { all(options.long) };
    let scenarios: Vec<Scenario> =
        all.into_iter().filter(|scenario| scenario.name.contains(only)).collect();
    if options.list {
        list(&options, &scenarios);
        return ExitCode::SUCCESS;
    }
    match run(&options, &scenarios).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn list(options: &Options, scenarios: &[Scenario]) {
    for scenario in scenarios {
        println!("{:<46} {:>4} s  {}", scenario.name, scenario.seconds, scenario.about);
    }
    if options.matrix {
        println!("\nleft out:");
        for cell in matrix::all() {
            if let Some(why) = matrix::left_out(cell) {
                println!("{:<46}         {why}", cell.to_string());
            }
        }
    }
    println!("\n{}", estimate(options, scenarios));
}

/// How many there are, and how long they take.
fn estimate(options: &Options, scenarios: &[Scenario]) -> String {
    let seconds: u64 = scenarios.iter().map(|scenario| scenario.seconds).sum();
    let (count, rounds) = (scenarios.len(), options.rounds);
    format!(
        "{count} to play, {rounds} times each: about {} minutes",
        (seconds * rounds as u64).div_ceil(60)
    )
}

async fn run(options: &Options, scenarios: &[Scenario]) -> Result<ExitCode> {
    // The callers' node lives in this process; what it says would tear the table apart.
    if std::env::var_os("GREENROOM_LOG").is_some() {
        logging::init()?;
    }
    let mut ends = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let (mut rows, mut missed) = (Vec::new(), 0);
    println!("{}\n", estimate(options, scenarios));
    print_header();
    for scenario in scenarios {
        for round in 1..=options.rounds {
            let logs = logs_of(scenario, round)?;
            let mut playing = tokio::spawn(play(scenario.clone(), logs.clone()));
            let row = tokio::select! {
                played = &mut playing => {
                    played.unwrap_or_else(|error| Row::not_played(error.to_string()))
                }
                () = told_to_end(&mut ends) => {
                    // What the scenario started is killed when its values are dropped.
                    playing.abort();
                    let _ = playing.await;
                    println!("interrupted");
                    return Ok(ExitCode::from(INTERRUPTED));
                }
            };
            let cell = scenario.cell.map(Place::from);
            let row = Row { scenario: scenario.name.clone(), cell, round, ..row };
            row.print();
            if row.verdict == Verdict::Held && !options.keep_logs {
                fs::remove_dir_all(&logs)?;
            }
            rows.push(row);
            write(Path::new(REPORT), &rows)?;
        }
        missed += usize::from(!meets_goal(&rows[rows.len() - options.rounds..]));
    }
    let summary = Summary::of(&rows);
    summary.print();
    if options.matrix {
        write(Path::new(SUMMARY), &summary)?;
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (held, skipped) = (count(Verdict::Held), count(Verdict::Skipped));
    let seconds: f64 = rows.iter().map(|row| row.duration_ms / 1e3).sum();
    println!(
        "\n{held} of {} held, {skipped} skipped, in {seconds:.0} s; written to {REPORT}",
        rows.len()
    );
    if held + skipped < rows.len() {
        println!("the logs of the nodes of the others are in {LOGS}");
    }
    let all_held = held == rows.len() && missed == 0 && !rows.is_empty();
    Ok(if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(scenario: Scenario, logs: PathBuf) -> Row {
    if let Err(why) = (scenario.needs)() {
        return Row::skipped(&why);
    }
    let mut stage = match Stage::start(scenario.setup, logs.clone()).await {
        Ok(stage) => stage,
        Err(error) => {
            let mut row = Row::not_played(format!("the stage could not be set: {error}"));
            row.violations.extend(LogTally::of(&logs).errors);
            return row;
        }
    };
    let played = (scenario.play)(&mut stage).await;
    stage.finish(played).await
}

async fn told_to_end(ends: &mut [Signal; 2]) {
    let [interrupt, terminate] = ends;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// An empty directory for the logs of one run.
fn logs_of(scenario: &Scenario, round: usize) -> Result<PathBuf> {
    let well = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = scenario.name.chars().map(well).collect();
    let path = Path::new(LOGS).join(format!("{name}.{round}"));
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    Ok(path)
}
