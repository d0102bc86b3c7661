//! A case: the same work for several contestants, run by run in turn, so that a noisy machine hurts
//! all of them alike.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::goal::Goal;
use crate::load::Sample;
use crate::system::Result;

/// How long to measure.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// Runs of each contestant; the report tells their median.
    pub(crate) runs: usize,
    /// Length of a run that is measured by time.
    pub(crate) span: Duration,
    /// Activations in a run.
    pub(crate) activations: usize,
    /// Divides the number of idle actors whose memory is measured.
    pub(crate) fewer_actors: usize,
    /// Actors of the case that fills a node.
    pub(crate) crowd: usize,
    /// Only contestants whose names contain this run; for a profiler.
    pub(crate) contestant: Option<String>,
}

impl Effort {
    pub(crate) fn takes(&self, name: &str) -> bool {
        let contestant = self.contestant.as_deref();
        contestant.is_none_or(|part| name.contains(part))
    }
}

/// What a contestant's figures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Greenroom: compared with the best rival of its case.
    Ours,
    Rival,
    /// Shows what the machine can do; nothing is compared with it.
    Orientation,
}

/// Which figures of a case are good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// What is measured. The name is stable: figures of different days are compared by it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// What Greenroom should reach, some day.
    pub(crate) goals: &'static [Goal],
}

/// One that takes part in a case.
pub(crate) trait Contestant: Send {
    fn name(&self) -> &'static str;

    fn role(&self) -> Role;

    /// One run.
    fn run(&mut self) -> BoxFuture<'_, Result<Sample>>;

    /// Ends what was started for the case.
    fn stop(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What a contestant showed in a case, over all runs.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) contestant: &'static str,
    pub(crate) role: Role,
    /// Medians over the runs, each for itself.
    pub(crate) sample: Sample,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

/// Runs all contestants in turn. One that fails is told of and left out.
pub(crate) async fn compete(
    case: &Case,
    mut contestants: Vec<Box<dyn Contestant>>,
    effort: &Effort,
    warm_up: bool,
) -> Vec<Finding> {
    let mut seen: Vec<Vec<Sample>> = contestants.iter().map(|_| Vec::new()).collect();
    for run in 0..effort.runs + usize::from(warm_up) {
        for (contestant, samples) in contestants.iter_mut().zip(&mut seen) {
            if !effort.takes(contestant.name()) {
                continue;
            }
            match contestant.run().await {
                Ok(_) if warm_up && run == 0 => {}
                Ok(sample) => samples.push(sample),
                Err(error) => {
                    eprintln!("{}: {} failed: {error}", case.name, contestant.name());
                }
            }
        }
    }
    let mut findings = Vec::new();
    for (contestant, samples) in contestants.into_iter().zip(seen) {
        findings.extend(finding(contestant.name(), contestant.role(), &samples));
        contestant.stop().await;
    }
    findings
}

fn finding(contestant: &'static str, role: Role, samples: &[Sample]) -> Option<Finding> {
    let values = || samples.iter().map(|sample| sample.value);
    Some(Finding {
        contestant,
        role,
        sample: Sample {
            value: median(values(), f64::total_cmp)?,
            p50: median(samples.iter().filter_map(|s| s.p50), Duration::cmp),
            p99: median(samples.iter().filter_map(|s| s.p99), Duration::cmp),
        },
        lowest: values().fold(f64::INFINITY, f64::min),
        highest: values().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// The middle value; of an even number, the lower of the two.
fn median<T: Copy>(
    values: impl Iterator<Item = T>,
    compare: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(compare);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(&'static str, Vec<Result<Sample>>);

    impl Contestant for Script {
        fn name(&self) -> &'static str {
            self.0
        }

        fn role(&self) -> Role {
            Role::Rival
        }

        fn run(&mut self) -> BoxFuture<'_, Result<Sample>> {
            let next = self.1.pop().expect("no more runs than asked for");
            Box::pin(async move { next })
        }

        fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    const CASE: Case = Case { name: "a case", unit: "calls/s", better: Better::More, goals: &[] };

    #[tokio::test]
    async fn warm_ups_failures_and_those_not_asked_for_are_left_out() {
        // Popped from the back: the warm-up is the 1000.
        let runs = [9.0, 1.0, 5.0, 1000.0].map(|value| Ok(Sample::plain(value)));
        let script: Box<dyn Contestant> = Box::new(Script("script", runs.into()));
        let failing: Box<dyn Contestant> =
            Box::new(Script("failing script", (0..4).map(|_| Err("on purpose".into())).collect()));
        let other: Box<dyn Contestant> = Box::new(Script("another", Vec::new()));
        let effort = Effort {
            runs: 3,
            span: Duration::ZERO,
            activations: 0,
            fewer_actors: 1,
            crowd: 1,
            contestant: Some("script".into()),
        };
        let findings = compete(&CASE, vec![script, failing, other], &effort, true).await;
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].sample.value, 5.0);
        assert_eq!((findings[0].lowest, findings[0].highest), (1.0, 9.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_a_value_that_was_seen() {
        assert_eq!(median([4, 1, 3, 2].into_iter(), Ord::cmp), Some(2));
        assert_eq!(median([7].into_iter(), Ord::cmp), Some(7));
        assert_eq!(median(std::iter::empty::<u8>(), Ord::cmp), None);
    }
}
