//! The settings files of the engines, which several processes change.

use std::fs::{File, Permissions};
use std::io::{Result, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// The mode of the user's engine's file: `daemon.json`, which is merged into it, may have secrets.
const USER_MODE: u32 = 0o600;

/// Sets `live-restore` in the settings of the user's engine, which applies it at its next reload.
///
/// # Errors
/// The settings cannot be read or written.
pub async fn set_live_restore(on: bool) -> Result<()> {
    // An update of the registries changes the same file.
    let _lock = lock(Path::new(config::ENGINE_SETTINGS)).await?;
    let path = Path::new(config::USER_ENGINE_SETTINGS);
    let settings = std::fs::read_to_string(path)?;
    let settings = config::engine::with_live_restore(&settings, on);
    replace(path, &settings, USER_MODE)
}

/// Writes the file that the user's engine reads when it starts, with the current registries.
///
/// # Errors
/// The file cannot be written.
pub fn write_user_settings(text: &str) -> Result<()> {
    let path = Path::new(config::ENGINE_SETTINGS);
    let _lock = lock_blocking(path)?;
    let text = match std::fs::read_to_string(path) {
        Ok(settings) => with_registries(text, &settings),
        Err(_) => text.to_owned(),
    };
    replace(Path::new(config::USER_ENGINE_SETTINGS), &text, USER_MODE)
}

/// Writes the registries into the user's engine's file and keeps its other settings.
pub(crate) fn update_user_registries(settings: &str) -> Result<()> {
    let path = Path::new(config::USER_ENGINE_SETTINGS);
    // Without the file the engine has not started yet, and will write it then.
    let Ok(current) = std::fs::read_to_string(path) else {
        return Ok(());
    };
    replace(path, &with_registries(&current, settings), USER_MODE)
}

fn with_registries(current: &str, settings: &str) -> String {
    let daemon = config::engine::daemon_json().and_then(|(_, text)| text.ok());
    config::engine::with_registries(current, settings, daemon.as_deref())
}

/// Locks a settings file against other processes, such as the supervisor and `rancherctl`.
pub(crate) async fn lock(path: &Path) -> Result<Flock<File>> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || lock_blocking(&path)).await?
}

fn lock_blocking(path: &Path) -> Result<Flock<File>> {
    let mut options = File::options();
    let file = options.create(true).append(true).mode(0o600);
    let file = file.open(path.with_extension("lock"))?;
    Ok(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?)
}

/// Replaces a file atomically. It is not synced, because it is in memory.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
