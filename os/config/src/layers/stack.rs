//! Merges the layers one by one and drops the values that do not match the schema.

use std::path::Path;

use serde_yaml::Value;

use super::{Layer, Loaded, defaults};
use crate::document::normalized;
use crate::{
    Consequence, Document, GOOD_LAYER, Problem, SchemaError, USER_LAYER, cmdline, hostname, merge,
    path, validate, verbatim,
};

/// The layers merged so far; `merged` is always a valid document.
pub(super) struct Stack {
    merged: Value,
    pub(super) problems: Vec<Problem>,
    last_good: bool,
    layers: Vec<Layer>,
}

impl Stack {
    pub(super) fn defaults() -> Self {
        Self {
            merged: defaults(),
            problems: Vec::new(),
            last_good: false,
            layers: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Loaded {
        let mut config = validate(&self.merged).expect("only valid layers were merged");
        for service in config.services.values_mut() {
            service.image = service.image.replace("${VERSION}", crate::VERSION);
        }
        if let Some(name) = hostname::truncated(&config.hostname) {
            config.hostname = name.into_owned();
        }
        Loaded {
            config,
            merged: self.merged,
            problems: self.problems,
            last_good: self.last_good,
            layers: self.layers,
        }
    }

    /// Records problems with their consequence.
    fn report(&mut self, problems: impl IntoIterator<Item = Problem>, consequence: Consequence) {
        let problems = problems.into_iter();
        self.problems.extend(problems.map(|problem| Problem {
            consequence,
            ..problem
        }));
    }

    /// Merges a layer if the result matches the schema.
    fn try_add(&mut self, name: &str, layer: &Value) -> Result<(), SchemaError> {
        let mut merged = self.merged.clone();
        merge(&mut merged, layer);
        validate(&merged)?;
        self.merged = merged;
        self.layers.push(Layer {
            name: name.into(),
            value: layer.clone(),
            document: None,
        });
        Ok(())
    }

    /// Adds a file that the machine wrote. Invalid values are ignored.
    pub(super) fn add_file(&mut self, path: &Path) {
        match Document::read(path) {
            Ok(Some(document)) => self.add_document(document),
            Ok(None) => (),
            Err(problem) => self.report([problem], Consequence::Ignored),
        }
    }

    /// Adds the user's document, or, if it has an error, the last good one.
    ///
    /// Minor errors only drop the value: an unknown key may belong to a newer version, and neither it
    /// nor an invalid host name affects the other keys.
    pub(super) fn add_user_document(&mut self, folder: &Path) {
        let user = match Document::read(&folder.join(USER_LAYER)) {
            Ok(None) => return,
            Ok(Some(user)) => user,
            Err(problem) => return self.add_last_good(folder, vec![problem], None),
        };
        let errors = self.drop_invalid(&mut user.value.clone());
        if errors.iter().all(SchemaError::is_minor) {
            return self.add_document(user);
        }
        let problems = errors.iter().map(|error| user.problem(error)).collect();
        self.add_last_good(folder, problems, Some(user));
    }

    fn add_last_good(&mut self, folder: &Path, problems: Vec<Problem>, user: Option<Document>) {
        let good = Document::read(&folder.join(GOOD_LAYER)).ok().flatten();
        match (good, user) {
            (Some(good), _) => {
                self.report(problems, Consequence::LastGoodApplies);
                self.last_good = true;
                self.add_document(good);
            }
            (None, Some(user)) => self.add_document(user),
            (None, None) => self.report(problems, Consequence::Ignored),
        }
    }

    /// Adds the valid values of a document.
    pub(super) fn add_document(&mut self, document: Document) {
        let mut value = document.value.clone();
        let errors = self.drop_invalid(&mut value).into_iter();
        self.report(
            errors.map(|error| document.problem(&error)),
            Consequence::Ignored,
        );
        let location = || document.location(&["hostname".to_owned()]);
        self.problems.extend(truncated_name(&value, location));
        // Only valid values are left, so this cannot fail.
        if self.try_add(&document.name, &value).is_ok()
            && let Some(layer) = self.layers.last_mut()
        {
            layer.document = Some(document);
        }
    }

    /// Removes the invalid values of a layer one by one and returns an error for each.
    fn drop_invalid(&self, layer: &mut Value) -> Vec<SchemaError> {
        let mut errors = Vec::new();
        loop {
            let mut merged = self.merged.clone();
            merge(&mut merged, layer);
            let Err(error) = validate(&merged) else {
                return errors;
            };
            let removed = (1..=error.path.len())
                .rev()
                .any(|depth| path::remove(layer, &error.path[..depth]));
            if !removed {
                // No key of the layer causes the error: drop the whole layer.
                *layer = Value::Mapping(serde_yaml::Mapping::new());
            }
            errors.push(error);
        }
    }

    pub(super) fn add_arguments(&mut self, cmdline: &str) {
        for argument in cmdline::arguments(cmdline) {
            self.add_argument(&argument);
        }
    }

    fn add_argument(&mut self, argument: &cmdline::Argument) {
        let name = format!("kernel argument {}", redacted(&argument.text));
        let value = normalized(argument.layer());
        let Err(error) = self.try_add(&name, &value) else {
            let truncated = truncated_name(&value, || name);
            let truncated = truncated.map(|problem| of_argument(argument, problem));
            self.problems.extend(truncated);
            return;
        };
        let as_text = argument
            .layer_as_text()
            .map(|text| self.try_add(&name, &normalized(text)));
        if !matches!(as_text, Some(Ok(()))) {
            let problem = of_argument(argument, Problem::new(name, error));
            self.report([problem], Consequence::Ignored);
        }
    }
}

fn of_argument(argument: &cmdline::Argument, problem: Problem) -> Problem {
    Problem {
        argument: Some(argument.keys.clone()),
        ..problem
    }
}

/// A problem if the host name of a layer is too long or ends with a dot.
fn truncated_name(layer: &Value, location: impl FnOnce() -> String) -> Option<Problem> {
    let name = verbatim::text(layer.get("hostname")?)?;
    let short = hostname::truncated(&name)?;
    if short == name {
        return None;
    }
    let message = if name.strip_suffix('.') == Some(&short) {
        format!("`hostname`: `{name}` ends with a dot; the host name is `{short}`")
    } else {
        format!("`hostname`: `{name}` is too long for a host name; the host name is `{short}`")
    };
    Some(Problem {
        key: "hostname".into(),
        ..Problem::new(location(), message)
    })
}

/// An argument without its value if the value may be a secret.
fn redacted(text: &str) -> String {
    match text.split_once('=') {
        Some((name, _)) if name.contains("password") || name.contains("key") => format!("{name}=…"),
        _ => text.into(),
    }
}
