//! Names that would clash.

#[greenroom::interface(kind = "a")]
trait Reserved {
    async fn key(&self) -> String;
    async fn served_by(&self);
    async fn actor(&self);
    async fn from_actor(&self);
    async fn clone(&self);
    async fn r#fmt(&self);
}

#[greenroom::interface(kind = "a")]
trait Double {
    async fn deposit(&self);
    async fn deposit(&mut self, amount: u64);
}

#[greenroom::interface(kind = "a")]
trait Alike {
    async fn last_read(&self);
    async fn last__read(&self);
}

fn main() {}
