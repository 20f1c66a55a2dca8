//! `rancherctl config edit`: edits a draft, which replaces the document when it is valid.
//!
//! The text that the draft was made from is saved beside it. If the document has changed since, the draft
//! would revert that change, so it does not replace the document.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use config::{Document, Store, check};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{Failure, Result, several, warnings};

/// Edits a draft and saves it. If it has errors, it is preserved for the next call.
pub(super) fn edit(store: &Store) -> Result<()> {
    edit_with(store, open)?;
    // Also warns about values that were not edited, because the user saw the whole document.
    if let Ok(document) = Document::parse("", store.text()?) {
        warnings::print_for_document(store, &document.value);
    }
    Ok(())
}

/// The files of a draft.
struct Draft {
    document: PathBuf,
    path: PathBuf,
    base: PathBuf,
}

fn edit_with(store: &Store, open: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let draft = Draft::of(store);
    let _lock = draft.lock()?;
    let before = draft.start(store)?;
    let name = draft.path.to_string_lossy().into_owned();
    open(&name)?;
    let text = std::fs::read_to_string(&name).map_err(|error| format!("{name}: {error}"))?;
    let not_saved = "the document was not changed; hint: run `rancherctl config edit` to continue with the draft";
    let document =
        Document::parse(&name, text).map_err(|problem| several(&[problem], not_saved))?;
    let problems = check(&document);
    if !problems.is_empty() {
        return Err(several(&problems, not_saved));
    }
    store.change(|old| {
        if old != before {
            return Err(draft.conflict());
        }
        // Private keys that the user removed in the editor are not added again.
        Ok(document.text.clone())
    })?;
    draft.remove()
}

impl Draft {
    fn of(store: &Store) -> Self {
        let document = store.path();
        Self {
            path: document.with_extension("yml.draft"),
            base: document.with_extension("yml.draft.base"),
            document,
        }
    }

    /// Locks the draft, so that two editors do not overwrite each other's changes.
    fn lock(&self) -> Result<Flock<File>> {
        let path = self.document.with_extension("yml.draft.lock");
        let with_path = |error: std::io::Error| Failure(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(with_path)?;
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&path);
        let lock = Flock::lock(file.map_err(with_path)?, FlockArg::LockExclusiveNonblock);
        lock.map_err(|(_, error)| match error {
            Errno::EWOULDBLOCK => Failure(format!(
                "another user is editing {}; hint: try again later",
                self.document.display()
            )),
            error => with_path(error.into()),
        })
    }

    /// Creates a draft, or continues with the preserved one. Returns the text that it is based on.
    fn start(&self, store: &Store) -> Result<String> {
        let now = store.text()?;
        let (draft, base) = (read(&self.path)?, read(&self.base)?);
        match draft {
            // The draft has no changes.
            Some(draft) if draft == now || Some(&draft) == base.as_ref() => (),
            Some(_) if base.as_ref() != Some(&now) => return Err(self.conflict()),
            Some(_) => {
                let name = self.path.display();
                eprintln!("note: continuing with {name}, which had errors");
                return Ok(now);
            }
            None => (),
        }
        // In this order, so that a draft never exists without its base.
        config::write(&self.base, &now)?;
        config::write(&self.path, &now)?;
        Ok(now)
    }

    fn conflict(&self) -> Failure {
        let (document, draft, base) = (&self.document, &self.path, &self.base);
        let (document, draft, base) = (document.display(), draft.display(), base.display());
        Failure(format!(
            "{document} has changed since the draft was created; the document was not changed\n\
             hint: see its changes with `sudo diff {base} {document}` and yours with `sudo diff {base} {draft}`;\n\
             then replace it with `sudo rancherctl config import -i {draft}`, or start again with \
             `sudo rm {draft}`"
        ))
    }

    /// Removes the draft first, because the base is of no use without it.
    fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path)?;
        Ok(std::fs::remove_file(&self.base)?)
    }
}

/// The text of a file, if the file exists.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure(format!("{}: {error}", path.display()))),
    }
}

/// Opens the user's editor, which may be a command line, as in `EDITOR="nano -w"`.
fn open(path: &str) -> Result<()> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        set(&store, "hostname: one\n");
        (folder, store)
    }

    fn set(store: &Store, text: &str) {
        let change = |_: &str| Ok::<_, std::io::Error>(text.to_owned());
        store.change(change).unwrap();
    }

    /// An editor that writes a text.
    fn editor(text: &str) -> impl FnOnce(&str) -> Result<()> {
        move |path| Ok(std::fs::write(path, text)?)
    }

    #[test]
    fn draft_with_an_error_is_preserved_for_the_next_edit() {
        let (folder, store) = store();
        edit_with(&store, editor("hostname: [\n")).unwrap_err();
        let fix = |path: &str| {
            assert_eq!(std::fs::read_to_string(path).unwrap(), "hostname: [\n");
            editor("hostname: two\n")(path)
        };
        edit_with(&store, fix).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: two\n");
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("draft")
        });
        assert_eq!(left.count(), 1, "the lock");
    }

    #[test]
    fn preserved_draft_does_not_revert_a_later_change() {
        let (_folder, store) = store();
        edit_with(&store, editor("hostname: [\n")).unwrap_err();
        set(&store, "hostname: set\n");
        let error = edit_with(&store, editor("hostname: two\n")).unwrap_err().0;
        assert!(
            error.contains("has changed since") && error.contains("config import -i"),
            "{error}"
        );
        assert_eq!(store.text().unwrap(), "hostname: set\n");
        let draft = std::fs::read_to_string(Draft::of(&store).path).unwrap();
        assert_eq!(draft, "hostname: [\n");
    }

    #[test]
    fn draft_does_not_revert_a_change_made_during_the_edit() {
        let (_folder, store) = store();
        let meanwhile = |path: &str| {
            set(&store, "hostname: set\n");
            editor("hostname: two\n")(path)
        };
        edit_with(&store, meanwhile).unwrap_err();
        edit_with(&store, |_| Ok(())).unwrap_err();
        assert_eq!(store.text().unwrap(), "hostname: set\n");
        // The user removes the draft, as the hint says.
        std::fs::remove_file(Draft::of(&store).path).unwrap();
        edit_with(&store, editor("hostname: two\n")).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: two\n");
    }

    #[test]
    fn draft_without_changes_is_replaced() {
        let (_folder, store) = store();
        edit_with(&store, |_| Err(Failure("no editor".into()))).unwrap_err();
        set(&store, "hostname: set\n");
        edit_with(&store, |_| Ok(())).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: set\n");
    }

    #[test]
    fn edit_fails_when_another_edit_is_in_progress() {
        let (_folder, store) = store();
        let other = |path: &str| {
            let error = edit_with(&store, editor("hostname: other\n"))
                .unwrap_err()
                .0;
            assert!(error.starts_with("another user is editing "), "{error}");
            editor("hostname: two\n")(path)
        };
        edit_with(&store, other).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: two\n");
    }
}
