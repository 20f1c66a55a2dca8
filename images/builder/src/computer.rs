//! The root of a computer beside the machine: the packages of a definition, unpacked into a folder that
//! programs run in. No maintainer script runs, so it takes neither root nor a user namespace.

use std::path::{Path, PathBuf};

use crate::cache::{self, Key};
use crate::definition::{self, Definition};
use crate::{BuildError, Context, Layout, Result, packages, root};

/// Changes when what is made of a definition does.
const VERSION: u32 = 1;

/// What the names of kept roots begin with.
pub const KEPT: &str = "computer-";

/// The root of a computer, unpacked.
#[derive(Debug, Clone)]
pub struct Computer {
    /// Where it is.
    pub root: PathBuf,
    /// Changes when any of its files does.
    pub fingerprint: String,
}

/// Unpacks the packages of a definition, unless that is kept from before.
///
/// # Errors
/// There is no such definition, or its packages cannot be fetched.
pub fn computer(workspace: &Path, name: &str) -> Result<Computer> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let all = definition::load_all(&layout.definitions)?;
    let missing = || BuildError::new(format!("make `{name}`"), "images/ has no such definition");
    let definition = all.get(name).ok_or_else(missing)?;
    let folder = kept(&layout, definition)?;
    if !folder.is_dir() {
        let fresh = tempfile::tempdir_in(&layout.cache).context(|| "make a folder".into())?;
        write(definition, fresh.path())?;
        cache::sweep(&layout.cache, &format!("{KEPT}{name}-"), &folder);
        std::fs::rename(fresh.keep(), &folder).context(|| format!("keep {}", folder.display()))?;
    }
    let mut key = Key::new("computer", VERSION);
    key.add(folder.file_name().unwrap_or_default().as_encoded_bytes());
    key.add(packages::versions(&folder)?);
    Ok(Computer {
        root: folder,
        fingerprint: key.finish(),
    })
}

fn kept(layout: &Layout, definition: &Definition) -> Result<PathBuf> {
    let mut key = Key::new("computer", VERSION);
    key.add_folder(&definition.folder)?;
    let name = format!("{KEPT}{}-{}", definition.name, key.finish());
    Ok(layout.cache.join(name))
}

fn write(definition: &Definition, folder: &Path) -> Result<()> {
    let names = definition.packages.iter().map(String::as_str).collect();
    packages::unpack_set(&names, folder)?;
    let mut archive = Vec::new();
    root::on_top(definition)?.write_tar(&mut archive)?;
    let mut archive = tar::Archive::new(archive.as_slice());
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    let unpacked = archive.unpack(folder);
    unpacked.context(|| format!("write the files of {}", definition.name))
}
