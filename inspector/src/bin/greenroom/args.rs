//! What may be said on the command line.

use clap::{Parser, Subcommand, ValueEnum};

/// Asks a Greenroom cluster how it is.
///
/// Any node can be asked; it answers with its own picture of the cluster, which may be a moment
/// late. Exit codes: 0 answered, 1 the cluster could not be asked, 2 bad usage.
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

    #[command(subcommand)]
    pub(crate) question: Question,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; may change with any version
    Table,
    /// For programs; one object
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Who leads, which nodes there are, and how many shards each has
    Status,
    /// Where an actor lives; does not activate it
    Peek {
        /// Kind and key of the actor; the first `/` separates them
        #[arg(value_name = "KIND/KEY", value_parser = actor)]
        actor: Actor,
    },
    /// One line a shard: where it should be, where it is, and why
    Shards {
        /// Only shards whose record names this node as owner, be it alive or not
        #[arg(long, value_name = "NODE")]
        owner: Option<String>,
        /// Only shards on their way to another owner, or to their first
        #[arg(long)]
        in_motion: bool,
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
