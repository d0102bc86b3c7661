//! What the attribute stands on.

#[greenroom::interface(kind = "bank.account")]
struct Account;

#[greenroom::interface(kind = "bank.account")]
impl Clone for u8 {}

fn main() {}
