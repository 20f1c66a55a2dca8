//! The root file system of a computer beside the machine: the packages of a definition, unpacked into a
//! folder. No maintainer scripts run, so neither root nor a user namespace is needed.

use std::path::{Path, PathBuf};

use crate::cache::{self, Key};
use crate::definition::{self, Definition};
use crate::{BuildError, Context, Layout, Result, packages, root};

/// The version of the code that unpacks a definition; part of the cache key.
const VERSION: u32 = 1;

/// The name prefix of cached root file systems.
const PREFIX: &str = "computer-";

/// An unpacked root file system.
#[derive(Debug, Clone)]
pub struct Computer {
    /// The folder.
    pub root: PathBuf,
    /// A value that changes when any file changes.
    pub fingerprint: String,
}

/// Unpacks the packages of a definition, unless the result is cached.
///
/// # Errors
/// There is no such definition, or its packages cannot be fetched.
pub fn computer(workspace: &Path, name: &str) -> Result<Computer> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let all = definition::load_all(&layout.definitions)?;
    let missing = || BuildError::new(format!("unpack `{name}`"), "images/ has no such definition");
    let definition = all.get(name).ok_or_else(missing)?;
    let folder = cached(&layout, definition)?;
    if !folder.is_dir() {
        let fresh = tempfile::tempdir_in(&layout.cache).context(|| "create a folder".into())?;
        write(definition, fresh.path())?;
        cache::remove_others(&layout.cache, &format!("{PREFIX}{name}-"), &folder);
        std::fs::rename(fresh.keep(), &folder).context(|| format!("cache {}", folder.display()))?;
    }
    let mut key = Key::new("computer", VERSION);
    key.add(folder.file_name().unwrap_or_default().as_encoded_bytes());
    key.add(packages::versions(&folder)?);
    Ok(Computer {
        root: folder,
        fingerprint: key.finish(),
    })
}

/// The folder of the cached result.
fn cached(layout: &Layout, definition: &Definition) -> Result<PathBuf> {
    let mut key = Key::new("computer", VERSION);
    key.add_folder(&definition.folder)?;
    let name = format!("{PREFIX}{}-{}", definition.name, key.finish());
    Ok(layout.cache.join(name))
}

fn write(definition: &Definition, folder: &Path) -> Result<()> {
    let names = definition.packages.iter().map(String::as_str).collect();
    packages::unpack_set(&names, folder)?;
    let mut archive = Vec::new();
    root::own_entries(definition)?.write_tar(&mut archive)?;
    let mut archive = tar::Archive::new(archive.as_slice());
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    let unpacked = archive.unpack(folder);
    unpacked.context(|| format!("write the files of {}", definition.name))
}
