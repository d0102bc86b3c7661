//! `AccountInterface`: the written names, and the way from a position to the method.

use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

use super::Names;
use crate::model::{Access, Input, Interface, Method, arguments_ident, wire_name};
use crate::text::text;

pub(super) fn dispatch(kind: &LitStr, interface: &Interface, names: &Names) -> TokenStream {
    let (vis, ident, name) = (&interface.vis, &interface.ident, &names.interface);
    let doc = format!("The interface [`{ident}`] as a type: its written names and its dispatch.");
    let specs = interface.methods.iter().map(spec);
    let reads = arms(interface, Access::Read);
    let writes = arms(interface, Access::Write);
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #name;

        impl ::greenroom::Interface for #name {
            const SPEC: ::greenroom::__private::InterfaceSpec =
                ::greenroom::__private::InterfaceSpec {
                    kind: #kind,
                    methods: &[#(#specs),*],
                };
        }

        #[allow(deprecated, unused_variables, clippy::all, clippy::pedantic)]
        impl<ServingActor: #ident + ::greenroom::Actor> ::greenroom::Dispatch<ServingActor>
            for #name
        {
            async fn read<'a>(
                actor: &'a ServingActor,
                method: usize,
                context: &'a mut ::greenroom::Context,
                arguments: ::greenroom::__private::Arguments,
            ) -> ::greenroom::__private::Outcome {
                match method {
                    #reads
                    _ => <Self as ::greenroom::Interface>::SPEC
                        .refuse(method, ::greenroom::__private::Access::Read),
                }
            }

            async fn write<'a>(
                actor: &'a mut ServingActor,
                method: usize,
                context: &'a mut ::greenroom::Context,
                arguments: ::greenroom::__private::Arguments,
            ) -> ::greenroom::__private::Outcome {
                match method {
                    #writes
                    _ => <Self as ::greenroom::Interface>::SPEC
                        .refuse(method, ::greenroom::__private::Access::Write),
                }
            }
        }
    }
}

fn spec(method: &Method) -> TokenStream {
    let name = wire_name(&method.ident);
    let access = match method.access {
        Access::Read => quote!(Read),
        Access::Write => quote!(Write),
    };
    let reentrant = method.reentrant;
    let fields = method.arguments().map(|argument| {
        let (name, ty) = (wire_name(&argument.ident), text(&argument.ty));
        quote!(::greenroom::__private::FieldSpec { name: #name, ty: #ty })
    });
    let streamed = method.output.streamed;
    let returns = text(&method.output.value);
    let fails = match &method.output.error {
        Some(error) => {
            let error = text(error);
            quote!(::core::option::Option::Some(#error))
        }
        None => quote!(::core::option::Option::None),
    };
    quote! {
        ::greenroom::__private::MethodSpec {
            name: #name,
            access: ::greenroom::__private::Access::#access,
            reentrant: #reentrant,
            fields: &[#(#fields),*],
            streamed: #streamed,
            returns: #returns,
            fails: #fails,
        }
    }
}

/// One arm for each method of this access; the position is that among all methods.
fn arms(interface: &Interface, access: Access) -> TokenStream {
    let arms = interface.methods.iter().enumerate().map(|(position, method)| {
        (method.access == access).then(|| arm(interface, position, method))
    });
    quote!(#(#arms)*)
}

fn arm(interface: &Interface, position: usize, method: &Method) -> TokenStream {
    let (interface, ident) = (&interface.ident, &method.ident);
    let arguments = arguments_ident(interface, ident);
    let inputs = method.inputs.iter().map(|input| match input {
        Input::Context(_) => quote!(&mut *context),
        Input::Argument(argument) => {
            let field = &argument.ident;
            quote!(opened.#field)
        }
    });
    let reply = match (method.output.streamed, &method.output.error) {
        (false, Some(_)) => quote!(result),
        (false, None) => quote!(value),
        (true, Some(_)) => quote!(streamed_result),
        (true, None) => quote!(streamed),
    };
    quote! {
        #position => {
            let form = arguments.form();
            match arguments.open::<#arguments>() {
                ::core::result::Result::Ok(opened) => {
                    let answer =
                        <ServingActor as #interface>::#ident(actor #(, #inputs)*).await;
                    form.#reply(answer)
                }
                ::core::result::Result::Err(failure) => {
                    ::greenroom::__private::Outcome::Failed(failure)
                }
            }
        }
    }
}
