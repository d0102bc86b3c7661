//! Asks the node and writes down its answer.

use greenroom_inspector::{ClusterView, Shard, ShardCondition, peek};

use crate::args::{Args, Output, Question};
use crate::{Failure, json, table};

/// The answer to what `args` ask, ready to print.
pub(crate) async fn write(args: &Args) -> Result<String, Failure> {
    match &args.question {
        Question::Status => {
            let view = ClusterView::fetch(&args.node).await?;
            match args.output {
                Output::Table => Ok(table::status(&view)),
                Output::Json => json::text(&json::Status::of(&view)),
            }
        }
        Question::Peek { actor } => {
            let placement = peek(&args.node, &actor.kind, &actor.key).await?;
            match args.output {
                Output::Table => Ok(table::peek(&placement)),
                Output::Json => json::text(&json::Peek::of(actor, &placement)),
            }
        }
        Question::Shards { owner, in_motion } => {
            let view = ClusterView::fetch(&args.node).await?;
            let shards = select(&view, owner.as_deref(), *in_motion);
            match args.output {
                Output::Table => Ok(table::shards(&shards)),
                Output::Json => json::text(&json::Shards::of(&view, &shards)),
            }
        }
    }
}

fn select<'a>(view: &'a ClusterView, owner: Option<&str>, in_motion: bool) -> Vec<&'a Shard> {
    let owned = |shard: &Shard| {
        owner.is_none_or(|node| shard.owner.as_ref().is_some_and(|life| life.node == node))
    };
    let moving = |shard: &Shard| !in_motion || view.condition(shard) == ShardCondition::InMotion;
    let shards = view.shards.iter();
    shards.filter(|shard| owned(shard) && moving(shard)).collect()
}
