//! Calls on witnesses, and the record of each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use greenroom::{Failure, Node};
use parking_lot::Mutex;

use crate::clock::machine_ns;
use crate::witness::{Testimony, WitnessRef};

/// How long a call may take, retries included: the default of a node.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a call asks of a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A turn that is counted.
    Turn,
    /// The count.
    Read,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whom it called.
    pub key: String,
    /// What it asked for.
    pub asks: Asks,
    /// When it was made, on [`machine_ns`].
    pub sent_ns: u64,
    /// When its end was known to the caller.
    pub answered_ns: u64,
    /// What it was given.
    pub timeout: Duration,
    /// It only asked whether its shard is served: its failure is no failure of the load.
    pub is_probe: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was answered: the turn is acknowledged.
    Testified(Testimony),
    /// It failed.
    Failed {
        /// The stable name of the failure.
        code: String,
        /// Whether the turn may have run.
        may_have_run: bool,
        /// What it says to people.
        message: String,
    },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = (self.answered_ns - self.sent_ns) / 1_000_000;
        let Self { key, sent_ns, .. } = self;
        match &self.outcome {
            Outcome::Testified(turn) => {
                write!(f, "{key}, sent at {sent_ns}, answered after {took} ms: {turn:?}")
            }
            Outcome::Failed { message, .. } => {
                let class = self.failure_class().unwrap_or_default();
                write!(f, "{key}, sent at {sent_ns}, failed after {took} ms: {class}: {message}")
            }
        }
    }
}

impl Call {
    /// What the witness said, if the call was answered.
    #[must_use]
    pub fn testimony(&self) -> Option<&Testimony> {
        match &self.outcome {
            Outcome::Testified(testimony) => Some(testimony),
            Outcome::Failed { .. } => None,
        }
    }

    /// Whether it failed and its turn may have run.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { may_have_run: true, .. })
    }

    /// Whether it failed and its turn may have been counted.
    #[must_use]
    pub fn may_have_counted(&self) -> bool {
        self.in_doubt() && self.asks == Asks::Turn
    }

    /// The class of its failure, as the report tells it.
    #[must_use]
    pub fn failure_class(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Testified(_) => None,
            Outcome::Failed { code, may_have_run: true, .. } => {
                Some(format!("{code} (may have run)"))
            }
            Outcome::Failed { code, .. } => Some(format!("{code} (did not run)")),
        }
    }
}

/// Makes calls through a node and notes every one of them. A clone notes in the same book.
#[derive(Clone, Debug)]
pub struct Caller {
    node: Node,
    book: Arc<Mutex<Vec<Call>>>,
}

impl Caller {
    /// A caller with an empty book.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node, book: Arc::default() }
    }

    /// A caller through another node that notes in the same book.
    #[must_use]
    pub fn through(&self, node: Node) -> Self {
        Self { node, book: Arc::clone(&self.book) }
    }

    /// Asks a witness for a turn or a reading of `hold_ms`, and notes what came of it; whether it was
    /// answered.
    pub async fn call(&self, key: &str, asks: Asks, hold_ms: u64, timeout: Duration) -> bool {
        self.noted(key, asks, hold_ms, timeout, false).await
    }

    /// Asks whether a key is served: a call whose failure is expected. Whether it was answered.
    pub async fn probe(&self, key: &str, timeout: Duration) -> bool {
        self.noted(key, Asks::Turn, 0, timeout, true).await
    }

    async fn noted(
        &self,
        key: &str,
        asks: Asks,
        hold_ms: u64,
        timeout: Duration,
        is_probe: bool,
    ) -> bool {
        let sent_ns = machine_ns();
        let outcome = self.outcome(key, asks, hold_ms, timeout).await;
        let answered_ns = machine_ns();
        let answered = matches!(outcome, Outcome::Testified(_));
        let key = key.to_owned();
        let call = Call { key, asks, sent_ns, answered_ns, timeout, is_probe, outcome };
        self.book.lock().push(call);
        answered
    }

    async fn outcome(&self, key: &str, asks: Asks, hold_ms: u64, timeout: Duration) -> Outcome {
        let witness: WitnessRef = match self.node.actor(key) {
            Ok(witness) => witness,
            Err(failure) => return failed(&failure),
        };
        let answered = match asks {
            Asks::Turn => witness.bear(hold_ms).timeout(timeout).await,
            Asks::Read => witness.look(hold_ms).timeout(timeout).await,
        };
        match answered {
            Ok(testimony) => Outcome::Testified(testimony),
            Err(error) => match error.into_actor() {
                Ok(never) => match never {},
                Err(failure) => failed(&failure),
            },
        }
    }

    /// How many calls have been answered since that moment.
    #[must_use]
    pub fn answered_since(&self, since_ns: u64) -> usize {
        let book = self.book.lock();
        book.iter()
            .filter(|call| call.answered_ns >= since_ns && call.testimony().is_some())
            .count()
    }

    /// All calls that have ended until now.
    #[must_use]
    pub fn book(&self) -> Vec<Call> {
        self.book.lock().clone()
    }

    /// The node that it calls through.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }
}

fn failed(failure: &Failure) -> Outcome {
    Outcome::Failed {
        code: failure.code.to_string(),
        may_have_run: failure.may_have_run,
        message: failure.message.clone(),
    }
}
