//! Writes the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::classes::{CLASSES, PROMISES};
use super::layers::{MEANINGS, command, layer};
use super::marks::Mark;

/// Mutants by their class.
type Mutants = BTreeMap<String, Vec<String>>;

/// The deliberate breakages, which name their class.
pub(crate) fn mutants(root: &Path) -> Mutants {
    let mut mutants = Mutants::new();
    let folder = root.join("examples/mutants/src");
    let mut files = vec![folder.join("list.rs")];
    if let Ok(more) = fs::read_dir(folder.join("list")) {
        files.extend(more.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let quoted = |line: &str, field: &str| {
        let rest = line.trim().strip_prefix(field)?.trim().strip_prefix('"')?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    for file in files {
        let text = fs::read_to_string(&file).expect("the list of mutants can be read");
        let mut name = None;
        for line in text.lines() {
            name = quoted(line, "name:").or(name);
            if let (Some(class), Some(name)) = (quoted(line, "class:"), &name) {
                mutants.entry(class).or_default().push(name.clone());
            }
        }
    }
    mutants
}

/// Both tables, and what the layers are.
pub(crate) fn tables(marks: &[Mark], mutants: &Mutants) -> String {
    let mut text = String::from("### By promise\n\n| promise | layer | proofs |\n|---|---|---|\n");
    for promise in PROMISES {
        rows(
            &mut text,
            &format!("**{}** {}", promise.id, promise.what),
            &proofs(marks, promise.id),
        );
    }
    text += "\n### By class of failure\n\n| class | layer | proofs |\n|---|---|---|\n";
    for class in CLASSES {
        let mut proofs = proofs(marks, class.id);
        if let Some(names) = mutants.get(class.id) {
            let names = names.iter().map(|name| format!("`{name}`"));
            proofs.push(("mutants".to_owned(), names.collect()));
        }
        rows(&mut text, &format!("**{}** {}", class.id, class.what), &proofs);
    }
    text += "\n### Not yet\n\n";
    let open: Vec<_> =
        CLASSES.iter().filter_map(|class| Some((class.id, class.not_yet?))).collect();
    for (id, why) in &open {
        put(&mut text, format_args!("- {id} is proved in one layer only: {why}\n"));
    }
    if open.is_empty() {
        text += "Each class that concerns ownership is proved in two layers or more.\n";
    }
    text += "\n### The layers\n\n| layer | what runs | command |\n|---|---|---|\n";
    let mut commands: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mark in marks {
        commands.entry(layer(&mark.file)).or_default().insert(command(&mark.file));
    }
    commands.entry("mutants".to_owned()).or_default().insert("make mutants ARGS=NAME".to_owned());
    for (layer, commands) in commands {
        let meaning = MEANINGS.iter().find(|(known, _)| *known == layer);
        let meaning = match meaning {
            Some((_, meaning)) => meaning,
            None if layer == "mutants" => {
                "one line of the protocol broken, which a test must notice"
            }
            None => "see its own README",
        };
        let commands: Vec<String> =
            commands.into_iter().map(|command| format!("`{command}`")).collect();
        put(&mut text, format_args!("| {layer} | {meaning} | {} |\n", commands.join("<br>")));
    }
    text
}

/// The proofs by layer, each with a link to where it stands.
fn proofs(marks: &[Mark], id: &str) -> Vec<(String, Vec<String>)> {
    let mut layers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mark in marks.iter().filter(|mark| mark.proves.iter().any(|proved| proved == id)) {
        let link = format!("[`{}`]({})", mark.name, mark.file.display());
        layers.entry(layer(&mark.file)).or_default().push(link);
    }
    layers.into_iter().collect()
}

fn rows(text: &mut String, what: &str, proofs: &[(String, Vec<String>)]) {
    for (place, (layer, names)) in proofs.iter().enumerate() {
        let what = if place == 0 { what } else { "" };
        put(text, format_args!("| {what} | {layer} | {} |\n", names.join(", ")));
    }
    if proofs.is_empty() {
        put(text, format_args!("| {what} | none | |\n"));
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes everything");
}
