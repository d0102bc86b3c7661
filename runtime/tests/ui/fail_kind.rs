//! The attribute's options.

#[greenroom::interface]
trait Missing {
    async fn read(&self);
}

#[greenroom::interface(name = "bank.account")]
trait Unknown {
    async fn read(&self);
}

#[greenroom::interface(kind = "a", version = 2)]
trait UnknownBeside {
    async fn read(&self);
}

#[greenroom::interface(kind = "")]
trait Empty {
    async fn read(&self);
}

#[greenroom::interface(kind = "Bank.Account")]
trait Capital {
    async fn read(&self);
}

#[greenroom::interface(kind = "bank/account")]
trait Slash {
    async fn read(&self);
}

#[greenroom::interface(kind = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
trait Long {
    async fn read(&self);
}

#[greenroom::interface(kind = 5)]
trait Number {
    async fn read(&self);
}

#[greenroom::interface(kind = "a", kind = "b")]
trait Twice {
    async fn read(&self);
}

#[greenroom::interface("bank.account")]
trait Bare {
    async fn read(&self);
}

fn main() {}
