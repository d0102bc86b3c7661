//! One trait's errors come together, those of its options included.

#[greenroom::interface(kind = "Bank")]
trait Account: Clone {
    async fn deposit(&mut self, note: &str) -> Result<u64>;
    fn balance(self) -> u64;
    async fn key(&self, (a, b): (u64, u64)) {}
}

fn main() {}
