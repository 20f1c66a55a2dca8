//! A session with a metadata service: several pages, whose failures are independent of each other.

use url::Url;

use super::Answer;
use super::http::{Deadline, Failure, get, put};

/// A page, `None` if it does not exist, or why it cannot be read.
pub(super) type Page = Result<Option<Vec<u8>>, String>;

/// A session with a metadata service.
pub(super) struct Session<'a> {
    base: &'a Url,
    headers: Vec<(&'static str, String)>,
    deadline: Deadline,
    /// Whether the server has answered, with any status.
    has_answered: bool,
    /// Whether a page was received.
    has_page: bool,
    problems: Vec<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(base: &'a Url) -> Self {
        Self {
            base,
            headers: Vec::new(),
            deadline: Deadline::of_datasource(),
            has_answered: false,
            has_page: false,
            problems: Vec::new(),
        }
    }

    /// Adds a header to all following GET requests.
    pub(super) fn add_header(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }

    /// Sends a PUT request. Returns `None` if the server does not support it.
    pub(super) async fn put(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<String>, Failure> {
        let answer = put(&self.url(path)?, headers, self.deadline).await;
        self.has_answered = true;
        match answer {
            Ok(page) => Ok(Some(text(&page))),
            Err(Failure::Status(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Fetches an optional page.
    pub(super) async fn get(&mut self, path: &str) -> Page {
        let url = self.url(path).map_err(|failure| failure.to_string())?;
        let headers = self.headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (*name, &value[..])).collect();
        let deadline = if self.has_answered {
            self.deadline.of_page()
        } else {
            self.deadline
        };
        let answer = get(&url, &headers, deadline).await;
        self.has_answered |= matches!(answer, Ok(_) | Err(Failure::Status(_)));
        self.has_page |= answer.is_ok();
        match answer {
            Ok(page) => Ok(Some(page.to_vec())),
            Err(Failure::Status(404)) => Ok(None),
            Err(failure) => Err(format!("{path}: {failure}")),
        }
    }

    /// Fetches an optional page as text. An error is recorded for [`Self::finish`].
    pub(super) async fn text(&mut self, path: &str) -> Result<Option<String>, ()> {
        match self.get(path).await {
            Ok(page) => Ok(page.map(|page| text(&page))),
            Err(error) => {
                self.problems.push(error);
                Err(())
            }
        }
    }

    /// Combines the pages to an answer. Returns `None` if the service has no data.
    ///
    /// # Errors
    /// No page could be read, and at least one of them failed.
    pub(super) fn finish(
        self,
        user_data: Page,
        keys: Vec<String>,
        hostname: Option<String>,
    ) -> Result<Option<Answer>, Failure> {
        let user_data = user_data.transpose();
        let user_data_error = user_data.as_ref().and_then(|it| it.as_ref().err());
        match self.problems.first().or(user_data_error) {
            Some(error) if !self.has_page => return Err(Failure::Permanent(error.clone())),
            None if user_data.is_none() && keys.is_empty() && hostname.is_none() => {
                return Ok(None);
            }
            _ => (),
        }
        Ok(Some(Answer {
            user_data,
            keys,
            hostname,
            problems: self.problems,
            instance: None,
        }))
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let url = self.base.join(path);
        url.map_err(|error| Failure::Permanent(error.to_string()))
    }
}

/// The text of a page, without whitespace around it.
pub(super) fn text(page: &[u8]) -> String {
    String::from_utf8_lossy(page).trim().to_owned()
}
