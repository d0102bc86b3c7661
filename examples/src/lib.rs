//! Small programs, each teaching one idea of Greenroom, and the actors that they share.
//!
//! - `hello`: the first actor, in one process.
//! - `node`: a node as one deploys it, configured by `GREENROOM_*` variables alone.
//! - `demo`: three nodes replay real flights while one of them is killed.

pub mod bank;
pub mod flights;
