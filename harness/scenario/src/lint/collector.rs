//! The errors and warnings that the checks find.

use yaml::{Document, SourceError};

/// Collects the errors and warnings of one file.
pub(crate) struct Lint<'a> {
    pub(crate) document: &'a Document,
    pub(crate) errors: Vec<SourceError>,
    pub(crate) warnings: Vec<SourceError>,
}

impl<'a> Lint<'a> {
    pub(crate) fn of(document: &'a Document) -> Self {
        Self {
            document,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds an error at a key.
    pub(super) fn key(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors
            .push(self.document.at_key(path, message).hint(hint));
    }

    /// Adds an error at the value of a key.
    pub(super) fn value(
        &mut self,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.errors
            .push(self.document.at_value(path, message).hint(hint));
    }

    /// Adds a warning at the value of a key.
    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let warning = self.document.at_value(path, message).hint(hint);
        self.warnings.push(warning.warning());
    }

    /// Adds the error of an unknown setup.
    pub(crate) fn no_setup(&mut self, name: &str, hint: String) {
        self.value("setup", format!("unknown setup `{name}`"), hint);
    }

    /// Adds an error at a key if `invalid`.
    pub(super) fn refuse(&mut self, invalid: bool, path: &str, message: &str, hint: &str) {
        if invalid {
            self.key(path, message, hint);
        }
    }
}
