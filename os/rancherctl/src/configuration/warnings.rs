//! What keeps the document from doing what it says: told by everything that changes it.

use config::{Document, Layer, Loaded, Store, Why, path};
use serde_yaml::Value;

use super::values::fits;
use super::warn;

/// Tells it of keys that somebody has named.
pub fn tell(store: &Store, keys: &[Vec<String>]) {
    let loaded = config::load_machine();
    print(&lines(&loaded, store, keys));
    if keys.iter().any(|keys| keys[0].contains("docker")) {
        warn(&loaded);
    }
}

/// Tells it of all that a document says; of what it says like the defaults nobody wants to know.
pub fn tell_of(store: &Store, document: &Value) {
    let loaded = config::load_machine();
    print(&lines(&loaded, store, &said(document)));
    warn(&loaded);
}

fn print(lines: &[String]) {
    for line in lines {
        eprintln!("{line}");
    }
}

fn said(document: &Value) -> Vec<Vec<String>> {
    let defaults = config::defaults();
    let mut keys = path::leaves(document);
    // A document that says nothing has a leaf without a name.
    keys.retain(|keys| !keys.is_empty());
    keys.retain(|keys| path::get(document, keys) != path::get(&defaults, keys));
    keys
}

fn lines(loaded: &Loaded, store: &Store, keys: &[Vec<String>]) -> Vec<String> {
    let late = keys.iter().filter_map(|keys| too_late(keys));
    let waits = waits(loaded, store);
    let above = overruled(loaded, store, keys);
    let names_machine = keys.iter().any(|keys| keys[..] == ["hostname"]);
    let names = loaded.problems.iter().filter(|_| names_machine);
    let names = names.filter(|problem| problem.key == "hostname");
    let names = names.map(|problem| format!("warning: {problem}"));
    late.chain(waits).chain(above).chain(names).collect()
}

/// What is set in the document and does nothing there.
fn too_late(keys: &[String]) -> Option<String> {
    let key = path::join(keys);
    let known = config::EARLY.contains(&keys[0].as_str()) && is_known(keys);
    known.then(|| {
        format!(
            "warning: this does nothing: `{key}` is read before the disk with this document is there; \
             put `rancher.{key}=…` on the kernel command line"
        )
    })
}

/// What is no key at all is told by who checks documents.
fn is_known(keys: &[String]) -> bool {
    !matches!(fits(keys, Value::Null), Err(misfit) if matches!(misfit.why, Why::Unknown(_)))
}

/// A mistake that keeps all of the document from holding.
fn waits(loaded: &Loaded, store: &Store) -> Option<String> {
    let name = store.path().to_string_lossy().into_owned();
    if !loaded.last_good {
        return None;
    }
    let mut mistakes = loaded.problems.iter();
    let mistake = mistakes.find(|problem| problem.place.starts_with(&name));
    let what = mistake.map_or(name.clone(), |problem| {
        format!("{}: {}", problem.place, problem.why)
    });
    Some(format!(
        "warning: this is kept, and does not hold until a mistake is mended: {what}"
    ))
}

/// Keys of which a layer above the user's document says something else.
fn overruled(loaded: &Loaded, store: &Store, keys: &[Vec<String>]) -> Vec<String> {
    let own = loaded.layers.iter().position(Layer::is_users);
    let above = &loaded.layers[own.map_or(0, |own| own + 1)..];
    let document = Document::read(&store.path()).ok().flatten();
    let mine = |keys: &[String]| path::get(&document.as_ref()?.value, keys).cloned();
    let notes = keys.iter().filter_map(|keys| {
        let layer = last_word(above, keys)?;
        (path::get(&layer.value, keys) != mine(keys).as_ref()).then(|| {
            format!(
                "note: `{}`: {} says otherwise, and has the last word",
                path::join(keys),
                layer.name
            )
        })
    });
    notes.collect()
}

/// The uppermost layer that says something at a key.
pub fn last_word<'l>(layers: &'l [Layer], keys: &[String]) -> Option<&'l Layer> {
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
    fn what_does_nothing_in_the_document_is_told() {
        let told = |key: &str| too_late(&keys(key));
        for key in ["state.dev", "rescue"] {
            let told = told(key).unwrap();
            assert!(told.contains(&format!("`rancher.{key}=…`")), "{told}");
        }
        assert_eq!(told("hostname"), None);
        assert_eq!(told("state.nonsense"), None);
    }

    #[test]
    fn what_waits_for_a_mistake_to_be_mended_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let write = |name: &str, text| std::fs::write(folder.path().join(name), text).unwrap();
        let doubts = |cmdline: &str| {
            let loaded = config::load(folder.path(), cmdline);
            lines(&loaded, &store, &[keys("hostname")])
        };
        write(config::GOOD_LAYER, "hostname: box\n");
        write(config::USER_LAYER, "hostname: ship\n");
        assert_eq!(doubts("").len(), 0);
        write(config::USER_LAYER, "hostname: ship\nmodules: loop\n");
        let told = doubts("").join("\n");
        assert!(
            told.starts_with("warning: ") && told.contains("rancher.yml:2:1: `modules` must be"),
            "{told}"
        );
        assert_eq!(
            doubts("").len(),
            1,
            "the last good document is no layer above"
        );
        assert_eq!(doubts("rancher.hostname=x").len(), 2);
    }

    #[test]
    fn a_whole_document_is_told_key_by_key_what_does_not_hold() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let text = "hostname: ship\nmodules: [dummy]\nstate: { dev: LABEL=x, fstype: auto }\n";
        std::fs::write(store.path(), text).unwrap();
        let document = Document::parse("", text.to_owned()).unwrap();
        let told = |cmdline: &str| {
            let loaded = config::load(folder.path(), cmdline);
            lines(&loaded, &store, &said(&document.value))
        };
        let late = told("");
        assert!(
            late.len() == 1 && late[0].contains("`state.dev` is read before"),
            "{late:?}"
        );
        let overruled = told("rancher.hostname=box rancher.modules=[dummy]");
        assert_eq!(
            overruled[1..],
            [
                "note: `hostname`: kernel argument rancher.hostname=box says otherwise, \
                 and has the last word"
            ]
        );
        assert_eq!(said(&Value::Mapping(serde_yaml::Mapping::new())).len(), 0);
    }
}
