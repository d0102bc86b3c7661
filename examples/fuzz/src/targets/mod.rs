//! One file a reader: what it must do with any input, and good inputs to begin with.

mod arguments;
mod callee;
mod caller;
mod frame;
mod gateway;
mod http;
mod names;
mod node;
mod orders;
mod page;
mod picture;
mod records;
mod settings;
mod topology;

use crate::{Room, Target};

/// All of them.
pub const ALL: &[Target] = &[
    Target {
        name: "frame",
        reads: "frames and envelopes, in place and as messages",
        check: frame::check,
        seeds: frame::seeds,
        room: Room::SMALL,
    },
    Target {
        name: "caller",
        reads: "what the owner of an actor answers over a link",
        check: caller::check,
        seeds: caller::seeds,
        room: Room::LINK,
    },
    Target {
        name: "callee",
        reads: "what a peer asks over a link, down to the actor",
        check: callee::check,
        seeds: callee::seeds,
        room: Room::LINK,
    },
    Target {
        name: "arguments",
        reads: "arguments and replies, as MessagePack and as JSON",
        check: arguments::check,
        seeds: arguments::seeds,
        room: Room::SMALL,
    },
    Target {
        name: "records",
        reads: "keys and values in etcd, down to an agent that acts on them",
        check: records::check,
        seeds: records::seeds,
        room: Room::AGENT,
    },
    Target {
        name: "gateway",
        reads: "HTTP calls: paths, headers, bodies",
        check: gateway::check,
        seeds: gateway::seeds,
        room: Room::HTTP,
    },
    Target {
        name: "page",
        reads: "HTTP requests to the inspector's page",
        check: page::check,
        seeds: page::seeds,
        room: Room::HTTP,
    },
    Target {
        name: "picture",
        reads: "what a node answers to an operator's questions",
        check: picture::check,
        seeds: picture::seeds,
        room: Room::SMALL,
    },
    Target {
        name: "settings",
        reads: "GREENROOM_* variables",
        check: settings::check,
        seeds: settings::seeds,
        room: Room::SMALL,
    },
    Target {
        name: "topology",
        reads: "files that a cluster is restored from and compared with",
        check: topology::check,
        seeds: topology::seeds,
        room: Room::SMALL,
    },
    Target {
        name: "names",
        reads: "names of actors, nodes, shards, contexts",
        check: names::check,
        seeds: names::seeds,
        room: Room::SMALL,
    },
    Target {
        name: "orders",
        reads: "operators' orders and peers' questions, down to the agent",
        check: orders::check,
        seeds: orders::seeds,
        room: Room::AGENT,
    },
];
