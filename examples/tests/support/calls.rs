//! Calls of accounts that go on by themselves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// Calls that go on until this is dropped.
pub(crate) struct Calls {
    ended: Arc<AtomicBool>,
    caller: Option<JoinHandle<()>>,
}

impl Calls {
    /// Through a gateway, one after the other, each to the account that is drawn for it.
    pub(crate) fn start(gateway: String, mut draw: impl FnMut() -> u32 + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let caller = {
            let ended = Arc::clone(&ended);
            spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    deposit(&gateway, &format!("account-{}", draw()));
                }
            })
        };
        Self { ended, caller: Some(caller) }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(caller) = self.caller.take() {
            let _ = caller.join();
        }
    }
}

fn deposit(gateway: &str, key: &str) {
    let Ok(mut stream) = TcpStream::connect(gateway) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let body = r#"{"amount": 1}"#;
    let request = format!(
        "POST /v1/actors/bank.account/{key}/deposit HTTP/1.1\r\nhost: {gateway}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut Vec::new());
}
