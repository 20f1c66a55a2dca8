//! Warns about values of the document that have no effect. Every command that changes the document prints
//! these warnings.

use config::{Document, Layer, Loaded, SchemaErrorKind, Store, path};
use serde_yaml::Value;

use super::values::check_value;
use super::warn;

/// Prints the warnings about some keys.
pub(super) fn print_for_keys(store: &Store, keys: &[Vec<String>]) {
    let loaded = config::load_machine();
    print(&lines(&loaded, store, keys));
    if keys.iter().any(|keys| keys[0].contains("docker")) {
        warn(&loaded);
    }
}

/// Prints the warnings about all keys of a document whose values differ from the defaults.
pub(super) fn print_for_document(store: &Store, document: &Value) {
    let loaded = config::load_machine();
    print(&lines(&loaded, store, &changed_keys(document)));
    warn(&loaded);
}

fn print(lines: &[String]) {
    for line in lines {
        eprintln!("{line}");
    }
}

fn changed_keys(document: &Value) -> Vec<Vec<String>> {
    let defaults = config::defaults();
    let mut keys = path::leaves(document);
    // An empty document has one leaf with an empty path.
    keys.retain(|keys| !keys.is_empty());
    keys.retain(|keys| path::get(document, keys) != path::get(&defaults, keys));
    keys
}

fn lines(loaded: &Loaded, store: &Store, keys: &[Vec<String>]) -> Vec<String> {
    let early = keys.iter().filter_map(|keys| early_key(keys));
    let invalid = invalid_document(loaded, store);
    let overridden = overridden(loaded, store, keys);
    let sets_hostname = keys.iter().any(|keys| keys[..] == ["hostname"]);
    let hostname = loaded
        .problems
        .iter()
        .filter(|problem| sets_hostname && problem.key == "hostname")
        .map(|problem| format!("warning: {problem}"));
    early
        .chain(invalid)
        .chain(overridden)
        .chain(hostname)
        .collect()
}

/// A warning about a key that the machine reads before this document.
fn early_key(keys: &[String]) -> Option<String> {
    let key = path::join(keys);
    let is_early = config::EARLY.contains(&keys[0].as_str()) && is_known(keys);
    is_early.then(|| {
        format!(
            "warning: `{key}` has no effect here, because it is read before the disk with this document \
             is mounted; hint: put `rancher.{key}=…` on the kernel command line"
        )
    })
}

/// Whether the schema has a key; unknown keys are reported elsewhere.
fn is_known(keys: &[String]) -> bool {
    !check_value(keys, Value::Null)
        .is_err_and(|error| matches!(error.kind, SchemaErrorKind::UnknownKey(_)))
}

/// A warning about an error that keeps the whole document from applying.
fn invalid_document(loaded: &Loaded, store: &Store) -> Option<String> {
    let name = store.path().to_string_lossy().into_owned();
    if !loaded.last_good {
        return None;
    }
    let mut problems = loaded.problems.iter();
    let problem = problems.find(|problem| problem.location.starts_with(&name));
    let error = problem.map_or(name.clone(), |problem| {
        format!("{}: {}", problem.location, problem.message)
    });
    Some(format!(
        "warning: saved, but the document does not apply until this error is fixed: {error}"
    ))
}

/// Notes about keys that a layer above the user's document sets to other values.
fn overridden(loaded: &Loaded, store: &Store, keys: &[Vec<String>]) -> Vec<String> {
    let own = loaded.layers.iter().position(Layer::is_users);
    let above = &loaded.layers[own.map_or(0, |own| own + 1)..];
    let document = Document::read(&store.path()).ok().flatten();
    let value = |keys: &[String]| path::get(&document.as_ref()?.value, keys).cloned();
    let notes = keys.iter().filter_map(|keys| {
        let layer = uppermost(above, keys)?;
        (path::get(&layer.value, keys) != value(keys).as_ref())
            .then(|| format!("note: `{}`: {} overrides it", path::join(keys), layer.name))
    });
    notes.collect()
}

/// The uppermost layer that sets a key.
pub(super) fn uppermost<'l>(layers: &'l [Layer], keys: &[String]) -> Option<&'l Layer> {
    let mut down = layers.iter().rev();
    down.find(|layer| path::get(&layer.value, keys).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        path::parse(text).unwrap()
    }

    #[test]
    fn early_key_is_warned_about() {
        let warning = |key: &str| early_key(&keys(key));
        for key in ["state.dev", "rescue"] {
            let warning = warning(key).unwrap();
            assert!(warning.contains(&format!("`rancher.{key}=…`")), "{warning}");
        }
        assert_eq!(warning("hostname"), None);
        assert_eq!(warning("state.nonsense"), None);
    }

    #[test]
    fn change_is_warned_about_when_the_document_is_invalid() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let write = |name: &str, text| std::fs::write(folder.path().join(name), text).unwrap();
        let warnings = |cmdline: &str| {
            let loaded = config::load(folder.path(), cmdline);
            lines(&loaded, &store, &[keys("hostname")])
        };
        write(config::GOOD_LAYER, "hostname: box\n");
        write(config::USER_LAYER, "hostname: ship\n");
        assert_eq!(warnings("").len(), 0);
        write(config::USER_LAYER, "hostname: ship\nmodules: loop\n");
        let text = warnings("").join("\n");
        assert!(
            text.starts_with("warning: ") && text.contains("rancher.yml:2:1: `modules` must be"),
            "{text}"
        );
        assert_eq!(
            warnings("").len(),
            1,
            "the last good document is not a layer above the user's"
        );
        assert_eq!(warnings("rancher.hostname=x").len(), 2);
    }

    #[test]
    fn document_is_checked_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let text = "hostname: ship\nmodules: [dummy]\nstate: { dev: LABEL=x, fstype: auto }\n";
        std::fs::write(store.path(), text).unwrap();
        let document = Document::parse("", text.to_owned()).unwrap();
        let warnings = |cmdline: &str| {
            let loaded = config::load(folder.path(), cmdline);
            lines(&loaded, &store, &changed_keys(&document.value))
        };
        let early = warnings("");
        assert!(
            early.len() == 1 && early[0].contains("`state.dev` has no effect here"),
            "{early:?}"
        );
        let overridden = warnings("rancher.hostname=box rancher.modules=[dummy]");
        assert_eq!(
            overridden[1..],
            ["note: `hostname`: kernel argument rancher.hostname=box overrides it"]
        );
        let empty = Value::Mapping(serde_yaml::Mapping::new());
        assert_eq!(changed_keys(&empty).len(), 0);
    }
}
