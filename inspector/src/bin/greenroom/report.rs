//! Asks the node and writes down its answer.

use greenroom_inspector::json::{DecisionList, Nodes, Peek, Shards, Status, Why as WhyJson};
use greenroom_inspector::{
    ClusterView, Decisions, InspectError, Shard, ShardFilter, ShardSpan, UnknownShard,
    WHY_DECISIONS_MAX, decisions, log_level as log_level_of, peek,
};

use crate::args::{Args, Output, Question, ShardFilter as FilterArgs};
use crate::{Failure, json, table};

/// The answer to what `question` asks, ready to print.
pub(crate) async fn write(args: &Args, question: &Question) -> Result<String, Failure> {
    match question {
        Question::Status => {
            let view = ClusterView::fetch(&args.node).await?;
            match args.output {
                Output::Table => Ok(table::status(&view)),
                Output::Json => json::text(&Status::of(&view)),
            }
        }
        Question::Nodes => {
            let view = ClusterView::fetch(&args.node).await?;
            match args.output {
                Output::Table => Ok(table::nodes(&view)),
                Output::Json => json::text(&Nodes::of(&view)),
            }
        }
        Question::Peek { actor } => {
            let placement = peek(&args.node, &actor.kind, &actor.key).await?;
            match args.output {
                Output::Table => Ok(table::peek(&placement)),
                Output::Json => json::text(&Peek::of(&actor.kind, &actor.key, &placement)),
            }
        }
        Question::Shards(filter) => {
            let view = ClusterView::fetch(&args.node).await?;
            let shards = select(&view, filter)?;
            match args.output {
                Output::Table => Ok(table::shards(&view, &shards)),
                Output::Json => json::text(&Shards::of(&view, &shards)),
            }
        }
        Question::Why { shard } => why(args, shard).await,
        Question::Decisions { limit, here } => {
            let view = ClusterView::fetch(&args.node).await?;
            let address = if *here { &args.node } else { view.deciding_address(&args.node) };
            let decisions = decisions(address, None, *limit).await?;
            match args.output {
                Output::Table => Ok(table::decisions(&decisions)),
                Output::Json => json::text(&DecisionList::of(&view, &decisions)),
            }
        }
    }
}

/// What the node's process logs.
pub(crate) async fn log_level(args: &Args) -> Result<String, Failure> {
    let level = log_level_of(&args.node).await?;
    match args.output {
        Output::Table => Ok(table::log_level(&level)),
        Output::Json => json::text(&level),
    }
}

/// What is known of one shard. The leader tells what it decided; if it doesn't answer, all else is
/// told nevertheless, because that is when people ask.
pub(crate) struct Why<'a> {
    pub(crate) view: &'a ClusterView,
    pub(crate) shard: &'a Shard,
    pub(crate) decided: Result<Decisions, InspectError>,
}

async fn why(args: &Args, span: &ShardSpan) -> Result<String, Failure> {
    let view = ClusterView::fetch(&args.node).await?;
    let number = view.numbers_of(std::slice::from_ref(span))?.first().copied();
    let shard = view.shards.iter().find(|shard| Some(shard.number) == number);
    let shard = shard.ok_or_else(|| Failure::NoShard(span.to_string()))?;
    let address = view.deciding_address(&args.node);
    let decided = decisions(address, Some(shard.number), WHY_DECISIONS_MAX).await;
    let why = Why { view: &view, shard, decided };
    match args.output {
        Output::Table => Ok(table::why(&why)),
        Output::Json => json::text(&WhyJson::of(&view, shard, &why.decided)),
    }
}

fn select<'a>(view: &'a ClusterView, filter: &FilterArgs) -> Result<Vec<&'a Shard>, UnknownShard> {
    let FilterArgs { owner, in_motion, pinned, group } = filter.clone();
    view.select(&ShardFilter { owner, in_motion, pinned, group })
}
