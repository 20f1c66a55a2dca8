//! `edit`: a draft of the document in an editor, which takes the document's place when it is right.

use std::process::Command;

use config::{Document, Store, check};

use super::{Failure, Result, several, warn};

/// Edits a draft and saves it, or says what is wrong with it and keeps it for the next time.
pub fn edit(store: &Store) -> Result<()> {
    let draft = store.path().with_extension("yml.draft");
    let name = draft.to_string_lossy().into_owned();
    let before = store.text()?;
    if draft.exists() {
        eprintln!("note: this goes on with {name}, which could not be saved before");
    } else {
        config::write(&draft, &before)?;
    }
    open(&name)?;
    let text = std::fs::read_to_string(&draft).map_err(|error| format!("{name}: {error}"))?;
    let kept = "nothing was saved; `rancherctl config edit` goes on with the draft";
    let document = Document::parse(&name, text).map_err(|problem| several(&[problem], kept))?;
    let problems = check(&document);
    if !problems.is_empty() {
        return Err(several(&problems, kept));
    }
    store.change(|old| match old == before {
        // Who takes a key out with an editor means it.
        true => Ok(document.text.clone()),
        false => Err(Failure(format!(
            "somebody else has changed the document; {kept}"
        ))),
    })?;
    std::fs::remove_file(&draft)?;
    warn(&config::load_machine());
    Ok(())
}

/// The editor may be a command line, as in `EDITOR="nano -w"`.
fn open(path: &str) -> Result<()> {
    let asked =
        ["VISUAL", "EDITOR"].map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    let editor = asked
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_else(|| "vi".into());
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh", path])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!(
            "`{editor}`: {status}; the draft is {path}"
        ))),
        Err(error) => Err(Failure(format!("sh: {error}"))),
    }
}
