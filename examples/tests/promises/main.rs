//! The tables in `PROMISES.md`: which tests, models, simulated faults and scenarios prove what. They say so
//! themselves, in a comment right before them (or at the head of their file):
//!
//! ```text
//! Proves: C10, P1
//! ```
//!
//! This test collects these lines from all sources and holds the page equal to them, so a proof that is
//! gone is gone from the page. Write the page anew with
//! `GREENROOM_BLESS=1 cargo test -p greenroom-examples --test promises`.

mod classes;
mod layers;
mod marks;
mod page;

use std::fs;
use std::path::{Path, PathBuf};

use classes::{CLASSES, PROMISES};
use marks::{Mark, collect};

const PAGE: &str = "PROMISES.md";
const BEGIN: &str =
    "<!-- Written by `GREENROOM_BLESS=1 cargo test -p greenroom-examples --test promises`. -->";
const END: &str = "<!-- End of what is written. -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("examples stand in the root").to_owned()
}

#[test]
fn the_page_lists_what_the_proofs_say_of_themselves() {
    let marks = collect(&root());
    let tables = page::tables(&marks, &page::mutants(&root()));
    let path = root().join(PAGE);
    let text = fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = text.split_once(BEGIN).expect("the page has room for the tables");
    let (_, after) = rest.split_once(END).expect("the tables have an end");
    let fresh = format!("{before}{BEGIN}\n\n{tables}\n{END}{after}");
    if std::env::var_os("GREENROOM_BLESS").is_some() {
        fs::write(&path, fresh).expect("the page can be written");
        return;
    }
    assert!(fresh == text, "{PAGE} is out of date; run this test with GREENROOM_BLESS=1");
}

#[test]
fn each_class_that_concerns_ownership_is_proved_in_two_layers() {
    let marks = collect(&root());
    for class in CLASSES.iter().filter(|class| class.concerns_ownership) {
        let layers = layers::of(&marks, class.id);
        let enough = layers.len() >= 2;
        match class.not_yet {
            None => assert!(enough, "{} has {layers:?} only", class.id),
            Some(_) => assert!(!enough, "{} has {layers:?} by now: say so", class.id),
        }
    }
    for promise in PROMISES {
        let layers = layers::of(&marks, promise.id);
        assert!(layers.len() >= 2, "{} has {layers:?} only", promise.id);
    }
}

#[test]
fn a_mark_names_what_it_stands_on() {
    let read = |text: &str| -> Vec<(String, Vec<String>)> {
        let marks = Mark::read(Path::new("cluster/core/tests/agent/x.rs"), text).unwrap();
        marks.into_iter().map(|mark| (mark.name, mark.proves)).collect()
    };
    let found = |name: &str, proves: &[&str]| {
        vec![(name.to_owned(), proves.iter().map(|id| (*id).to_owned()).collect())]
    };
    assert_eq!(
        read("/// Says so.\n///\n/// Proves: C1, P1\n#[test]\nfn one() {}\n"),
        found("one", &["C1", "P1"])
    );
    assert_eq!(read("//! Proves: C10\n\nfn other() {}\n"), found("x", &["C10"]));
    assert_eq!(
        read("        // Proves: C1\n        scenario(\n            \"a pause\",\n"),
        found("a pause", &["C1"])
    );
    assert_eq!(read("    /// Proves: C7\n    OneWay,\n"), found("OneWay", &["C7"]));
    for wrong in ["/// Proves: C1\nfn no_test() {}", "/// Proves: C99\n#[test]\nfn one() {}"] {
        assert!(Mark::read(Path::new("x.rs"), wrong).is_err(), "{wrong}");
    }
}
