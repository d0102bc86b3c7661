//! Tells the node what to do and writes down who did it.

use std::time::Duration;

use greenroom_inspector::json::Done;
use greenroom_inspector::{ClusterView, Operator, OperatorToken, Order, ShardSpan};

use crate::args::{Args, Group, Order as OrderArgs, Output, Rebalance};
use crate::{Failure, json, table, wait};

/// Carries out what `order` says, and answers with who did it, ready to print.
pub(crate) async fn carry_out(args: &Args, order: &OrderArgs) -> Result<String, Failure> {
    let patience = patience(order);
    // Before anything is asked: without a token there is nothing to do.
    let token = token(args)?;
    let order = wanted(args, order).await?;
    let told = give(args, token, order.clone()).await?;
    if let Some(patience) = patience {
        wait::until_done(&args.node, &order, patience).await?;
    }
    Ok(told)
}

/// For how long the end of an order is to be waited for.
fn patience(order: &OrderArgs) -> Option<Duration> {
    match order {
        OrderArgs::Pin { wait, .. }
        | OrderArgs::Move { wait, .. }
        | OrderArgs::Drain { wait, .. } => *wait,
        _ => None,
    }
}

/// Changes what the node's process logs.
pub(crate) async fn set_log(args: &Args, directive: &str) -> Result<String, Failure> {
    let token = token(args)?;
    give(args, token, Order::Log { directive: directive.to_owned() }).await
}

async fn give(args: &Args, token: OperatorToken, order: Order) -> Result<String, Failure> {
    let what = order.done();
    let mut operator = Operator::connect(&args.node, token).await?;
    let by = operator.carry_out(order).await?;
    match args.output {
        Output::Table => Ok(table::done(&what, &by)),
        Output::Json => json::text(&Done { done: &what, by: &by }),
    }
}

async fn wanted(args: &Args, order: &OrderArgs) -> Result<Order, Failure> {
    Ok(match order {
        OrderArgs::Pin { shards, to, .. } => {
            Order::Pin { shards: numbers(args, shards).await?, to: to.clone() }
        }
        OrderArgs::Unpin { shards } => Order::Unpin { shards: numbers(args, shards).await? },
        OrderArgs::Move { shards, to, .. } => {
            Order::Move { shards: numbers(args, shards).await?, to: to.clone() }
        }
        OrderArgs::Drain { drained, undo, force, .. } => {
            Order::Drain { node: drained.clone(), undo: *undo, force: *force }
        }
        OrderArgs::Rebalance { what } => Order::Hold { held: *what == Rebalance::Hold },
        OrderArgs::Group(Group::Set { group, require, prefer, force }) => Order::Rule {
            group: group.clone(),
            require: require.iter().cloned().collect(),
            prefer: prefer.iter().cloned().collect(),
            force: *force,
        },
    })
}

/// Names are for people; the wire has numbers, which follow from the cluster's groups.
async fn numbers(args: &Args, shards: &[ShardSpan]) -> Result<Vec<u32>, Failure> {
    let view = ClusterView::fetch(&args.node).await?;
    Ok(view.numbers_of(shards)?)
}

pub(crate) fn token(args: &Args) -> Result<OperatorToken, Failure> {
    let secret = match &args.token_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::Read { file: file.clone(), error })?,
        // Not even an argument with an environment: its value must never be printed.
        None => std::env::var("GREENROOM_OPERATOR_TOKEN").map_err(|_| Failure::NoToken)?,
    };
    Ok(OperatorToken::new(&secret)?)
}
