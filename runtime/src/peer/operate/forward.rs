//! Orders on their way to the node that can carry them out.

use std::time::Duration;

use greenroom_core::NodeId;
use greenroom_proto::v1::operate_client::OperateClient;
use greenroom_proto::v1::{DrainRequest, MoveRequest, OrderReply};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::config::Token;

/// The metadata that carries the operators' token.
pub(super) const AUTHORIZATION: &str = "authorization";
/// What stands before the token there.
pub(super) const BEARER: &str = "Bearer ";
/// The metadata that names the node which passed an order on. Such an order is not passed on again,
/// so it never goes round.
pub(super) const FORWARDED_BY: &str = "greenroom-forwarded-by";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than the other node pursues an order: its answer tells more than giving up does.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(22);

/// The way of one order to another node.
pub(super) struct Forward<'a> {
    pub(super) token: &'a Token,
    pub(super) by: &'a NodeId,
    pub(super) to: &'a NodeId,
}

impl Forward<'_> {
    pub(super) async fn moves(
        &self,
        address: &str,
        request: MoveRequest,
    ) -> Result<String, Status> {
        let request = self.marked(request)?;
        let mut node = self.connect(address).await?;
        self.answer(node.r#move(request)).await
    }

    pub(super) async fn drain(
        &self,
        address: &str,
        request: DrainRequest,
    ) -> Result<String, Status> {
        let request = self.marked(request)?;
        let mut node = self.connect(address).await?;
        self.answer(node.drain(request)).await
    }

    /// The request with the token, and with the mark that it was passed on.
    fn marked<M>(&self, message: M) -> Result<Request<M>, Status> {
        let value = |text: &str| {
            let value: Result<MetadataValue<Ascii>, _> = text.parse();
            value.map_err(|_| Status::internal("a name or token can't be sent as metadata"))
        };
        let mut request = Request::new(message);
        let mut token = value(&format!("{BEARER}{}", self.token.reveal()))?;
        token.set_sensitive(true);
        request.metadata_mut().insert(AUTHORIZATION, token);
        request.metadata_mut().insert(FORWARDED_BY, value(self.by.as_str())?);
        Ok(request)
    }

    async fn connect(&self, address: &str) -> Result<OperateClient<Channel>, Status> {
        let unreachable = |why: String| {
            Status::unavailable(format!("can't reach {} at {address}: {why}", self.to))
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| unreachable(error.to_string()))?;
        // The transport's own time-out leaves out the look-up of the name.
        let channel = timeout(CONNECT_TIMEOUT, endpoint.connect())
            .await
            .map_err(|_| unreachable(format!("no connection within {CONNECT_TIMEOUT:?}")))?
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(OperateClient::new(channel))
    }

    /// The other node's answer, with its name before what it refuses.
    async fn answer(
        &self,
        call: impl Future<Output = Result<Response<OrderReply>, Status>>,
    ) -> Result<String, Status> {
        match timeout(ANSWER_TIMEOUT, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner().by),
            // The connection broke under the order.
            Ok(Err(status)) if std::error::Error::source(&status).is_some() => {
                Err(Status::unknown(format!(
                    "the connection to {} broke; it may have carried the order out: {}",
                    self.to,
                    status.message()
                )))
            }
            Ok(Err(status)) => {
                Err(Status::new(status.code(), format!("{}: {}", self.to, status.message())))
            }
            Err(_) => Err(Status::deadline_exceeded(format!(
                "{} did not answer within {ANSWER_TIMEOUT:?}; it may have carried the order out",
                self.to
            ))),
        }
    }
}
