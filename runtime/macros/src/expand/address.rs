//! `AccountRef`: the location-free address, with one method per method of the trait.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, LitStr};

use super::Names;
use crate::model::{Interface, Method, arguments_ident};

pub(super) fn address(kind: &LitStr, interface: &Interface, names: &Names) -> TokenStream {
    let Names { interface: interface_name, address } = names;
    let (vis, ident) = (&interface.vis, &interface.ident);
    let doc = format!(
        "The address of one `{}` actor, wherever it is: calls on it are those of [`{ident}`].",
        kind.value()
    );
    let served_by_doc =
        format!("The kind `{}` as the actor type serves it, for a node to host.", kind.value());
    let calls = interface
        .methods
        .iter()
        .enumerate()
        .map(|(position, method)| call(interface, names, position, method));
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #address {
            actor: ::greenroom::ActorRef,
        }

        impl ::greenroom::Address for #address {
            const KIND: &'static str = #kind;

            fn from_actor(actor: ::greenroom::ActorRef) -> Self {
                Self { actor }
            }

            fn actor(&self) -> &::greenroom::ActorRef {
                &self.actor
            }
        }

        // Most programs use only some of an interface: a node that hosts calls nothing, a caller
        // hosts nothing.
        #[allow(dead_code, clippy::all, clippy::pedantic)]
        impl #address {
            #[doc = #served_by_doc]
            #[must_use]
            #vis fn served_by<ServingActor: #ident + ::greenroom::Actor>() -> ::greenroom::Kind {
                ::greenroom::Kind::new::<ServingActor, #interface_name>()
            }

            /// Which actor of its kind this is.
            #[must_use]
            #vis fn key(&self) -> &str {
                self.actor.key()
            }

            #(#calls)*
        }
    }
}

fn call(interface: &Interface, names: &Names, position: usize, method: &Method) -> TokenStream {
    let (vis, interface_name, ident) = (&interface.vis, &names.interface, &method.ident);
    let attrs = attributes(method);
    let arguments = arguments_ident(&interface.ident, ident);
    let parameters = method.arguments().map(|argument| {
        let (name, ty) = (&argument.ident, &argument.ty);
        quote!(#name: #ty)
    });
    let fields = method.arguments().map(|argument| &argument.ident);
    let value = &method.output.value;
    let error = match &method.output.error {
        Some(error) => quote!(#error),
        None => quote!(::core::convert::Infallible),
    };
    let (value, take) = match (method.output.streamed, &method.output.error) {
        (false, Some(_)) => (quote!(#value), quote!(take)),
        (false, None) => (quote!(#value), quote!(take_value)),
        (true, Some(_)) => (quote!(::greenroom::Items<#value>), quote!(take_items)),
        (true, None) => (quote!(::greenroom::Items<#value>), quote!(take_plain_items)),
    };
    quote! {
        #(#attrs)*
        #vis fn #ident(&self #(, #parameters)*)
            -> ::greenroom::Call<'_, #arguments, #value, #error>
        {
            ::greenroom::Call::new(
                &self.actor,
                &<#interface_name as ::greenroom::Interface>::SPEC.methods[#position],
                #position,
                #arguments { #(#fields),* },
                ::greenroom::__private::Outcome::#take,
            )
        }
    }
}

/// What callers should read too: the method's words, and that it is deprecated.
fn attributes(method: &Method) -> Vec<Attribute> {
    let is_shared =
        |attr: &&Attribute| attr.path().is_ident("doc") || attr.path().is_ident("deprecated");
    let mut attrs: Vec<_> = method.attrs.iter().filter(is_shared).cloned().collect();
    if !attrs.iter().any(|attr| attr.path().is_ident("doc")) {
        let doc = format!("Calls `{}`.", method.ident);
        attrs.push(syn::parse_quote!(#[doc = #doc]));
    }
    attrs
}
