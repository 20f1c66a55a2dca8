//! The errors of a build.

/// Why a build failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("failed to {step}: {cause}")]
pub struct BuildError {
    /// The step, as a phrase that follows "failed to".
    pub step: String,
    /// The cause.
    pub cause: String,
    /// What the user can do, if known.
    pub hint: Option<String>,
}

impl BuildError {
    /// The error on one line: the step and the first error line of apt, or the first line of the cause.
    pub fn short(&self) -> String {
        let mut lines = self.cause.lines().map(str::trim);
        let first = lines.clone().next().unwrap_or_default();
        let cause = lines.find(|line| line.starts_with("E: ")).unwrap_or(first);
        format!("failed to {}: {cause}", self.step)
    }

    pub(crate) fn new(step: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        let (step, cause) = (step.into(), cause.to_string());
        let hint = cause
            .contains("No space left on device")
            .then(|| "free some disk space; `target/images` contains cached results".to_owned());
        Self { step, cause, hint }
    }
}

/// The result of a build step.
pub(crate) type Result<T> = std::result::Result<T, BuildError>;

/// Adds the step to an error.
pub(crate) trait Context<T> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::error::Error> Context<T> for std::result::Result<T, E> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| BuildError::new(step(), causes(&error)))
    }
}

/// The text of an error with its causes, such as a full disk, which some errors do not print.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
