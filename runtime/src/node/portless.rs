//! What a node answers, without its ports; see [`crate::fuzzing`].

use std::sync::Arc;

use super::Node;
use crate::gateway;
use crate::health::Health;
use crate::overload::Refusals;
use crate::peer::{Identity, InspectService, OperateService, PeerService};
use crate::router::Router;

impl Node {
    pub(crate) fn router(&self) -> &Router {
        &self.parts.router
    }

    pub(crate) fn gateway(&self) -> axum::Router {
        let parts = &self.parts;
        let refusals = Arc::new(Refusals::of(&parts.config.node));
        let (health, serving) =
            (Health::new(parts.cluster.clone()), parts.http_serving.subscribe());
        gateway::routes(parts.router.clone(), health, &parts.config.gateway, refusals, serving)
    }

    pub(crate) fn services(&self) -> (PeerService, InspectService, OperateService) {
        let parts = &self.parts;
        let (config, cluster) = (&parts.config, &parts.cluster);
        let identity = Identity { cluster: config.cluster.clone(), node: config.node.to_string() };
        (
            PeerService::new(parts.router.clone(), identity.clone(), parts.serving.subscribe()),
            InspectService::new(identity, cluster.clone(), parts.router.clone()),
            OperateService::new(
                config.node.clone(),
                cluster.clone(),
                config.operator_token.clone(),
            ),
        )
    }
}
