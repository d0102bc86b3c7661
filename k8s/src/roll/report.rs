//! What a rolling update was like.

use std::fmt;
use std::time::Duration;

use super::load::Calls;

/// Of a whole run.
#[derive(Debug)]
pub struct Report {
    /// Each pod in the order of rolling.
    pub pods: Vec<PodReport>,
    /// From the first pod's end to the last new one's being ready for long enough.
    pub took: Duration,
    /// What the clients saw.
    pub calls: Calls,
    /// For each ordinal, how long it was unready each time, while it was not being rolled.
    pub flaps: Vec<Vec<Duration>>,
}

/// Of a pod.
#[derive(Debug)]
pub struct PodReport {
    /// Its name.
    pub name: String,
    /// How the old process ended.
    pub ending: Ending,
    /// From the new process's start to the startup probe's success.
    pub started: Duration,
    /// From the new process's start to the readiness probe's success.
    pub ready: Duration,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ending {
    /// From SIGTERM on.
    pub took: Duration,
    /// Its exit status.
    pub status: String,
}

impl Report {
    /// Whether no call failed, and every node ended by itself and in peace.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let ended_well = |pod: &PodReport| pod.ending.status == "exit status: 0";
        self.calls.failed.is_empty() && self.pods.iter().all(ended_well)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14}{:>12}{:>12}{:>12}  ended with",
            "pod", "ended in", "live in", "ready in"
        )?;
        for pod in &self.pods {
            let (end, live, ready) = (pod.ending.took, pod.started, pod.ready);
            writeln!(
                f,
                "{:<14}{:>10.1} s{:>10.1} s{:>10.1} s  {}",
                pod.name,
                end.as_secs_f64(),
                live.as_secs_f64(),
                ready.as_secs_f64(),
                pod.ending.status
            )?;
        }
        for (ordinal, flaps) in self.flaps.iter().enumerate().filter(|(_, flaps)| !flaps.is_empty())
        {
            writeln!(f, "greenroom-{ordinal} was unready meanwhile for {flaps:.1?}")?;
        }
        let calls = &self.calls;
        let ms =
            |quantile| std::time::Duration::from_micros(calls.took_us.value_at_quantile(quantile));
        writeln!(f, "rolled in {:.0} s", self.took.as_secs_f64())?;
        writeln!(
            f,
            "{} calls: median {:.1?}, 99 % {:.1?}, 99.9 % {:.1?}, longest {:.1?}; {} told their client to take \
             another connection, {} were sent again because theirs had been closed",
            calls.made,
            ms(0.5),
            ms(0.99),
            ms(0.999),
            ms(1.0),
            calls.told_to_go,
            calls.sent_again
        )?;
        let failed: u64 = calls.failed.values().sum();
        write!(f, "{failed} calls failed")?;
        for (reason, count) in &calls.failed {
            write!(f, "\n{count:>8}  {reason}")?;
        }
        Ok(())
    }
}
