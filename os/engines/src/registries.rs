//! The registries that both engines use.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use config::Config;

use crate::process::{SYSTEM_DOCKER, USER_DOCKER, hang_up};
use crate::reload::reload;
use crate::settings::{lock, replace, update_user_registries};

/// The timeout for system-docker to reload its settings.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes the configured registries into the settings of both engines, if they changed, and returns when
/// system-docker, which pulls the system's images, has applied them.
///
/// # Errors
/// A settings file cannot be written, or system-docker does not reload it in time.
pub async fn update_registries(system_docker: &Docker, config: &Config) -> Result<(), String> {
    let path = Path::new(config::ENGINE_SETTINGS);
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    // Held until the reload: another process that finds the file unchanged must not go on before the
    // engine has applied it.
    let _lock = lock(path).await.map_err(at)?;
    let settings = config.engine_settings();
    if std::fs::read_to_string(path).is_ok_and(|current| current == settings) {
        return Ok(());
    }
    // The user's file comes first: the file of system-docker is what shows that both are up to date.
    update_user_registries(&settings)
        .map_err(|error| format!("{}: {error}", config::USER_ENGINE_SETTINGS))?;
    replace(path, &settings, 0o644).map_err(at)?;
    let hang_up_both = || {
        hang_up(SYSTEM_DOCKER);
        hang_up(USER_DOCKER);
    };
    match tokio::time::timeout(RELOAD_TIMEOUT, reload(system_docker, hang_up_both)).await {
        Ok(Some(())) => Ok(()),
        _ => Err(format!("system-docker did not reload {}", path.display())),
    }
}
