//! `greenroom`: asks a cluster, through one of its nodes, how it is, and tells it what to do.
//!
//! Exit codes: 0 done, 1 the cluster could not be asked or refused, 2 bad usage, 3 `topology diff`
//! found differences, 4 `call` was answered with the method's own error. Errors go to stderr.

mod args;
mod call;
mod inspect;
mod json;
mod order;
mod plan;
mod report;
mod rfc3339;
mod table;
mod topology;
mod wait;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use greenroom_inspector::call::CallError;
use greenroom_inspector::page::PageError;
use greenroom_inspector::{BadImport, BadToken, BadTopology, InspectError, UnknownShard};

use crate::args::{Args, Command, Output};

const NOT_DONE: u8 = 1;
const BAD_USAGE: u8 = 2;
const DIFFERENT: u8 = 3;
const ACTORS_OWN: u8 = 4;

/// What is printed on success, and the exit code.
struct Answer {
    text: String,
    exit_code: u8,
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text, exit_code: 0 }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(failure) => {
            eprintln!("greenroom: {}", table::printable(&failure.to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: &Args) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let answer = runtime.block_on(answer(args));
    // A look-up of a name may still hang in a thread; nobody waits for it any more.
    runtime.shutdown_background();
    let Answer { text, exit_code } = answer?;
    print(&text).map_err(Failure::Output)?;
    Ok(exit_code)
}

async fn answer(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::Question(question) => Ok(report::write(args, question).await?.into()),
        Command::Order(order) => Ok(order::carry_out(args, order).await?.into()),
        Command::Plan(plan) => Ok(plan::forecast(args, plan).await?.into()),
        Command::Call(call) => call::make(args, call).await,
        Command::LogLevel { directive: None } => Ok(report::log_level(args).await?.into()),
        Command::LogLevel { directive: Some(directive) } => {
            Ok(order::set_log(args, directive).await?.into())
        }
        Command::Topology(topology) => topology::write(args, topology).await,
        Command::Inspect { listen, allow_host } => {
            inspect::serve(args, listen, allow_host).await?;
            Ok(String::new().into())
        }
        Command::Config => Ok(match args.output {
            Output::Table => table::config(greenroom_settings::ALL),
            Output::Json => json::text(&json::Config::of(greenroom_settings::ALL))?,
        }
        .into()),
        Command::Completions { shell } => Ok(completions(*shell).into()),
    }
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "greenroom", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Prints, and answers whether anybody reads on.
fn print(text: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        Ok(()) => Ok(true),
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
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
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(
        "the arguments must be a JSON object of the method's arguments by name, such as {{\"amount\": 5}}: {0}"
    )]
    Arguments(serde_json::Error),
    #[error("cannot read the arguments: {0}")]
    Input(std::io::Error),
    #[error("no live node tells of an HTTP gateway: give --gateway host:port")]
    NoGateway,
    #[error(transparent)]
    Shard(#[from] UnknownShard),
    #[error("no live node is named {node}{hint}")]
    NoNode { node: String, hint: String },
    #[error("a live node is named {0} already")]
    NodeThere(String),
    #[error("{}: {error}; nothing was ordered", .file.display())]
    Import { file: PathBuf, error: BadImport },
    #[error("ordered, but {left} shards are left after {patience:?}; they may move yet")]
    NotYet { left: usize, patience: Duration },
    #[error("the cluster has no shard {0}")]
    NoShard(String),
    #[error(
        "orders need the operators' token: give --token-file, or set GREENROOM_OPERATOR_TOKEN or \
             GREENROOM_OPERATOR_TOKEN_FILE"
    )]
    NoToken,
    #[error(transparent)]
    Token(#[from] BadToken),
    #[error("cannot read {}: {error}", .file.display())]
    Read { file: PathBuf, error: std::io::Error },
    #[error("cannot write {}: {error}", .file.display())]
    Write { file: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("{}: {error}", .file.display())]
    Topology { file: PathBuf, error: BadTopology },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Call(CallError::Actor(_)) => ACTORS_OWN,
            Self::Inspect(InspectError::BadAddress { .. })
            | Self::Call(CallError::BadAddress { .. } | CallError::BadHeader(_))
            | Self::Arguments(_)
            | Self::Page(PageError::BadNode(_) | PageError::BadHost(_))
            | Self::NoToken
            | Self::Token(_) => BAD_USAGE,
            _ => NOT_DONE,
        }
    }
}
