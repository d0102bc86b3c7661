//! The golden contract: every interface, method and field that travels between processes. A change
//! here is a change for every running node and client.
//!
//! `GREENROOM_BLESS=1 cargo test -p greenroom-examples --test wire_contract` writes it anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use greenroom::Interface;
use greenroom_examples::bank::AccountInterface;
use greenroom_examples::flights::{AirportInterface, RouteInterface};

const PROTO: &str = include_str!("../../proto/proto/greenroom.proto");

#[test]
fn the_wire_is_as_agreed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire_contract.golden");
    let contract = contract();
    if std::env::var_os("GREENROOM_BLESS").is_some() {
        fs::write(&golden, &contract).unwrap();
    }
    let agreed = fs::read_to_string(&golden).unwrap();
    assert!(
        contract == agreed,
        "the wire is not what {} says; it now is:\n{contract}",
        golden.display()
    );
}

fn contract() -> String {
    let mut text = String::from("# actors\n");
    for spec in [AccountInterface::SPEC, AirportInterface::SPEC, RouteInterface::SPEC] {
        write!(text, "{spec}").unwrap();
    }
    text.push_str("\n# messages between processes\n");
    text.push_str(&messages());
    text
}

/// The declarations of the protobuf file, without comments.
fn messages() -> String {
    let mut text = String::new();
    let mut path = Vec::new();
    for line in PROTO.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        if let Some(opened) = line.strip_suffix('{') {
            path.push(opened.trim().to_owned());
        } else if line == "}" {
            path.pop();
        } else if let Some(empty) = line.strip_suffix(" {}") {
            writeln!(text, "{empty}").unwrap();
        } else if !line.is_empty() && !path.is_empty() {
            writeln!(text, "{}: {line}", path.join(" / ")).unwrap();
        }
    }
    text
}
