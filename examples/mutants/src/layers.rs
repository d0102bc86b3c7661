//! The layers of tests that may notice a mutant, each a command.

use std::path::Path;
use std::process::Command;

/// How many seeds of the simulation a mutant must survive to survive.
const SEEDS: &str = "150";
/// How many cluster-hours on the wire.
const WIRE_HOURS: &str = "10";
/// A mutant is compiled more often than it is run for long.
const QUICKLY: &str = "profile.dev.package.greenroom-core.opt-level=0";

/// Tests that are run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// One agent with odd answers.
    Agent,
    /// A scripted world for each failure class.
    Failures,
    /// Random faults in a simulated cluster.
    Simulation,
    /// The rules and properties of the planner.
    Planner,
    /// Tests beside the core's code.
    Core,
    /// Tests beside the code of the driver, the heart and the stores.
    Cluster,
    /// The gate's promises.
    Gate,
    /// Real nodes on a simulated network, with an etcd that answers as badly as it may.
    Wire,
}

/// What a layer says of a mutant.
pub(crate) enum Verdict {
    Passes,
    /// The first test that failed, or the invariant of the simulation.
    Fails(String),
}

impl Layer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Failures => "failures",
            Self::Simulation => "simulation",
            Self::Planner => "planner",
            Self::Core => "core",
            Self::Cluster => "cluster",
            Self::Gate => "gate",
            Self::Wire => "wire",
        }
    }

    /// What is given to cargo.
    fn arguments(self) -> Vec<&'static str> {
        let tests: &[&str] = match self {
            Self::Agent => &["-p", "greenroom-core", "--test", "agent"],
            Self::Failures => &["-p", "greenroom-core", "--test", "failures"],
            Self::Simulation => &["-p", "greenroom-core", "--test", "simulation", "the_invariants"],
            Self::Planner => &["-p", "greenroom-core", "--test", "planner"],
            Self::Core => &["-p", "greenroom-core", "--lib"],
            Self::Cluster => &["-p", "greenroom-cluster", "--lib"],
            Self::Gate => &["-p", "greenroom-shardlock", "--tests"],
            Self::Wire => {
                let program = ["run", "--release", "--quiet", "-p", "greenroom-wire", "--"];
                return [&program[..], &["--hours", WIRE_HOURS, "--repeats", "0"]].concat();
            }
        };
        [&["--config", QUICKLY, "test", "--quiet"], tests].concat()
    }

    /// Runs the layer in a workspace.
    pub(crate) fn run(self, workspace: &Path) -> Result<Verdict, String> {
        let mut command = Command::new("cargo");
        command.args(self.arguments()).current_dir(workspace);
        command.env("GREENROOM_SIM_RUNS", SEEDS).env("RUST_BACKTRACE", "0");
        let output = command.output().map_err(|error| format!("can't run cargo: {error}"))?;
        if output.status.success() {
            return Ok(Verdict::Passes);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let noticed = match self {
            Self::Wire => violation(&text),
            Self::Simulation => invariant(&text).or_else(|| failed(&text)),
            _ => failed(&text),
        };
        match noticed {
            Some(test) => Ok(Verdict::Fails(test)),
            None => {
                let errors = String::from_utf8_lossy(&output.stderr);
                Err(format!("{}: no test failed, but the command did:\n{errors}", self.name()))
            }
        }
    }
}

/// The invariant of the simulation that was violated first: a file each.
fn invariant(text: &str) -> Option<String> {
    let (_, place) = text.split_once("panicked at cluster/core/tests/simulation/")?;
    let (file, _) = place.split_once(".rs:")?;
    let name = file.rsplit('/').next()?;
    Some(name.to_owned())
}

/// What the first seed that failed on the wire violated.
fn violation(text: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| !line.contains(" failed, with "));
    let (seed, _) = lines.next()?.split_once(" failed, with ")?;
    let what = lines.next()?.trim().trim_end_matches(':');
    Some(format!("{seed}: {what}"))
}

/// The first test that a run names as failed.
fn failed(text: &str) -> Option<String> {
    let (_, after) = text.rsplit_once("\nfailures:\n")?;
    let test = after.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(test.to_owned())
}
