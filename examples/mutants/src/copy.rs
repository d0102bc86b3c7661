//! A copy of the workspace, in which one piece of one file is another at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::list::Mutant;

/// The copy.
pub(crate) struct Copy {
    root: PathBuf,
    original: PathBuf,
}

/// Where the sources are that `make` was called in.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the crate stands in examples").to_owned()
}

impl Copy {
    /// Copies what git knows, as it stands in the working tree.
    pub(crate) fn of_workspace() -> io::Result<Self> {
        let original = workspace();
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| original.join("target"), PathBuf::from);
        let root = target.join("mutants");
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let listed = Command::new("git").arg("ls-files").current_dir(&original).output()?;
        for file in String::from_utf8_lossy(&listed.stdout).lines() {
            let from = original.join(file);
            if !from.is_file() {
                continue;
            }
            let to = root.join(file);
            fs::create_dir_all(to.parent().unwrap_or(&root))?;
            fs::copy(from, to)?;
        }
        Ok(Self { root, original })
    }

    /// No copy at all, to look at what could be changed.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { root: PathBuf::new(), original: workspace() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// Whether the piece that the mutant changes is there exactly once.
    pub(crate) fn check(&self, mutant: &Mutant) -> Result<(), String> {
        self.mutated(mutant).map(drop)
    }

    fn mutated(&self, mutant: &Mutant) -> Result<String, String> {
        let text = self.read(mutant)?;
        match text.matches(mutant.old).count() {
            1 => Ok(text.replacen(mutant.old, mutant.new, 1)),
            count => Err(format!(
                "{}: its piece of {} is there {count} times, not once: {:?}",
                mutant.name, mutant.file, mutant.old
            )),
        }
    }

    fn read(&self, mutant: &Mutant) -> Result<String, String> {
        let path = self.original.join(mutant.file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn apply(&self, mutant: &Mutant) -> Result<(), String> {
        self.write(mutant, &self.mutated(mutant)?)
    }

    pub(crate) fn restore(&self, mutant: &Mutant) -> Result<(), String> {
        self.write(mutant, &self.read(mutant)?)
    }

    fn write(&self, mutant: &Mutant, text: &str) -> Result<(), String> {
        let path = self.root.join(mutant.file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
