//! Keeps a trouble that lasts from filling the log.

use std::time::Duration;

use tokio::time::Instant;

/// How often a trouble that lasts is told again.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Whether it is time to tell of a trouble: at once when it begins, then now and then.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    told: Option<Instant>,
    untold: u64,
}

impl Quiet {
    /// The trouble occurred. Answers with how often it did so untold, when it is time to tell.
    pub(crate) fn occurred(&mut self) -> Option<u64> {
        if self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            self.untold += 1;
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.untold))
    }

    /// The trouble is over; its next beginning is told at once.
    pub(crate) fn over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lasting_trouble_is_told_at_once_and_then_now_and_then() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.occurred(), Some(0));
        assert_eq!((quiet.occurred(), quiet.occurred()), (None, None));
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!(quiet.occurred(), Some(2));
        quiet.over();
        assert_eq!(quiet.occurred(), Some(0));
    }
}
