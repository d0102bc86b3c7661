//! The state of a gate, packed into the one word that every operation agrees on.
//!
//! ```text
//!  63                                25 24 23                      0
//! +------------------------------------+--+-------------------------+
//! |             generation             |c |         permits         |
//! +------------------------------------+--+-------------------------+
//! ```
//!
//! A permit belongs to the generation in which it was given. Opening begins a new generation, and so
//! does revoking; that alone makes all older permits invalid. Within one generation a gate goes from
//! open to closed and never back, so a word that says "open" never returns once it was left behind
//! by a close. 39 bits last for 8 years of a thousand reopenings a second, each after a revocation;
//! only a permit held for that long could meet its own generation again.

const PERMITS_BITS: u32 = 24;
const CLOSED_BIT: u64 = 1 << PERMITS_BITS;
const PERMITS_MASK: u64 = CLOSED_BIT - 1;
const GENERATION_SHIFT: u32 = PERMITS_BITS + 1;
const GENERATION_MASK: u64 = u64::MAX >> GENERATION_SHIFT;

/// How many permits one gate can have out at a time: 16,777,215.
pub const PERMITS_MAX: u32 = (1 << PERMITS_BITS) - 1;

/// One value of the state word. Plain data: nothing here is atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    /// Closed, nobody inside, generation 0: how every gate begins.
    pub(crate) const INITIAL: Self = Self(CLOSED_BIT);

    /// The bit that closes any word when it is or-ed in.
    pub(crate) const CLOSED: u64 = CLOSED_BIT;

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    pub(crate) const fn is_closed(self) -> bool {
        self.0 & CLOSED_BIT != 0
    }

    pub(crate) const fn permits(self) -> u32 {
        // The mask leaves 24 bits, which a u32 holds.
        (self.0 & PERMITS_MASK) as u32
    }

    /// Closed, and every permit is back or revoked.
    pub(crate) const fn is_drained(self) -> bool {
        self.is_closed() && self.permits() == 0
    }

    pub(crate) const fn closed(self) -> Self {
        Self(self.0 | CLOSED_BIT)
    }

    /// One permit more, or `None` when the count is full and would run into the closed bit.
    pub(crate) const fn one_more(self) -> Option<Self> {
        if self.permits() == PERMITS_MAX {
            return None;
        }
        Some(Self(self.0 + 1))
    }

    /// One permit less. Each permit of a generation leaves once, so there is one to give back.
    pub(crate) const fn one_less(self) -> Self {
        assert!(self.permits() > 0, "a permit was given back twice");
        Self(self.0 - 1)
    }

    /// The next generation, open, nobody inside.
    pub(crate) const fn next_open(self) -> Self {
        Self(self.next_generation())
    }

    /// The next generation, closed, nobody inside: all permits of this one are void.
    pub(crate) const fn next_closed(self) -> Self {
        Self(self.next_generation() | CLOSED_BIT)
    }

    const fn next_generation(self) -> u64 {
        ((self.generation() + 1) & GENERATION_MASK) << GENERATION_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERATION_MASK, GENERATION_SHIFT, PERMITS_MAX, Word};

    #[test]
    fn the_initial_word_is_closed_and_drained() {
        assert!(Word::INITIAL.is_drained());
        assert_eq!(Word::INITIAL.generation(), 0);
    }

    #[test]
    fn the_fields_do_not_touch_each_other() {
        let full = Word::from_bits(Word::INITIAL.next_open().bits() | u64::from(PERMITS_MAX));
        assert_eq!((full.generation(), full.is_closed(), full.permits()), (1, false, PERMITS_MAX));
        assert_eq!(full.one_more(), None);
        assert_eq!(full.closed().permits(), PERMITS_MAX);
        assert_eq!(full.closed().generation(), 1);
        assert!(!full.closed().is_drained());
        let one_less = full.one_less();
        assert_eq!((one_less.permits(), one_less.generation()), (PERMITS_MAX - 1, 1));
        assert_eq!(one_less.one_more(), Some(full));
    }

    #[test]
    fn a_new_generation_forgets_permits() {
        let busy = Word::INITIAL.next_open().one_more().unwrap();
        assert!(busy.next_closed().is_drained());
        assert_eq!(busy.next_closed().generation(), 2);
        assert_eq!(busy.next_open().permits(), 0);
        assert!(!busy.next_open().is_closed());
    }

    #[test]
    fn the_last_generation_is_followed_by_the_first() {
        let last = Word::from_bits(GENERATION_MASK << GENERATION_SHIFT);
        assert_eq!(last.next_open().generation(), 0);
        assert_eq!(last.next_closed(), Word::INITIAL);
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn no_permit_is_given_back_twice() {
        let _ = Word::INITIAL.one_less();
    }
}
