//! The subcommands for single values: `get`, `set`, `unset` and `diff`.

use config::edit::{self, flow_value};
use config::{Loaded, SchemaError, SchemaErrorKind, Store, path};
use serde_yaml::Value;

use super::warnings::{self, uppermost};
use super::{Failure, Result};

/// Prints a value, or an empty line if there is none, as earlier versions of RancherOS do.
pub(super) fn get(key: &str) -> Result<()> {
    let keys = path::parse(key)?;
    let loaded = config::load_machine();
    match value(&loaded, &keys) {
        Some(Value::String(text)) => println!("{text}"),
        Some(other) => print!("{}", serde_yaml::to_string(&other).unwrap_or_default()),
        None => {
            println!();
            if let Some(error) = unknown_key(&keys) {
                eprintln!("{error}");
            }
        }
    }
    Ok(())
}

fn value(loaded: &Loaded, keys: &[String]) -> Option<Value> {
    let whole = serde_yaml::to_value(&loaded.config).ok()?;
    path::get(&whole, keys)
        .or_else(|| path::get(&loaded.merged, keys))
        .cloned()
}

/// Sets a value.
pub(super) fn set(store: &Store, key: &str, words: &[String]) -> Result<()> {
    if words.is_empty() {
        let (key, value) = key.split_once('=').unwrap_or((key, "VALUE"));
        return Err(Failure(format!(
            "no value; hint: write `rancherctl config set {key} {value}`"
        )));
    }
    let keys = path::parse(key)?;
    let value = typed(&keys, &words.join(" ")).map_err(|error| error.to_string())?;
    store.change(|old| Ok::<_, Failure>(edit::set(old, &keys, &value)?))?;
    warnings::print_for_keys(store, &[keys]);
    Ok(())
}

/// Parses a text as YAML; if the result is not valid for the key, the text itself is the value.
fn typed(keys: &[String], text: &str) -> Result<Value, SchemaError> {
    let as_text = Value::from(text);
    let value = match config::verbatim::parse(text) {
        Ok(Value::String(_)) if !text.starts_with(['\'', '"']) => as_text.clone(),
        Ok(Value::Null) | Err(_) => as_text.clone(),
        Ok(value) => value,
    };
    match check_value(keys, value.clone()) {
        Ok(()) => Ok(value),
        Err(error) => check_value(keys, as_text.clone())
            .map(|()| as_text)
            .map_err(|_| error),
    }
}

/// Checks the value of a key.
pub(super) fn check_value(keys: &[String], value: Value) -> Result<(), SchemaError> {
    let mut document = config::defaults();
    // A list of name servers replaces the mapping of the defaults.
    if keys[..] == ["dns"] || value.is_sequence() {
        path::put(&mut document, keys, value);
    } else {
        let mut layer = Value::Null;
        path::put(&mut layer, keys, value);
        config::merge(&mut document, &layer);
    }
    config::validate(&document).map(drop)
}

/// The error if the schema has no such key.
fn unknown_key(keys: &[String]) -> Option<SchemaError> {
    check_value(keys, Value::Null)
        .err()
        .filter(|error| matches!(error.kind, SchemaErrorKind::UnknownKey(_)))
}

/// Resets values to their defaults.
pub(super) fn unset(store: &Store, keys: &[String]) -> Result<()> {
    for key in keys {
        let keys = path::parse(key)?;
        let below = [&["rancher".to_owned()], &keys[..]].concat();
        let mut changed = false;
        store.change(|old| {
            let new = edit::remove(&edit::remove(old, &keys)?, &below)?;
            changed = new != old;
            Ok::<_, Failure>(new)
        })?;
        if changed {
            warnings::print_for_keys(store, &[keys]);
        } else if let Some(error) = unknown_key(&keys) {
            return Err(Failure(error.to_string()));
        } else {
            eprintln!("note: `{key}` is not set");
        }
    }
    Ok(())
}

/// Prints the values that differ from the defaults.
pub(super) fn diff(loaded: &Loaded) -> Result<()> {
    for line in differences(loaded) {
        println!("{line}");
    }
    Ok(())
}

fn differences(loaded: &Loaded) -> Vec<String> {
    let defaults = config::defaults();
    let shown = |value: Option<&Value>| value.map_or_else(|| "unset".into(), flow_value);
    let mut lines = Vec::new();
    for keys in path::leaves(&loaded.merged) {
        let (old, new) = (
            path::get(&defaults, &keys),
            path::get(&loaded.merged, &keys),
        );
        let Some(layer) = uppermost(&loaded.layers, &keys).filter(|_| old != new) else {
            continue;
        };
        let location = layer
            .document
            .as_ref()
            .map_or(layer.name.clone(), |text| text.location(&keys));
        let new = if path::is_private(&keys) {
            "…".into()
        } else {
            shown(new)
        };
        lines.push(format!(
            "{}: {} -> {new}  ({location})",
            path::join(&keys),
            shown(old)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(key: &str, text: &str) -> String {
        match typed(&path::parse(key).unwrap(), text) {
            Ok(value) => flow_value(&value),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn value_gets_the_type_of_its_key() {
        assert_eq!(result("hostname", "7"), "7");
        assert_eq!(result("password", "0123"), "0123");
        assert_eq!(result("environment.RELEASE", "1.10"), "'1.10'");
        assert_eq!(result("environment", "{R: 1.10}"), "{R: '1.10'}");
        assert_eq!(result("password", "a # b: c"), "'a # b: c'");
        assert_eq!(result("hostname", "\"x\""), "x");
        assert_eq!(result("state.required", "true"), "true");
        assert_eq!(
            result("state.required", "yes"),
            "`state.required` must be `true` or `false`, not `yes`"
        );
        assert_eq!(
            result("dns", "8.8.8.8"),
            "`dns` must be a list, as in `[8.8.8.8]`"
        );
        assert_eq!(result("dns", "[8.8.8.8, 8.8.4.4]"), "[8.8.8.8, 8.8.4.4]");
        assert_eq!(result("dns", "{search: [a.org]}"), "{search: [a.org]}");
        assert_eq!(
            result("modules", "loop"),
            "`modules` must be a list, as in `[loop]`"
        );
        assert_eq!(
            result("hostnme", "x"),
            "unknown key `hostnme`; hint: did you mean `hostname`?"
        );
        assert_eq!(
            result("userdocker.tls_ca_cert", "-----BEGIN\nA\n"),
            "\"-----BEGIN\\nA\\n\""
        );
        assert_eq!(
            result("environment.HTTP_PROXY", "http://p:1"),
            "'http://p:1'"
        );
    }

    #[test]
    fn differences_have_locations_and_hide_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# mine\nhostname: box\ndns: [1.1.1.1]\npassword: geheim\nmodules: []\n";
        std::fs::write(folder.path().join(config::USER_LAYER), text).unwrap();
        let loaded = config::load(folder.path(), "rancher.state.required");
        let lines = differences(&loaded)
            .join("\n")
            .replace(&*folder.path().to_string_lossy(), "F");
        assert_eq!(
            lines,
            "hostname: rancher -> box  (F/rancher.yml:2:1)\n\
             state.required: false -> true  (kernel argument rancher.state.required)\n\
             dns.nameservers: [] -> [1.1.1.1]  (F/rancher.yml:3:1)\n\
             password: unset -> …  (F/rancher.yml:4:1)"
        );
    }
}
