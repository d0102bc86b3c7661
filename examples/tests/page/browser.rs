//! Chromium without a window, driven by chromedriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::Client;
use fantoccini::wd::Capabilities;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::until;

/// A browser with one page open.
pub(crate) struct Browser {
    page: Client,
    /// Where chromedriver listens.
    port: u16,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn open(url: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed: `scripts/setup test`");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port: u16 = loop {
            let line = lines.next().expect("chromedriver tells its port").expect("UTF-8");
            let port = line.split("started successfully on port ").nth(1);
            if let Some(port) = port {
                break port.trim_end_matches('.').parse().expect("a port");
            }
        };
        // Nobody reads on, and it must not block.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().expect("a folder");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--window-size=1440,1104",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"args": arguments});
        let logs = json!({"browser": "ALL"});
        let wanted: Capabilities =
            [("goog:chromeOptions".to_owned(), options), ("goog:loggingPrefs".to_owned(), logs)]
                .into_iter()
                .collect();
        let place = format!("http://127.0.0.1:{port}");
        let page =
            Client::with_capabilities_and_connector(&place, &wanted, HttpConnector::new()).await;
        let page = page.expect("Chromium starts");
        page.goto(url).await.expect("the page loads");
        Self { page, port, driver, _profile: profile }
    }

    /// What a script returns; its arguments are `arguments[0]` and so on.
    pub(crate) async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let result = self.page.execute(script, arguments.to_vec()).await;
        result.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The text of the first element that matches; empty without any.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        let text = self.run(script, &[json!(selector)]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The number that an element shows.
    pub(crate) async fn number(&self, selector: &str) -> Option<u64> {
        let script = "return document.querySelector(arguments[0])?.dataset.value ?? null";
        let value = self.run(script, &[json!(selector)]).await;
        value.as_str().and_then(|value| value.parse().ok())
    }

    pub(crate) async fn is_shown(&self, selector: &str) -> bool {
        let script = "return document.querySelector(arguments[0])?.checkVisibility() ?? false";
        self.run(script, &[json!(selector)]).await == json!(true)
    }

    /// Clicks as a person does: on something that is there, shown, and not covered.
    pub(crate) async fn click(&self, selector: &str) {
        until(&format!("{selector} to be shown"), async || self.is_shown(selector).await).await;
        // The page may have changed between finding it and clicking it.
        for attempt in 1.. {
            let found = self.page.find(fantoccini::Locator::Css(selector)).await;
            match found.expect(selector).click().await {
                Ok(()) => return,
                Err(error) => assert!(attempt < 5, "{selector}: {error}"),
            }
        }
    }

    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let found = self.page.find(fantoccini::Locator::Css(selector)).await;
        found.expect(selector).send_keys(text).await.expect(selector);
    }

    /// Chooses in a list, as a person does.
    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        let found = self.page.find(fantoccini::Locator::Css(selector)).await;
        found.expect(selector).select_by_value(value).await.expect(selector);
    }

    /// Waits until an element's text contains something.
    pub(crate) async fn shows(&self, selector: &str, text: &str) {
        let mut shown = String::new();
        for _ in 0..1200 {
            shown = self.text(selector).await;
            if shown.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let banner = self.text("#banner").await;
        panic!("{selector} shows {shown:?} instead of {text:?}; the banner: {banner:?}");
    }

    /// Moves the mouse to a point within an element, from its corner.
    pub(crate) async fn point(&self, selector: &str, x: f64, y: f64) {
        let script = "
            const box = document.querySelector(arguments[0]).getBoundingClientRect();
            return [box.left + arguments[1], box.top + arguments[2]]";
        let at = self.run(script, &[json!(selector), json!(x), json!(y)]).await;
        let number = |place: usize| at[place].as_f64().expect("a number").round() as i64;
        use fantoccini::actions::{InputSource, MouseActions, PointerAction};
        let moves = MouseActions::new("mouse".to_owned()).then(PointerAction::MoveTo {
            duration: None,
            x: number(0) as f64,
            y: number(1) as f64,
        });
        self.page.perform_actions(moves).await.expect("the mouse moves");
    }

    /// What the browser complained of since the last time: errors of scripts, what the page's policy
    /// forbade, and answers that were no success.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let session = self.page.session_id().await.expect("a session").expect("a session");
        let place = format!("127.0.0.1:{}", self.port);
        let body = r#"{"type": "browser"}"#;
        let request = format!(
            "POST /session/{session}/se/log HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(&place).expect("chromedriver listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("it answers");
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().expect("a length"),
                Some(_) => {}
                None if line.starts_with("HTTP/") => {}
                None => break,
            }
        }
        // It may keep the connection open.
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("the whole body");
        let logs: Value = serde_json::from_slice(&body).expect("JSON");
        let entries = logs["value"].as_array().unwrap_or_else(|| panic!("{logs}"));
        let bad =
            entries.iter().filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.page.screenshot().await.expect("a screenshot")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With its browser, which does not always end with it.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
