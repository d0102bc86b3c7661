//! A node of a scenario never outlives the program that started it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_node_ends_with_its_standard_input() {
    let mut node = Command::new(env!("CARGO_BIN_EXE_chaos-node"))
        .env_clear()
        .env("GREENROOM_LISTEN", "127.0.0.1:0")
        .env("GREENROOM_HTTP_LISTEN", "off")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = node.stdin.take();
    let mut log = String::new();
    let stderr = node.stderr.take().unwrap();
    BufReader::new(stderr).read_line(&mut log).unwrap();
    assert!(log.contains("listening"), "{log}");
    assert!(node.try_wait().unwrap().is_none(), "it runs while its input is open");
    drop(stdin);
    let deadline = Instant::now() + Duration::from_secs(10);
    while node.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it outlives its input");
        std::thread::sleep(Duration::from_millis(10));
    }
}
