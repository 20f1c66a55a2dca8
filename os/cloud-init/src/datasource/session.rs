//! A talk with a cloud: page after page, of which one that fails takes no other along.

use url::Url;

use super::Found;
use super::http::{Failure, Patience, get, put};

/// A page, `None` where there is none, or why it cannot be read.
pub(super) type Answer = Result<Option<Vec<u8>>, String>;

/// What was said so far.
pub(super) struct Talk<'a> {
    base: &'a Url,
    headers: Vec<(&'static str, String)>,
    patience: Patience,
    /// Somebody is there, whatever the answer.
    heard: bool,
    /// There was a page.
    said: bool,
    problems: Vec<String>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(base: &'a Url) -> Self {
        Self {
            base,
            headers: Vec::new(),
            patience: Patience::with_source(),
            heard: false,
            said: false,
            problems: Vec::new(),
        }
    }

    /// What goes with each question from now on.
    pub(super) fn show(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }

    /// Asks by PUT; `None` where that is not understood.
    pub(super) async fn put(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<String>, Failure> {
        let answer = put(&self.at(path)?, headers, self.patience).await;
        self.heard = true;
        match answer {
            Ok(page) => Ok(Some(text(&page))),
            Err(Failure::Status(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A page that need not be there.
    pub(super) async fn ask(&mut self, path: &str) -> Answer {
        let url = self.at(path).map_err(|failure| failure.to_string())?;
        let headers = self.headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (*name, &value[..])).collect();
        let patience = match self.heard {
            true => self.patience.with_page(),
            false => self.patience,
        };
        let answer = get(&url, &headers, patience).await;
        self.heard |= matches!(answer, Ok(_) | Err(Failure::Status(_)));
        self.said |= answer.is_ok();
        match answer {
            Ok(page) => Ok(Some(page.to_vec())),
            Err(Failure::Status(404)) => Ok(None),
            Err(failure) => Err(format!("{path}: {failure}")),
        }
    }

    /// The same as text. Why it cannot be read is kept for [`Self::end`].
    pub(super) async fn text(&mut self, path: &str) -> Result<Option<String>, ()> {
        match self.ask(path).await {
            Ok(page) => Ok(page.map(|page| text(&page))),
            Err(why) => {
                self.problems.push(why);
                Err(())
            }
        }
    }

    /// What came of it: `None` where nothing at all is said, and no answer where there is no page but
    /// those that cannot be read.
    pub(super) fn end(
        self,
        user_data: Answer,
        keys: Vec<String>,
        hostname: Option<String>,
    ) -> Result<Option<Found>, Failure> {
        let user_data = user_data.transpose();
        let mut why = self.problems.iter();
        let why = why
            .next()
            .or(user_data.as_ref().and_then(|it| it.as_ref().err()));
        match why {
            Some(why) if !self.said => return Err(Failure::Never(why.clone())),
            None if user_data.is_none() && keys.is_empty() && hostname.is_none() => {
                return Ok(None);
            }
            _ => (),
        }
        Ok(Some(Found {
            user_data,
            keys,
            hostname,
            problems: self.problems,
            instance: None,
        }))
    }

    fn at(&self, path: &str) -> Result<Url, Failure> {
        let url = self.base.join(path);
        url.map_err(|error| Failure::Never(error.to_string()))
    }
}

/// What a page says, without the space around it.
pub(super) fn text(page: &[u8]) -> String {
    String::from_utf8_lossy(page).trim().to_owned()
}
