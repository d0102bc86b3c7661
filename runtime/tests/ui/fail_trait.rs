//! The trait's head, and members that are no methods.

#[greenroom::interface(kind = "a")]
trait Empty {}

#[greenroom::interface(kind = "a")]
trait Generic<T> {
    async fn read(&self);
}

#[greenroom::interface(kind = "a")]
trait Borrowing<'a> {
    async fn read(&self);
}

#[greenroom::interface(kind = "a")]
trait Bounded
where
    Self: Clone,
{
    async fn read(&self);
}

#[greenroom::interface(kind = "a")]
trait Above: Clone + Send {
    async fn read(&self);
}

#[greenroom::interface(kind = "a")]
unsafe trait Unsafe {
    async fn read(&self);
}

#[greenroom::interface(kind = "a")]
trait Members {
    type Item;
    const LIMIT: u64;
    make_methods!();
    async fn read(&self);
}

#[greenroom::interface(kind = "a")]
trait Conditional {
    #[cfg(unix)]
    async fn read(&self);
}

fn main() {}
