//! The trait of the guide, and everything that is allowed beside it.
#![deny(warnings, missing_docs, unreachable_pub, rust_2018_idioms)]
#![deny(refining_impl_trait, async_fn_in_trait, private_interfaces)]

use std::convert::Infallible;
use std::fmt;

use greenroom::prelude::*;
use greenroom::{Call, Interface, Items};
use serde::{Deserialize, Serialize};

/// Why an account refuses.
#[derive(Debug, Serialize, Deserialize)]
pub enum AccountError {
    /// There is not enough money.
    TooLittle,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What anyone may ask of an account.
#[greenroom::interface(kind = "bank.account")]
pub trait Account {
    /// Adds money and returns the new balance.
    async fn deposit(&mut self, amount: u64) -> Result<u64, AccountError>;
    /// Returns the balance.
    async fn balance(&self) -> Result<u64, AccountError>;
    /// Takes the context between its arguments, which are named as the macro's own variables.
    async fn transfer(
        &mut self,
        actor: String,
        ctx: &mut Context,
        arguments: Vec<(u64, Option<String>)>,
        #[serde(default)] form: bool,
    ) -> std::result::Result<(), AccountError>;
    /// Returns no result.
    async fn owner(&self, context: &mut greenroom::Context) -> String;
    /// Returns nothing.
    async fn close(&mut self);
    /// Has a raw name.
    async fn r#move(&mut self, r#type: std::borrow::Cow<'static, str>) -> [u8; 4];
    /// Answers with a stream.
    async fn history(&self, since: u64) -> Streamed<(u64, String)>;
    /// Answers with a stream, or refuses to.
    async fn audit(&mut self) -> Result<greenroom::Streamed<u64>, AccountError>;
    /// Is on its way out.
    #[deprecated = "use `balance`"]
    async fn old_balance(&self) -> u64;
}

struct AccountActor {
    balance: u64,
}

impl Actor for AccountActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self { balance: 0 })
    }
}

impl Account for AccountActor {
    async fn deposit(&mut self, amount: u64) -> Result<u64, AccountError> {
        self.balance += amount;
        Ok(self.balance)
    }

    async fn balance(&self) -> Result<u64, AccountError> {
        Ok(self.balance)
    }

    async fn transfer(
        &mut self,
        actor: String,
        _: &mut Context,
        mut arguments: Vec<(u64, Option<String>)>,
        form: bool,
    ) -> Result<(), AccountError> {
        arguments.push((1, Some(actor)));
        if form {
            Err(AccountError::TooLittle)
        } else {
            Ok(())
        }
    }

    async fn owner(&self, _: &mut Context) -> String {
        String::new()
    }

    async fn close(&mut self) {}

    async fn r#move(&mut self, r#type: std::borrow::Cow<'static, str>) -> [u8; 4] {
        [r#type.len() as u8; 4]
    }

    async fn history(&self, since: u64) -> Streamed<(u64, String)> {
        Streamed::new(futures_util::stream::iter([(since, String::new())]))
    }

    async fn audit(&mut self) -> Result<Streamed<u64>, AccountError> {
        Err(AccountError::TooLittle)
    }

    async fn old_balance(&self) -> u64 {
        self.balance
    }
}

/// The types that callers see.
pub fn calls(alice: &AccountRef) {
    let _: Call<'_, _, u64, AccountError> = alice.deposit(5);
    let _: Call<'_, _, u64, AccountError> = alice.balance();
    let _: Call<'_, _, (), AccountError> = alice.transfer("bob".into(), Vec::new(), true);
    let _: Call<'_, _, String, Infallible> = alice.owner();
    let _: Call<'_, _, (), Infallible> = alice.close();
    let _: Call<'_, _, [u8; 4], Infallible> = alice.r#move("x".into());
    let _: Call<'_, _, Items<(u64, String)>, Infallible> = alice.history(5);
    let _: Call<'_, _, Items<u64>, AccountError> = alice.audit();
    let _: &str = alice.key();
}

/// A trait that stands in a function, and is named as the macro's type parameter.
pub fn inside() {
    #[greenroom::interface(kind = "a-1_b.2")]
    trait ServingThing {
        async fn read(&self);
    }

    let _ = <ServingThingRef as Address>::KIND;
}

/// A trait that is left out takes everything that the macro would make of it along.
#[greenroom::interface(kind = "never")]
#[cfg(any())]
pub trait LeftOut {
    async fn read(&self) -> TypeThatDoesNotExist;
}

fn main() {
    let _: greenroom::Kind = AccountRef::served_by::<AccountActor>();
    assert_eq!(AccountRef::KIND, "bank.account");
    assert_eq!(
        AccountInterface::SPEC.to_string(),
        "bank.account.audit() -> stream of u64 ! AccountError   [write]\n\
         bank.account.balance() -> u64 ! AccountError   [read]\n\
         bank.account.close() -> ()   [write]\n\
         bank.account.deposit(amount: u64) -> u64 ! AccountError   [write]\n\
         bank.account.history(since: u64) -> stream of (u64, String)   [read]\n\
         bank.account.move(type: std::borrow::Cow<'static, str>) -> [u8; 4]   [write]\n\
         bank.account.old_balance() -> u64   [read]\n\
         bank.account.owner() -> String   [read]\n\
         bank.account.transfer(actor: String, arguments: Vec<(u64, Option<String>)>, form: bool) \
         -> () ! AccountError   [write]\n"
    );
    inside();
    let _ = calls;
}
