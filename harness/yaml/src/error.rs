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
    pub hint: Option<Box<str>>,
    /// Whether it is only a warning.
    pub warning: bool,
    /// The text and the bytes in it that are meant.
    pub place: Option<(Arc<str>, Range<usize>)>,
}

impl SourceError {
    /// An error about a file as a whole.
    pub fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            message: message.into(),
            hint: None,
            warning: false,
            place: None,
        }
    }

    /// The same error with a place in the file's text.
    #[must_use]
    pub fn at(self, text: &Arc<str>, span: Range<usize>) -> Self {
        let line = Some(line_of(text, span.start));
        Self {
            line,
            place: Some((Arc::clone(text), span)),
            ..self
        }
    }

    /// The same error with what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into().into()),
            ..self
        }
    }

    /// The same as a warning, which stops nothing.
    #[must_use]
    pub fn warning(self) -> Self {
        Self {
            warning: true,
            ..self
        }
    }

    /// The error as rustc would print it.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let path = self.file.display().to_string();
        let place = self.place.clone().or_else(|| self.whole_line());
        let title = match place {
            Some(_) => self.message.clone(),
            None => format!("{path}: {}", self.message),
        };
        let level = if self.warning {
            Level::WARNING
        } else {
            Level::ERROR
        };
        let mut group = Group::with_title(level.primary_title(title.as_str()));
        if let Some((text, span)) = &place {
            let word = AnnotationKind::Primary.span(span.clone());
            group = group.element(Snippet::source(&**text).path(&path).annotation(word));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(&**hint));
        }
        renderer.render(&[group])
    }

    /// The place of an error of which only the line is known: all of it.
    fn whole_line(&self) -> Option<(Arc<str>, Range<usize>)> {
        let text: Arc<str> = std::fs::read_to_string(&self.file).ok()?.into();
        let line = text.lines().nth(self.line?.checked_sub(1)?)?;
        // `line` is a part of `text`, so the distance between the two is where it begins.
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        let span = start..start + line.trim_end().len();
        Some((Arc::clone(&text), span))
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
