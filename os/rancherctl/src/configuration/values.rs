//! Single values: `get`, `set`, `unset`, and `diff` that shows those which are set.

use config::edit::{self, flow_value};
use config::{Loaded, Misfit, Store, Why, path};
use serde_yaml::Value;

use super::doubts::{self, last_word};
use super::{Failure, Result};

/// Prints a value; nothing where there is none, as RancherOS always did.
pub fn get(key: &str) -> Result<()> {
    let keys = path::parse(key)?;
    let loaded = config::load_machine();
    match value(&loaded, &keys) {
        Some(Value::String(text)) => println!("{text}"),
        Some(other) => print!("{}", serde_yaml::to_string(&other).unwrap_or_default()),
        None => {
            println!();
            if let Err(misfit) = fits(&keys, Value::Null)
                && matches!(misfit.why, Why::Unknown(_))
            {
                eprintln!("{misfit}");
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
pub fn set(store: &Store, key: &str, words: &[String]) -> Result<()> {
    if words.is_empty() {
        let (key, value) = key.split_once('=').unwrap_or((key, "VALUE"));
        return Err(Failure(format!(
            "key and value are two words: `rancherctl config set {key} {value}`"
        )));
    }
    let keys = path::parse(key)?;
    let value = typed(&keys, &words.join(" ")).map_err(|misfit| misfit.to_string())?;
    store.change(|old| Ok::<_, Failure>(edit::set(old, &keys, &value)?))?;
    doubts::tell(store, &[keys]);
    Ok(())
}

/// The value that a text stands for at a key: what YAML makes of it, or the text itself.
fn typed(keys: &[String], text: &str) -> Result<Value, Misfit> {
    let as_text = Value::from(text);
    let value = match config::written::read(text) {
        Ok(Value::String(_)) if !text.starts_with(['\'', '"']) => as_text.clone(),
        Ok(Value::Null) | Err(_) => as_text.clone(),
        Ok(value) => value,
    };
    match fits(keys, value.clone()) {
        Ok(()) => Ok(value),
        Err(misfit) => fits(keys, as_text.clone())
            .map(|()| as_text)
            .map_err(|_| misfit),
    }
}

/// Whether a value fits at a key.
pub fn fits(keys: &[String], value: Value) -> Result<(), Misfit> {
    let mut document = config::defaults();
    // As in the document: name servers may be a list.
    if keys[..] == ["dns"] || value.is_sequence() {
        path::put(&mut document, keys, value);
    } else {
        let mut layer = Value::Null;
        path::put(&mut layer, keys, value);
        config::merge(&mut document, &layer);
    }
    config::fit(&document).map(drop)
}

/// Takes values back to their defaults.
pub fn unset(store: &Store, keys: &[String]) -> Result<()> {
    for key in keys {
        let keys = path::parse(key)?;
        let below = [&["rancher".to_owned()], &keys[..]].concat();
        let mut changed = false;
        store.change(|old| {
            let new = edit::remove(&edit::remove(old, &keys)?, &below)?;
            changed = new != old;
            Ok::<_, Failure>(new)
        })?;
        match fits(&keys, Value::Null) {
            _ if changed => doubts::tell(store, &[keys]),
            Err(misfit) if matches!(misfit.why, Why::Unknown(_)) => {
                return Err(Failure(misfit.to_string()));
            }
            _ => eprintln!("note: `{key}` is not set"),
        }
    }
    Ok(())
}

/// Prints what is not as the defaults have it.
pub fn diff(loaded: &Loaded) -> Result<()> {
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
        let (was, is) = (
            path::get(&defaults, &keys),
            path::get(&loaded.merged, &keys),
        );
        let Some(layer) = last_word(&loaded.layers, &keys).filter(|_| was != is) else {
            continue;
        };
        let place = layer
            .document
            .as_ref()
            .map_or(layer.name.clone(), |text| text.place(&keys));
        let new = if path::is_private(&keys) {
            "…".into()
        } else {
            shown(is)
        };
        lines.push(format!(
            "{}: {} -> {new}  ({place})",
            path::join(&keys),
            shown(was)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(key: &str, text: &str) -> String {
        match typed(&path::parse(key).unwrap(), text) {
            Ok(value) => flow_value(&value),
            Err(misfit) => misfit.to_string(),
        }
    }

    #[test]
    fn a_text_is_what_belongs_at_its_key() {
        assert_eq!(made("hostname", "7"), "7");
        assert_eq!(made("password", "0123"), "0123");
        assert_eq!(made("environment.RELEASE", "1.10"), "'1.10'");
        assert_eq!(made("environment", "{R: 1.10}"), "{R: '1.10'}");
        assert_eq!(made("password", "a # b: c"), "'a # b: c'");
        assert_eq!(made("hostname", "\"x\""), "x");
        assert_eq!(made("state.required", "true"), "true");
        assert_eq!(
            made("state.required", "yes"),
            "`state.required` must be `true` or `false`, and `yes` is not"
        );
        assert_eq!(
            made("dns", "8.8.8.8"),
            "`dns` must be a list, as in `[8.8.8.8]`"
        );
        assert_eq!(made("dns", "[8.8.8.8, 8.8.4.4]"), "[8.8.8.8, 8.8.4.4]");
        assert_eq!(made("dns", "{search: [a.org]}"), "{search: [a.org]}");
        assert_eq!(
            made("modules", "loop"),
            "`modules` must be a list, as in `[loop]`"
        );
        assert_eq!(
            made("hostnme", "x"),
            "there is no key `hostnme`; did you mean `hostname`?"
        );
        assert_eq!(
            made("userdocker.tls_ca_cert", "-----BEGIN\nA\n"),
            "\"-----BEGIN\\nA\\n\""
        );
        assert_eq!(made("environment.HTTP_PROXY", "http://p:1"), "'http://p:1'");
    }

    #[test]
    fn differences_say_who_made_them_and_hide_secrets() {
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
