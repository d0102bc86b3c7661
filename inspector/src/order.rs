//! Telling a cluster what to do.

mod wanted;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use wanted::Order;

use greenroom_proto::v1;
use greenroom_proto::v1::operate_client::OperateClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::InspectError;
use crate::client::{Limits, connect};

/// How long an order may take: longer than a node pursues it, and passes it on.
pub const ORDER_TIMEOUT: Duration = Duration::from_secs(30);

/// The operators' secret, as a node's `GREENROOM_OPERATOR_TOKEN` has it. Printing it shows nothing
/// of it.
#[derive(Clone)]
pub struct OperatorToken(MetadataValue<Ascii>);

impl OperatorToken {
    /// A token of visible ASCII characters. Space around it is left out.
    ///
    /// # Errors
    /// When it is empty or contains anything else.
    pub fn new(secret: &str) -> Result<Self, BadToken> {
        let secret = secret.trim();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken);
        }
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {secret}").parse().map_err(|_| BadToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(..)")
    }
}

/// A text that is no token. It is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operators' token must be visible ASCII characters, and not empty")]
pub struct BadToken;

/// Someone who may tell a cluster what to do, through one of its nodes; it passes on what another
/// node must do. Each order answers with the id of the node that carried it out.
///
/// An order says how things should be, so it may be given again after any error.
#[derive(Debug)]
pub struct Operator {
    address: String,
    token: OperatorToken,
    client: OperateClient<Channel>,
    limits: Limits,
}

impl Operator {
    /// Connects to the node with this peer address (`host:port`).
    ///
    /// # Errors
    /// When the address is none, or the node can't be reached within
    /// [`CONNECT_TIMEOUT`](crate::CONNECT_TIMEOUT).
    pub async fn connect(address: &str, token: OperatorToken) -> Result<Self, InspectError> {
        let limits = Limits { request: ORDER_TIMEOUT, ..Limits::default() };
        let client = OperateClient::new(connect(address, limits).await?);
        Ok(Self { address: address.to_owned(), token, client, limits })
    }

    /// Keeps shards, by their numbers among all, at a node; without one, each where it is now.
    ///
    /// # Errors
    /// When the node refuses or gives no answer within [`ORDER_TIMEOUT`].
    pub async fn pin(
        &mut self,
        shards: Vec<u32>,
        node: Option<String>,
    ) -> Result<String, InspectError> {
        let request = self.order(v1::PinRequest { shards, node: node.unwrap_or_default() });
        let done = self.client.pin(request);
        answer(&self.address, self.limits, done).await
    }

    /// Lets shards, by their numbers among all, move again.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn unpin(&mut self, shards: Vec<u32>) -> Result<String, InspectError> {
        let request = self.order(v1::UnpinRequest { shards });
        let done = self.client.unpin(request);
        answer(&self.address, self.limits, done).await
    }

    /// Gives shards, by their numbers among all, a new target, once; later rebalancing may move them
    /// again.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn move_shards(
        &mut self,
        shards: Vec<u32>,
        to: String,
    ) -> Result<String, InspectError> {
        let request = self.order(v1::MoveRequest { shards, to });
        let done = self.client.r#move(request);
        answer(&self.address, self.limits, done).await
    }

    /// Makes a node begin to give all its shards away and stay a member, or take shards again.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn drain(
        &mut self,
        node: String,
        undo: bool,
        force: bool,
    ) -> Result<String, InspectError> {
        let request = self.order(v1::DrainRequest { node, undo, force });
        let done = self.client.drain(request);
        answer(&self.address, self.limits, done).await
    }

    /// Stops rebalancing and sends back what is in motion for balance (`true`), or lets it go on.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn hold(&mut self, held: bool) -> Result<String, InspectError> {
        let request = self.order(v1::HoldRequest { resume: !held });
        let done = self.client.hold(request);
        answer(&self.address, self.limits, done).await
    }

    /// Replaces the placement rule of a shard group: labels that a node must have, and labels by
    /// which nodes are preferred. `force` does it even if no live node satisfies it.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn set_rule(
        &mut self,
        group: String,
        require: BTreeMap<String, String>,
        prefer: BTreeMap<String, String>,
        force: bool,
    ) -> Result<String, InspectError> {
        let request = self.order(v1::RuleRequest { group, require, prefer, force });
        let done = self.client.rule(request);
        answer(&self.address, self.limits, done).await
    }

    /// Changes what the process of the asked node logs: a level, or levels of targets, such as
    /// `info,greenroom::turns=debug`. It lasts as long as the process.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn set_log(&mut self, directive: String) -> Result<String, InspectError> {
        let request = self.order(v1::SetLogRequest { directive });
        let done = self.client.set_log(request);
        answer(&self.address, self.limits, done).await
    }

    fn order<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.0.clone());
        request
    }
}

async fn answer(
    address: &str,
    limits: Limits,
    call: impl Future<Output = Result<Response<v1::OrderReply>, Status>>,
) -> Result<String, InspectError> {
    let unanswered =
        || InspectError::OrderUnanswered { address: address.to_owned(), limit: limits.request };
    match tokio::time::timeout(limits.request, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner().by),
        Ok(Err(status)) if status.code() == Code::Unimplemented => {
            Err(InspectError::NotANode { address: address.to_owned() })
        }
        Ok(Err(status)) if is_in_doubt(&status) => {
            let source = Box::new(status);
            Err(InspectError::OrderInDoubt { address: address.to_owned(), source })
        }
        Ok(Err(status)) => {
            let source = Box::new(status);
            Err(InspectError::NotDone { address: address.to_owned(), source })
        }
        Err(_) => Err(unanswered()),
    }
}

/// Whether an order that ended so may have been carried out: the connection broke under it, or the
/// node gave up waiting.
fn is_in_doubt(status: &Status) -> bool {
    let broke = std::error::Error::source(status).is_some();
    broke || matches!(status.code(), Code::Unknown | Code::Cancelled | Code::DeadlineExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_never_shown() {
        let token = OperatorToken::new(" correct-horse-battery\n").expect("a good token");
        assert_eq!(token.0.to_str().expect("ASCII"), "Bearer correct-horse-battery");
        assert!(!format!("{token:?}{:?}", token.0).contains("horse"));
        for bad in ["", " \n", "two words", "caf\u{e9}"] {
            assert!(OperatorToken::new(bad).is_err(), "{bad:?}");
        }
    }
}
