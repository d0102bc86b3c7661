//! What the macro asks of a type, going by how it is written.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    GenericArgument, Lifetime, PathArguments, Type, TypeImplTrait, TypeInfer, TypePath,
    TypeReference,
};

use crate::text::text;

/// Something in a type that cannot travel to another node.
pub(crate) struct Obstacle {
    pub(crate) tokens: TokenStream,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// A reference or a lifetime; with the owned type to write in its place, if that is plain.
    Borrow(Option<String>),
    ImplTrait,
    Infer,
    SelfType,
    /// A `Streamed<T>` that is not the whole reply.
    Streamed,
}

/// The first part of the type, from the left, that cannot travel.
pub(crate) fn obstacle(ty: &Type) -> Option<Obstacle> {
    let mut search = Search { found: None };
    search.visit_type(ty);
    search.found
}

struct Search {
    found: Option<Obstacle>,
}

impl Search {
    fn found(&mut self, tokens: impl ToTokens, what: What) {
        self.found.get_or_insert_with(|| Obstacle { tokens: tokens.into_token_stream(), what });
    }
}

impl<'ast> Visit<'ast> for Search {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.found(reference, What::Borrow(Some(owned(&reference.elem))));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        // `Cow<'static, str>` is read back as an owned value.
        if lifetime.ident != "static" {
            self.found(lifetime, What::Borrow(None));
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.found(ty, What::ImplTrait);
    }

    fn visit_type_infer(&mut self, ty: &'ast TypeInfer) {
        self.found(ty, What::Infer);
    }

    fn visit_type_path(&mut self, path: &'ast TypePath) {
        match path.path.segments.first() {
            Some(first) if first.ident == "Self" => self.found(first, What::SelfType),
            _ if path.path.segments.last().is_some_and(|last| last.ident == "Streamed") => {
                self.found(path, What::Streamed);
            }
            _ => visit::visit_type_path(self, path),
        }
    }
}

/// The owned type that people mean by a reference to this one.
fn owned(referent: &Type) -> String {
    match referent {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        other => text(other),
    }
}

/// Whether the type is `&mut …Context`, by the last segment of the path.
pub(crate) fn is_context(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => {
            reference.mutability.is_some() && names_context(&reference.elem)
        }
        _ => false,
    }
}

/// Whether the type is `&…Context`, where `mut` was forgotten.
pub(crate) fn is_shared_context(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => {
            reference.mutability.is_none() && names_context(&reference.elem)
        }
        _ => false,
    }
}

fn names_context(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == "Context")
}

/// What the type is if its last path segment is `Result`.
pub(crate) enum ResultForm<'t> {
    None,
    Full(&'t Type, &'t Type),
    /// An alias that hides a type, or something else that is called `Result`.
    Hidden,
}

pub(crate) fn result_form(ty: &Type) -> ResultForm<'_> {
    let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
        return ResultForm::None;
    };
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return ResultForm::Hidden;
    };
    let mut arguments = arguments.args.iter();
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(GenericArgument::Type(value)), Some(GenericArgument::Type(error)), None) => {
            ResultForm::Full(value, error)
        }
        _ => ResultForm::Hidden,
    }
}

/// What the type is if its last path segment is `Streamed`.
pub(crate) enum StreamedForm<'t> {
    None,
    Of(&'t Type),
    /// Without the type of its items, or with more than that.
    Unclear,
}

pub(crate) fn streamed_form(ty: &Type) -> StreamedForm<'_> {
    let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Streamed") else {
        return StreamedForm::None;
    };
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return StreamedForm::Unclear;
    };
    let mut arguments = arguments.args.iter();
    match (arguments.next(), arguments.next()) {
        (Some(GenericArgument::Type(item)), None) => StreamedForm::Of(item),
        _ => StreamedForm::Unclear,
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Paren(paren) => last_segment(&paren.elem),
        Type::Group(group) => last_segment(&group.elem),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_travel_is_found_at_any_depth() {
        for (source, is_obstacle) in [
            ("u64", false),
            ("Vec<Option<String>>", false),
            ("Cow<'static, str>", false),
            ("&str", true),
            ("Vec<(u8, &'static [u8])>", true),
            ("Cow<'_, str>", true),
            ("Vec<impl Clone>", true),
            ("Vec<_>", true),
            ("Option<Self>", true),
            ("Self::Item", true),
            ("Option<Streamed<u8>>", true),
        ] {
            let ty: Type = syn::parse_str(source).expect("a type");
            assert_eq!(obstacle(&ty).is_some(), is_obstacle, "{source}");
        }
    }

    #[test]
    fn the_owned_type_is_the_usual_one() {
        for (source, expected) in [("&str", "String"), ("&mut [u8]", "Vec<u8>"), ("&a::B", "a::B")]
        {
            let ty: Type = syn::parse_str(source).expect("a type");
            match obstacle(&ty).map(|obstacle| obstacle.what) {
                Some(What::Borrow(Some(owned))) => assert_eq!(owned, expected),
                _ => panic!("{source} is borrowed"),
            }
        }
    }

    #[test]
    fn a_result_needs_two_written_types() {
        let form = |source: &str| {
            let ty: Type = syn::parse_str(source).expect("a type");
            match result_form(&ty) {
                ResultForm::None => "none".to_owned(),
                ResultForm::Hidden => "hidden".to_owned(),
                ResultForm::Full(value, error) => format!("{} ! {}", text(value), text(error)),
            }
        };
        assert_eq!(form("Result<u8, E>"), "u8 ! E");
        assert_eq!(form("::std::result::Result<(), Vec<u8>>"), "() ! Vec<u8>");
        assert_eq!(form("io::Result<u8>"), "hidden");
        assert_eq!(form("Result"), "hidden");
        assert_eq!(form("Option<Result<u8, E>>"), "none");
        assert_eq!(form("fmt::ResultKind<u8, E>"), "none");
    }
}
