//! Orders over HTTP. The server carries the operator's token to the node and keeps nothing of it.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Shared;
use super::answer::Refusal;
use crate::json::Done;
use crate::{Operator, OperatorToken, Order, ShardSpan};

/// Most shards that one order may name, as a node has it.
const SHARDS_MAX: u64 = 65_536;

type Body<T> = Result<Json<T>, JsonRejection>;
type Answer = Result<Response, Refusal>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    shards: Vec<String>,
    to: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unpin {
    shards: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    shards: Vec<String>,
    to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    node: String,
    #[serde(default)]
    undo: bool,
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebalance {
    hold: bool,
}

pub(super) async fn pin(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body<Pin>,
) -> Answer {
    let (Json(Pin { shards, to }), token) = (body?, token(&headers)?);
    let (shards, names) = numbers(&shared, &shards).await?;
    let at = to.as_ref().map_or_else(|| " where it is".to_owned(), |node| format!(" to {node}"));
    let told = format!("ordered: pin {names}{at}");
    carry_out(&shared, token, Order::Pin { shards, to }, told).await
}

pub(super) async fn unpin(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body<Unpin>,
) -> Answer {
    let (Json(Unpin { shards }), token) = (body?, token(&headers)?);
    let (shards, names) = numbers(&shared, &shards).await?;
    carry_out(&shared, token, Order::Unpin { shards }, format!("ordered: unpin {names}")).await
}

pub(super) async fn move_shards(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body<Move>,
) -> Answer {
    let (Json(Move { shards, to }), token) = (body?, token(&headers)?);
    let (shards, names) = numbers(&shared, &shards).await?;
    let told = format!("ordered: move {names} to {to}");
    carry_out(&shared, token, Order::Move { shards, to }, told).await
}

pub(super) async fn drain(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body<Drain>,
) -> Answer {
    let (Json(Drain { node, undo, force }), token) = (body?, token(&headers)?);
    let what = if undo { "end the drain of" } else { "drain" };
    let told = format!("ordered: {what} {node}");
    carry_out(&shared, token, Order::Drain { node, undo, force }, told).await
}

pub(super) async fn rebalance(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body<Rebalance>,
) -> Answer {
    let (Json(Rebalance { hold: held }), token) = (body?, token(&headers)?);
    let what = if held { "hold rebalancing" } else { "resume rebalancing" };
    carry_out(&shared, token, Order::Hold { held }, format!("ordered: {what}")).await
}

async fn carry_out(shared: &Shared, token: OperatorToken, order: Order, told: String) -> Answer {
    let _asking = shared.question()?;
    let done = order.done();
    let mut operator = Operator::connect(&shared.node, token).await?;
    let by = operator.carry_out(order).await?;
    shared.watch.ordered(&by, told);
    Ok(Json(Done { done: &done, by: &by }).into_response())
}

/// The operators' token as the request carries it. Whether it is the right one is for the node to say.
fn token(headers: &HeaderMap) -> Result<OperatorToken, Refusal> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    OperatorToken::new(given).map_err(|_| {
        let message = "orders need the operators' token, as `authorization: Bearer TOKEN`";
        Refusal::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    })
}

/// The numbers of named shards, and their names in one line.
async fn numbers(shared: &Shared, names: &[String]) -> Result<(Vec<u32>, String), Refusal> {
    let _asking = shared.question()?;
    let spans: Result<Vec<ShardSpan>, _> = names.iter().map(|name| name.parse()).collect();
    let spans = spans.map_err(|error| Refusal::bad_request(format!("{error}")))?;
    if spans.is_empty() {
        return Err(Refusal::bad_request("`shards` must name at least one"));
    }
    let count: u64 = spans.iter().map(|span| u64::from(span.last - span.first) + 1).sum();
    if count > SHARDS_MAX {
        let message = format!("`shards` must name at most {SHARDS_MAX} shards, got {count}");
        return Err(Refusal::bad_request(message));
    }
    let numbers = shared.view().await?.numbers_of(&spans)?;
    let noun = if numbers.len() == 1 { "shard" } else { "shards" };
    let told = if spans.len() <= 4 { names.join(", ") } else { numbers.len().to_string() };
    Ok((numbers, format!("{noun} {told}")))
}
