//! What Greenroom should reach in a case, and whether it did.

use std::time::Duration;

use serde::Serialize;

use crate::case::{Better, Case, Finding, Role};

/// What Greenroom should reach, some day.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many times as good as the best rival.
    Times(f64),
    /// So many times as good as the best of these.
    TimesBestOf(f64, &'static [&'static str]),
    /// So many times as good as this contestant.
    TimesOf(f64, &'static str),
    /// At least this figure.
    AtLeast(f64),
    /// At most this figure.
    AtMost(f64),
    /// Half of the calls take at most so many times as long as this contestant's.
    P50TimesOf(f64, &'static str),
    /// 99 % of the calls take less than so long.
    P99Below(Duration),
    /// 99 % of the calls take less time than those of every rival.
    P99BelowRivals,
}

/// A goal, and how far the run came, as it stands in the file.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) goal: String,
    /// What Greenroom showed: the case's figure, or a latency in microseconds.
    pub(crate) figure: f64,
    /// What that is compared with: another's figure, or the figure that was asked for.
    pub(crate) baseline: f64,
    /// Whose figure the baseline is; none when a figure was asked for.
    pub(crate) baseline_contestant: Option<&'static str>,
    /// The figure as a multiple of the baseline.
    pub(crate) ratio: f64,
    pub(crate) met: bool,
}

/// The rival whose figure is the best of the case.
pub(crate) fn best_rival(better: Better, findings: &[Finding]) -> Option<&Finding> {
    best(better, rivals(findings))
}

fn best<'a>(better: Better, of: impl Iterator<Item = &'a Finding>) -> Option<&'a Finding> {
    of.max_by(|a, b| {
        let (a, b) = (a.sample.value, b.sample.value);
        match better {
            Better::More => a.total_cmp(&b),
            Better::Less => b.total_cmp(&a),
        }
    })
}

fn rivals(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.role == Role::Rival)
}

impl Goal {
    /// How `ours` stands to this goal; none when nobody is there to be compared with.
    pub(crate) fn judge(
        self,
        case: &Case,
        ours: &Finding,
        findings: &[Finding],
    ) -> Option<Verdict> {
        let named = |name: &str| findings.iter().find(|finding| finding.contestant == name);
        let value = ours.sample.value;
        match self {
            Self::Times(times) => {
                let best = best_rival(case.better, findings)?;
                Some(multiple(case, times, value, best, "the best rival"))
            }
            Self::TimesBestOf(times, names) => {
                let those = findings.iter().filter(|other| names.contains(&other.contestant));
                let best = best(case.better, those)?;
                let whose = format!("the best of {}", names.join(" and "));
                Some(multiple(case, times, value, best, &whose))
            }
            Self::TimesOf(times, name) => Some(multiple(case, times, value, named(name)?, name)),
            Self::AtLeast(least) => {
                let goal = format!("at least {least} {}", case.unit);
                Some(verdict(goal, value, least, None, value >= least))
            }
            Self::AtMost(most) => {
                let goal = format!("at most {most} {}", case.unit);
                Some(verdict(goal, value, most, None, value <= most))
            }
            Self::P50TimesOf(times, name) => {
                let goal = format!("p50 at most {times}x {name}'s");
                let (p50, theirs) =
                    (microseconds(ours.sample.p50?), microseconds(named(name)?.sample.p50?));
                let met = p50 <= times * theirs;
                Some(verdict(goal, p50, theirs, Some(named(name)?.contestant), met))
            }
            Self::P99Below(most) => {
                let (p99, most) = (microseconds(ours.sample.p99?), microseconds(most));
                Some(verdict(format!("p99 below {most} us"), p99, most, None, p99 < most))
            }
            Self::P99BelowRivals => {
                let timed = rivals(findings)
                    .filter_map(|rival| Some((rival.contestant, microseconds(rival.sample.p99?))));
                let (name, theirs) = timed.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
                let p99 = microseconds(ours.sample.p99?);
                let goal = "p99 below every rival's".to_owned();
                Some(verdict(goal, p99, theirs, Some(name), p99 < theirs))
            }
        }
    }
}

fn multiple(case: &Case, times: f64, value: f64, other: &Finding, whose: &str) -> Verdict {
    let theirs = other.sample.value;
    let (goal, met) = match case.better {
        Better::More => (format!("at least {times}x {whose}"), value >= times * theirs),
        Better::Less => (format!("at most 1/{times} of {whose}"), value * times <= theirs),
    };
    verdict(goal, value, theirs, Some(other.contestant), met)
}

fn verdict(
    goal: String,
    figure: f64,
    baseline: f64,
    baseline_contestant: Option<&'static str>,
    met: bool,
) -> Verdict {
    Verdict { goal, figure, baseline, baseline_contestant, ratio: figure / baseline, met }
}

pub(crate) fn microseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Sample;

    fn finding(contestant: &'static str, role: Role, value: f64, us: u64) -> Finding {
        let (p50, p99) = (Duration::from_micros(us), Duration::from_micros(10 * us));
        let sample = Sample { value, p50: Some(p50), p99: Some(p99) };
        Finding { contestant, role, sample, lowest: value, highest: value }
    }

    fn judge(better: Better, goal: Goal, value: f64, us: u64) -> Option<Verdict> {
        let case = Case { name: "a case", unit: "u", better, goals: &[] };
        let findings = [
            finding("ours", Role::Ours, value, us),
            finding("slow", Role::Rival, 100.0, 8),
            finding("fast", Role::Rival, 200.0, 20),
            finding("bare", Role::Orientation, 1_000.0, 4),
        ];
        goal.judge(&case, &findings[0], &findings)
    }

    fn met(better: Better, goal: Goal, value: f64, us: u64) -> bool {
        judge(better, goal, value, us).unwrap().met
    }

    #[test]
    fn a_multiple_is_of_the_best_rival_and_of_nobody_else() {
        let verdict = judge(Better::More, Goal::Times(4.0), 799.0, 1).unwrap();
        assert_eq!((verdict.baseline_contestant, verdict.baseline), (Some("fast"), 200.0));
        assert!(!verdict.met);
        assert!(met(Better::More, Goal::Times(4.0), 800.0, 1));
        let verdict = judge(Better::Less, Goal::Times(2.0), 50.0, 1).unwrap();
        assert_eq!((verdict.baseline_contestant, verdict.met), (Some("slow"), true));
        assert!(!met(Better::Less, Goal::Times(2.0), 51.0, 1));
    }

    #[test]
    fn a_goal_can_name_who_it_is_compared_with() {
        assert!(met(Better::More, Goal::TimesOf(0.8, "bare"), 800.0, 1));
        let verdict = judge(Better::More, Goal::TimesOf(0.8, "bare"), 799.0, 1).unwrap();
        assert_eq!((verdict.ratio, verdict.met), (0.799, false));
        assert_eq!(verdict.goal, "at least 0.8x bare");
        assert!(met(Better::More, Goal::P50TimesOf(1.25, "bare"), 1.0, 5));
        assert!(!met(Better::More, Goal::P50TimesOf(1.25, "bare"), 1.0, 6));
    }

    #[test]
    fn a_goal_can_name_those_of_whom_the_best_counts() {
        let verdict = judge(Better::More, Goal::TimesBestOf(4.0, &["slow"]), 400.0, 1).unwrap();
        assert_eq!((verdict.baseline_contestant, verdict.met), (Some("slow"), true));
        let both = Goal::TimesBestOf(4.0, &["slow", "fast"]);
        let verdict = judge(Better::More, both, 400.0, 1).unwrap();
        assert_eq!((verdict.baseline_contestant, verdict.met), (Some("fast"), false));
        assert_eq!(verdict.goal, "at least 4x the best of slow and fast");
        assert_eq!(judge(Better::More, Goal::TimesBestOf(1.0, &["absent"]), 1.0, 1), None);
    }

    #[test]
    fn latencies_of_99_percent_are_compared_with_the_best_of_all_rivals() {
        // The slow one answers sooner: its 80 us count, not the fast one's 200 us.
        assert!(met(Better::More, Goal::P99BelowRivals, 1.0, 7));
        assert!(!met(Better::More, Goal::P99BelowRivals, 1.0, 8));
        assert!(met(Better::More, Goal::P99Below(Duration::from_millis(1)), 1.0, 99));
        assert!(!met(Better::More, Goal::P99Below(Duration::from_millis(1)), 1.0, 100));
    }

    #[test]
    fn a_figure_that_is_asked_for_needs_nobody_else() {
        assert!(met(Better::Less, Goal::AtMost(50.0), 50.0, 1));
        assert!(!met(Better::Less, Goal::AtMost(50.0), 51.0, 1));
        assert!(met(Better::More, Goal::AtLeast(50.0), 50.0, 1));
        assert!(!met(Better::More, Goal::AtLeast(50.0), 49.0, 1));
    }

    #[test]
    fn without_the_other_there_is_no_verdict() {
        assert_eq!(judge(Better::More, Goal::TimesOf(1.0, "absent"), 1.0, 1), None);
        assert_eq!(judge(Better::More, Goal::P50TimesOf(1.0, "absent"), 1.0, 1), None);
        let case = Case { name: "a case", unit: "u", better: Better::More, goals: &[] };
        let alone = [finding("ours", Role::Ours, 1.0, 1)];
        assert_eq!(Goal::Times(1.0).judge(&case, &alone[0], &alone), None);
        assert_eq!(Goal::P99BelowRivals.judge(&case, &alone[0], &alone), None);
    }
}
