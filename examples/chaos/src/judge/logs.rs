//! What the nodes' own logs say.

use std::fs;
use std::path::Path;

/// What was found in the logs of all processes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTally {
    /// Nodes that found their life over and joined again.
    pub fences: usize,
    /// Nodes that began to lead.
    pub elections: usize,
    /// Nodes that declared another one dead.
    pub burials: usize,
    /// Lines of level ERROR.
    pub errors: Vec<String>,
    /// Panics, with the line that tells them.
    pub panics: Vec<String>,
    /// Logs that could not be read.
    pub unread: Vec<String>,
}

impl LogTally {
    /// Reads all logs of a directory.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let mut tally = Self::default();
        match fs::read_dir(directory) {
            Ok(files) => {
                for file in files.flatten() {
                    let name = file.file_name().to_string_lossy().into_owned();
                    match fs::read_to_string(file.path()) {
                        Ok(log) => tally.read(&name, &log),
                        Err(error) => tally.unread.push(format!("{name} can't be read: {error}")),
                    }
                }
            }
            Err(error) => tally.unread.push(format!("the logs can't be read: {error}")),
        }
        tally
    }

    /// Takes the log of one process in; `name` goes before the lines that are kept.
    pub fn read(&mut self, name: &str, log: &str) {
        for line in log.lines() {
            self.fences += usize::from(line.contains("was declared dead; dropping"));
            self.elections += usize::from(line.contains("leads with term"));
            self.burials += usize::from(line.contains("declaring ") && line.contains(" dead"));
            if line.contains(" ERROR ") {
                self.errors.push(format!("{name}: {line}"));
            }
            if line.contains("panicked at") {
                self.panics.push(format!("{name}: {line}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_count_are_counted() {
        let log = "\
2026-01-01T00:00:00Z  INFO greenroom_cluster::told: leads with term 3
2026-01-01T00:00:01Z  WARN greenroom_cluster::told: declaring node-2#7 dead: heartbeat unchanged for 6s
2026-01-01T00:00:02Z  WARN greenroom_cluster::told: node-1#4 was declared dead; dropping its activations and joining again
2026-01-01T00:00:03Z ERROR greenroom_cluster::driver: something
thread 'main' panicked at src/x.rs:1:1:
2026-01-01T00:00:04Z  INFO greenroom_cluster::told: joined the cluster as node-1#9
";
        let mut tally = LogTally::default();
        tally.read("node-1", log);
        assert_eq!((tally.fences, tally.elections, tally.burials), (1, 1, 1));
        assert_eq!((tally.errors.len(), tally.panics.len()), (1, 1));
    }
}
