//! Waiting with a deadline: what a wait looks at meanwhile, and what it tells.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    Blocker, Gates, Side, Wait, WaitEnd,
    sync::Ordering::{Acquire, Relaxed},
};

/// However short a hold may be, those who wait look no more often than this.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(1);

/// One attempt that may have to wait. Tells how it ended when it is dropped.
pub(crate) struct Patience<'a> {
    pub(crate) gates: &'a Gates,
    pub(crate) shard: u32,
    side: Side,
    deadline: Instant,
    /// When the waiting began, if it had to.
    began: Option<Instant>,
    pub(crate) end: WaitEnd,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(gates: &'a Gates, shard: u32, side: Side, deadline: Instant) -> Self {
        Self { gates, shard, side, deadline, began: None, end: WaitEnd::Cancelled }
    }

    /// What was waited for; `None` at the deadline. What is there already is taken, however late.
    pub(crate) async fn wait<F: Future + Unpin>(&mut self, waiting: &mut F) -> Option<F::Output> {
        if let Some(answer) = now_or_never(waiting).await {
            return Some(answer);
        }
        let began = Instant::now();
        self.began = Some(began);
        let mut warn_at = began.checked_add(self.gates.options.warn_after);
        loop {
            // Nobody tells those who wait that another one holds the gate now, who may be stuck in
            // its turn: so they look now and then.
            let again_in = self.gates.options.hold_max.max(LOOK_AGAIN_MIN);
            let again_at = Instant::now().checked_add(again_in);
            let look_at = [warn_at, self.holder_overdue_at(), again_at];
            let look_at = look_at.into_iter().flatten().fold(self.deadline, Ord::min);
            if let Ok(answer) = timeout_at(look_at, &mut *waiting).await {
                return Some(answer);
            }
            let now = Instant::now();
            // The holder's time may be up. That needs nobody else to say so.
            self.gates.end_overdue(self.shard, now);
            if now >= self.deadline {
                return now_or_never(waiting).await;
            }
            if warn_at.is_some_and(|at| at <= now) {
                warn_at = None;
                self.warn(now.duration_since(began));
            }
        }
    }

    fn holder_overdue_at(&self) -> Option<Instant> {
        let gate = self.gates.gate(self.shard);
        gate.look(|queue| queue.holder?.overdue_at).flatten()
    }

    fn warn(&self, waited: Duration) {
        let (shard, side) = (self.shard, self.side.as_str());
        let blocker = self.gates.blocker(self.shard);
        tracing::warn!(shard, side, ?waited, %blocker, "a gate is waited for unusually long");
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        // Readers are counted at their gate.
        if self.side == Side::Write {
            let refused = u64::from(self.end != WaitEnd::Granted);
            self.gates.tally.writes.fetch_add(1, Relaxed);
            self.gates.tally.writes_refused.fetch_add(refused, Relaxed);
        }
        if let (Some(began), Some(on_wait)) = (self.began, &self.gates.options.on_wait) {
            let lasted = began.elapsed();
            on_wait(&Wait { shard: self.shard, side: self.side, lasted, end: self.end });
        }
    }
}

impl Gates {
    /// What keeps others out of the gate.
    pub(crate) fn blocker(&self, shard: u32) -> Blocker {
        let gate = self.gate(shard);
        if let Some(holder) = gate.look(|queue| queue.holder).flatten() {
            let held = holder.since.elapsed();
            return Blocker::Writer { who: holder.claim.who, at: holder.claim.at, held };
        }
        match gate.word(Acquire).permits() {
            0 => Blocker::Nothing,
            permits => Blocker::Readers { permits },
        }
    }
}

/// Looks once.
async fn now_or_never<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
