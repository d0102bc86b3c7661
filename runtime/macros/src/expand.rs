//! Writes the code of an interface that has passed every check.
//!
//! Every name is an absolute path, and what only generated code needs comes from
//! `::greenroom::__private`. Only the user's own types are looked up where the trait stands.

mod address;
mod dispatch;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::LitStr;

use crate::model::{Input, Interface, Method, arguments_ident};

pub(crate) fn interface(kind: &LitStr, interface: &Interface) -> TokenStream {
    let names = Names::of(interface);
    let declaration = declaration(interface);
    let arguments = interface.methods.iter().map(|method| arguments(interface, method));
    let dispatch = dispatch::dispatch(kind, interface, &names);
    let address = address::address(kind, interface, &names);
    quote! {
        #declaration
        #(#arguments)*
        #dispatch
        #address
    }
}

/// The names of what is generated.
struct Names {
    /// `AccountInterface`
    interface: Ident,
    /// `AccountRef`
    address: Ident,
}

impl Names {
    fn of(interface: &Interface) -> Self {
        Self {
            interface: format_ident!("{}Interface", interface.ident),
            address: format_ident!("{}Ref", interface.ident),
        }
    }
}

/// The trait itself, with the futures' `Send` written out: a call may be continued on any thread.
fn declaration(interface: &Interface) -> TokenStream {
    let Interface { attrs, vis, ident, methods } = interface;
    let methods = methods.iter().map(|method| {
        let Method { attrs, ident, receiver, inputs, .. } = method;
        let inputs = inputs.iter().map(|input| match input {
            Input::Context(context) => quote!(#context),
            Input::Argument(argument) => {
                let (name, ty) = (&argument.ident, &argument.ty);
                quote!(#name: #ty)
            }
        });
        let output = &method.output.whole;
        quote! {
            #(#attrs)*
            fn #ident(#receiver #(, #inputs)*)
                -> impl ::core::future::Future<Output = #output> + ::core::marker::Send;
        }
    });
    quote! {
        #(#attrs)*
        #vis trait #ident:
            ::core::marker::Send + ::core::marker::Sync + 'static
        {
            #(#methods)*
        }
    }
}

/// The struct that carries a method's arguments, by name.
fn arguments(interface: &Interface, method: &Method) -> TokenStream {
    let vis = &interface.vis;
    let name = arguments_ident(&interface.ident, &method.ident);
    let fields = method.arguments().map(|argument| {
        let (attrs, ident, ty) = (&argument.attrs, &argument.ident, &argument.ty);
        quote!(#(#attrs)* #ident: #ty)
    });
    quote! {
        #[doc(hidden)]
        #[allow(dead_code, clippy::all, clippy::pedantic)]
        #[derive(
            ::greenroom::__private::serde::Serialize,
            ::greenroom::__private::serde::Deserialize
        )]
        #[serde(crate = "::greenroom::__private::serde")]
        #vis struct #name {
            #(#fields,)*
        }
    }
}
