//! What operators order: who may, what is done here, and what is passed on.

mod forward;
mod wish;

use std::net::SocketAddr;
use std::time::Duration;

use greenroom_cluster::{Cluster, StatusPhase};
use greenroom_core::{BadGroups, NodeId, Order, Refusal, ShardId};
use greenroom_proto::v1::operate_server::Operate;
use greenroom_proto::v1::{
    DrainRequest, HoldRequest, MoveRequest, OrderReply, PinRequest, RuleRequest, SetLogRequest,
    UnpinRequest,
};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::config::Token;
use crate::logging::{self, SetError};
use forward::{AUTHORIZATION, BEARER, FORWARDED_BY, Forward};
use wish::{Wanted, Wish};

/// Longest request in bytes: the most shards that one may name, as long as a number gets, and rules.
pub(crate) const ORDER_BYTES_MAX: usize = 1 << 20;
/// How long a node may take to say in its record that it drains, or takes shards again.
const DRAIN_BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// Carries operators' orders out, or passes them on to the node that can.
pub(crate) struct OperateService {
    node: NodeId,
    cluster: Cluster,
    /// What an order must carry; without one none is taken.
    token: Option<Token>,
}

type Reply = Result<Response<OrderReply>, Status>;

impl OperateService {
    pub(crate) fn new(node: NodeId, cluster: Cluster, token: Option<Token>) -> Self {
        Self { node, cluster, token }
    }

    /// The whole way of an order. It is written to the audit log before anything is done, because
    /// whoever asks may go away and never hear the result.
    async fn serve<M: Send>(
        &self,
        order: &'static str,
        request: Request<M>,
        read: fn(M) -> Result<Wish, Status>,
    ) -> Reply {
        let asked = Asked::of(order, &request);
        let admitted = self.admit(request.metadata());
        let wish = admitted.and_then(|token| Ok((token, read(request.into_inner())?)));
        let result = match wish {
            Ok((token, Wish { words, wanted })) => {
                asked.audit(&self.node, "taken", &words);
                self.carry_out(token, wanted, asked.forwarded_by.is_some()).await
            }
            Err(status) => Err(status),
        };
        match &result {
            Ok(by) => asked.audit(&self.node, "done", &format!("by {by}")),
            Err(status) => asked.audit(&self.node, "refused", status.message()),
        }
        result.map(|by| Response::new(OrderReply { by }))
    }

    /// Whether the request carries the operators' token, which is then answered with.
    fn admit(&self, metadata: &MetadataMap) -> Result<&Token, Status> {
        let token = self.token.as_ref().ok_or_else(|| {
            Status::permission_denied(
                "set GREENROOM_OPERATOR_TOKEN on this node: it takes no orders without one",
            )
        })?;
        let given = metadata.get(AUTHORIZATION).and_then(|given| given.to_str().ok());
        let given = given.and_then(|given| given.strip_prefix(BEARER));
        if given.is_some_and(|given| token.is(given)) {
            return Ok(token);
        }
        Err(Status::unauthenticated("the order carries no token, or not that of this cluster"))
    }

    /// Does what is wanted, and answers with the name of the node that did it.
    async fn carry_out(
        &self,
        token: &Token,
        wanted: Wanted,
        forwarded: bool,
    ) -> Result<String, Status> {
        match wanted {
            Wanted::Here(order) => self.order(order).await.map_err(|refusal| status(&refusal)),
            Wanted::ByLeader { order, request } => match self.order(order).await {
                Err(Refusal::NotLeader(_)) if !forwarded => {
                    let leader = self.cluster.status().leader;
                    let leader = leader.ok_or_else(|| status(&Refusal::NotLeader(None)))?;
                    let way = Forward { token, by: &self.node, to: &leader.life.node };
                    way.moves(&leader.address, request).await
                }
                done => done.map_err(|refusal| status(&refusal)),
            },
            Wanted::Log(directive) => {
                set_log(&directive)?;
                Ok(self.node.to_string())
            }
            Wanted::AtNode { node, request } if node == self.node => {
                self.drain(request.undo, request.force).await?;
                Ok(self.node.to_string())
            }
            Wanted::AtNode { node, .. } if forwarded => {
                let message = format!("this is {}, not {node}: look where {node} is", self.node);
                Err(Status::failed_precondition(message))
            }
            Wanted::AtNode { node, request } => {
                let view = self.cluster.view().await.ok_or_else(|| status(&Refusal::NotMember))?;
                let member = view.member(&node);
                let member = member.ok_or_else(|| status(&Refusal::NoNode(node.clone())))?;
                let way = Forward { token, by: &self.node, to: &node };
                way.drain(&member.record.profile.peer_address, request).await
            }
        }
    }

    async fn order(&self, order: Order) -> Result<String, Refusal> {
        self.cluster.order(order).await?;
        Ok(self.node.to_string())
    }

    /// Begins to give all shards away, or to take some again: returns when the record says so.
    async fn drain(&self, undo: bool, force: bool) -> Result<(), Status> {
        // A node that has not joined yet would take it for the order to leave.
        let phase = self.cluster.status().phase;
        if !matches!(phase, StatusPhase::Active | StatusPhase::Draining) {
            return Err(status(&Refusal::NotMember));
        }
        if !undo && !force {
            self.check_others_take_over().await?;
        }
        self.cluster.set_draining(!undo).await;
        let wanted = if undo { StatusPhase::Active } else { StatusPhase::Draining };
        let begun = self.cluster.wait_for(|status| status.phase == wanted && status.recorded);
        timeout(DRAIN_BEGINS_WITHIN, begun).await.map(|_| ()).map_err(|_| {
            let message = format!(
                "{} was told, but its record does not say so after {DRAIN_BEGINS_WITHIN:?}; it may \
                 yet, or the node is about to leave",
                self.node
            );
            Status::deadline_exceeded(message)
        })
    }

    /// A node that drains and stays gives up shards that nobody else may own, too.
    async fn check_others_take_over(&self) -> Result<(), Status> {
        let view = self.cluster.view().await.ok_or_else(|| status(&Refusal::NotMember))?;
        let owns = |group: usize| {
            let shards = (0..view.shard_count()).map(ShardId);
            let mut shards = shards.map(|shard| shard.in_group(group, view.shard_count()));
            shards.any(|shard| view.live_owner(shard).is_some_and(|(o, _)| o.node == self.node))
        };
        let taken = |group: usize| {
            let mut others = view.members().filter(|member| member.life.node != self.node);
            others.any(|member| view.takes_shards_of(&member, group))
        };
        for (index, group) in view.groups().as_slice().iter().enumerate() {
            if owns(index) && !taken(index) {
                let (node, group) = (&self.node, &group.name);
                return Err(Status::failed_precondition(format!(
                    "no other node may own the shards of group {group} that {node} has, so calls of \
                     its kinds would wait until {node} takes them again; force it if that is wanted"
                )));
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Operate for OperateService {
    async fn pin(&self, request: Request<PinRequest>) -> Reply {
        self.serve("pin", request, wish::pin).await
    }

    async fn unpin(&self, request: Request<UnpinRequest>) -> Reply {
        self.serve("unpin", request, wish::unpin).await
    }

    async fn r#move(&self, request: Request<MoveRequest>) -> Reply {
        self.serve("move", request, wish::r#move).await
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Reply {
        self.serve("drain", request, wish::drain).await
    }

    async fn hold(&self, request: Request<HoldRequest>) -> Reply {
        self.serve("hold", request, wish::hold).await
    }

    async fn rule(&self, request: Request<RuleRequest>) -> Reply {
        self.serve("rule", request, wish::rule).await
    }

    async fn set_log(&self, request: Request<SetLogRequest>) -> Reply {
        self.serve("log", request, wish::set_log).await
    }
}

/// Changes what the process logs.
fn set_log(directive: &str) -> Result<(), Status> {
    let Some(log) = logging::current() else {
        return Err(Status::failed_precondition(
            "the program of this node has a log of its own, which orders can't change: \
             greenroom::logging has not set it up",
        ));
    };
    match log.set(directive) {
        Ok(_) => Ok(()),
        Err(error @ SetError::Directive(_)) => Err(Status::invalid_argument(error.to_string())),
        Err(error @ SetError::Gone) => Err(Status::failed_precondition(error.to_string())),
    }
}

/// Who asks, for the audit log. The token never gets there.
struct Asked {
    order: &'static str,
    from: Option<SocketAddr>,
    /// The node that passed the order on.
    forwarded_by: Option<String>,
}

impl Asked {
    fn of<M>(order: &'static str, request: &Request<M>) -> Self {
        let by = request.metadata().get(FORWARDED_BY);
        let forwarded_by = by.map(|by| by.to_str().unwrap_or("?").to_owned());
        Self { order, from: request.remote_addr(), forwarded_by }
    }

    fn audit(&self, node: &NodeId, event: &'static str, words: &str) {
        let Self { order, from, forwarded_by } = self;
        let from = from.map_or_else(|| "unknown".to_owned(), |from| from.to_string());
        // Written as quoted text: what comes over the wire must not forge a line.
        tracing::info!(
            target: "greenroom::audit", %node, order, from, ?forwarded_by, event, ?words,
            "operator's order"
        );
    }
}

/// A refusal as the wire has it.
pub(super) fn status(refusal: &Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::NotMember | Refusal::NotLeader(_) => Status::unavailable(text),
        Refusal::NoShard(_) | Refusal::NoNode(_) | Refusal::Groups(BadGroups::Unknown(_)) => {
            Status::not_found(text)
        }
        Refusal::NoOwner(_)
        | Refusal::NodeThere(_)
        | Refusal::TakesNoShards(_)
        | Refusal::Unfit { .. }
        | Refusal::Pinned { .. }
        | Refusal::Unsatisfiable { .. }
        | Refusal::Unreadable(_)
        | Refusal::Groups(_) => Status::failed_precondition(text),
        Refusal::TooMany => Status::resource_exhausted(text),
        Refusal::TimedOut => Status::deadline_exceeded(text),
    }
}
