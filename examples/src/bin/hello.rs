//! The first actor, in one process with an embedded store.
//!
//! Run it with `cargo run -p greenroom-examples --bin hello`.

use greenroom::prelude::*;
use greenroom_examples::bank::{AccountActor, AccountRef};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::embedded().host(AccountRef::served_by::<AccountActor>()).start().await?;
    // Both accounts exist already, as every actor does; the first call brings them to life.
    let alice: AccountRef = node.actor("alice")?;
    let bob: AccountRef = node.actor("bob")?;
    alice.deposit(12).await?;
    alice.transfer("bob".to_owned(), 5).await?;
    println!("alice has {}, bob has {}", alice.balance().await?, bob.balance().await?);
    match alice.withdraw(100).await {
        Err(CallError::Actor(refused)) => println!("alice can't take 100: {refused}"),
        other => println!("unexpected: {other:?}"),
    }
    node.stop().await;
    Ok(())
}
