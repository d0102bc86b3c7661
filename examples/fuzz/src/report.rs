//! What a run of libFuzzer says of itself.

use std::fmt::Write;
use std::path::PathBuf;

/// A run of one target.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) target: &'static str,
    pub(crate) log: PathBuf,
    /// The input at which it ended.
    pub(crate) finding: Option<PathBuf>,
    executions: u64,
    seconds: u64,
    /// Edges that the first inputs reached, and all.
    covered: Option<(u64, u64)>,
    /// Inputs that reach something which no other does.
    corpus: u64,
}

impl Run {
    pub(crate) fn of(target: &'static str, log: PathBuf) -> Self {
        Self { target, log, finding: None, executions: 0, seconds: 0, covered: None, corpus: 0 }
    }

    /// Takes in a line of its output.
    pub(crate) fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [number, "INITED" | "NEW" | "REDUCE" | "pulse" | "DONE", "cov:", edges, ..]
                if number.starts_with('#') =>
            {
                let edges = edges.parse().unwrap_or_default();
                let first = self.covered.map_or(edges, |(first, _)| first);
                self.covered = Some((first, edges));
                let corpus = words.iter().skip_while(|word| **word != "corp:").nth(1);
                let count = corpus.and_then(|corpus| corpus.split('/').next()?.parse().ok());
                self.corpus = count.unwrap_or(self.corpus);
            }
            ["Done", executions, "runs", "in", seconds, ..] => {
                self.executions = executions.parse().unwrap_or_default();
                self.seconds = seconds.parse().unwrap_or_default();
            }
            ["stat::number_of_executed_units:", executions] => {
                self.executions = executions.parse().unwrap_or(self.executions);
            }
            [.., "Test", "unit", "written", "to", path] => self.finding = Some(path.into()),
            _ => {}
        }
    }
}

/// All runs, one a line.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut text = String::from(
        "target      executions     a second   edges of seeds   edges   corpus   finding\n",
    );
    for run in runs {
        let Run { target, executions, seconds, corpus, .. } = run;
        let (first, last) = run.covered.unwrap_or_default();
        let rate = executions / seconds.max(&1);
        let finding = if run.finding.is_some() { "YES" } else { "none" };
        writeln!(
            text,
            "{target:10} {executions:>11} {rate:>12} {first:>16} {last:>7} {corpus:>8}   {finding}"
        )
        .expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_from_its_output() {
        let mut run = Run::of("frame", PathBuf::new());
        for line in [
            "INFO: seed corpus: files: 15 min: 1b max: 500b total: 1000b rss: 40Mb",
            "#16	INITED cov: 400 ft: 500 corp: 14/900b exec/s: 0 rss: 45Mb",
            "#900	NEW    cov: 410 ft: 520 corp: 15/950b lim: 500 exec/s: 0 rss: 45Mb L: 5/10 MS: 1",
            "#4000	DONE   cov: 420 ft: 530 corp: 16/960b lim: 500 exec/s: 2000 rss: 45Mb",
            "Done 4000 runs in 2 second(s)",
        ] {
            run.read(line);
        }
        assert_eq!((run.covered, run.corpus), (Some((400, 420)), 16));
        assert_eq!((run.executions, run.seconds), (4000, 2));
        assert_eq!(run.finding, None);
        run.read("artifact_prefix='f/'; Test unit written to f/crash-1");
        assert_eq!(run.finding, Some("f/crash-1".into()));
    }
}
