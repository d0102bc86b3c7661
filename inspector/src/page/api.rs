//! The command's questions over HTTP: each is asked of the node afresh, and answered with the same
//! JSON.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::SemaphorePermit;

use super::Shared;
use super::answer::Refusal;
use crate::json::{DecisionList, Peek, Shards, Status, Why};
use crate::{ClusterView, ShardFilter, ShardSpan, WHY_DECISIONS_MAX};

type Answer = Result<Response, Refusal>;

impl Shared {
    /// Leave to ask nodes.
    pub(super) fn question(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.questions.try_acquire().map_err(|_| Refusal::busy("too many questions at a time"))
    }

    /// The node's present picture.
    pub(super) async fn view(&self) -> Result<ClusterView, Refusal> {
        Ok(ClusterView::fetch(&self.node).await?)
    }
}

fn json(answer: &impl Serialize) -> Answer {
    let text = serde_json::to_string(answer)
        .map_err(|error| Refusal::busy(format!("the answer can't be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

pub(super) async fn status(State(shared): State<Shared>) -> Answer {
    let _asking = shared.question()?;
    json(&Status::of(&shared.view().await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Chosen {
    owner: Option<String>,
    in_motion: bool,
    pinned: bool,
    group: Option<String>,
}

pub(super) async fn shards(
    State(shared): State<Shared>,
    chosen: Result<Query<Chosen>, QueryRejection>,
) -> Answer {
    let Query(Chosen { owner, in_motion, pinned, group }) = chosen?;
    let _asking = shared.question()?;
    let view = shared.view().await?;
    let shards = view.select(&ShardFilter { owner, in_motion, pinned, group })?;
    json(&Shards::of(&view, &shards))
}

pub(super) async fn why(
    State(shared): State<Shared>,
    name: Result<Path<String>, PathRejection>,
) -> Answer {
    let Path(name) = name?;
    let span: ShardSpan = name.parse().map_err(|error| Refusal::bad_request(format!("{error}")))?;
    if span.first != span.last {
        return Err(Refusal::bad_request("name one shard"));
    }
    let _asking = shared.question()?;
    let view = shared.view().await?;
    let number = view.numbers_of(std::slice::from_ref(&span))?.first().copied();
    let shard = view.shards.iter().find(|shard| Some(shard.number) == number);
    let shard =
        shard.ok_or_else(|| Refusal::not_found(format!("the cluster has no shard {span}")))?;
    let address = view.deciding_address(&shared.node);
    let decided = crate::decisions(address, Some(shard.number), WHY_DECISIONS_MAX).await;
    json(&Why::of(&view, shard, &decided))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Newest {
    #[serde(default = "twenty")]
    limit: u32,
}

fn twenty() -> u32 {
    WHY_DECISIONS_MAX
}

pub(super) async fn decisions(
    State(shared): State<Shared>,
    newest: Result<Query<Newest>, QueryRejection>,
) -> Answer {
    let Query(Newest { limit }) = newest?;
    let _asking = shared.question()?;
    let view = shared.view().await?;
    let decided = crate::decisions(view.deciding_address(&shared.node), None, limit).await?;
    json(&DecisionList::of(&view, &decided))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Actor {
    kind: String,
    key: String,
}

pub(super) async fn peek(
    State(shared): State<Shared>,
    actor: Result<Query<Actor>, QueryRejection>,
) -> Answer {
    let Query(Actor { kind, key }) = actor?;
    let _asking = shared.question()?;
    let placement = crate::peek(&shared.node, &kind, &key).await?;
    json(&Peek::of(&kind, &key, &placement))
}

/// Which shards an entry of the timeline is about.
pub(super) async fn timeline(
    State(shared): State<Shared>,
    entry: Result<Path<u64>, PathRejection>,
) -> Answer {
    let Path(entry) = entry?;
    let shards = shared.watch.shards_of(entry);
    let shards =
        shards.ok_or_else(|| Refusal::not_found("the timeline has no such entry any more"))?;
    json(&serde_json::json!({ "entry": entry, "shards": shards }))
}
