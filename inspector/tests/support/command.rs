//! The built command `greenroom`, run.

use std::process::{Command, Output};

use super::{FixedNode, TOKEN};

/// Runs the command with no settings but those given.
pub(crate) fn greenroom(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command starts")
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.args(arguments).env_remove("GREENROOM_NODE").env_remove("GREENROOM_OPERATOR_TOKEN");
    command
}

/// What the command printed; it must have succeeded in silence.
#[track_caller]
pub(crate) fn printed(output: &Output) -> String {
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    text(&output.stdout)
}

/// What the command complained of; it must have printed nothing else.
#[track_caller]
pub(crate) fn complaint(output: &Output, exit_code: i32) -> String {
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(exit_code));
    text(&output.stderr)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the command prints UTF-8")
}

pub(crate) fn ask(node: &FixedNode, arguments: &[&str]) -> String {
    printed(&greenroom(&[arguments, &["--node", &node.address]].concat()))
}

/// Runs the command with the operators' token in its environment.
pub(crate) fn operate(node: &FixedNode, arguments: &[&str]) -> Output {
    let mut command = command(&[arguments, &["--node", &node.address]].concat());
    command.env("GREENROOM_OPERATOR_TOKEN", TOKEN).output().expect("the command starts")
}

/// A file in the tests' own folder.
pub(crate) fn file(name: &str, text: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, text).expect("the folder is ours");
    path
}
