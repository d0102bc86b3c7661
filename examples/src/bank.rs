//! Bank accounts: the actors of the first example.

use greenroom::prelude::*;
use serde::{Deserialize, Serialize};

/// What anyone may ask of an account.
#[greenroom::interface(kind = "bank.account")]
pub trait Account {
    /// Adds money and returns the new balance.
    async fn deposit(&mut self, amount: u64) -> Result<u64, AccountError>;
    /// Takes money and returns the new balance.
    async fn withdraw(&mut self, amount: u64) -> Result<u64, AccountError>;
    /// Moves money to another account and returns the new balance of this one.
    async fn transfer(
        &mut self,
        ctx: &mut Context,
        to: String,
        amount: u64,
    ) -> Result<u64, AccountError>;
    /// Returns the balance.
    async fn balance(&self) -> u64;
}

/// Why an account refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountError {
    /// There is not so much money.
    Insufficient {
        /// What there is.
        balance: u64,
    },
    /// The balance would be more than an account can hold.
    TooMuch,
    /// The other account could not be reached; the money is still here.
    Unreachable(String),
    /// The other account did not answer: the money left here, and may or may not have arrived.
    Unknown(String),
}

impl std::fmt::Display for AccountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Insufficient { balance } => write!(f, "there are only {balance}"),
            Self::TooMuch => f.write_str("an account can't hold that much"),
            Self::Unreachable(why) => write!(f, "the other account can't be reached: {why}"),
            Self::Unknown(why) => write!(f, "the other account did not answer: {why}"),
        }
    }
}

/// An account in memory.
#[derive(Debug, Default)]
pub struct AccountActor {
    balance: u64,
}

impl Actor for AccountActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self::default())
    }
}

impl Account for AccountActor {
    async fn deposit(&mut self, amount: u64) -> Result<u64, AccountError> {
        self.balance = self.balance.checked_add(amount).ok_or(AccountError::TooMuch)?;
        Ok(self.balance)
    }

    async fn withdraw(&mut self, amount: u64) -> Result<u64, AccountError> {
        let left = self.balance.checked_sub(amount);
        self.balance = left.ok_or(AccountError::Insufficient { balance: self.balance })?;
        Ok(self.balance)
    }

    async fn transfer(
        &mut self,
        ctx: &mut Context,
        to: String,
        amount: u64,
    ) -> Result<u64, AccountError> {
        let unreachable = |failure: Failure| AccountError::Unreachable(failure.to_string());
        let other: AccountRef = ctx.actor(&to).map_err(unreachable)?;
        self.withdraw(amount).await?;
        match other.deposit(amount).await {
            Ok(_) => Ok(self.balance),
            Err(CallError::Actor(refused)) => {
                self.balance += amount;
                Err(refused)
            }
            Err(CallError::Failed(failure)) if failure.may_have_run => {
                Err(AccountError::Unknown(failure.to_string()))
            }
            Err(CallError::Failed(failure)) => {
                self.balance += amount;
                Err(unreachable(failure))
            }
        }
    }

    async fn balance(&self) -> u64 {
        self.balance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit test of an actor needs no cluster: it is a struct with async functions.
    #[tokio::test]
    async fn an_account_never_gives_more_than_it_has() {
        let mut account = AccountActor::default();
        assert_eq!(account.deposit(5).await, Ok(5));
        assert_eq!(account.withdraw(7).await, Err(AccountError::Insufficient { balance: 5 }));
        assert_eq!(account.withdraw(5).await, Ok(0));
        account.deposit(u64::MAX).await.unwrap();
        assert_eq!(account.deposit(1).await, Err(AccountError::TooMuch));
    }

    #[tokio::test]
    async fn money_that_can_not_be_moved_stays() {
        let mut account = AccountActor::default();
        account.deposit(5).await.unwrap();
        let mut ctx = greenroom::testing::context::<AccountRef>("alice");
        let refused = account.transfer(&mut ctx, "bob".into(), 3).await;
        assert!(matches!(refused, Err(AccountError::Unreachable(_))), "{refused:?}");
        assert_eq!(account.balance().await, 5);
    }
}
