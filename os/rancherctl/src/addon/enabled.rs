//! The list of enabled addons in the user's document. What other layers enable is none of its business,
//! and neither is what it said before somebody waited for a pull.

use config::{Config, Document, Store, edit, path};

/// Where the list is.
const KEY: &str = "enabledAddons";

/// Adds names to the list, or takes them out of it.
pub fn change(store: &Store, config: &Config, names: &[String], on: bool) -> Result<(), String> {
    let changed = |old: &str| changed(old, config, names, on).map_err(std::io::Error::other);
    let file = store.path().display().to_string();
    let done = store.change(changed);
    done.map_err(|error| format!("{file}: {error}\nnothing was changed"))
}

/// The text of the document with the names in its list, or without them.
fn changed(old: &str, config: &Config, names: &[String], on: bool) -> Result<String, String> {
    let was = list(old)?;
    let mut list = was.clone();
    for name in names {
        match (on, list.contains(name)) {
            (true, false) => list.push(name.clone()),
            // Another layer may have it, or else there is none.
            (false, false) if !config.enabled_addons.contains(name) => {
                config.addon(name)?;
            }
            _ => (),
        }
    }
    if !on {
        list.retain(|name| !names.contains(name));
    }
    if list == was {
        return Ok(old.into());
    }
    edit::set(old, &[KEY.into()], &list.into()).map_err(|error| error.to_string())
}

/// What the document itself enables.
fn list(text: &str) -> Result<Vec<String>, String> {
    let document = Document::parse("", text.into()).map_err(|problem| problem.why)?;
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

    /// A store, and the configuration as somebody read it before others changed it.
    fn store(text: &str, cmdline: &str) -> (tempfile::TempDir, Store, Config) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        std::fs::write(store.path(), text).unwrap();
        let config = config::load(folder.path(), cmdline).config;
        (folder, store, config)
    }

    #[test]
    fn two_that_change_the_list_at_once_lose_nothing() {
        let (_folder, store, config) = store("# mine\nenabledAddons: [a]\n", "");
        // Both have read the configuration, and both pull.
        change(&store, &config, &names(&["b"]), true).unwrap();
        change(&store, &config, &names(&["c"]), true).unwrap();
        change(&store, &config, &names(&["a"]), false).unwrap();
        assert_eq!(store.text().unwrap(), "# mine\nenabledAddons: [b, c]\n",);
    }

    #[test]
    fn what_another_layer_enables_stays_there() {
        let (_folder, store, config) = store("hostname: x\n", "rancher.enabledAddons=[theirs]");
        assert_eq!(config.enabled_addons, ["theirs"]);
        change(&store, &config, &names(&["theirs"]), false).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: x\n");
        change(&store, &config, &names(&["mine"]), true).unwrap();
        assert_eq!(list(&store.text().unwrap()).unwrap(), ["mine"]);
    }

    #[test]
    fn what_is_not_understood_is_left_as_it_is() {
        for text in ["enabledAddons: a\n", "a: [\n"] {
            let (_folder, store, config) = store(text, "");
            let told = change(&store, &config, &names(&["b"]), true).unwrap_err();
            assert!(told.ends_with("nothing was changed"), "{told}");
            assert_eq!(store.text().unwrap(), text);
        }
        let (_folder, store, config) = store("", "");
        let told = change(&store, &config, &names(&["debian-consol"]), false).unwrap_err();
        assert!(told.contains("did you mean `debian-console`?"), "{told}");
    }
}
