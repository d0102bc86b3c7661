//! Calls an actor, and prints what it answers.

use std::io::Read;

use greenroom_inspector::call::{Call, CallError, Items, Reply};
use greenroom_inspector::{ClusterView, NodeState};
use serde_json::{Map, Value};

use crate::args::{Args, Call as CallArgs, Output};
use crate::json::{Answered, NotAnswered};
use crate::{ACTORS_OWN, Answer, Failure, NOT_DONE, json, print};

/// Makes the call. The items of a stream are printed as they come; what is left to print comes back.
pub(crate) async fn make(args: &Args, call: &CallArgs) -> Result<Answer, Failure> {
    let arguments = arguments(call.arguments.as_deref())?;
    let gateway = match &call.gateway {
        Some(gateway) => gateway.clone(),
        None => gateway_of(&args.node).await?,
    };
    let CallArgs { actor, method, timeout, context, traceparent, .. } = call.clone();
    let made =
        Call { kind: actor.kind, key: actor.key, method, arguments, timeout, context, traceparent };
    let answered = match made.through(&gateway).await {
        Ok(Reply::Value(answer)) => {
            return Ok(match args.output {
                Output::Table => json::text(&answer)?,
                Output::Json => json::text(&Answered { answer: &answer })?,
            }
            .into());
        }
        Ok(Reply::Stream(items)) => stream(args.output, items).await,
        Err(error) => Err(error.into()),
    };
    match answered {
        Ok(()) => Ok(String::new().into()),
        Err(Failure::Call(error)) => told(args.output, error),
        Err(failure) => Err(failure),
    }
}

/// Prints each item in a line of its own, as it comes.
async fn stream(output: Output, mut items: Items) -> Result<(), Failure> {
    while let Some(item) = items.next().await? {
        let line = match output {
            Output::Table => serde_json::to_string(&item)?,
            Output::Json => serde_json::to_string(&serde_json::json!({ "item": item }))?,
        };
        if !print(&format!("{line}\n")).map_err(Failure::Output)? {
            return Ok(());
        }
    }
    if output == Output::Json {
        print("{\"end\":true}\n").map_err(Failure::Output)?;
    }
    Ok(())
}

/// The call was made and not answered with a value. For programs that is an answer as well.
fn told(output: Output, error: CallError) -> Result<Answer, Failure> {
    let exit_code = match &error {
        CallError::Actor(_) => ACTORS_OWN,
        CallError::BadAddress { .. } | CallError::BadHeader(_) => return Err(error.into()),
        _ => NOT_DONE,
    };
    match output {
        Output::Table => Err(error.into()),
        Output::Json => {
            let text = serde_json::to_string(&NotAnswered::of(&error))? + "\n";
            Ok(Answer { text, exit_code })
        }
    }
}

fn arguments(text: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let text = match text {
        None => return Ok(Map::new()),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Failure::Input)?;
            text
        }
        Some(text) => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(Failure::Arguments)
}

/// The gateway of the asked node, or of another live one.
async fn gateway_of(node: &str) -> Result<String, Failure> {
    let view = ClusterView::fetch(node).await?;
    let asked = view.nodes.get(&view.answered_by).into_iter();
    let live = view.nodes.values().filter(|node| node.state == NodeState::Active);
    let gateway = asked.chain(live).find_map(|node| node.http_address.clone());
    gateway.ok_or(Failure::NoGateway)
}
