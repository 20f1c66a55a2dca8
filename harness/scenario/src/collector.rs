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
    pub(crate) fn key(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors
            .push(self.document.at_key(path, message).hint(hint));
    }

    /// Adds an error at the value of a key.
    pub(crate) fn value(
        &mut self,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.errors
            .push(self.document.at_value(path, message).hint(hint));
    }

    /// Adds a warning at the value of a key.
    pub(crate) fn warn(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let warning = self.document.at_value(path, message).hint(hint);
        self.warnings.push(warning.warning());
    }

    /// Adds the error of an unknown setup.
    pub(crate) fn no_setup(&mut self, name: &str, hint: String) {
        self.value("setup", format!("unknown setup `{name}`"), hint);
    }

    /// Adds an error at a key if `invalid`.
    pub(crate) fn refuse(&mut self, invalid: bool, path: &str, message: &str, hint: &str) {
        if invalid {
            self.key(path, message, hint);
        }
    }

    /// Refuses a path of the machine that does not start at its root.
    pub(crate) fn absolute(&mut self, file: &str, path: &str) {
        if !file.starts_with('/') {
            let hint = format!("write `/{file}`");
            self.value(path, "not an absolute path", hint);
        }
    }

    /// Returns the one of several optional keys that is given; reports none and several as errors.
    pub(crate) fn one<T>(
        &mut self,
        kinds: impl IntoIterator<Item = (&'static str, Option<T>)>,
        path: &str,
        what: &str,
    ) -> Option<T> {
        let mut known = Vec::new();
        let mut given = Vec::new();
        for (name, kind) in kinds {
            known.push(format!("`{name}`"));
            given.extend(kind.map(|kind| (name, kind)));
        }
        let mut given = given.into_iter();
        let Some((first, kind)) = given.next() else {
            let hint = format!("add one of {}", known.join(", "));
            self.key(path, format!("{what} without a kind"), hint);
            return None;
        };
        if let Some((second, _)) = given.next() {
            let message = format!("{what} has exactly one kind; this one already has `{first}`");
            let kind = what.rsplit(' ').next().unwrap_or(what);
            let hint = format!("split it into two {kind}s");
            self.key(&format!("{path}.{second}"), message, hint);
            return None;
        }
        Some(kind)
    }
}
