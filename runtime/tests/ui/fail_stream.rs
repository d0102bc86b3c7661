//! A stream is the whole reply, of a type that is written out.

#[greenroom::interface(kind = "feed")]
pub trait Feed {
    async fn nested(&self) -> Option<Streamed<u64>>;
    async fn bare(&self) -> Streamed;
    async fn borrowed(&self) -> Streamed<&str>;
    async fn taken(&self, items: Streamed<u64>);
    async fn of_streams(&self) -> Result<Streamed<Streamed<u64>>, String>;
}

fn main() {}
