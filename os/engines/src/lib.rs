//! What the machine asks of its Docker engines beside containers: to know its registries, and to pull
//! images from them.
//!
//! Not its job: which containers run (crate `init`), or what the registries are (crate `config`).

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, EventsOptionsBuilder};
use config::{Config, Registries};
use futures_util::StreamExt;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where the engines write who they are.
const SYSTEM_DOCKER: &str = "/run/system-docker.pid";
const USER_DOCKER: &str = "/run/docker.pid";

/// What an engine is called in the list of processes.
const ENGINE: &str = "dockerd";

/// The mode of the user's engine's file: what people write into `daemon.json` may be secret.
const OF_USERS: u32 = 0o600;

/// How long system-docker may take to read what it is told to.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

/// Tells both engines what there is to know of registries, if they do not know it yet; system-docker,
/// which pulls for the machine, knows it then.
///
/// # Errors
/// The file that they read cannot be written, or is not read.
pub async fn tell_registries(system_docker: &Docker, config: &Config) -> Result<(), String> {
    let path = Path::new(config::ENGINE_SETTINGS);
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    // Who finds that the file says it already must not go on before the engine has read it.
    let _alone = lock(path).await.map_err(at)?;
    let settings = config.engine_settings();
    if std::fs::read_to_string(path).is_ok_and(|known| known == settings) {
        return Ok(());
    }
    // First: who finds the other one to say it already does nothing more.
    tell_user_docker(&settings)
        .map_err(|error| format!("{}: {error}", config::USER_ENGINE_SETTINGS))?;
    replace(path, &settings, 0o644).map_err(at)?;
    let hang_up = || {
        hang_up(SYSTEM_DOCKER);
        // It reads its file when it starts, should it not run.
        hang_up(USER_DOCKER);
    };
    match tokio::time::timeout(RELOAD_LIMIT, read_anew(system_docker, hang_up)).await {
        Ok(Some(())) => Ok(()),
        _ => Err(format!("system-docker does not read {}", path.display())),
    }
}

/// Has the user's engine read at its next reload whether containers survive its end.
///
/// # Errors
/// Its settings cannot be read or written.
pub async fn set_live_restore(on: bool) -> std::io::Result<()> {
    // Who tells it of registries changes the same file.
    let _alone = lock(Path::new(config::ENGINE_SETTINGS)).await?;
    let path = Path::new(config::USER_ENGINE_SETTINGS);
    let settings = std::fs::read_to_string(path)?;
    replace(
        path,
        &config::engine::with_live_restore(&settings, on),
        OF_USERS,
    )
}

/// Writes the file that the user's engine reads when it starts, with the registries as they are now.
///
/// # Errors
/// It cannot be written.
pub fn write_user_settings(text: &str) -> std::io::Result<()> {
    let path = Path::new(config::ENGINE_SETTINGS);
    let _alone = lock_now(path)?;
    let text = match std::fs::read_to_string(path) {
        Ok(settings) => with_registries(text, &settings),
        Err(_) => text.to_owned(),
    };
    replace(Path::new(config::USER_ENGINE_SETTINGS), &text, OF_USERS)
}

/// Puts the registries into the user's engine's file, beside what else is in it.
fn tell_user_docker(settings: &str) -> std::io::Result<()> {
    let path = Path::new(config::USER_ENGINE_SETTINGS);
    // It writes its file itself when it starts.
    let Ok(has) = std::fs::read_to_string(path) else {
        return Ok(());
    };
    replace(path, &with_registries(&has, settings), OF_USERS)
}

fn with_registries(has: &str, settings: &str) -> String {
    let daemon = config::engine::daemon_json().and_then(|(_, text)| text.ok());
    config::engine::with_registries(has, settings, daemon.as_deref())
}

/// Has engines read their files again; ends when the one that is asked goes by its own.
pub async fn read_anew(engine: &Docker, hang_up: impl Fn()) -> Option<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    hang_up();
    let filters = HashMap::from([("type", vec!["daemon"]), ("event", vec!["reload"])]);
    let options = EventsOptionsBuilder::new()
        .since(&format!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
        .filters(&filters)
        .build();
    let mut reloads = engine.events(Some(options));
    reloads.next().await?.ok()?;
    // An engine tells of a reload just before it goes by what it read, and reads once at a time (moby
    // 26.1, `Daemon.Reload` in `daemon/reload.go`): after another one the first holds.
    hang_up();
    reloads.next().await?.ok().map(drop)
}

fn hang_up(engine: &str) {
    let _ = signal(engine.as_ref(), ENGINE, Signal::SIGHUP);
}

/// One at a time, of all processes: the supervisor tells the engines too, when cloud-init has ended.
async fn lock(path: &Path) -> std::io::Result<Flock<File>> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || lock_now(&path)).await?
}

fn lock_now(path: &Path) -> std::io::Result<Flock<File>> {
    let mut options = File::options();
    let file = options.create(true).append(true).mode(0o600);
    let file = file.open(path.with_extension("lock"))?;
    Ok(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?)
}

/// Readers find the old file or the new one. It is in memory: there is nothing to sync.
fn replace(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// Sends a signal to the process that a file names, if it is still the one that wrote it.
///
/// # Errors
/// There is no such process, or it is out of reach.
pub fn signal(pid_file: &Path, name: &str, signal: Signal) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", pid_file.display());
    let pid = std::fs::read_to_string(pid_file).map_err(told)?;
    let pid = pid.trim();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match (pid.parse(), comm.trim() == name) {
        (Ok(pid), true) => kill(Pid::from_raw(pid), signal).map_err(|error| error.to_string()),
        _ => Err(format!("{name} does not run")),
    }
}

/// Whether an engine has an image.
pub async fn has(docker: &Docker, image: &str) -> bool {
    docker.inspect_image(image).await.is_ok()
}

/// Pulls an image from its registry. What an engine has stays as it is until all of the new is there.
///
/// # Errors
/// The registry cannot be reached, does not let the machine in, or has no such image.
pub async fn pull(docker: &Docker, registries: &Registries, image: &str) -> Result<(), String> {
    let credentials = registries
        .credentials_for(image)
        .map(|one| DockerCredentials {
            username: Some(one.username.clone()),
            password: Some(one.password.clone()),
            ..DockerCredentials::default()
        });
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    while let Some(step) = progress.next().await {
        step.map_err(|error| format!("failed to pull {image}: {error}"))?;
    }
    Ok(())
}
