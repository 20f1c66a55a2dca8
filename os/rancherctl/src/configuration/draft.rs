//! `edit`: a draft of the document in an editor, which takes the document's place when it is right.
//!
//! Beside the draft lies what it was made of: where the document is another one by then, the draft would
//! take back what somebody else has set, so it does not get its place.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use config::{Document, Store, check};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{Failure, Result, doubts, several};

/// Edits a draft and saves it, or says what is wrong with it and keeps it for the next time.
pub fn edit(store: &Store) -> Result<()> {
    edit_with(store, open)?;
    // What was not changed was doubtful before, but who edits all of it sees all of it.
    if let Ok(document) = Document::parse("", store.text()?) {
        doubts::tell_of(store, &document.value);
    }
    Ok(())
}

/// What belongs to a draft.
struct Draft {
    document: PathBuf,
    path: PathBuf,
    base: PathBuf,
}

fn edit_with(store: &Store, open: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let draft = Draft::of(store);
    let _alone = draft.lock()?;
    let before = draft.begin(store)?;
    let name = draft.path.to_string_lossy().into_owned();
    open(&name)?;
    let text = std::fs::read_to_string(&name).map_err(|error| format!("{name}: {error}"))?;
    let kept = "nothing was saved; `rancherctl config edit` goes on with the draft";
    let document = Document::parse(&name, text).map_err(|problem| several(&[problem], kept))?;
    let problems = check(&document);
    if !problems.is_empty() {
        return Err(several(&problems, kept));
    }
    store.change(|old| match old == before {
        // Who takes a key out with an editor means it.
        true => Ok(document.text.clone()),
        false => Err(draft.overtaken()),
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

    /// Two in one draft would write over each other.
    fn lock(&self) -> Result<Flock<File>> {
        let path = self.document.with_extension("yml.draft.lock");
        let at = |error: std::io::Error| Failure(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(at)?;
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&path);
        let lock = Flock::lock(file.map_err(at)?, FlockArg::LockExclusiveNonblock);
        lock.map_err(|(_, error)| match error {
            Errno::EWOULDBLOCK => Failure(format!(
                "somebody else is editing {}; try again when they are done",
                self.document.display()
            )),
            error => at(error.into()),
        })
    }

    /// Makes a draft, or goes on with the one that was kept; returns the document that it is of.
    fn begin(&self, store: &Store) -> Result<String> {
        let now = store.text()?;
        let (kept, base) = (read(&self.path)?, read(&self.base)?);
        match kept {
            // Nobody's work is in it.
            Some(kept) if kept == now || Some(&kept) == base.as_ref() => (),
            Some(_) if base.as_ref() != Some(&now) => return Err(self.overtaken()),
            Some(_) => {
                let name = self.path.display();
                eprintln!("note: this goes on with {name}, which could not be saved before");
                return Ok(now);
            }
            None => (),
        }
        // In this order, so that no draft is without it.
        config::write(&self.base, &now)?;
        config::write(&self.path, &now)?;
        Ok(now)
    }

    fn overtaken(&self) -> Failure {
        let (document, draft, base) = (&self.document, &self.path, &self.base);
        let (document, draft, base) = (document.display(), draft.display(), base.display());
        Failure(format!(
            "{document} has changed since the draft was made of it; nothing was saved, and the draft is kept\n\
             see what has changed: `sudo diff {base} {document}`, and what is yours: `sudo diff {base} {draft}`\n\
             then `sudo rancherctl config import -i {draft}` puts the draft in its place, and `sudo rm {draft}` \
             begins anew"
        ))
    }

    /// The draft first: what it was made of is nothing without it.
    fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path)?;
        Ok(std::fs::remove_file(&self.base)?)
    }
}

/// A text, where there is one.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure(format!("{}: {error}", path.display()))),
    }
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
    fn a_draft_with_a_mistake_is_kept_and_gone_on_with() {
        let (folder, store) = store();
        edit_with(&store, editor("hostname: [\n")).unwrap_err();
        let mend = |path: &str| {
            assert_eq!(std::fs::read_to_string(path).unwrap(), "hostname: [\n");
            editor("hostname: two\n")(path)
        };
        edit_with(&store, mend).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: two\n");
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("draft")
        });
        assert_eq!(left.count(), 1, "the lock");
    }

    #[test]
    fn what_was_set_since_a_draft_was_made_is_not_taken_back() {
        let (_folder, store) = store();
        edit_with(&store, editor("hostname: [\n")).unwrap_err();
        set(&store, "hostname: set\n");
        let told = edit_with(&store, editor("hostname: two\n")).unwrap_err().0;
        assert!(
            told.contains("has changed since") && told.contains("config import -i"),
            "{told}"
        );
        assert_eq!(store.text().unwrap(), "hostname: set\n");
        let kept = std::fs::read_to_string(Draft::of(&store).path).unwrap();
        assert_eq!(kept, "hostname: [\n");
    }

    #[test]
    fn what_is_set_while_somebody_edits_is_not_taken_back_the_next_time() {
        let (_folder, store) = store();
        let meanwhile = |path: &str| {
            set(&store, "hostname: set\n");
            editor("hostname: two\n")(path)
        };
        edit_with(&store, meanwhile).unwrap_err();
        edit_with(&store, |_| Ok(())).unwrap_err();
        assert_eq!(store.text().unwrap(), "hostname: set\n");
        // It is dropped, as was told.
        std::fs::remove_file(Draft::of(&store).path).unwrap();
        edit_with(&store, editor("hostname: two\n")).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: two\n");
    }

    #[test]
    fn a_draft_without_anybodys_work_is_made_anew() {
        let (_folder, store) = store();
        edit_with(&store, |_| Err(Failure("no editor".into()))).unwrap_err();
        set(&store, "hostname: set\n");
        edit_with(&store, |_| Ok(())).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: set\n");
    }

    #[test]
    fn two_do_not_share_a_draft() {
        let (_folder, store) = store();
        let other = |path: &str| {
            let told = edit_with(&store, editor("hostname: other\n"))
                .unwrap_err()
                .0;
            assert!(told.starts_with("somebody else is editing "), "{told}");
            editor("hostname: two\n")(path)
        };
        edit_with(&store, other).unwrap();
        assert_eq!(store.text().unwrap(), "hostname: two\n");
    }
}
