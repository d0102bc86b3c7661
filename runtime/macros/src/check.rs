//! Turns the trait into the model, and says everything that is wrong with it.

mod method;

use std::collections::BTreeSet;

use proc_macro2::Ident;
use syn::{ItemTrait, TraitItem};

use crate::errors::Errors;
use crate::model::{Interface, arguments_ident, wire_name};

/// The names that the address has already.
const RESERVED: [&str; 7] =
    ["served_by", "key", "actor", "from_actor", "clone", "clone_from", "fmt"];

/// The interface, or `None` when something is wrong, which `errors` says then.
pub(crate) fn interface(item: ItemTrait, errors: &mut Errors) -> Option<Interface> {
    check_head(&item, errors);
    let mut methods = Vec::new();
    let mut is_whole = true;
    for item in &item.items {
        match item {
            TraitItem::Fn(declared) => match method::method(declared, errors) {
                Some(method) => methods.push(method),
                None => is_whole = false,
            },
            TraitItem::Const(item) => refuse_item(item, "an associated constant", errors),
            TraitItem::Type(item) => refuse_item(item, "an associated type", errors),
            TraitItem::Macro(item) => refuse_item(item, "a macro call", errors),
            other => refuse_item(other, "this", errors),
        }
    }
    check_names(&item, errors);
    let ItemTrait { attrs, vis, ident, .. } = item;
    is_whole.then_some(Interface { attrs, vis, ident, methods })
}

/// Everything before the braces, and that there is something between them.
fn check_head(item: &ItemTrait, errors: &mut Errors) {
    if let Some(token) = &item.unsafety {
        errors.at(token, "an interface cannot be unsafe: callers on other nodes can prove nothing");
    }
    if let Some(token) = &item.modifiers.auto_token {
        errors.at(token, "an interface cannot be an auto trait");
    }
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "an interface has no generics: its name on the wire stands for one set of types",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        errors.at(clause, "an interface has no `where` clause");
    }
    if !item.supertraits.is_empty() {
        errors.at(
            &item.supertraits,
            "an interface has no supertraits: `Send + Sync + 'static` is added to it, and more \
             cannot be asked of an actor that may live on another node",
        );
    }
    if item.items.is_empty() {
        errors.at(
            &item.ident,
            "an interface needs at least one method: nothing can be asked of this",
        );
    }
}

fn refuse_item(item: impl quote::ToTokens, what: &str, errors: &mut Errors) {
    errors.at(
        item,
        format_args!("{what} cannot be part of an interface: it has only `async` methods"),
    );
}

/// Names that would clash in what is generated.
fn check_names(item: &ItemTrait, errors: &mut Errors) {
    let (mut names, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for ident in item.items.iter().filter_map(method_ident) {
        let name = wire_name(ident);
        if RESERVED.contains(&name.as_str()) {
            errors.at(
                ident,
                format_args!(
                    "`{name}` is a method that `{}Ref` has already: name it otherwise",
                    item.ident
                ),
            );
        }
        let arguments = arguments_ident(&item.ident, ident);
        if !names.insert(name.clone()) {
            errors.at(ident, format_args!("the method `{name}` is there already"));
        } else if !taken.insert(arguments.to_string()) {
            errors.at(
                ident,
                format_args!("two methods make the name `{arguments}`: rename one of them"),
            );
        }
    }
}

fn method_ident(item: &TraitItem) -> Option<&Ident> {
    match item {
        TraitItem::Fn(method) => Some(&method.sig.ident),
        _ => None,
    }
}
