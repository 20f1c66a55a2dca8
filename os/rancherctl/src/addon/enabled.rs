//! Changes the list of enabled addons in the user's document. Lists in other layers do not matter, nor does
//! the list that was read before a pull.

use config::{Config, Document, Store, edit, path};

/// The key of the list.
const KEY: &str = "enabledAddons";

/// Adds names to the list, or removes them.
pub(super) fn change(
    store: &Store,
    config: &Config,
    names: &[String],
    on: bool,
) -> Result<(), String> {
    store
        .change(|old| changed(old, config, names, on).map_err(std::io::Error::other))
        .map_err(|error| {
            let file = store.path();
            format!("{}: {error}\nthe document was not changed", file.display())
        })
}

/// The text of the document with the names added to its list, or removed from it.
fn changed(old: &str, config: &Config, names: &[String], on: bool) -> Result<String, String> {
    let old_list = list(old)?;
    let mut list = old_list.clone();
    for name in names {
        match (on, list.contains(name)) {
            (true, false) => list.push(name.clone()),
            // The name must be in another layer's list, or be an addon that exists.
            (false, false) if !config.enabled_addons.contains(name) => {
                config.addon(name)?;
            }
            _ => (),
        }
    }
    if !on {
        list.retain(|name| !names.contains(name));
    }
    if list == old_list {
        return Ok(old.into());
    }
    edit::set(old, &[KEY.into()], &list.into()).map_err(|error| error.to_string())
}

/// The list in the document itself.
fn list(text: &str) -> Result<Vec<String>, String> {
    let document = Document::parse("", text.into()).map_err(|problem| problem.message)?;
    match path::get(&document.value, &[KEY.into()]) {
        None => Ok(Vec::new()),
        Some(list) => serde_yaml::from_value::<Vec<String>>(list.clone())
            .map_err(|_| format!("`{KEY}` must be a list of names")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).into()).collect()
    }

    /// A store, and the configuration that was loaded before the store is changed.
    fn store(text: &str, cmdline: &str) -> (tempfile::TempDir, Store, Config) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        std::fs::write(store.path(), text).unwrap();
        let config = config::load(folder.path(), cmdline).config;
        (folder, store, config)
    }

    #[test]
    fn concurrent_changes_of_the_list_are_all_applied() {
        let (_folder, store, config) = store("# mine\nenabledAddons: [a]\n", "");
        // All of them loaded the same configuration before they pulled.
        change(&store, &config, &names(&["b"]), true).unwrap();
        change(&store, &config, &names(&["c"]), true).unwrap();
        change(&store, &config, &names(&["a"]), false).unwrap();
        assert_eq!(store.text().unwrap(), "# mine\nenabledAddons: [b, c]\n",);
    }

    #[test]
    fn names_in_another_layers_list_are_not_copied() {
        let (_folder, store, config) = store("hostname: x\n", "rancher.enabledAddons=[theirs]");
        assert_eq!(config.enabled_addons, ["theirs"]);
        change(&store, &config, &names(&["theirs"]), false).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: x\n");
        change(&store, &config, &names(&["mine"]), true).unwrap();
        assert_eq!(list(&store.text().unwrap()).unwrap(), ["mine"]);
    }

    #[test]
    fn change_fails_without_effect_when_the_document_is_invalid() {
        for text in ["enabledAddons: a\n", "a: [\n"] {
            let (_folder, store, config) = store(text, "");
            let error = change(&store, &config, &names(&["b"]), true).unwrap_err();
            assert!(error.ends_with("the document was not changed"), "{error}");
            assert_eq!(store.text().unwrap(), text);
        }
        let (_folder, store, config) = store("", "");
        let error = change(&store, &config, &names(&["debian-consol"]), false).unwrap_err();
        assert!(error.contains("did you mean `debian-console`?"), "{error}");
    }
}
