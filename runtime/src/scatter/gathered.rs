//! All answers, and those that are missing.

use std::error::Error;
use std::fmt;

use super::{Reply, Unlisted};
use crate::call::Address;
use crate::failure::CallError;

/// What came of many calls, nothing left out.
#[derive(Debug)]
#[must_use = "some calls may have failed"]
pub struct Gathered<R, T, E> {
    /// Who answered, and what; in the order in which the answers came.
    pub answered: Vec<(R, T)>,
    /// Who did not, and why; in the order in which the failures came.
    pub failed: Vec<(R, CallError<E>)>,
    /// Shards that could not be asked for their active actors; empty for targets that were given.
    pub unlisted: Vec<Unlisted>,
}

impl<R, T, E> Default for Gathered<R, T, E> {
    fn default() -> Self {
        Self { answered: Vec::new(), failed: Vec::new(), unlisted: Vec::new() }
    }
}

impl<R, T, E> Gathered<R, T, E> {
    pub(super) fn add(&mut self, (target, answer): Reply<R, T, E>) {
        match answer {
            Ok(answer) => self.answered.push((target, answer)),
            Err(error) => self.failed.push((target, error)),
        }
    }

    /// Whether everybody was found and answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.unlisted.is_empty()
    }

    /// The answers, if everybody was found and answered.
    ///
    /// # Errors
    /// Everything that came, when anything is missing.
    pub fn require_all(self) -> Result<Vec<(R, T)>, TooFew<R, T, E>> {
        if self.is_complete() {
            return Ok(self.answered);
        }
        let reached = self.answered.len();
        // Nobody knows how many actors the shards hold that could not be asked: at least one is
        // required of them all.
        let required = reached + self.failed.len() + usize::from(!self.unlisted.is_empty());
        Err(TooFew { required, reached, gathered: self })
    }

    /// The answers, if there are at least so many, whoever else failed.
    ///
    /// # Errors
    /// Everything that came, when there are fewer.
    pub fn require(self, answers: usize) -> Result<Vec<(R, T)>, TooFew<R, T, E>> {
        match self.answered.len() {
            reached if reached < answers => {
                Err(TooFew { required: answers, reached, gathered: self })
            }
            _ => Ok(self.answered),
        }
    }
}

/// Fewer answers came than are required.
#[derive(Debug)]
pub struct TooFew<R, T, E> {
    /// How many are required.
    pub required: usize,
    /// How many came, and were wanted.
    pub reached: usize,
    /// Everything that came.
    pub gathered: Gathered<R, T, E>,
}

impl<R: Address, T, E: fmt::Display> fmt::Display for TooFew<R, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { required, reached, gathered } = self;
        let Gathered { answered, failed, unlisted } = gathered;
        let calls = answered.len() + failed.len();
        write!(f, "{reached} of {calls} calls gave an answer that counts, {required} must")?;
        if let Some((target, error)) = failed.first() {
            write!(f, "; {} failed, first {}: {error}", failed.len(), target.actor().id())?;
        }
        if let Some(first) = unlisted.first() {
            let shards: usize = unlisted.iter().map(|unlisted| unlisted.shards.len()).sum();
            write!(f, "; active actors of {shards} shards are not known: {}", first.failure)?;
        }
        Ok(())
    }
}

impl<R, T, E> Error for TooFew<R, T, E>
where
    R: Address + fmt::Debug,
    T: fmt::Debug,
    E: fmt::Debug + fmt::Display,
{
}
