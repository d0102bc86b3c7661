//! Asks the node and writes down its answer.

use greenroom_inspector::{
    ClusterView, Decisions, InspectError, Shard, ShardCondition, ShardSpan, UnknownShard,
    decisions, peek,
};

use crate::args::{Args, Output, Question, ShardFilter};
use crate::{Failure, json, table};

/// Most decisions that explain one shard.
const WHY_DECISIONS_MAX: u32 = 20;

/// The answer to what `question` asks, ready to print.
pub(crate) async fn write(args: &Args, question: &Question) -> Result<String, Failure> {
    match question {
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
        Question::Shards(filter) => {
            let view = ClusterView::fetch(&args.node).await?;
            let shards = select(&view, filter)?;
            match args.output {
                Output::Table => Ok(table::shards(&view, &shards)),
                Output::Json => json::text(&json::Shards::of(&view, &shards)),
            }
        }
        Question::Why { shard } => why(args, shard).await,
        Question::Decisions { limit, here } => {
            let view = ClusterView::fetch(&args.node).await?;
            let address = if *here { &args.node } else { leader_of(args, &view) };
            let decisions = decisions(address, None, *limit).await?;
            match args.output {
                Output::Table => Ok(table::decisions(&decisions)),
                Output::Json => json::text(&json::DecisionList::of(&view, &decisions)),
            }
        }
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
    let address = leader_of(args, &view);
    let decided = decisions(address, Some(shard.number), WHY_DECISIONS_MAX).await;
    let why = Why { view: &view, shard, decided };
    match args.output {
        Output::Table => Ok(table::why(&why)),
        Output::Json => json::text(&json::Why::of(&why)),
    }
}

/// Where to ask for the leader's decisions: the node that was asked, if it leads, because there it
/// can surely be reached; or if nobody is known to lead.
fn leader_of<'a>(args: &'a Args, view: &'a ClusterView) -> &'a str {
    let leads = view.leader.as_ref().is_some_and(|leader| leader.node == view.answered_by);
    if leads { &args.node } else { view.leader_address().unwrap_or(&args.node) }
}

fn select<'a>(view: &'a ClusterView, filter: &ShardFilter) -> Result<Vec<&'a Shard>, Failure> {
    if let Some(name) = &filter.group
        && !view.groups.iter().any(|group| group.name == *name)
    {
        return Err(UnknownShard::Group(name.clone()).into());
    }
    let owned = |shard: &Shard| {
        let owner = filter.owner.as_ref();
        owner.is_none_or(|node| shard.owner.as_ref().is_some_and(|life| life.node == *node))
    };
    let moving =
        |shard: &Shard| !filter.in_motion || view.condition(shard) == ShardCondition::InMotion;
    let pinned = |shard: &Shard| !filter.pinned || shard.pin.is_some();
    let grouped = |shard: &Shard| {
        let group = view.group_of(shard.number);
        filter.group.as_ref().is_none_or(|name| group.is_some_and(|group| group.name == *name))
    };
    let shards = view.shards.iter();
    let shards =
        shards.filter(|shard| owned(shard) && moving(shard) && pinned(shard) && grouped(shard));
    Ok(shards.collect())
}
