//! The double against a real etcd: random lists of requests are sent to both, and each answer must be
//! the same. Both live through all lists, so they also share a long history.
//!
//! `GREENROOM_WIRE_LISTS=1000` tries so many lists.

mod caller;
mod operations;
mod pair;

use std::cell::RefCell;
use std::env;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::operations::operations;
use self::pair::Pair;

/// Lists in the tests.
const LISTS: u32 = 60;

/// How long to look for a shorter list that shows the same difference.
const SHRINK_MS_MAX: u32 = 30_000;

#[test]
fn the_double_answers_as_etcd_does() {
    let lists = env::var("GREENROOM_WIRE_LISTS").ok();
    let cases = lists.map_or(LISTS, |lists| lists.parse().expect("GREENROOM_WIRE_LISTS: a number"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let pair = RefCell::new(runtime.block_on(Pair::start()));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_time: SHRINK_MS_MAX,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&operations(), |operations| {
        let mut pair = pair.borrow_mut();
        let ran = runtime.block_on(async {
            if !pair.is_in_step().await {
                *pair = Pair::start().await;
            }
            pair.run(&operations).await
        });
        ran.map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let pair = pair.into_inner();
    println!("{}", pair.counts());
    pair.counts().must_be_plenty();
}
