//! The top-level keys of the schema.

use serde_yaml::Value;

use crate::{SchemaErrorKind, defaults, path, validate};

/// Whether the schema has a top-level key of this name.
pub fn is_key(name: &str) -> bool {
    let mut document = defaults();
    let path = [name.to_owned()];
    path::put(&mut document, &path, Value::Null);
    !validate(&document).is_err_and(|error| {
        error.path == path && matches!(error.kind, SchemaErrorKind::UnknownKey(_))
    })
}
