//! Arguments.

#[greenroom::interface(kind = "a")]
trait Types {
    async fn text(&self, name: &str);
    async fn bytes(&self, data: Option<&'static [u8]>);
    async fn exclusive(&self, count: &mut u64);
    async fn lifetime(&self, name: std::borrow::Cow<'_, str>);
    async fn open(&self, name: impl Into<String>);
    async fn inferred(&self, values: Vec<_>);
    async fn itself(&self, other: Self);
}

#[greenroom::interface(kind = "a")]
trait Patterns {
    async fn pair(&self, (a, b): (u64, u64));
    async fn nameless(&self, _: u64);
    async fn mutable(&self, mut count: u64);
    async fn twice(&self, count: u64, count: u64);
}

#[greenroom::interface(kind = "a")]
trait Contexts {
    async fn shared(&self, ctx: &greenroom::Context);
    async fn two(&self, ctx: &mut greenroom::Context, again: &mut greenroom::Context);
}

#[greenroom::interface(kind = "a")]
trait Attributes {
    async fn renamed(&self, #[serde(rename = "b")] a: u64);
    async fn both(&self, #[serde(default, flatten)] a: u64);
    async fn other(&self, #[allow(unused)] a: u64);
}

fn main() {}
