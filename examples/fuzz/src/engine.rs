//! libFuzzer: how its binaries are built and run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use cargo_metadata::MetadataCommand;
use greenroom_fuzz::Target;

use crate::report::{Run, table};

/// Longest input, in bytes. Limits of the product that are higher are lowered where they matter.
const INPUT_BYTES_MAX: usize = 8192;
/// After so many seconds an input is taken to hang.
const INPUT_SECONDS_MAX: u64 = 20;
const MEMORY_MB_MAX: usize = 2048;

/// Where things are.
struct Folders {
    /// Of the binaries.
    binaries: PathBuf,
    /// Of seeds, corpora, findings and logs.
    work: PathBuf,
}

/// Builds and runs the targets; whether nothing was found.
pub(crate) fn fuzz(targets: &[&Target], span: Duration) -> Result<bool, String> {
    let folders = Folders::find()?;
    targets.iter().try_for_each(|target| build(target))?;
    let mut runs = Vec::new();
    for target in targets {
        println!("{}: {}", target.name, target.reads);
        runs.push(folders.run(target, span).map_err(|error| format!("{}: {error}", target.name))?);
    }
    println!("\n{}", table(&runs));
    for run in &runs {
        let Some(finding) = &run.finding else { continue };
        let (name, file) = (run.target, finding.display());
        println!("{name} found something; its log is {}", run.log.display());
        println!("  replay: cargo run -p greenroom-fuzz -- {name} --replay {file}");
        println!("  once it is mended, keep it: cp {file} examples/fuzz/regressions/{name}/");
    }
    Ok(runs.iter().all(|run| run.finding.is_none()))
}

/// One after the other, because this program itself can't be linked with the instrumentation; only the
/// first takes long. Without a sanitizer: there is no unsafe code of ours, and the checks are about what
/// is read.
fn build(target: &Target) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args([
        "fuzz",
        "build",
        "--fuzz-dir",
        env!("CARGO_MANIFEST_DIR"),
        "--features",
        "libfuzzer",
    ]);
    command.args(["--sanitizer", "none", "--no-cfg-fuzzing", "--codegen-units", "16"]);
    command.arg(format!("fuzz-{}", target.name));
    // The instrumentation is not stable; the compiler is.
    let status = command.env("RUSTC_BOOTSTRAP", "1").status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo fuzz build: {status}")),
        Err(error) => Err(format!("can't run cargo: {error}")),
    }
}

impl Folders {
    fn find() -> Result<Self, String> {
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .no_deps()
            .exec()
            .map_err(|error| error.to_string())?;
        let target = metadata.target_directory.into_std_path_buf();
        let triple = env!("GREENROOM_FUZZ_TRIPLE");
        Ok(Self { binaries: target.join(triple).join("release"), work: target.join("fuzz") })
    }

    fn of(&self, kind: &str, target: &Target) -> io::Result<PathBuf> {
        let folder = self.work.join(kind).join(target.name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn run(&self, target: &Target, span: Duration) -> io::Result<Run> {
        let (corpus, seeds) = (self.of("corpus", target)?, self.of("seeds", target)?);
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(seeds.join(number.to_string()), seed)?;
        }
        let findings = self.of("findings", target)?;
        let mut command = Command::new(self.binaries.join(format!("fuzz-{}", target.name)));
        // New inputs go to the first folder.
        command.args([&corpus, &seeds]);
        let regressions = target.regressions();
        command.args(regressions.is_dir().then_some(regressions));
        command
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg(format!("-max_total_time={}", span.as_secs()))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
            .arg("-print_final_stats=1")
            .stderr(Stdio::piped());
        let log = self.of("logs", target)?.join("log");
        let mut written = fs::File::create(&log)?;
        let mut child = command.spawn()?;
        let mut run = Run::of(target.name, log);
        if let Some(errors) = child.stderr.take() {
            for line in BufReader::new(errors).split(b'\n') {
                let line = line?;
                written.write_all(&line)?;
                written.write_all(b"\n")?;
                run.read(&String::from_utf8_lossy(&line));
            }
        }
        if !child.wait()?.success() && run.finding.is_none() {
            // It ended without an input to blame, such as before the first one.
            run.finding = Some(findings);
        }
        Ok(run)
    }
}
