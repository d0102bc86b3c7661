//! A node that hosts witnesses, or nothing if `CHAOS_HOSTS` says so; `chaos` starts it, with
//! `GREENROOM_*` variables. It ends when its
//! standard input does, so that no node outlives the program that started it, however that ended.

use std::io::{self, Read};
use std::process::{ExitCode, exit};
use std::thread;

use greenroom::{Node, NodeError, logging};
use greenroom_chaos::witness::{WitnessActor, WitnessRef};

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = logging::init() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    thread::spawn(|| {
        let mut nothing = [0; 64];
        while io::stdin().read(&mut nothing).is_ok_and(|len| len > 0) {}
        exit(3);
    });
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), NodeError> {
    let node = Node::from_env()?;
    if std::env::var("CHAOS_HOSTS").is_ok_and(|hosts| hosts == "nothing") {
        return node.run().await;
    }
    node.host(WitnessRef::served_by::<WitnessActor>()).run().await
}
