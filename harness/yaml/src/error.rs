//! The error type, and how it is rendered.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// An error in a YAML file: the file, the line, the message and a hint.
#[derive(Debug, Clone)]
pub struct SourceError {
    /// The path of the file.
    pub file: PathBuf,
    /// The line, from 1, if the error has one.
    pub line: Option<usize>,
    /// The message: one lower-case fragment.
    pub message: String,
    /// How to fix it.
    pub hint: Option<Box<str>>,
    /// Whether it is a warning.
    pub warning: bool,
    /// The text of the file, and the bytes that the error is about.
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

    /// Sets the place in the text.
    #[must_use]
    pub fn at(self, text: &Arc<str>, span: Range<usize>) -> Self {
        let line = Some(line_of(text, span.start));
        Self {
            line,
            place: Some((Arc::clone(text), span)),
            ..self
        }
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into().into()),
            ..self
        }
    }

    /// Makes it a warning, which does not prevent a run.
    #[must_use]
    pub fn warning(self) -> Self {
        Self {
            warning: true,
            ..self
        }
    }

    /// Renders the error in the format of rustc.
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
            let annotation = AnnotationKind::Primary.span(span.clone());
            group = group.element(Snippet::source(&**text).path(&path).annotation(annotation));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(&**hint));
        }
        renderer.render(&[group])
    }

    /// The whole line, for an error without an exact place.
    fn whole_line(&self) -> Option<(Arc<str>, Range<usize>)> {
        let text: Arc<str> = std::fs::read_to_string(&self.file).ok()?.into();
        let line = text.lines().nth(self.line?.checked_sub(1)?)?;
        // `line` is a slice of `text`, so the distance of the pointers is its offset.
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

/// Renders errors one after the other, separated by empty lines.
pub fn render_all(errors: &[SourceError], colour: bool) -> String {
    let each: Vec<String> = errors.iter().map(|error| error.render(colour)).collect();
    each.join("\n\n")
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}
