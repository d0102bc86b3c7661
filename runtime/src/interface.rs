//! What an interface is at run time: its written names, and the way from a name to the method.
//!
//! `#[greenroom::interface]` writes the implementations; nobody else needs to.

use std::fmt;
use std::future::Future;

use crate::failure::{Failure, FailureCode};
use crate::payload::{Arguments, Outcome};

/// A kind of actor as callers see it: the contract on the wire.
///
/// It prints as one line per method, sorted by name, each line ended, so that a golden file can
/// guard it. Reordering methods in the source does not change the contract and does not change the
/// text:
///
/// ```text
/// bank.account.balance() -> u64 ! AccountError   [read]
/// bank.account.deposit(amount: u64) -> u64 ! AccountError   [write]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceSpec {
    /// The kind's name on the wire: 1 to 64 bytes of `a-z 0-9 . _ -`, first a letter.
    pub kind: &'static str,
    /// The methods in the order of the source. Positions are only used inside one process.
    pub methods: &'static [MethodSpec],
}

/// One method of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodSpec {
    /// The method's name on the wire.
    pub name: &'static str,
    /// Whether a turn of it excludes others.
    pub access: Access,
    /// Whether it is let in when the calls of a turn of the same actor lead back to it, before others
    /// that wait; only a [`Access::Read`] method can be.
    pub reentrant: bool,
    /// The arguments, without the context.
    pub fields: &'static [FieldSpec],
    /// Whether it answers with a stream of values.
    pub streamed: bool,
    /// The Rust type of the value, or of each one of a stream, as written in the source.
    pub returns: &'static str,
    /// The Rust type of the method's own error, or `None` when it returns no `Result`.
    pub fails: Option<&'static str>,
}

/// One argument of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The argument's name on the wire.
    pub name: &'static str,
    /// Its Rust type, as written in the source but for white space.
    pub ty: &'static str,
}

/// How a method uses its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `&self`: may run beside other reads.
    Read,
    /// `&mut self`: runs alone.
    Write,
}

/// The contract of one kind of actor.
pub trait Interface: Send + Sync + 'static {
    /// Its written names.
    const SPEC: InterfaceSpec;
}

/// The way from a method's position to the method of the actor type `A`.
///
/// The runtime finds the position in [`InterfaceSpec::methods`] by the written name, so a position
/// never leaves the process. A position that is out of range, or whose method is of the other
/// access, is answered with [`FailureCode::UnknownMethod`].
pub trait Dispatch<A: crate::Actor>: Interface {
    /// Runs a method that takes `&self`.
    fn read<'a>(
        actor: &'a A,
        method: usize,
        context: &'a mut crate::Context,
        arguments: Arguments,
    ) -> impl Future<Output = Outcome> + Send + 'a;

    /// Runs a method that takes `&mut self`.
    fn write<'a>(
        actor: &'a mut A,
        method: usize,
        context: &'a mut crate::Context,
        arguments: Arguments,
    ) -> impl Future<Output = Outcome> + Send + 'a;
}

impl InterfaceSpec {
    /// The position and the declaration of the method of that name.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<(usize, &'static MethodSpec)> {
        self.methods.iter().enumerate().find(|(_, method)| method.name == name)
    }

    /// The answer to a call of a position that no method of this access has.
    pub fn refuse(&self, method: usize, access: Access) -> Outcome {
        let kind = self.kind;
        let message = match self.methods.get(method) {
            None => format!("`{kind}` has no method number {method}"),
            Some(other) => {
                let (name, declared) = (other.name, other.access);
                format!("`{kind}.{name}` is a {declared} method and was called as a {access} one")
            }
        };
        Outcome::Failed(Failure::new(FailureCode::UnknownMethod, message))
    }
}

impl fmt::Display for InterfaceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut methods: Vec<_> = self.methods.iter().collect();
        methods.sort_unstable_by_key(|method| method.name);
        methods.into_iter().try_for_each(|method| writeln!(f, "{}.{method}", self.kind))
    }
}

impl fmt::Display for MethodSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (position, field) in self.fields.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{}: {}", field.name, field.ty)?;
        }
        let stream = if self.streamed { "stream of " } else { "" };
        write!(f, ") -> {stream}{}", self.returns)?;
        if let Some(fails) = self.fails {
            write!(f, " ! {fails}")?;
        }
        let reentrant = if self.reentrant { ", reentrant" } else { "" };
        write!(f, "   [{}{reentrant}]", self.access)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: FieldSpec = FieldSpec { name: "amount", ty: "u64" };
    const NOTE: FieldSpec = FieldSpec { name: "note", ty: "Option<String>" };
    const SPEC: InterfaceSpec = InterfaceSpec {
        kind: "bank.account",
        methods: &[
            MethodSpec {
                name: "deposit",
                access: Access::Write,
                reentrant: false,
                fields: &[AMOUNT, NOTE],
                streamed: false,
                returns: "u64",
                fails: Some("AccountError"),
            },
            MethodSpec {
                name: "balance",
                access: Access::Read,
                reentrant: true,
                fields: &[],
                streamed: false,
                returns: "u64",
                fails: None,
            },
            MethodSpec {
                name: "changes",
                access: Access::Read,
                reentrant: false,
                fields: &[],
                streamed: true,
                returns: "Change",
                fails: None,
            },
        ],
    };

    fn refusal(method: usize, access: Access) -> String {
        match SPEC.refuse(method, access) {
            Outcome::Failed(failure) => {
                assert_eq!(failure.code, FailureCode::UnknownMethod);
                assert!(!failure.may_have_run);
                failure.message
            }
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[test]
    fn the_contract_prints_as_sorted_lines() {
        assert_eq!(
            SPEC.to_string(),
            "bank.account.balance() -> u64   [read, reentrant]\n\
             bank.account.changes() -> stream of Change   [read]\n\
             bank.account.deposit(amount: u64, note: Option<String>) -> u64 ! AccountError   [write]\n"
        );
    }

    #[test]
    fn a_method_is_found_by_its_exact_name() {
        assert_eq!(SPEC.method("balance").map(|(position, _)| position), Some(1));
        assert_eq!(SPEC.method("Balance"), None);
    }

    #[test]
    fn a_refusal_says_what_is_there() {
        assert_eq!(refusal(9, Access::Read), "`bank.account` has no method number 9");
        assert_eq!(
            refusal(0, Access::Read),
            "`bank.account.deposit` is a write method and was called as a read one"
        );
    }
}
