//! The attribute that turns a trait into an actor interface.
//!
//! Users get it as `greenroom::interface`; this crate is never named. A trait goes through three
//! steps, one file each: `parse` reads the attribute and the item, `check` turns the item into
//! the `model` and collects everything that is wrong with it, `expand` writes the code. Errors
//! are sentences at the token at fault, all those of one trait together.
//!
//! Generated code names everything by absolute paths and never leans on what the user's module
//! imports.

mod check;
mod errors;
mod expand;
mod model;
mod parse;
mod text;
mod types;

use proc_macro::TokenStream;

use crate::errors::Errors;

/// Declares what anyone may ask of a kind of actor.
///
/// `kind` is the written name on the wire: 1 to 64 characters of `a-z 0-9 . _ -`, first a letter.
/// It, the names of the methods and the names of their arguments are a contract with every node
/// and every stored record; Rust paths and the order of methods are not.
///
/// ```text
/// #[greenroom::interface(kind = "bank.account")]
/// pub trait Account {
///     /// Adds money and returns the new balance.
///     async fn deposit(&mut self, amount: u64) -> Result<u64, AccountError>;
///     /// Returns the balance.
///     async fn balance(&self) -> Result<u64, AccountError>;
/// }
/// ```
///
/// Beside the trait, which the actor implements with ordinary `async fn`s, this makes
///
/// - `AccountRef`, a location-free address with one method per method of the trait, which returns
///   a `Call` to await; and `AccountRef::served_by::<A>()`, the kind as a node hosts it;
/// - `AccountInterface`, the interface as a type.
///
/// A method takes `&mut self` for an exclusive turn or `&self` to run beside other reads, owned
/// arguments that serde can write and read, and `ctx: &mut Context` anywhere among them if it
/// needs the context, which is not sent. It returns `Result<T, E>` with both types written out, or
/// a plain value; in place of the value, a `Streamed<T>` answers with a stream. An argument that is added later should be an `Option` or carry
/// `#[serde(default)]`, so that callers that don't know it yet are still understood.
#[proc_macro_attribute]
pub fn interface(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let kind = parse::kind(options.into(), &mut errors);
    let interface = parse::item_trait(item.into(), &mut errors)
        .and_then(|item| check::interface(item, &mut errors));
    match (kind, interface, errors.into_result()) {
        (Some(kind), Some(interface), Ok(())) => expand::interface(&kind, &interface).into(),
        (_, _, Err(error)) => error.into_compile_error().into(),
        // A step that yields nothing has said why.
        (_, _, Ok(())) => unreachable!("an interface was dropped without an error"),
    }
}
