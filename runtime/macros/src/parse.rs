//! Reads the attribute's options and the item beneath it.

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Item, ItemTrait, Lit, LitStr, Meta, Token};

use crate::errors::Errors;

/// Longest kind, in bytes; the same limit as that of an actor's id.
const KIND_LEN_MAX: usize = 64;

const USAGE: &str = "write `#[greenroom::interface(kind = \"bank.account\")]`";

/// The kind, from the attribute's options.
pub(crate) fn kind(options: TokenStream, errors: &mut Errors) -> Option<LitStr> {
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    let options = match parser.parse2(options) {
        Ok(options) => options,
        Err(error) => {
            errors.at_span(error.span(), format_args!("this option cannot be read: {USAGE}"));
            return None;
        }
    };
    let mut kind = None;
    let mut is_refused = false;
    for option in options {
        if !option.path().is_ident("kind") {
            errors
                .at(option.path(), format_args!("unknown option, the only one is `kind`: {USAGE}"));
            is_refused = true;
        } else if kind.is_some() {
            errors.at(option, "the kind is given twice: an interface has one written name");
        } else {
            match literal(&option) {
                Some(literal) => {
                    if let Err(message) = check_kind(&literal.value()) {
                        errors.at(&literal, message);
                    }
                    kind = Some(literal);
                }
                None => {
                    errors.at(option, format_args!("the kind must be a string literal: {USAGE}"));
                    is_refused = true;
                }
            }
        }
    }
    if kind.is_none() && !is_refused {
        errors.at_span(
            Span::call_site(),
            format_args!("an interface needs a kind, its written name on the wire: {USAGE}"),
        );
    }
    kind
}

/// The trait, if the item is one.
pub(crate) fn item_trait(item: TokenStream, errors: &mut Errors) -> Option<ItemTrait> {
    match syn::parse2(item) {
        Ok(Item::Trait(item)) => Some(item),
        Ok(other) => {
            errors.at(
                other,
                "an interface is a trait that lists what callers may ask of an actor: put \
                 `#[greenroom::interface]` on a `trait`",
            );
            None
        }
        Err(error) => {
            errors.add(error);
            None
        }
    }
}

fn literal(option: &Meta) -> Option<LitStr> {
    match option {
        Meta::NameValue(option) => match &option.value {
            Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Some(literal.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn check_kind(kind: &str) -> Result<(), String> {
    let Some(first) = kind.chars().next() else {
        return Err("the kind is empty: name the interface, such as `bank.account`".to_owned());
    };
    if kind.len() > KIND_LEN_MAX {
        let len = kind.len();
        return Err(format!("the kind has {len} bytes: at most {KIND_LEN_MAX} are allowed"));
    }
    if !first.is_ascii_lowercase() {
        return Err(format!(
            "the kind starts with `{first}`: it must start with a letter of `a-z`"
        ));
    }
    match kind.chars().find(|&c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')) {
        Some(wrong) => Err(format!(
            "the kind contains `{}`: only `a-z`, `0-9`, `.`, `_` and `-` are allowed",
            wrong.escape_debug()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn kinds_of_the_grammar_are_accepted() {
        let longest = "k".repeat(KIND_LEN_MAX);
        for kind in ["a", "bank.account", "a-1_b.2", &longest] {
            assert_eq!(check_kind(kind), Ok(()), "{kind}");
        }
    }

    #[test]
    fn kinds_outside_the_grammar_are_refused() {
        let too_long = "k".repeat(KIND_LEN_MAX + 1);
        for kind in ["", "Bank", "1a", ".a", "a b", "a/b", "bänk", "a\n", &too_long] {
            assert!(check_kind(kind).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn only_one_error_is_made_for_a_kind_of_the_wrong_form() {
        for options in [quote!(kind), quote!(kind = 5), quote!(kind("a")), quote!(name = "a")] {
            let mut errors = Errors::default();
            assert!(kind(options, &mut errors).is_none());
            let error = errors.into_result().unwrap_err();
            assert_eq!(error.into_iter().count(), 1);
        }
    }
}
