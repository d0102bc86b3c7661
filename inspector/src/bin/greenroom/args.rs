//! What may be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use greenroom_inspector::ShardSpan;
use greenroom_inspector::call::CALL_TIMEOUTS;

/// Asks a Greenroom cluster how it is, and tells it what to do.
///
/// Any node can be asked; it answers with its own picture of the cluster, which may be a moment
/// late, and passes orders on to the node that can carry them out. Orders (pin, unpin, move, drain,
/// rebalance, group, topology import, log-level DIRECTIVE) need the operators' token: --token-file, or
/// the variable GREENROOM_OPERATOR_TOKEN, or GREENROOM_OPERATOR_TOKEN_FILE. Shards are written as 4711,
/// 10-20, gpu/77 or gpu/10-20. Exit codes: 0
/// done, 1 the cluster could not be asked or refused, 2 bad usage, 3 `topology diff` found
/// differences, 4 `call` was answered with the method's own error.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version)]
pub(crate) struct Args {
    /// Peer address (host:port) of the node to ask
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "GREENROOM_NODE",
        default_value = "127.0.0.1:7400"
    )]
    pub(crate) node: String,

    /// How to print the answer
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,

    /// File that holds the operators' token, for orders; without one, GREENROOM_OPERATOR_TOKEN is the token
    // A token itself is no argument: other users of the machine could read it.
    #[arg(long, global = true, value_name = "FILE", env = "GREENROOM_OPERATOR_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; may change with any version
    Table,
    /// For programs; one object
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Question(Question),
    #[command(flatten)]
    Order(Order),
    /// The cluster as a document: to keep, to compare, to begin a cluster with
    #[command(subcommand)]
    Topology(Topology),
    /// What the planner would do now, or if things were otherwise; changes nothing
    ///
    /// The leader's own planner is asked, on the cluster as it is: which shards would move from where to
    /// where, how many each node would have, how many rounds of moves it takes until nothing moves any
    /// more, and why it rests then.
    Plan(Plan),
    /// Call a method of an actor, through the HTTP gateway of a node
    ///
    /// The answer is printed as JSON; the items of a streamed reply in a line each, as they come. Exit
    /// codes: 0 answered, 4 the method answered with its own error, 1 the call failed (with a code, and
    /// whether it may have run), 2 bad usage.
    Call(Call),
    /// What the node's process logs, or, with a directive, what it shall log from now on
    ///
    /// It concerns the process of the node that is asked, and lasts as long as that. Changing it is an
    /// order: it needs the operators' token.
    LogLevel {
        /// A level (off, error, warn, info, debug, trace), or levels of targets, such as
        /// info,greenroom::turns=debug
        directive: Option<String>,
    },
    /// Serve a page that shows the cluster live, until it is interrupted
    Inspect {
        /// Where to listen
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7490")]
        listen: String,
        /// A name, besides localhost, by which browsers may call the page; may be repeated
        #[arg(long, value_name = "NAME")]
        allow_host: Vec<String>,
    },
    /// Every variable that sets something: its default, what is allowed, and what it means; asks no
    /// node
    Config,
    /// The script with which a shell completes this command; asks no node
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Plan {
    /// Suppose what the other options say
    #[arg(long)]
    pub(crate) what_if: bool,
    /// A node comes, with a weight of 100 unless told; it hosts every kind. What is neither weight nor zone
    /// is a label. May be repeated, as all of these
    #[arg(
        long,
        value_name = "NODE[,weight=N][,zone=ZONE][,LABEL=VALUE]",
        value_parser = added,
        requires = "what_if"
    )]
    pub(crate) add: Vec<Added>,
    /// A node is gone
    #[arg(long, value_name = "NODE", requires = "what_if")]
    pub(crate) remove: Vec<String>,
    /// A node gives all its shards away
    #[arg(long, value_name = "NODE", requires = "what_if")]
    pub(crate) drain: Vec<String>,
    /// A node has another weight, 0 to 1000
    #[arg(long, value_name = "NODE=N", value_parser = weight, requires = "what_if")]
    pub(crate) weight: Vec<(String, u32)>,
    /// Shards are pinned to a node
    #[arg(long, value_name = "SHARD=NODE", value_parser = pin, requires = "what_if")]
    pub(crate) pin: Vec<(ShardSpan, String)>,
    /// Shards are pinned no more
    #[arg(long, value_name = "SHARD", requires = "what_if")]
    pub(crate) unpin: Vec<ShardSpan>,
    /// Most shards that are moved at a time [default: GREENROOM_REBALANCE_BATCH of the leader]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        requires = "what_if"
    )]
    pub(crate) batch: Option<u32>,
    /// How many of them to or from one node [default: GREENROOM_REBALANCE_NODE_BATCH of the leader]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        requires = "what_if"
    )]
    pub(crate) node_batch: Option<u32>,
    /// How far off its share a node may be, in thousandths [default:
    /// GREENROOM_IMBALANCE_THRESHOLD_PERMILLE of the leader]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=1000),
        requires = "what_if"
    )]
    pub(crate) threshold: Option<u32>,
}

/// A node that is supposed to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) node: String,
    pub(crate) weight: u32,
    pub(crate) zone: String,
    pub(crate) labels: Vec<(String, String)>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Call {
    /// Kind and key of the actor; the first `/` separates them
    #[arg(value_name = "KIND/KEY", value_parser = actor)]
    pub(crate) actor: Actor,
    /// Written name of the method
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,
    /// Its arguments as a JSON object; `-` reads it from the standard input [default: {}]
    #[arg(value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// HTTP address (host:port) of a gateway [default: that of the asked node, else of another]
    #[arg(long, value_name = "ADDR")]
    pub(crate) gateway: Option<String>,
    /// How long the call may take, 1ms to 1h [default: that of the node]
    #[arg(long, value_name = "SPAN", value_parser = call_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// A pair that travels with the call and all that it causes; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = context)]
    pub(crate) context: Vec<(String, String)>,
    /// The W3C traceparent that the call belongs to
    #[arg(long, value_name = "TRACEPARENT", value_parser = traceparent)]
    pub(crate) traceparent: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Who leads, which nodes and groups there are, and how many shards each node has
    Status,
    /// One line a node: its state, its shards, and where it is
    Nodes,
    /// Where an actor lives; does not activate it
    Peek {
        /// Kind and key of the actor; the first `/` separates them
        #[arg(value_name = "KIND/KEY", value_parser = actor)]
        actor: Actor,
    },
    /// One line a shard: where it should be, where it is, and why
    Shards(ShardFilter),
    /// Where a shard is and should be, and what the leader decided about it
    Why {
        #[arg(value_name = "SHARD", value_parser = one_shard)]
        shard: ShardSpan,
    },
    /// What the leader decided and why, the newest last
    Decisions {
        /// At most so many, the newest; 0 for all that are kept
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Those of the asked node, from when it led, instead of the present leader's
        #[arg(long)]
        here: bool,
    },
}

/// What passes all of these is shown.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ShardFilter {
    /// Only shards whose record names this node as owner, be it alive or not
    #[arg(long, value_name = "NODE")]
    pub(crate) owner: Option<String>,
    /// Only shards on their way to another owner, or to their first
    #[arg(long)]
    pub(crate) in_motion: bool,
    /// Only shards that an operator pinned
    #[arg(long)]
    pub(crate) pinned: bool,
    /// Only shards of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Keep shards at a node, whatever the balance
    Pin {
        #[arg(value_name = "SHARD", required = true)]
        shards: Vec<ShardSpan>,
        /// Where; without it, each where it is now
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
        /// Wait until the shards are there, at most so long [default: 10m]
        #[arg(
            long,
            value_name = "SPAN",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "10m",
            value_parser = patience
        )]
        wait: Option<Duration>,
    },
    /// Let shards move again
    Unpin {
        #[arg(value_name = "SHARD", required = true)]
        shards: Vec<ShardSpan>,
    },
    /// Give shards to a node, once; rebalancing may move them again
    Move {
        #[arg(value_name = "SHARD", required = true)]
        shards: Vec<ShardSpan>,
        #[arg(long, value_name = "NODE")]
        to: String,
        /// Wait until the shards are there, at most so long [default: 10m]
        #[arg(
            long,
            value_name = "SPAN",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "10m",
            value_parser = patience
        )]
        wait: Option<Duration>,
    },
    /// Make a node give all its shards away and stay a member
    Drain {
        #[arg(value_name = "NODE")]
        drained: String,
        /// Let it take shards again
        #[arg(long)]
        undo: bool,
        /// Even if no other node may own its shards, so that calls of their kinds wait
        #[arg(long, conflicts_with = "undo")]
        force: bool,
        /// Wait until the shards are gone, at most so long [default: 10m]
        #[arg(
            long,
            conflicts_with = "undo",
            value_name = "SPAN",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "10m",
            value_parser = patience
        )]
        wait: Option<Duration>,
    },
    /// Stop rebalancing, or let it go on
    Rebalance {
        #[arg(value_enum)]
        what: Rebalance,
    },
    /// Shard groups
    #[command(subcommand)]
    Group(Group),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rebalance {
    /// Stop, and send back what is in motion for balance
    Hold,
    /// Let it go on
    Resume,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Replace the placement rule of a group by what is said here, be it nothing
    Set {
        #[arg(value_name = "GROUP")]
        group: String,
        /// A label that a node must have; may be repeated
        #[arg(long, value_name = "LABEL=VALUE", value_parser = label)]
        require: Vec<(String, String)>,
        /// A label by which nodes are preferred; may be repeated
        #[arg(long, value_name = "LABEL=VALUE", value_parser = label)]
        prefer: Vec<(String, String)>,
        /// Even if no live node satisfies the rule
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topology {
    /// Write down nodes, shards and pins, always as JSON
    Export {
        /// Where to; the standard output unless given
        file: Option<PathBuf>,
    },
    /// Give the cluster the pins and placement rules of a topology; needs the operators' token
    ///
    /// Where shards are follows from those. A cluster that does not exist yet begins with a topology if
    /// its nodes are started with GREENROOM_RESTORE_FROM.
    Import {
        /// Which
        file: PathBuf,
        /// Even rules that no live node satisfies
        #[arg(long)]
        force: bool,
        /// Tell what would be ordered, and order nothing; needs no token
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell what changed since a topology was written down; exits with 3 if anything did
    Diff {
        /// The earlier one
        old: PathBuf,
        /// The later one; the cluster as it is now unless given
        new: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) kind: String,
    pub(crate) key: String,
}

/// Which names are fit is for the node to say; without a kind and a key there is nothing to ask.
fn actor(text: &str) -> Result<Actor, &'static str> {
    match text.split_once('/') {
        Some((kind, key)) if !kind.is_empty() && !key.is_empty() => {
            Ok(Actor { kind: kind.to_owned(), key: key.to_owned() })
        }
        _ => Err("an actor is named by kind and key, such as bank.account/alice"),
    }
}

fn weight_of(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|weight| *weight <= 1000);
    weight.ok_or_else(|| format!("a weight is 0 to 1000, got {text:?}"))
}

fn added(text: &str) -> Result<Added, String> {
    let mut parts = text.split(',');
    let node = parts.next().unwrap_or_default().to_owned();
    if node.is_empty() || node.contains('=') {
        return Err("a node begins with its name, such as node-4,weight=200,zone=eu-1".to_owned());
    }
    let mut added = Added { node, weight: 100, zone: String::new(), labels: Vec::new() };
    for part in parts {
        match part.split_once('=') {
            Some(("weight", weight)) => added.weight = weight_of(weight)?,
            Some(("zone", zone)) => added.zone = zone.to_owned(),
            _ => added.labels.push(label(part)?),
        }
    }
    Ok(added)
}

fn weight(text: &str) -> Result<(String, u32), String> {
    match text.split_once('=') {
        Some((node, weight)) if !node.is_empty() => Ok((node.to_owned(), weight_of(weight)?)),
        _ => Err("write node=weight, such as node-1=200".to_owned()),
    }
}

fn pin(text: &str) -> Result<(ShardSpan, String), String> {
    match text.split_once('=') {
        Some((shards, node)) if !node.is_empty() => {
            Ok((shards.parse().map_err(|error| format!("{error}"))?, node.to_owned()))
        }
        _ => Err("write shard=node, such as 4711=node-1 or gpu/10-20=node-1".to_owned()),
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let (low, high) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
    let span = humantime::parse_duration(text.trim()).ok();
    span.filter(|span| (low..=high).contains(span))
        .ok_or_else(|| "a wait is 1s to 24h, such as 30s or 10m".to_owned())
}

fn call_timeout(text: &str) -> Result<Duration, String> {
    let (low, high) = CALL_TIMEOUTS;
    let span = humantime::parse_duration(text.trim()).ok();
    span.filter(|span| (low..=high).contains(span))
        .ok_or_else(|| "a time-out is 1ms to 1h, such as 500ms, 5s or 2m".to_owned())
}

/// A gateway leaves out what breaks these bounds, and nobody would know.
fn context(text: &str) -> Result<(String, String), &'static str> {
    let good = |key: &str| {
        let letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        (1..=64).contains(&key.len()) && key.bytes().all(letter)
    };
    match text.split_once('=') {
        Some((key, value))
            if good(key) && value.len() <= 256 && !value.contains(char::is_control) =>
        {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(
            "a pair is key=value: a key of 1 to 64 bytes of a-z 0-9 . _ -, a value of at most 256 \
                  bytes without control characters",
        ),
    }
}

fn traceparent(text: &str) -> Result<String, &'static str> {
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        ["00", trace, span, flags]
            if hex(trace, 32)
                && hex(span, 16)
                && hex(flags, 2)
                && trace.contains(|digit| digit != '0')
                && span.contains(|digit| digit != '0') =>
        {
            Ok(text.to_owned())
        }
        _ => Err(
            "a traceparent is 00-{32 hex digits}-{16 hex digits}-{2 hex digits}, no id all zeros",
        ),
    }
}

fn one_shard(text: &str) -> Result<ShardSpan, String> {
    let span: ShardSpan = text.parse().map_err(|error| format!("{error}"))?;
    if span.first == span.last { Ok(span) } else { Err("name one shard".to_owned()) }
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((label, value)) if !label.is_empty() => Ok((label.to_owned(), value.to_owned())),
        _ => Err("a label is written as label=value, such as disk=ssd"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_first_slash_separates_kind_and_key() {
        let expected = Actor { kind: "cart".to_owned(), key: "eu/{user42}/".to_owned() };
        assert_eq!(actor("cart/eu/{user42}/"), Ok(expected));
        for text in ["", "/", "cart", "cart/", "/alice"] {
            assert!(actor(text).is_err(), "{text:?} was taken for an actor");
        }
    }
}
