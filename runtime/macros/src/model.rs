//! An interface that has passed every check.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::{Attribute, PatType, Receiver, Type, Visibility};

pub(crate) struct Interface {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) ident: Ident,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) receiver: Receiver,
    pub(crate) access: Access,
    /// Marked `#[reentrant]`.
    pub(crate) reentrant: bool,
    /// What follows the receiver, in order.
    pub(crate) inputs: Vec<Input>,
    pub(crate) output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

pub(crate) enum Input {
    /// `ctx: &mut Context`: the runtime passes it.
    Context(PatType),
    /// Travels with the call.
    Argument(Argument),
}

pub(crate) struct Argument {
    /// `#[serde(default)]`, moved to the field of the arguments struct.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) ty: Box<Type>,
}

pub(crate) struct Output {
    /// What the method returns, as written.
    pub(crate) whole: Type,
    /// The `T` of a `Result<T, E>`, or all of a plain value; of a stream, the type of its items.
    pub(crate) value: Type,
    /// Whether it is a `Streamed<T>`.
    pub(crate) streamed: bool,
    /// The `E` of a `Result<T, E>`.
    pub(crate) error: Option<Type>,
}

impl Method {
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Argument(argument) => Some(argument),
            Input::Context(_) => None,
        })
    }
}

/// The name on the wire: without the `r#` of a raw identifier.
pub(crate) fn wire_name(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// The name of a method's arguments struct. Two methods of one trait must not share it.
pub(crate) fn arguments_ident(interface: &Ident, method: &Ident) -> Ident {
    let camel: String = wire_name(method).split('_').map(capitalised).collect();
    // The method's span, so that an error about an argument's type points at the method.
    format_ident!("{}{}Arguments", interface, camel, span = method.span())
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
