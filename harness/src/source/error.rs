//! The error, and how it looks.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// What is wrong in a file somebody wrote: file, line, the line itself, and what to do.
#[derive(Debug, Clone)]
pub struct SourceError {
    /// The file as the user would name it.
    pub file: PathBuf,
    /// One-based line, when the error has a place.
    pub line: Option<usize>,
    /// What is wrong, lower case, one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The text and the bytes in it that are meant.
    pub place: Option<(Arc<str>, Range<usize>)>,
}

impl SourceError {
    /// An error about a file as a whole.
    pub fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, message: message.into(), hint: None, place: None }
    }

    /// The same error with a place in the file's text.
    #[must_use]
    pub fn at(self, text: &Arc<str>, span: Range<usize>) -> Self {
        let line = Some(line_of(text, span.start));
        Self { line, place: Some((Arc::clone(text), span)), ..self }
    }

    /// The same error with what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The error as rustc would print it.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let path = self.file.display().to_string();
        let title = match self.place {
            Some(_) => self.message.clone(),
            None => format!("{path}: {}", self.message),
        };
        let mut group = Group::with_title(Level::ERROR.primary_title(title.as_str()));
        if let Some((text, span)) = &self.place {
            let word = AnnotationKind::Primary.span(span.clone());
            group = group.element(Snippet::source(&**text).path(&path).annotation(word));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for SourceError {}

/// Many errors, one after another, with an empty line between.
pub fn render_all(errors: &[SourceError], colour: bool) -> String {
    let each: Vec<String> = errors.iter().map(|error| error.render(colour)).collect();
    each.join("\n\n")
}

/// The one-based line of a byte.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}
