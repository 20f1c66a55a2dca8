//! Checkpoints: machines that are ready, each saved in a folder that is named after the content of
//! all that made it, so that trials go on from there instead of booting.
//!
//! Beside each folder lies a lock file. It is held exclusively by who makes the checkpoint, whose
//! process id stands in it, and shared by each trial that goes on from it; its modification time is
//! that of the last use.

mod explain;
mod folder;
mod keep;
mod written;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use base::hash::Hash;
use base::lock;
use machine::{Checkpoint, KeyPair};

use folder::{begin, contents, finish, open, private, remove};

pub use explain::{Difference, Explained};
pub use keep::Listed;

/// The folder of all checkpoints.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    folder: PathBuf,
    /// Why there was none, as it was told.
    told: Arc<Mutex<BTreeSet<String>>>,
}

/// What makes a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointKey {
    /// What people call it; changes nothing.
    pub label: String,
    /// All that it depends on.
    pub inputs: Value,
}

impl CheckpointKey {
    /// The name of the checkpoint.
    pub fn name(&self) -> String {
        Hash::default().text(&self.inputs.to_string()).finish()
    }
}

/// A checkpoint in use. Nobody removes it meanwhile.
pub struct CheckpointLease {
    /// The machine.
    pub saved: Checkpoint,
    /// The pair whose public key it lets in.
    pub keys: KeyPair,
    _lock: Flock<File>,
}

/// What one look at a checkpoint comes to.
enum Found {
    /// It is there.
    There(CheckpointLease),
    /// It is ours to make, while this is held.
    Ours(Flock<File>),
}

impl CheckpointStore {
    /// The checkpoints in a folder, which need not be there yet.
    pub fn new(folder: PathBuf) -> Self {
        let told = Arc::default();
        Self { folder, told }
    }

    /// Whether nobody asked yet about this reason why a machine has no checkpoint.
    pub fn is_news(&self, why: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(why.to_owned())
    }

    /// The checkpoint of a recipe: the one that is there, or else what `make` leaves in the folder
    /// that it is given, with the pair whose public key the machine lets in. Whoever wants the same
    /// one meanwhile waits for it, with `patience`.
    ///
    /// # Errors
    /// That of `make`; the folder cannot be written; another process did not make it in time.
    pub async fn get_or_create<E: From<io::Error>>(
        &self,
        recipe: &CheckpointKey,
        patience: Duration,
        make: impl AsyncFnOnce(&Path) -> Result<KeyPair, E>,
    ) -> Result<CheckpointLease, E> {
        let name = recipe.name();
        let folder = self.folder.join(&name);
        private(&self.folder)?;
        let file = self.lock_file(&name);
        let look = || self.look(&name);
        let found = lock::wait("its checkpoint", &file, patience, "makes it", look);
        let ours = match found.await? {
            Found::There(held) => return Ok(held),
            Found::Ours(lock) => lock,
        };
        self.sweep(&name);
        begin(&folder, recipe)?;
        let made = match make(&folder).await {
            Ok(keys) => finish(&folder, &keys).map_err(E::from),
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            let _ = remove(&folder);
            return Err(error);
        }
        ours.relock(FlockArg::LockShared).map_err(io::Error::from)?;
        let opened = open(&folder, ours);
        Ok(
            opened
                .map_err(|why| io::Error::other(format!("the checkpoint is not whole: {why}")))?,
        )
    }

    /// One look: the checkpoint, or the lock of who makes it. An error of the kind that would block
    /// says that another one has that.
    fn look(&self, name: &str) -> io::Result<Found> {
        let (folder, file) = (self.folder.join(name), self.lock_file(name));
        let shared = lock::take(&file, FlockArg::LockSharedNonblock)?;
        if let Ok(held) = open(&folder, shared) {
            return Ok(Found::There(held));
        }
        let mut ours = lock::take(&file, FlockArg::LockExclusiveNonblock)?;
        if contents(&folder).is_ok() {
            // It was made between the two locks: the next look finds it.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        lock::sign(&mut ours)?;
        Ok(Found::Ours(ours))
    }

    fn lock_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.lock"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::folder::KEY;
    use super::written::{BOOT, MARK};
    use super::*;
    use base::wait::{Poll, wait_until};

    /// The smallest saved machine there is.
    fn make(folder: &Path) -> io::Result<KeyPair> {
        let about = json!({ "nonces": [], "host_key": [], "reported_boot": true, "drives": [], "lengths": [["part", 4]] });
        std::fs::write(folder.join("part"), "1234")?;
        std::fs::write(folder.join("machine.json"), about.to_string())?;
        Ok(KeyPair::generate())
    }

    /// Nobody has it meanwhile.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn recipe(inputs: Value) -> CheckpointKey {
        let label = "a test".into();
        CheckpointKey { label, inputs }
    }

    async fn obtain(
        store: &CheckpointStore,
        inputs: &Value,
        made: &std::cell::Cell<u32>,
    ) -> CheckpointLease {
        let make = async |folder: &Path| {
            made.set(made.get() + 1);
            make(folder)
        };
        let recipe = recipe(inputs.clone());
        store
            .get_or_create::<io::Error>(&recipe, PATIENCE, make)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_there_is_used_and_what_is_not_whole_is_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(parent.path().join("checkpoints"));
        let (made, inputs) = (std::cell::Cell::new(0), json!({ "kernel": "one" }));
        let first = obtain(&store, &inputs, &made).await;
        let second = obtain(&store, &inputs, &made).await;
        assert_eq!((made.get(), &first.keys.private), (1, &second.keys.private));
        drop((first, second));

        let listed = store.list().remove(0);
        assert_eq!(listed.recipe.unwrap().inputs, inputs);
        let folder = parent.path().join("checkpoints").join(listed.name);
        let mode = folder.join(KEY).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(folder.join("part"), "12").unwrap();
        drop(obtain(&store, &inputs, &made).await);
        std::fs::remove_file(folder.join(KEY)).unwrap();
        drop(obtain(&store, &inputs, &made).await);
        assert_eq!(made.get(), 3);
        drop(obtain(&store, &json!({ "kernel": "two" }), &made).await);
        assert_eq!((made.get(), store.list().len()), (4, 2));
    }

    #[tokio::test]
    async fn what_is_in_use_stays_and_what_failed_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(parent.path().to_owned());
        let made = std::cell::Cell::new(0);
        let held = obtain(&store, &json!(1), &made).await;
        let name = store.list()[0].name.clone();
        assert!(!store.remove(&name));
        drop(held);
        assert!(store.remove(&name) && store.list().is_empty());

        let fail = async |_: &Path| Err(io::Error::other("no boot"));
        let failed = store
            .get_or_create::<io::Error>(&recipe(json!(2)), PATIENCE, fail)
            .await
            .err()
            .unwrap();
        assert!(failed.to_string().contains("no boot") && store.list().is_empty());
    }

    fn why_not(store: &CheckpointStore, inputs: &Value) -> String {
        match store.explain(&recipe(inputs.clone())) {
            Explained::Damaged { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_not_whole_is_explained_and_goes_when_another_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(parent.path().to_owned());
        let (made, cut) = (std::cell::Cell::new(0), json!("cut"));
        drop(obtain(&store, &cut, &made).await);
        assert!(matches!(
            store.explain(&recipe(cut.clone())),
            Explained::There(_)
        ));
        let folder = parent.path().join(recipe(cut.clone()).name());
        std::fs::write(folder.join("part"), "12").unwrap();
        let why = why_not(&store, &cut);
        assert!(why.contains("has 2 bytes and had 4"), "{why}");

        // As a maker leaves it that was killed; the lock went with it.
        let half = json!("half");
        let folder = parent.path().join(recipe(half.clone()).name());
        begin(&folder, &recipe(half.clone())).unwrap();
        std::fs::write(folder.join("memory"), "much").unwrap();
        std::fs::write(store.lock_file(&recipe(half.clone()).name()), "1").unwrap();
        let why = why_not(&store, &half);
        assert!(why.contains("machine.json"), "{why}");

        let next = json!("next");
        let make = async |folder: &Path| {
            let pid = std::process::id();
            assert_eq!(why_not(&store, &next), format!("pid {pid} makes it now"));
            make(folder)
        };
        let wanted = recipe(next.clone());
        let obtained = store.get_or_create::<io::Error>(&wanted, PATIENCE, make);
        drop(obtained.await.unwrap());
        let left: Vec<_> = store.list().into_iter().map(|one| one.name).collect();
        assert_eq!(left, [wanted.name()]);
    }

    #[tokio::test]
    async fn what_a_power_cut_may_have_hurt_is_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(parent.path().to_owned());
        let (made, inputs) = (std::cell::Cell::new(0), json!("kettle"));
        drop(obtain(&store, &inputs, &made).await);
        let folder = parent.path().join(recipe(inputs.clone()).name());
        let marked = async || match folder.join(MARK).exists() {
            true => Poll::Ready(()),
            false => Poll::NotYet("no mark".to_owned()),
        };
        wait_until("the mark", PATIENCE, marked).await.unwrap();
        std::fs::write(folder.join(BOOT), "another run of the host").unwrap();
        drop(obtain(&store, &inputs, &made).await);
        assert_eq!(made.get(), 1);

        std::fs::remove_file(folder.join(MARK)).unwrap();
        let why = why_not(&store, &inputs);
        assert!(why.contains("when this host was started anew"), "{why}");
        drop(obtain(&store, &inputs, &made).await);
        assert_eq!(made.get(), 2);
    }

    #[tokio::test]
    async fn who_makes_it_is_waited_for_by_name_and_not_for_ever() {
        let parent = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(parent.path().to_owned());
        let name = recipe(json!(1)).name();
        let file = store.lock_file(&name);
        let mut held = lock::take(&file, FlockArg::LockExclusive).unwrap();
        lock::sign(&mut held).unwrap();
        let limit = Duration::from_millis(50);
        let never = async |_: &Path| panic!("somebody else makes it");
        let recipe = recipe(json!(1));
        let late = store
            .get_or_create::<io::Error>(&recipe, limit, never)
            .await;
        let why = late.err().unwrap().to_string();
        let pid = std::process::id();
        assert!(why.starts_with("timed out after"), "{why}");
        assert!(why.ends_with(&format!("pid {pid} makes it")), "{why}");

        drop(held);
        let made = std::cell::Cell::new(0);
        drop(obtain(&store, &json!(1), &made).await);
        assert_eq!(made.get(), 1);
    }
}
