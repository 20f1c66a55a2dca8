//! The subcommands for whole documents: `import`, `export`, `merge` and `validate`.

use std::path::Path;

use config::{Document, Loaded, Problem, Store, check, edit, path};
use serde_yaml::Value;

use super::{Failure, Result, several, warn, warnings};

/// The name of standard input in messages.
const STANDARD_INPUT: &str = "standard input";

/// Reads a document from a file, or from standard input.
fn read(input: Option<&Path>) -> Result<Document> {
    let read = match input.filter(|path| *path != Path::new("-")) {
        Some(path) => std::fs::read_to_string(path).map(|text| (path.to_string_lossy(), text)),
        None => std::io::read_to_string(std::io::stdin().lock())
            .map(|text| (STANDARD_INPUT.into(), text)),
    };
    let name = || input.unwrap_or(Path::new(STANDARD_INPUT)).display();
    let (name, text) = read.map_err(|error| format!("{}: {error}", name()))?;
    Document::parse(&name, text).map_err(|problem| Failure(problem.to_string()))
}

/// Reads a document and fails if it has errors.
fn read_checked(input: Option<&Path>) -> Result<Document> {
    let document = read(input)?;
    let problems = check(&document);
    if problems.is_empty() {
        return Ok(document);
    }
    Err(several(&problems, "the document was not changed"))
}

/// Replaces the user's document.
pub(super) fn import(store: &Store, input: Option<&Path>) -> Result<()> {
    let document = read_checked(input)?;
    store.change(|old| with_secrets_of(old, &document))?;
    warnings::print_for_document(store, &document.value);
    Ok(())
}

/// Adds the private keys of the old document that the new one lacks. An export contains none, and
/// importing it must not change the identity of the machine.
fn with_secrets_of(old: &str, document: &Document) -> Result<String> {
    // An old document that is not YAML has no keys.
    let old = Document::parse("", old.to_owned()).map_or(Value::Null, |old| old.value);
    let mut text = document.text.clone();
    for keys in secrets(&old) {
        if let (None, Some(secret)) = (path::get(&document.value, &keys), path::get(&old, &keys)) {
            text = edit::set(&text, &keys, secret)?;
            eprintln!("note: `{}` is preserved", path::join(&keys));
        }
    }
    Ok(text)
}

fn secrets(value: &Value) -> Vec<Vec<String>> {
    let mut leaves = path::leaves(value);
    leaves.retain(|keys| path::is_private(keys));
    leaves
}

/// Writes the user's document, or all layers merged.
pub(super) fn export(
    store: &Store,
    output: Option<&Path>,
    full: bool,
    private: bool,
) -> Result<()> {
    let text = if full {
        all_layers(&config::load_machine(), private)?
    } else if private {
        store.text()?
    } else {
        without_secrets(&store.text()?)?
    };
    match output {
        Some(path) => config::write(path, &text)
            .map_err(|error| Failure(format!("{}: {error}", path.display()))),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

fn all_layers(loaded: &Loaded, private: bool) -> Result<String> {
    let mut value = serde_yaml::to_value(&loaded.config).map_err(|error| error.to_string())?;
    if !private {
        for keys in secrets(&value) {
            path::remove(&mut value, &keys);
        }
    }
    Ok(serde_yaml::to_string(&value).map_err(|error| error.to_string())?)
}

fn without_secrets(text: &str) -> Result<String> {
    let document = Document::parse("", text.to_owned());
    let value = document
        .map_err(|problem| format!("{}{problem}", Store::machine().path().display()))?
        .value;
    let mut text = text.to_owned();
    for keys in secrets(&value) {
        let below = [&["rancher".to_owned()], &keys[..]].concat();
        text = edit::remove(&edit::remove(&text, &keys)?, &below)?;
    }
    Ok(text)
}

/// Merges a document into the user's document.
pub(super) fn merge(store: &Store, input: Option<&Path>) -> Result<()> {
    let document = read_checked(input)?;
    store.change(|old| merged(old, &document.value))?;
    warnings::print_for_document(store, &document.value);
    Ok(())
}

fn merged(old: &str, new: &Value) -> Result<String> {
    let mut text = old.to_owned();
    let dns = ["dns".to_owned()];
    let long = serde_yaml::from_str::<Value>(old)
        .is_ok_and(|old| path::get(&old, &dns).is_some_and(Value::is_mapping));
    for keys in path::leaves(new) {
        let Some(value) = path::get(new, &keys).filter(|_| !keys.is_empty()) else {
            continue;
        };
        // Name servers without search domains stay a list.
        let short = keys[..] == ["dns", "nameservers"]
            && !long
            && path::get(new, &["dns".into(), "search".into()]).is_none();
        text = edit::set(&text, if short { &dns } else { &keys }, value)?;
    }
    Ok(text)
}

/// Reports the errors of a file.
pub(super) fn validate_file(input: &Path) -> Result<()> {
    let document = read(Some(input))?;
    report(&check(&document))
}

/// Reports the errors of the machine's layers.
pub(super) fn validate_machine(loaded: &Loaded) -> Result<()> {
    warn(loaded);
    report(&loaded.problems)
}

fn report(problems: &[Problem]) -> Result<()> {
    match problems.len() {
        0 => {
            println!("the configuration is valid");
            Ok(())
        }
        1 => Err(several(problems, "1 error")),
        many => Err(several(problems, &format!("{many} errors"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        "# mine\nhostname: box # so\nssh:\n  keys:\n    rsa: geheim\n    rsa-pub: known\n";

    #[test]
    fn export_excludes_secrets_and_import_preserves_them() {
        let export = without_secrets(OLD).unwrap();
        assert_eq!(
            export,
            "# mine\nhostname: box # so\nssh:\n  keys:\n    rsa-pub: known\n"
        );
        let document = Document::parse("", export.replace("box", "ship")).unwrap();
        let import = with_secrets_of(OLD, &document).unwrap();
        assert!(
            import.contains("rsa: geheim") && import.contains("hostname: ship # so"),
            "{import}"
        );
    }

    #[test]
    fn merge_preserves_sibling_keys_and_comments() {
        let new = Document::parse(
            "",
            "rancher: {ssh: {keys: {ecdsa: new}}}\ndns: [1.1.1.1]\n".into(),
        );
        let text = merged(OLD, &new.unwrap().value).unwrap();
        assert_eq!(text, format!("{OLD}    ecdsa: new\ndns:\n- 1.1.1.1\n"));
    }
}
