//! The state of a gate, packed into the one word that every operation agrees on.
//!
//! ```text
//!  63         54 53                         22  21  20  19                    0
//! +-------------+-----------------------------+---+---+------------------------+
//! |   entries   |          generation         | c | w |        permits         |
//! +-------------+-----------------------------+---+---+------------------------+
//! ```
//!
//! `c`: the gate is closed. `w`: a writer holds it or waits for it.
//!
//! A permit belongs to the generation in which it was given. Opening begins a new generation, and so
//! does revoking; that alone makes all older permits invalid. 32 bits last for 49 days of a thousand
//! reopenings a second; only a permit held for that long could meet its own generation again.
//!
//! `entries` counts permits given, so that counting costs no instruction of its own: it is moved on
//! by the same swap that takes a permit. It stands at the top, where its overflow vanishes; whoever
//! sees it come round to 0 adds [`ENTRIES_SPAN`] to a counter beside the word.

use std::fmt;

const PERMITS_BITS: u32 = 20;
const PERMITS_MASK: u64 = (1 << PERMITS_BITS) - 1;
const WRITER_BIT: u64 = 1 << PERMITS_BITS;
const CLOSED_BIT: u64 = WRITER_BIT << 1;
const GENERATION_SHIFT: u32 = PERMITS_BITS + 2;
const ENTRIES_SHIFT: u32 = GENERATION_SHIFT + 32;
const ENTRY: u64 = 1 << ENTRIES_SHIFT;
const GENERATION_MASK: u64 = (ENTRY - 1) & !(CLOSED_BIT | WRITER_BIT | PERMITS_MASK);

/// How many permits one gate can have out at a time: 1,048,575.
pub const PERMITS_MAX: u32 = PERMITS_MASK as u32;

/// After so many entries the count in the word begins anew.
pub(crate) const ENTRIES_SPAN: u64 = 1 << (u64::BITS - ENTRIES_SHIFT);

/// One value of the state word. Plain data: nothing here is atomic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// Closed, nobody inside, generation 0: how every gate begins.
    pub(crate) const INITIAL: Self = Self(CLOSED_BIT);

    /// The bit that closes any word when it is or-ed in.
    pub(crate) const CLOSED: u64 = CLOSED_BIT;

    /// The bit that keeps new readers out when it is or-ed in.
    pub(crate) const WRITER: u64 = WRITER_BIT;

    pub(crate) const fn entries(self) -> u64 {
        self.0 >> ENTRIES_SHIFT
    }

    pub(crate) const fn permits(self) -> u32 {
        // The mask leaves 20 bits, which a u32 holds.
        (self.0 & PERMITS_MASK) as u32
    }

    pub(crate) const fn is_closed(self) -> bool {
        self.0 & CLOSED_BIT != 0
    }

    /// Whether a writer holds the gate or waits for it.
    pub(crate) const fn has_writer(self) -> bool {
        self.0 & WRITER_BIT != 0
    }

    /// Whether readers who come now are kept out: one test of two bits.
    pub(crate) const fn is_barred(self) -> bool {
        self.0 & (CLOSED_BIT | WRITER_BIT) != 0
    }

    /// Closed, and every permit is back or revoked.
    pub(crate) const fn is_drained(self) -> bool {
        self.is_closed() && self.permits() == 0
    }

    pub(crate) const fn same_generation(self, other: Self) -> bool {
        (self.0 ^ other.0) & GENERATION_MASK == 0
    }

    /// `readers` more of them inside; the caller sees to it that there is room for the permits.
    pub(crate) const fn entered(self, readers: u32) -> Self {
        let readers = readers as u64;
        // Entries beyond the top vanish there.
        Self(self.0.wrapping_add(readers.wrapping_mul(ENTRY) + readers))
    }

    /// What the counter beside the word must grow by when so many have entered at this word.
    pub(crate) const fn spilled(self, readers: u32) -> u64 {
        (self.entries() + readers as u64) / ENTRIES_SPAN * ENTRIES_SPAN
    }

    /// One permit less. Each permit of a generation leaves once, so there is one to give back.
    pub(crate) const fn one_less(self) -> Self {
        assert!(self.permits() > 0, "a permit was given back twice");
        Self(self.0 - 1)
    }

    pub(crate) const fn without_writer(self) -> Self {
        Self(self.0 & !WRITER_BIT)
    }

    /// The next generation, open, nobody inside. A writer stays.
    pub(crate) const fn next_open(self) -> Self {
        Self(self.next_generation().0 & !CLOSED_BIT)
    }

    /// The next generation, nobody inside: all permits of this one are void. The rest stays.
    pub(crate) const fn next_generation(self) -> Self {
        let next = self.0.wrapping_add(1 << GENERATION_SHIFT) & GENERATION_MASK;
        Self(self.0 & !(GENERATION_MASK | PERMITS_MASK) | next)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("entries", &self.entries())
            .field("generation", &((self.0 & GENERATION_MASK) >> GENERATION_SHIFT))
            .field("closed", &self.is_closed())
            .field("writer", &self.has_writer())
            .field("permits", &self.permits())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES_SPAN, GENERATION_MASK, PERMITS_MAX, Word};

    #[test]
    fn the_initial_word_is_closed_and_drained() {
        assert!(Word::INITIAL.is_drained() && Word::INITIAL.is_barred());
        assert!(!Word::INITIAL.has_writer());
        assert_eq!(Word::INITIAL.entries(), 0);
    }

    #[test]
    fn the_fields_do_not_touch_each_other() {
        let full = Word(Word::INITIAL.next_open().0 | u64::from(PERMITS_MAX));
        assert_eq!((full.is_barred(), full.permits(), full.entries()), (false, PERMITS_MAX, 0));
        let closed = Word(full.0 | Word::CLOSED);
        assert!(closed.is_closed() && !closed.is_drained() && closed.permits() == PERMITS_MAX);
        assert!(Word(full.0 | Word::WRITER).has_writer());
        assert_eq!(Word(full.0 | Word::WRITER).without_writer(), full);
        let less = full.one_less();
        assert!(less.same_generation(full) && less.permits() == PERMITS_MAX - 1);
        let again = less.entered(1);
        assert_eq!((again.permits(), again.entries()), (PERMITS_MAX, 1));
        assert!(again.same_generation(full) && !again.is_barred());
    }

    #[test]
    fn the_count_of_entries_comes_round_and_says_so() {
        let mut word = Word::INITIAL.next_open();
        let mut spilled = 0;
        for _ in 0..3 * ENTRIES_SPAN + 5 {
            spilled += word.spilled(1);
            let next = word.entered(1);
            assert!(next.same_generation(word));
            word = next.one_less();
        }
        assert_eq!((spilled, word.entries(), word.permits()), (3 * ENTRIES_SPAN, 5, 0));
        assert_eq!(word.spilled(2 * ENTRIES_SPAN as u32), 2 * ENTRIES_SPAN);
        assert_eq!(word.entered(2 * ENTRIES_SPAN as u32).entries(), 5);
    }

    #[test]
    fn a_new_generation_forgets_permits_and_keeps_the_rest() {
        let busy = Word(Word::INITIAL.next_open().entered(3).0 | Word::WRITER);
        let void = Word(busy.0 | Word::CLOSED).next_generation();
        assert!(void.is_drained() && void.has_writer() && !void.same_generation(busy));
        assert_eq!(void.entries(), 3);
        let open = void.next_open();
        assert!(!open.is_closed() && open.has_writer() && open.permits() == 0);
    }

    #[test]
    fn the_last_generation_is_followed_by_the_first() {
        let last = Word(GENERATION_MASK).entered(2);
        assert!(last.next_generation().same_generation(Word::INITIAL));
        assert_eq!((last.next_generation().permits(), last.next_generation().entries()), (0, 2));
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn no_permit_is_given_back_twice() {
        let _ = Word::INITIAL.one_less();
    }
}
