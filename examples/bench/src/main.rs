//! Benchmarks of Greenroom beside other actor systems, in one run: `make bench`.
//!
//! The README tells what is measured and how to read it.

mod activation;
mod case;
mod child;
mod contestants;
mod crowd;
mod goal;
mod load;
mod local;
mod memory;
mod remote;
mod report;
mod system;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::case::Effort;
use crate::child::Task;
use crate::report::Report;
use crate::system::Result;

/// The same for every contestant and every process.
const WORKER_THREADS: usize = 2;

/// Measures Greenroom and its peers side by side.
#[derive(Debug, Parser)]
struct Options {
    /// Runs of each contestant; medians are told
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Short runs, to see that all works
    #[arg(long)]
    quick: bool,
    /// Only cases whose names contain this
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Only contestants whose names contain this, as for a profiler
    #[arg(long, value_name = "SUBSTRING")]
    contestant: Option<String>,
    /// Where the figures go as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench/calls.json")]
    out: PathBuf,
    #[command(subcommand)]
    task: Option<Task>,
}

impl Options {
    fn effort(&self) -> Effort {
        let runs = usize::from(self.runs);
        let contestant = self.contestant.clone();
        if self.quick {
            return Effort {
                runs: runs.min(2),
                span: Duration::from_millis(150),
                activations: 6_400,
                fewer_actors: 10,
                crowd: 200_000,
                contestant,
            };
        }
        Effort {
            runs,
            span: Duration::from_millis(700),
            activations: 51_200,
            fewer_actors: 1,
            crowd: 10_000_000,
            contestant,
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match options.task.clone() {
            // On a worker, as all other work is.
            Some(task) => tokio::spawn(task.perform()).await?,
            None => measure(&options).await,
        }
    })
}

async fn measure(options: &Options) -> Result<()> {
    let effort = options.effort();
    let mut report = Report::new(options.only.clone());
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say nothing");
    }
    local::measure(&effort, &mut report).await?;
    activation::measure(&effort, &mut report).await;
    remote::measure(&effort, &mut report).await?;
    memory::measure(&effort, &mut report).await;
    // It takes longer than all other cases of a quick run.
    if crowd::is_wanted(&report) && (options.only.is_some() || !options.quick) {
        crowd::measure(&effort, &mut report).await;
    }
    if report.is_empty() {
        return Err("no case has such a name".into());
    }
    report.write(&options.out)?;
    println!("\nwritten to {}", options.out.display());
    Ok(())
}
