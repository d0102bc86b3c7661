//! Checks one method.

use std::collections::BTreeSet;

use proc_macro2::Ident;
use syn::{
    Attribute, FnArg, Pat, PatType, Receiver, ReceiverKind, ReturnType, Safety, Signature,
    TraitItemFn, Type, parse_quote,
};

use crate::errors::Errors;
use crate::model::{Access, Argument, Input, Method, Output, wire_name};
use crate::types::{self, Obstacle, ResultForm, StreamedForm, What};

pub(super) fn method(declared: &TraitItemFn, errors: &mut Errors) -> Option<Method> {
    let sig = &declared.sig;
    check_cfg(&declared.attrs, errors);
    check_qualifiers(declared, errors);
    if let Some(body) = &declared.default {
        errors.at(
            body,
            "a method of an interface has no body: it is declared here and written in the \
             actor's `impl`",
        );
    }
    let receiver = receiver(sig, errors);
    let inputs = inputs(sig, errors);
    let output = output(&sig.output, errors);
    let mut attrs = declared.attrs.clone();
    let reentrant = reentrant(&mut attrs, receiver.map(|(_, access)| access), errors);
    let (receiver, access) = receiver?;
    Some(Method {
        attrs,
        ident: sig.ident.clone(),
        receiver: receiver.clone(),
        access,
        reentrant,
        inputs: inputs?,
        output: output?,
    })
}

/// Takes the mark `#[reentrant]` off the method; whether it was there.
fn reentrant(attrs: &mut Vec<Attribute>, access: Option<Access>, errors: &mut Errors) -> bool {
    let is_mark = |attr: &Attribute| attr.path().is_ident("reentrant");
    let marks: Vec<Attribute> = attrs.iter().filter(|attr| is_mark(attr)).cloned().collect();
    attrs.retain(|attr| !is_mark(attr));
    for mark in &marks {
        if mark.meta.require_path_only().is_err() {
            errors.at(mark, "this mark has no options: write `#[reentrant]`");
        }
        if access == Some(Access::Write) {
            errors.at(
                mark,
                "a reentrant method takes `&self`: it runs inside a turn of the same actor, and \
                 `&mut self` would have it for itself",
            );
        }
    }
    !marks.is_empty()
}

/// Unlike one on the trait, a `#[cfg]` on a method has not been decided when the macro sees it.
fn check_cfg(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
        errors.at(
            attr,
            "a method cannot depend on `#[cfg]`: the interface would differ between nodes that \
             are built differently",
        );
    }
}

/// What stands around the name.
fn check_qualifiers(declared: &TraitItemFn, errors: &mut Errors) {
    let sig = &declared.sig;
    let name = wire_name(&sig.ident);
    if let Some(token) = &declared.modifiers.defaultness {
        errors.at(token, "a method of an interface cannot be `default`");
    }
    if let Some(token) = &sig.constness {
        errors.at(token, "a method of an interface cannot be `const`: it runs on the actor's node");
    }
    if let Safety::Unsafe(_) | Safety::Safe(_) = &sig.safety {
        errors.at(
            &sig.safety,
            "a method of an interface cannot be `unsafe`: callers on other nodes can prove nothing",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "a method of an interface cannot be `extern`: it has a name on the wire");
    }
    if sig.asyncness.is_none() {
        errors.at(
            sig.fn_token,
            format_args!(
                "a method of an interface is `async`, because the actor may live on another \
                 node: write `async fn {name}`"
            ),
        );
    }
    if !sig.generics.params.is_empty() {
        errors.at(
            &sig.generics,
            "a method of an interface has no generics and no lifetimes: its arguments must be of \
             types that can be read from the wire",
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.at(clause, "a method of an interface has no `where` clause");
    }
    if let Some(variadic) = &sig.variadic {
        errors.at(variadic, "a method of an interface has a fixed list of arguments");
    }
}

fn receiver<'s>(sig: &'s Signature, errors: &mut Errors) -> Option<(&'s Receiver, Access)> {
    const ADVICE: &str = "write `&mut self` for an exclusive turn, or `&self` to run beside reads";
    let Some(receiver) = sig.receiver() else {
        errors.at(
            &sig.ident,
            format_args!("a method of an interface is asked of an actor: {ADVICE}"),
        );
        return None;
    };
    for attr in &receiver.attrs {
        errors.at(attr, "`self` has no attributes in an interface");
    }
    match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, mutability) => {
            if let Some(lifetime) = lifetime {
                errors.at(lifetime, "a method of an interface has no lifetimes");
            }
            let access = if mutability.is_some() { Access::Write } else { Access::Read };
            Some((receiver, access))
        }
        _ => {
            errors.at(
                receiver,
                format_args!("an actor outlives each call, so no method can take it: {ADVICE}"),
            );
            None
        }
    }
}

fn inputs(sig: &Signature, errors: &mut Errors) -> Option<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut names = BTreeSet::new();
    let mut has_context = false;
    let mut is_whole = true;
    for input in &sig.inputs {
        let FnArg::Typed(input) = input else { continue };
        let Some(ident) = plain_name(input, errors) else {
            is_whole = false;
            continue;
        };
        let name = wire_name(ident);
        if !names.insert(name.clone()) {
            errors.at(ident, format_args!("two arguments are named `{name}`"));
        }
        if types::is_context(&input.ty) {
            if has_context {
                errors.at(input, "the context is there already: a method takes it once");
            }
            has_context = true;
            for attr in &input.attrs {
                errors.at(attr, "the context has no attributes: it is not sent");
            }
            inputs.push(Input::Context(input.clone()));
        } else {
            check_attributes(&input.attrs, errors);
            check_argument(&input.ty, errors);
            inputs.push(Input::Argument(Argument {
                attrs: input.attrs.clone(),
                ident: ident.clone(),
                ty: input.ty.clone(),
            }));
        }
    }
    is_whole.then_some(inputs)
}

fn plain_name<'i>(input: &'i PatType, errors: &mut Errors) -> Option<&'i Ident> {
    match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            let name = &pat.ident;
            if pat.mutability.is_none() {
                return Some(name);
            }
            errors.at(
                pat,
                format_args!(
                    "an argument of an interface is a plain name: write `{name}` here, and \
                     `mut {name}` in the actor's `impl`"
                ),
            );
        }
        pat => errors.at(
            pat,
            "an argument of an interface is a plain name, since it is a name on the wire: give \
             it one, and take it apart in the actor's `impl`",
        ),
    }
    None
}

/// Only `#[serde(default)]` is let through: other attributes would change what is on the wire
/// behind the contract's back.
fn check_attributes(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs {
        let mut is_default = attr.path().is_ident("serde");
        if is_default {
            let parsed = attr.parse_nested_meta(|meta| {
                is_default &= meta.path.is_ident("default");
                if meta.input.peek(syn::Token![=]) {
                    meta.value()?.parse::<syn::LitStr>()?;
                }
                Ok(())
            });
            is_default &= parsed.is_ok();
        }
        if !is_default {
            errors.at(
                attr,
                "the only attribute that an argument of an interface can have is \
                 `#[serde(default)]`, for one that older callers do not send",
            );
        }
    }
}

fn check_argument(ty: &Type, errors: &mut Errors) {
    if types::is_shared_context(ty) {
        errors.at(
            ty,
            "the context is taken as `&mut Context`; any other argument must be owned, since it \
             may travel to another node",
        );
    } else {
        check_travels("an argument", ty, errors);
    }
}

/// Whether values of the type can go to another node, going by how it is written.
fn check_travels(subject: &str, ty: &Type, errors: &mut Errors) -> bool {
    let Some(Obstacle { tokens, what }) = types::obstacle(ty) else {
        return true;
    };
    let must_be_owned = format!("{subject} may travel to another node, so it must be owned");
    let message = match what {
        What::Borrow(Some(owned)) => format!("{must_be_owned}: write `{owned}`"),
        What::Borrow(None) => format!("{must_be_owned}: it cannot have a lifetime"),
        What::ImplTrait => format!(
            "{subject} may travel to another node, so its type must be known there: name the \
             type in place of `impl`"
        ),
        What::Infer => format!("the type of {subject} must be written out"),
        What::SelfType => {
            "`Self` is the actor, which only its own node has: name a type that can travel"
                .to_owned()
        }
        What::Streamed => "a stream is the whole reply: write `Streamed<T>`, or \
                           `Result<Streamed<T>, E>` if the method may refuse before the first item"
            .to_owned(),
    };
    errors.at(tokens, message);
    false
}

fn output(output: &ReturnType, errors: &mut Errors) -> Option<Output> {
    let whole: Type = match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    let (value, error) = match types::result_form(&whole) {
        ResultForm::None => (whole.clone(), None),
        ResultForm::Full(value, error) => (value.clone(), Some(error.clone())),
        ResultForm::Hidden => {
            if !check_travels("a reply", &whole, errors) {
                return None;
            }
            errors.at(
                whole,
                "write both types of the result out, as in `Result<u64, AccountError>`: callers \
                 must see which error they get",
            );
            return None;
        }
    };
    let (value, streamed) = match types::streamed_form(&value) {
        StreamedForm::None => (value, false),
        StreamedForm::Of(item) => (item.clone(), true),
        StreamedForm::Unclear => {
            errors.at(value, "write the type of the items, as in `Streamed<Event>`");
            return None;
        }
    };
    let travels = check_travels("a reply", &value, errors)
        && error.iter().all(|error| check_travels("a reply", error, errors));
    travels.then_some(Output { whole, value, streamed, error })
}
