//! What methods return.

#[greenroom::interface(kind = "a")]
trait Returns {
    async fn alias(&self) -> std::io::Result<u64>;
    async fn bare(&self) -> Result;
    async fn borrowed(&self) -> &str;
    async fn borrowed_within(&self) -> Result<Vec<&'static str>, String>;
    async fn lifetime(&self) -> std::borrow::Cow<'_, str>;
    async fn open(&self) -> impl Iterator<Item = u64>;
    async fn itself(&self) -> Result<Self, String>;
}

fn main() {}
