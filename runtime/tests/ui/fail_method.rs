//! What stands around a method's name, and its receiver.

#[greenroom::interface(kind = "a")]
trait Qualified {
    fn not_async(&self);
    async unsafe fn not_safe(&self);
    const fn constant(&self);
    async extern "C" fn foreign(&self);
    async fn with_body(&self) -> u64 {
        5
    }
    async fn generic<T>(&self, value: T);
    async fn lifetime<'a>(&'a self);
    async fn bounded(&self)
    where
        Self: Clone;
}

#[greenroom::interface(kind = "a")]
trait Received {
    async fn none(amount: u64);
    async fn by_value(self);
    async fn boxed(self: Box<Self>);
}

#[greenroom::interface(kind = "a")]
trait Marked {
    #[reentrant]
    async fn exclusive(&mut self);
    #[reentrant(always)]
    async fn with_options(&self);
}

fn main() {}
