//! The judges: each looks at one kind of evidence and says in words what is wrong with it. None
//! knows anything of the code under test but what a record in etcd and a line of a log look like.

pub mod answers;
pub mod counters;
pub mod history;
pub mod logs;

use std::collections::BTreeMap;

use crate::calls::Call;

/// Most violations of one judge that are told; one is enough to fail.
const TOLD_MAX: usize = 12;

/// Violations in words, the first few of them.
#[derive(Debug, Default)]
pub struct Violations {
    told: Vec<String>,
    more: usize,
}

impl Violations {
    /// Notes a violation.
    pub fn push(&mut self, violation: String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(violation);
        } else {
            self.more += 1;
        }
    }

    /// The violations, with a last line for those that were left out.
    #[must_use]
    pub fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more of that kind", self.more));
        }
        self.told
    }
}

/// The calls to each key, in the order in which they are given.
fn by_key(calls: &[Call]) -> BTreeMap<&str, Vec<&Call>> {
    let mut by_key: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        by_key.entry(&call.key).or_default().push(call);
    }
    by_key
}
