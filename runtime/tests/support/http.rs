//! HTTP/1.1 by hand, so that a test can also say what no client library would.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// An answer of the gateway.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Header lines, in lower case.
    pub headers: Vec<String>,
    pub body: Value,
}

impl Answer {
    /// The code of an error; panics unless the body is a whole error.
    pub fn code(&self) -> &str {
        let error = &self.body["error"];
        let whole = error["message"].as_str().is_some_and(|message| !message.is_empty())
            && error["may_have_run"].is_boolean();
        match error["code"].as_str() {
            Some(code) if whole => code,
            _ => panic!("{self:?} is no error with code, message and may_have_run"),
        }
    }

    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// `POST` with a JSON body.
pub async fn post(node: SocketAddr, path: &str, body: impl AsRef<[u8]>) -> Answer {
    request(node, "POST", path, "", body.as_ref()).await
}

pub async fn get(node: SocketAddr, path: &str) -> Answer {
    request(node, "GET", path, "", b"").await
}

/// The value of a series in what `/metrics` shows; `None` when it isn't there.
pub async fn metric(node: SocketAddr, series: &str) -> Option<f64> {
    let text = get_text(node, "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

/// The body of an answer to `GET` that is no JSON.
pub async fn get_text(node: SocketAddr, path: &str) -> String {
    let answer = exchange(node, "GET", path, "", b"").await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("HTTP");
    body.to_owned()
}

/// Any request; `headers` are whole lines, each ended by CR LF.
pub async fn request(
    node: SocketAddr,
    verb: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    read(&exchange(node, verb, path, headers, body).await)
}

/// The whole answer to any request, as text.
pub async fn exchange(
    node: SocketAddr,
    verb: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(node).await.expect("the gateway listens");
        let len = body.len();
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {node}\r\nconnection: close\r\n\
             content-length: {len}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("the gateway reads the head");
        // A gateway that refuses by the head alone need not read the body.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("the gateway answers in UTF-8")
    };
    within("an HTTP exchange", exchange).await
}

fn read(answer: &str) -> Answer {
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
    let mut lines = head.lines().map(str::to_ascii_lowercase);
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let body = match body {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {answer:?}")),
    };
    Answer {
        status: status.unwrap_or_else(|| panic!("no status: {answer:?}")),
        headers: lines.collect(),
        body,
    }
}
