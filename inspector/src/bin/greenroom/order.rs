//! Tells the node what to do and writes down who did it.

use greenroom_inspector::{ClusterView, Operator, OperatorToken, ShardSpan};

use crate::args::{Args, Group, Order, Output, Rebalance};
use crate::{Failure, json, table};

/// Carries out what `order` says, and answers with who did it, ready to print.
pub(crate) async fn carry_out(args: &Args, order: &Order) -> Result<String, Failure> {
    // Before anything is asked: without a token there is nothing to do.
    let token = token(args)?;
    let shards = match order {
        Order::Pin { shards, .. } | Order::Unpin { shards } | Order::Move { shards, .. } => {
            numbers(args, shards).await?
        }
        Order::Drain { .. } | Order::Rebalance { .. } | Order::Group(_) => Vec::new(),
    };
    let mut operator = Operator::connect(&args.node, token).await?;
    let count = shards.len();
    let (what, by) = match order {
        Order::Pin { to, .. } => {
            (format!("pinned {}", counted(count)), operator.pin(shards, to.clone()).await?)
        }
        Order::Unpin { .. } => {
            (format!("unpinned {}", counted(count)), operator.unpin(shards).await?)
        }
        Order::Move { to, .. } => (
            format!("gave {} the target {to}", counted(count)),
            operator.move_shards(shards, to.clone()).await?,
        ),
        Order::Drain { drained, undo, force } => {
            let what = if *undo { "takes shards again" } else { "gives its shards away" };
            (format!("{drained} {what}"), operator.drain(drained.clone(), *undo, *force).await?)
        }
        Order::Rebalance { what: Rebalance::Hold } => {
            ("rebalancing is held".to_owned(), operator.hold(true).await?)
        }
        Order::Rebalance { what: Rebalance::Resume } => {
            ("rebalancing goes on".to_owned(), operator.hold(false).await?)
        }
        Order::Group(Group::Set { group, require, prefer, force }) => {
            let require = require.iter().cloned().collect();
            let prefer = prefer.iter().cloned().collect();
            let by = operator.set_rule(group.clone(), require, prefer, *force).await?;
            (format!("group {group} has the new rule"), by)
        }
    };
    match args.output {
        Output::Table => Ok(table::done(&what, &by)),
        Output::Json => json::text(&json::Done { done: &what, by: &by }),
    }
}

fn counted(shards: usize) -> String {
    if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") }
}

/// Names are for people; the wire has numbers, which follow from the cluster's groups.
async fn numbers(args: &Args, shards: &[ShardSpan]) -> Result<Vec<u32>, Failure> {
    let view = ClusterView::fetch(&args.node).await?;
    Ok(view.numbers_of(shards)?)
}

fn token(args: &Args) -> Result<OperatorToken, Failure> {
    let secret = match &args.token_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::Read { file: file.clone(), error })?,
        // Not even an argument with an environment: its value must never be printed.
        None => std::env::var("GREENROOM_OPERATOR_TOKEN").map_err(|_| Failure::NoToken)?,
    };
    Ok(OperatorToken::new(&secret)?)
}
