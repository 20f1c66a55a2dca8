//! A headless Chromium under chromedriver, with the page open.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use base::wait::{Poll, wait_until};

/// Long enough for any host; the awaited events come sooner.
const LONG: Duration = Duration::from_secs(60);

/// Disables features that a test does not need, and background network traffic.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Hundreds of links are followed faster than a user could.
    "--disable-ipc-flooding-protection",
];

/// Why this host cannot run the browser.
pub(crate) fn missing() -> Option<String> {
    let found = |program: &str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let missing = ["chromedriver", "chromium"]
        .into_iter()
        .find(|p| !found(p))?;
    Some(format!(
        "no {missing}; apt install chromium chromium-driver (Debian)"
    ))
}

/// A browser window, closed on drop.
pub(crate) struct Browser {
    pub client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a file.
    pub(crate) async fn open(page: &Path) -> Self {
        let browser = Self::start().await;
        let address = url::Url::from_file_path(page).unwrap();
        browser.client.goto(address.as_str()).await.unwrap();
        browser
    }

    async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let port = port(&mut driver);
        let profile = tempfile::tempdir().unwrap();
        let own = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([&*own]).collect();
        let wanted = json!({
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self {
            client,
            driver,
            _profile: profile,
        }
    }

    /// Evaluates an expression in the page.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.client.execute(&script, vec![]).await.unwrap()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let look = async || match self.eval(expression).await {
            Value::Bool(true) => Poll::Ready(()),
            other => Poll::NotYet(other.to_string()),
        };
        wait_until(expression, LONG, look).await.unwrap();
    }

    /// Clicks an element like a user.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.client.find(Locator::Css(css)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Types into the focused element of the page.
    pub(crate) async fn keys(&self, css: &str, keys: &str) {
        let element = self.client.find(Locator::Css(css)).await.unwrap();
        element.send_keys(keys).await.unwrap();
    }

    /// Whether the element is visible.
    pub(crate) async fn sees(&self, css: &str) -> bool {
        let element = self.client.find(Locator::Css(css)).await.unwrap();
        element.is_displayed().await.unwrap()
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", body).await;
    }

    /// The log entries since the last call: `browser` (the console) or `performance` (requests).
    pub(crate) async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.post("se/log", json!({ "type": kind })).await;
        log.as_array().cloned().unwrap_or_default()
    }

    async fn post(&self, path: &'static str, body: Value) -> Value {
        let command = Post { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }

    /// Resizes the window.
    pub(crate) async fn resize(&self, width: u32, height: u32, phone: bool) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Sets the preferred colour scheme: `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "features": feature });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Ends the session. After a failed test, `Drop` does it.
    pub(crate) async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser exits with its driver.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that the driver chose.
fn port(driver: &mut Child) -> String {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    told.expect("chromedriver tells its port")
}

/// A command that WebDriver does not define.
#[derive(Debug)]
struct Post {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
