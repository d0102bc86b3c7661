//! `greenroom`: asks a cluster, through one of its nodes, how it is.
//!
//! Exit codes: 0 answered, 1 the cluster could not be asked, 2 bad usage. Errors go to stderr.

mod args;
mod json;
mod report;
mod rfc3339;
mod table;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use greenroom_inspector::InspectError;

use crate::args::Args;

const CANNOT_ASK: u8 = 1;
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("greenroom: {}", table::printable(&failure.to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let text = runtime.block_on(report::write(args));
    // A look-up of a name may still hang in a thread; nobody waits for it any more.
    runtime.shutdown_background();
    print(&text?).map_err(Failure::Output)
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[error("cannot write the answer as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the answer: {0}")]
    Output(std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Inspect(InspectError::BadAddress { .. }) => BAD_USAGE,
            _ => CANNOT_ASK,
        }
    }
}
