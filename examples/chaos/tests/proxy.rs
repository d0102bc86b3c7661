//! The proxy does what its modes say, to a server that answers each line.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use greenroom_chaos::proxy::{Mode, Proxy};
use greenroom_chaos::sockets;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// What must not arrive does not within this; what must does long before [`PATIENCE`].
const A_WHILE: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that sends each line back, and tells of each that it got.
async fn server() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, got) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let _ = told.send(line.clone());
                    if write.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, got)
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(proxy: &Proxy) -> Self {
        Self(BufReader::new(TcpStream::connect(proxy.address()).await.unwrap()))
    }

    async fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line; an empty one when the connection was closed in good order.
    async fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }

    async fn hears(&mut self, expected: &str) {
        assert_eq!(timeout(PATIENCE, self.hear()).await.unwrap().unwrap(), expected);
    }

    async fn hears_nothing(&mut self) {
        assert!(timeout(A_WHILE, self.0.fill_buf()).await.is_err(), "something arrived");
    }

    async fn is_reset(&mut self) {
        let error = timeout(PATIENCE, self.hear()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn what_passes_is_no_disturbance() {
    let (server, _got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.say("a").await;
    client.hears("a").await;
    assert_eq!(proxy.disturbed(), 0);
}

#[tokio::test]
async fn a_black_hole_accepts_and_holds_until_it_passes_again() {
    let (server, mut got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut old = Client::connect(&proxy).await;
    old.say("a").await;
    old.hears("a").await;
    assert_eq!(got.recv().await.unwrap(), "a");

    proxy.set(Mode::BlackHole);
    let mut new = Client::connect(&proxy).await;
    old.say("b").await;
    new.say("c").await;
    old.hears_nothing().await;
    new.hears_nothing().await;
    assert!(got.try_recv().is_err(), "a request got through a black hole");
    assert!(proxy.disturbed() > 0);

    proxy.set(Mode::Pass);
    old.hears("b").await;
    new.hears("c").await;
}

#[tokio::test]
async fn held_requests_stay_while_replies_pass() {
    let (server, mut got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    proxy.set(Mode::HoldRequests);
    client.say("a").await;
    client.hears_nothing().await;
    assert!(got.try_recv().is_err(), "a held request got through");
    proxy.set(Mode::Pass);
    client.hears("a").await;
}

#[tokio::test]
async fn swallowed_replies_never_come_although_the_requests_arrived() {
    let (server, mut got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    proxy.set(Mode::SwallowReplies);
    client.say("a").await;
    assert_eq!(timeout(PATIENCE, got.recv()).await.unwrap().unwrap(), "a");
    client.hears_nothing().await;
    assert!(proxy.disturbed() > 0);
    // A stream with a hole in it must not go on.
    proxy.set(Mode::Pass);
    client.say("b").await;
    client.is_reset().await;
}

#[tokio::test]
async fn resets_hit_all_present_connections_and_the_mode_each_new_one() {
    let (server, _got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.say("a").await;
    client.hears("a").await;
    proxy.reset();
    client.is_reset().await;
    let mut after = Client::connect(&proxy).await;
    after.say("b").await;
    after.hears("b").await;

    proxy.set(Mode::Reset);
    after.is_reset().await;
    let mut new = Client::connect(&proxy).await;
    new.is_reset().await;
    assert!(proxy.disturbed() >= 3);
}

/// A hundred lines each way, one after the other: with a fifth of the segments lost, about as many of
/// them and of their acknowledgements are, and all lines arrive.
#[tokio::test]
async fn lost_segments_are_sent_again_until_nothing_is_missing() {
    let (server, _got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.say("before").await;
    client.hears("before").await;
    let lost = sockets::lost().unwrap();
    proxy.set(Mode::Lose(20));
    let began = Instant::now();
    for line in 0..100 {
        client.say(&line.to_string()).await;
        client.hears(&line.to_string()).await;
    }
    let took = began.elapsed();
    let lost = sockets::lost().unwrap() - lost;
    assert!((50..500).contains(&lost), "{lost} segments were lost");
    assert!(took > Duration::from_secs(2), "nothing was late: {took:?}");
    assert!(proxy.disturbed() > 0);
    proxy.set(Mode::Pass);
    client.say("after").await;
    client.hears("after").await;
}

#[tokio::test]
async fn a_mode_may_be_for_the_connections_of_one_process() {
    let (server, _got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    proxy.set_from(1, Mode::BlackHole);
    client.say("a").await;
    client.hears("a").await;
    assert_eq!(proxy.disturbed(), 0);

    proxy.set_from(std::process::id(), Mode::BlackHole);
    client.say("b").await;
    client.hears_nothing().await;
    let mut new = Client::connect(&proxy).await;
    new.say("c").await;
    new.hears_nothing().await;
    proxy.set(Mode::Pass);
    client.hears("b").await;
    new.hears("c").await;
}

#[tokio::test]
async fn delays_count_each_way() {
    let (server, _got) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    proxy.set(Mode::Delay(A_WHILE));
    let began = Instant::now();
    client.say("a").await;
    client.hears("a").await;
    assert!(began.elapsed() >= 2 * A_WHILE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_is_gone_shows_as_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(address).await.unwrap();
    Client::connect(&proxy).await.is_reset().await;
}
