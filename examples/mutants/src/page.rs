//! The page that a run of all mutants leaves behind.

use std::fmt::Write;
use std::{fs, io};

use crate::Outcome;
use crate::copy::workspace;

/// Where it is, from the root of the workspace.
const PAGE: &str = "cluster/core/MUTANTS.md";

/// Writes the page.
pub(crate) fn write(outcomes: &[Outcome]) -> io::Result<()> {
    let noticed = outcomes.iter().filter(|outcome| !outcome.survives()).count();
    let mut text = format!(
        "# Mutants of the ownership protocol\n\n`make mutants` wrote this page. Each mutant is one \
         deliberate breakage (`examples/mutants/src/list.rs`); the layers that may\nnotice are asked \
         one after the other (agent, failures, simulation, …), and the first that does is named, with the\n\
         test or, of the simulation, the invariant. Some are also played on the wire, which must notice them by itself.\n\n\
         {noticed} of {} are noticed.\n\n| mutant | class | what is broken | layer | test | s |\n\
         |---|---|---|---|---|---|\n",
        outcomes.len()
    );
    for Outcome { mutant, noticed, took } in outcomes {
        let noticed = noticed.iter().map(|noticed| match noticed {
            Some((layer, test)) => (layer.name(), format!("`{test}`")),
            None => ("**none**", String::new()),
        });
        let (layers, tests): (Vec<_>, Vec<_>) = noticed.unzip();
        let (layers, tests) = (layers.join("<br>"), tests.join("<br>"));
        let (name, class, what) = (mutant.name, mutant.class, mutant.what);
        let seconds = took.as_secs();
        writeln!(text, "| `{name}` | {class} | {what} | {layers} | {tests} | {seconds} |")
            .expect("a string takes everything");
    }
    fs::write(workspace().join(PAGE), text)
}
