//! Fetches pages over HTTP; every wait has a timeout.
//!
//! It uses the HTTP library of the Docker client, which the program contains anyway. TLS is not supported:
//! clouds serve metadata over plain HTTP on a separate link.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

/// The timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of one page, from the name lookup to its last byte.
const PAGE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// The timeout of a datasource, from its first request to its last answer. The network may not be up yet.
const DATASOURCE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 30 });
/// The interval between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// The maximum size of a page, in bytes.
const MAX_SIZE: usize = 16 << 20;
/// The maximum number of redirects.
const MAX_REDIRECTS: usize = 5;

/// Why a page cannot be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A retry may succeed.
    Retryable(String),
    /// The server answered with this status.
    Status(u16),
    /// A retry cannot succeed.
    Permanent(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Retryable(error) | Self::Permanent(error) => f.write_str(error),
            Self::Status(status) => write!(f, "HTTP status {status}"),
        }
    }
}

/// Runs the query of a datasource with its timeout.
pub(super) fn wait<T>(query: impl Future<Output = Result<T, Failure>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let answer = runtime.block_on(async { timeout(DATASOURCE_TIMEOUT, query).await });
    // Do not wait for a name lookup that is still running.
    runtime.shutdown_background();
    match answer {
        Ok(answer) => answer.map_err(|failure| failure.to_string()),
        Err(_) => Err(format!(
            "timed out after {} s",
            DATASOURCE_TIMEOUT.as_secs()
        )),
    }
}

/// When a request times out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    /// The timeout that messages name.
    timeout: Duration,
}

impl Deadline {
    /// The deadline of a datasource that is queried now. It is one second before the timeout of
    /// [`wait`], so that this one expires first and reports the last error.
    pub(super) fn of_datasource() -> Self {
        Self {
            at: Instant::now() + DATASOURCE_TIMEOUT - Duration::from_secs(1),
            timeout: DATASOURCE_TIMEOUT,
        }
    }

    /// The deadline of a page when the server has answered before; it leaves time for the other pages.
    pub(super) fn of_page(self) -> Self {
        Self {
            at: self.at.min(Instant::now() + PAGE_TIMEOUT),
            timeout: PAGE_TIMEOUT,
        }
    }
}

/// Sends a GET request and retries until the server answers or the deadline passes.
pub(super) async fn get(
    url: &Url,
    headers: &[(&str, &str)],
    deadline: Deadline,
) -> Result<Bytes, Failure> {
    retry(&Method::GET, url, headers, deadline).await
}

/// Sends a PUT request like [`get`].
pub(super) async fn put(
    url: &Url,
    headers: &[(&str, &str)],
    deadline: Deadline,
) -> Result<Bytes, Failure> {
    retry(&Method::PUT, url, headers, deadline).await
}

async fn retry(
    method: &Method,
    url: &Url,
    headers: &[(&str, &str)],
    deadline: Deadline,
) -> Result<Bytes, Failure> {
    let mut last_error = String::from("no answer");
    loop {
        let response = timeout_at(deadline.at, follow(method, url, headers)).await;
        match response {
            Ok(Err(Failure::Retryable(error))) => last_error = error,
            Ok(response) => return response,
            Err(_) => {
                let seconds = deadline.timeout.as_secs();
                return Err(Failure::Permanent(format!(
                    "timed out after {seconds} s; last error: {last_error}"
                )));
            }
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Sends a request and follows redirects.
async fn follow(method: &Method, url: &Url, headers: &[(&str, &str)]) -> Result<Bytes, Failure> {
    let mut url = url.clone();
    for _ in 0..MAX_REDIRECTS {
        let response = timeout(PAGE_TIMEOUT, send(method, &url, headers))
            .await
            .map_err(|_| {
                Failure::Retryable(format!(
                    "no complete page after {} s",
                    PAGE_TIMEOUT.as_secs()
                ))
            })?;
        match response? {
            Response::Page(page) => return Ok(page),
            Response::Redirect(location) => {
                let location = url.join(&location).map_err(permanent)?;
                url = super::kind::page(location.as_str()).map_err(Failure::Permanent)?;
            }
        }
    }
    Err(Failure::Permanent(format!(
        "more than {MAX_REDIRECTS} redirects"
    )))
}

enum Response {
    Page(Bytes),
    Redirect(String),
}

fn permanent(error: impl std::fmt::Display) -> Failure {
    Failure::Permanent(error.to_string())
}

fn retryable(error: impl std::fmt::Display) -> Failure {
    Failure::Retryable(error.to_string())
}

/// Sends one request over a new connection.
async fn send(method: &Method, url: &Url, headers: &[(&str, &str)]) -> Result<Response, Failure> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let address = (host.trim_matches(['[', ']']), port);
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| Failure::Retryable(format!("{host} does not answer")))?
        .map_err(retryable)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(retryable)?;
    let response = receive(sender, request(method, url, headers)?);
    // The connection must be polled while the response is received.
    tokio::pin!(response, connection);
    tokio::select! {
        biased;
        response = &mut response => response,
        closed = &mut connection => match closed {
            Ok(()) => response.await,
            Err(error) => Err(retryable(error)),
        },
    }
}

fn request(
    method: &Method,
    url: &Url,
    headers: &[(&str, &str)],
) -> Result<Request<Empty<Bytes>>, Failure> {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).map_err(permanent)
}

async fn receive(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Result<Response, Failure> {
    let response = sender.send_request(request).await.map_err(retryable)?;
    let status = response.status();
    if let (true, Some(location)) = (status.is_redirection(), response.headers().get(LOCATION)) {
        let location = location.to_str().map_err(permanent)?;
        return Ok(Response::Redirect(location.into()));
    }
    match status {
        StatusCode::OK => (),
        status if status.is_server_error() => {
            return Err(Failure::Retryable(format!(
                "HTTP status {}",
                status.as_u16()
            )));
        }
        status => return Err(Failure::Status(status.as_u16())),
    }
    let page = Limited::new(response.into_body(), MAX_SIZE).collect().await;
    Ok(Response::Page(page.map_err(permanent)?.to_bytes()))
}
