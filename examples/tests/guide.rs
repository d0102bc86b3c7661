//! Runs the commands of `docs/operating.md`, in order and in one shell, as somebody would who follows it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const GUIDE: &str = include_str!("../../docs/operating.md");
const PATIENCE: Duration = Duration::from_secs(240);
/// Where free ports are looked for; below those that systems hand out by themselves.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A block of commands.
struct Block {
    /// What stands behind `sh`: nothing, `build` or `fails`.
    kind: &'static str,
    line: usize,
    commands: &'static str,
}

fn blocks(guide: &'static str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = guide;
    while let Some(start) = rest.find("```sh") {
        let (head, body) =
            rest[start + "```sh".len()..].split_once('\n').expect("a block has lines");
        let (commands, after) = body.split_once("```").expect("a block ends");
        let before = guide.len() - rest.len() + start;
        let line = guide[..before].lines().count() + 1;
        blocks.push(Block { kind: head.trim(), line, commands });
        rest = after;
    }
    blocks
}

/// One script of all blocks that can run here; tells each before it begins.
fn script(blocks: &[Block]) -> String {
    let mut script = "set -eu\n".to_owned();
    for Block { kind, line, commands } in blocks {
        let _ = writeln!(script, "echo '==> line {line}'");
        match *kind {
            "" => script.push_str(commands),
            "fails" => {
                let _ = writeln!(script, "if (\n{commands}); then echo 'did not fail'; exit 1; fi");
            }
            // Building is what the test runner has done.
            "build" => {}
            kind => panic!("line {line}: there is no kind {kind:?} of block"),
        }
    }
    script
}

/// The first number from `from` on whose ports, with these endings, are all free.
fn free(from: u16, digits: u16, endings: std::ops::RangeInclusive<u16>) -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (from..PORTS.end / digits)
        .find(|prefix| endings.clone().all(|ending| is_free(prefix * digits + ending)))
        .expect("some ports are free")
}

/// The guide's ports replaced by free ones.
fn with_free_ports(script: &str) -> String {
    // Not where another process begins to look.
    let from = PORTS.start + std::process::id() as u16 % (PORTS.len() as u16 / 2);
    let peers = free(from / 10, 10, 1..=9);
    let http = free(peers + 1, 10, 1..=9);
    let etcd = free(http / 10 + 1, 100, 79..=80);
    script
        .replace("127.0.0.1:740", &format!("127.0.0.1:{peers}"))
        .replace("127.0.0.1:748", &format!("127.0.0.1:{http}"))
        .replace("127.0.0.1:23", &format!("127.0.0.1:{etcd}"))
}

/// Where the node's binary and the command are, the latter built if need be.
fn binaries() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_node")).parent().expect("it is in a folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "-p", "greenroom-inspector", "--bin", "greenroom"])
        .status()
        .expect("cargo is here");
    assert!(built.success(), "the command can't be built");
    folder.to_owned()
}

/// A shell and all that it started; killed when dropped.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let blocks = blocks(GUIDE);
    assert!(blocks.len() > 10, "the guide has lost its commands");
    let folder = tempfile::tempdir().expect("a folder");
    let script = with_free_ports(&script(&blocks))
        .replace("$PWD/target/release", &binaries().display().to_string());
    let output = folder.path().join("output");
    let file = fs::File::create(&output).expect("a file");
    let ours = |name: &str| name.starts_with("GREENROOM_");
    let mut command = Command::new("bash");
    for (name, _) in env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
        .args(["-c", &script])
        .current_dir(folder.path())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a second handle"))
        .stderr(file);
    let mut shell = Shell(command.spawn().expect("bash is here"));
    let deadline = Instant::now() + PATIENCE;
    let succeeded = loop {
        match shell.0.try_wait().expect("a child can be waited for") {
            Some(status) => break status.success(),
            None if Instant::now() > deadline => break false,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let text = fs::read_to_string(&output).expect("what the shell said");
    assert!(succeeded, "the guide's commands failed, or took too long:\n{text}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").flatten().collect();
    assert_eq!(left.len(), 1, "the guide leaves things behind: {left:?}");
    println!("{text}");
}
