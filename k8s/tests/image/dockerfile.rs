//! As much of the Dockerfile and of `.dockerignore` as theirs use.

use std::fs;
use std::path::{Path, PathBuf};

/// A line of a stage, its continuation included: `RUN` and what follows.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// From one `FROM` to the next.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Image and tag.
    pub(crate) base: String,
    pub(crate) name: Option<String>,
    pub(crate) instructions: Vec<Instruction>,
}

impl Stage {
    /// What stands behind each instruction of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.instructions.iter().filter(|it| it.name == name);
        found.map(|instruction| &*instruction.text).collect()
    }

    /// The same of an instruction that stands there once.
    pub(crate) fn one(&self, name: &str) -> &str {
        let found = self.all(name);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0]
    }

    /// The commands of an `ENTRYPOINT` or the like, which must not need a shell.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        let text = self.one(name);
        serde_json::from_str(text).unwrap_or_else(|_| panic!("{name} {text} needs a shell"))
    }
}

/// The stages of the Dockerfile, first to last.
pub(crate) fn stages() -> Vec<Stage> {
    let text = fs::read_to_string(top().join("Dockerfile")).expect("a Dockerfile");
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines.join("\n").replace("\\\n", " ").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            ["FROM", base] => stages.push(stage(base, None)),
            ["FROM", base, "AS", name] => stages.push(stage(base, Some(name))),
            [name, ..] => stages
                .last_mut()
                .expect("FROM comes first")
                .instructions
                .push(Instruction { name: name.to_owned(), text: words[1..].join(" ") }),
        }
    }
    stages
}

fn stage(base: &str, name: Option<&str>) -> Stage {
    Stage { base: base.to_owned(), name: name.map(str::to_owned), instructions: Vec::new() }
}

/// The folder that `docker build .` sends.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("k8s stands in the root").to_owned()
}

/// Paths that are not sent, from the top.
pub(crate) fn ignored() -> Vec<PathBuf> {
    let text = fs::read_to_string(top().join(".dockerignore")).expect("a .dockerignore");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let path = |line: &str| {
        let plain = line.strip_prefix('/').filter(|path| !path.contains(['*', '?', '!', '[']));
        PathBuf::from(plain.unwrap_or_else(|| panic!("{line} is not a plain path from the top")))
    };
    lines.map(path).collect()
}

/// Whether a path, from the top, is sent.
pub(crate) fn is_sent(path: &Path) -> bool {
    !ignored().iter().any(|ignored| path.starts_with(ignored))
}
