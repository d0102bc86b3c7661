//! Writes the cluster down, and compares it with what was written down.

use std::path::Path;

use greenroom_inspector::{
    ClusterView, Operator, Order, diff, export, import, read_topology, write_topology,
};

use crate::args::{Args, Output, Topology};
use crate::order::token;
use crate::wait::Progress;
use crate::{Answer, DIFFERENT, Failure, json, table};

/// The answer to what `topology` asks.
pub(crate) async fn write(args: &Args, topology: &Topology) -> Result<Answer, Failure> {
    match topology {
        Topology::Export { file: None } => Ok(write_topology(&export(&args.node).await?)?.into()),
        Topology::Export { file: Some(file) } => {
            let topology = export(&args.node).await?;
            let document = write_topology(&topology)?;
            std::fs::write(file, document)
                .map_err(|error| Failure::Write { file: file.clone(), error })?;
            let exported = json::Exported::of(&topology, file);
            match args.output {
                Output::Table => Ok(table::exported(&topology, file).into()),
                Output::Json => Ok(json::text(&exported)?.into()),
            }
        }
        Topology::Import { file, force, dry_run } => {
            import_file(args, file, *force, *dry_run).await.map(Answer::from)
        }
        Topology::Diff { old, new } => {
            let old = read(old)?;
            let new = match new {
                Some(file) => read(file)?,
                None => export(&args.node).await?,
            };
            let differences = diff(&old, &new);
            let text = match args.output {
                Output::Table => table::differences(&differences),
                Output::Json => json::text(&json::Differences::of(&differences))?,
            };
            let exit_code = if differences.is_empty() { 0 } else { DIFFERENT };
            Ok(Answer { text, exit_code })
        }
    }
}

/// Gives the orders that a file asks for, one after the other.
async fn import_file(
    args: &Args,
    file: &Path,
    force: bool,
    dry_run: bool,
) -> Result<String, Failure> {
    let topology = read(file)?;
    let token = if dry_run { None } else { Some(token(args)?) };
    let view = ClusterView::fetch(&args.node).await?;
    let orders = import(&topology, &view, force)
        .map_err(|error| Failure::Import { file: file.to_owned(), error })?;
    let done: Vec<String> = orders.iter().map(Order::done).collect();
    if let Some(token) = token {
        let mut operator = Operator::connect(&args.node, token).await?;
        let mut progress = Progress::new();
        let mut left = orders.len();
        for order in orders {
            progress.left(left, "orders are left");
            operator.carry_out(order).await?;
            left -= 1;
        }
        progress.left(left, "orders are left");
    }
    match args.output {
        Output::Table => Ok(table::imported(&done, dry_run)),
        Output::Json => json::text(&json::Imported { ordered: &done, dry_run }),
    }
}

fn read(file: &Path) -> Result<greenroom_inspector::Topology, Failure> {
    let json = std::fs::read_to_string(file)
        .map_err(|error| Failure::Read { file: file.to_owned(), error })?;
    read_topology(&json).map_err(|error| Failure::Topology { file: file.to_owned(), error })
}
