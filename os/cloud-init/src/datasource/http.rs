//! A page by HTTP, every wait bounded.
//!
//! The library is the one that talks to Docker, which the machine has anyway. Not its job: TLS; what a
//! cloud tells its machines it tells on a link of its own.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

/// For somebody to accept the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// For one page, from the name's address to its last byte.
const PAGE_LIMIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// For a datasource, from its first question to its last answer: the network may not be there yet.
const SOURCE_LIMIT: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 30 });
/// Between two attempts.
const LOOK: Duration = Duration::from_millis(250);
/// The most bytes of a page.
const LARGEST: usize = 16 << 20;
/// How often a page may be elsewhere.
const REDIRECTS: usize = 5;

/// Why there is no page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There may be one later.
    NotYet(String),
    /// There is none.
    Status(u16),
    /// There will be none.
    Never(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotYet(why) | Self::Never(why) => f.write_str(why),
            Self::Status(status) => write!(f, "the answer is status {status}"),
        }
    }
}

/// Waits for all that a datasource has to say, within its bound.
pub(super) fn wait<T>(ask: impl Future<Output = Result<T, Failure>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let answer = runtime.block_on(async { timeout(SOURCE_LIMIT, ask).await });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    match answer {
        Ok(answer) => answer.map_err(|failure| failure.to_string()),
        Err(_) => Err(format!("no answer within {} s", SOURCE_LIMIT.as_secs())),
    }
}

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    until: Instant,
    /// As it is told.
    limit: Duration,
}

impl Patience {
    /// With a datasource, from now on. A little less than its bound, so that this ends first and says
    /// why.
    pub(super) fn with_source() -> Self {
        Self {
            until: Instant::now() + SOURCE_LIMIT - Duration::from_secs(1),
            limit: SOURCE_LIMIT,
        }
    }

    /// With a page of one that is there: the others need their time, too.
    pub(super) fn with_page(self) -> Self {
        Self {
            until: self.until.min(Instant::now() + PAGE_LIMIT),
            limit: PAGE_LIMIT,
        }
    }
}

/// A page, asked for again until somebody answers or time is short: what has then been seen is told.
pub(super) async fn get(
    url: &Url,
    headers: &[(&str, &str)],
    patience: Patience,
) -> Result<Bytes, Failure> {
    persist(&Method::GET, url, headers, patience).await
}

/// The same for what must be asked by PUT.
pub(super) async fn put(
    url: &Url,
    headers: &[(&str, &str)],
    patience: Patience,
) -> Result<Bytes, Failure> {
    persist(&Method::PUT, url, headers, patience).await
}

async fn persist(
    method: &Method,
    url: &Url,
    headers: &[(&str, &str)],
    patience: Patience,
) -> Result<Bytes, Failure> {
    let mut last = String::from("no answer");
    loop {
        let answer = timeout_at(patience.until, follow(method, url, headers)).await;
        match answer {
            Ok(Err(Failure::NotYet(why))) => last = why,
            Ok(answer) => return answer,
            Err(_) => {
                let limit = patience.limit.as_secs();
                return Err(Failure::Never(format!("{last} (within {limit} s)")));
            }
        }
        // Nobody tells when a page will be there: it is asked for again as long as there is patience.
        sleep(LOOK).await;
    }
}

/// A page, wherever it is by now.
async fn follow(method: &Method, url: &Url, headers: &[(&str, &str)]) -> Result<Bytes, Failure> {
    let mut url = url.clone();
    for _ in 0..REDIRECTS {
        let page = timeout(PAGE_LIMIT, once(method, &url, headers)).await;
        let late = |_| Failure::NotYet(format!("no page within {} s", PAGE_LIMIT.as_secs()));
        match page.map_err(late)?? {
            Answer::Page(page) => return Ok(page),
            Answer::Elsewhere(place) => {
                let place = url
                    .join(&place)
                    .map_err(|error| Failure::Never(error.to_string()))?;
                url = super::page(place.as_str()).map_err(Failure::Never)?;
            }
        }
    }
    Err(Failure::Never(format!("it is elsewhere {REDIRECTS} times")))
}

enum Answer {
    Page(Bytes),
    Elsewhere(String),
}

async fn once(method: &Method, url: &Url, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
    let not_yet = |error: &dyn std::fmt::Display| Failure::NotYet(error.to_string());
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let address = (host.trim_matches(['[', ']']), port);
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address))
        .await
        .map_err(|_| Failure::NotYet(format!("{host} does not answer")))?
        .map_err(|error| not_yet(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| not_yet(&error))?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(
        HOST,
        &url[url::Position::BeforeHost..url::Position::AfterPort],
    );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::Never(error.to_string()))?;
    let answer = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| not_yet(&error))?;
        let status = answer.status();
        if let (true, Some(place)) = (status.is_redirection(), answer.headers().get(LOCATION)) {
            let place = place
                .to_str()
                .map_err(|error| Failure::Never(error.to_string()))?;
            return Ok(Answer::Elsewhere(place.into()));
        }
        match status {
            StatusCode::OK => (),
            status if status.is_server_error() => {
                return Err(Failure::NotYet(format!(
                    "the answer is status {}",
                    status.as_u16()
                )));
            }
            status => return Err(Failure::Status(status.as_u16())),
        }
        let page = Limited::new(answer.into_body(), LARGEST).collect().await;
        Ok(Answer::Page(
            page.map_err(|error| Failure::Never(error.to_string()))?
                .to_bytes(),
        ))
    };
    // The connection does its work while the answer is waited for, and ends with it.
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(not_yet(&error)),
        },
    }
}
