//! The demo as a test: a node is killed in the middle, and every total must be equal.

use std::process::Command;

use greenroom_cluster::testing::EtcdServer;

fn demo(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--exit", "--concurrency", "64"])
        .args(arguments)
        .output()
        .expect("the demo starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn totals_are_equal_after_a_node_was_killed() {
    let (succeeded, text) = demo(&[]);
    assert!(succeeded, "{text}");
    assert!(text.contains("killed node-3") && text.contains("EQUAL"), "{text}");
}

#[test]
fn the_demo_runs_on_a_real_etcd_too() {
    let etcd = EtcdServer::start();
    let (succeeded, text) = demo(&["--etcd", &etcd.endpoint()]);
    assert!(succeeded, "{text}");
    assert!(text.contains("on etcd") && text.contains("EQUAL"), "{text}");
}

#[test]
fn a_file_that_is_no_list_of_flights_is_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flights.csv");
    std::fs::write(&file, "date,delay,distance,origin,destination\nx,1,2,SFO\n").unwrap();
    let (succeeded, text) = demo(&["--file", file.to_str().unwrap()]);
    assert!(!succeeded, "{text}");
    assert!(text.contains("line 2: there must be 5 fields, got 4"), "{text}");
}
