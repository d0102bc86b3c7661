//! Finds the marks in the sources.

use std::fs;
use std::path::{Path, PathBuf};

use super::classes::{CLASSES, PROMISES};

const SIGN: &str = "Proves: ";
/// Folders with sources.
const FOLDERS: &[&str] =
    &["cluster", "examples", "inspector", "k8s", "proto", "runtime", "settings", "shardlock"];
/// How many lines of attributes and comments may stand between a mark and what it stands on.
const LINES_BETWEEN_MAX: usize = 12;

/// Something that proves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// From the root of the workspace.
    pub(crate) file: PathBuf,
    /// Of the test, the fault, the scenario or the file.
    pub(crate) name: String,
    /// Classes and promises.
    pub(crate) proves: Vec<String>,
}

/// All marks, by file.
pub(crate) fn collect(root: &Path) -> Vec<Mark> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources(&root.join(folder), &mut files);
    }
    files.sort();
    let here = Path::new(file!()).parent().expect("this file stands in a folder");
    let mut marks = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).expect("it stands below the root");
        if path.starts_with(here) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("sources can be read");
        marks.extend(Mark::read(path, &text).unwrap_or_else(|error| panic!("{error}")));
    }
    marks
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folders can be read") {
        let path = entry.expect("folders can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

impl Mark {
    /// The marks of a file.
    pub(crate) fn read(file: &Path, text: &str) -> Result<Vec<Self>, String> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut marks = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            let comment = ["//!", "///", "//"].iter().find_map(|sign| line.strip_prefix(sign));
            let Some(list) = comment.and_then(|text| text.trim().strip_prefix(SIGN)) else {
                continue;
            };
            let wrong = |why: String| format!("{}:{}: {why}", file.display(), place + 1);
            let proves: Vec<String> = list.split(',').map(|id| id.trim().to_owned()).collect();
            if let Some(unknown) = proves.iter().find(|id| !is_known(id)) {
                return Err(wrong(format!("`{unknown}` is no class and no promise")));
            }
            let name = if line.starts_with("//!") {
                file.file_stem().map(|stem| stem.to_string_lossy().into_owned())
            } else {
                let after = &lines[place + 1..];
                named(&after[..after.len().min(LINES_BETWEEN_MAX)])
            };
            let name = name.ok_or_else(|| wrong("it stands on no test and no name".to_owned()))?;
            marks.push(Self { file: file.to_owned(), name, proves });
        }
        Ok(marks)
    }
}

fn is_known(id: &str) -> bool {
    CLASSES.iter().any(|class| class.id == id) || PROMISES.iter().any(|promise| promise.id == id)
}

/// The name of a test, the first text in quotes, or the name of a variant, whichever comes first.
fn named(lines: &[&str]) -> Option<String> {
    let mut is_test = false;
    for line in lines {
        if line.starts_with("//") {
            continue;
        }
        if line.starts_with("#[") {
            is_test |= *line == "#[test]" || line.starts_with("#[tokio::test");
            continue;
        }
        if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split_once('(').map(|(name, _)| name.trim().to_owned());
            return name.filter(|_| is_test);
        }
        if let Some((_, rest)) = line.split_once('"') {
            return rest.split_once('"').map(|(name, _)| name.to_owned());
        }
        let variant = line.trim_end_matches([',', '{', ' ']);
        if variant.starts_with(|letter: char| letter.is_ascii_uppercase())
            && variant.chars().all(|letter| letter.is_ascii_alphanumeric())
        {
            return Some(variant.to_owned());
        }
    }
    None
}
