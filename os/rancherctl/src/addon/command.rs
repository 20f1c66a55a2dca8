//! The subcommands of `rancherctl addon`.

use bollard::{API_DEFAULT_VERSION, Docker};
use clap::{Args, Subcommand};
use config::{Config, Store};
use nix::sys::signal::Signal;

use super::enabled;
use crate::caller::must_be_root;
use crate::runtime::block_on;

/// The timeout of one request to an engine, in seconds. A pull is one request.
const REQUEST_TIMEOUT: u64 = 3600;

/// `rancherctl addon`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List all addons and whether they are enabled
    List,
    /// Enable addons from the next boot; pull missing images
    Enable(Switch),
    /// Disable addons from the next boot
    Disable(Switch),
    /// Pull the images of addons, to enable them later without a network
    Pull(Names),
}

/// The addons to enable or disable.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// Apply at once, without a reboot; if the console changes, its users have to log in again
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    names: Names,
}

/// Names of addons.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names, as `list` prints them
    #[arg(required = true)]
    names: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// A message to print.
pub(crate) fn run(command: &Command) -> Result<(), String> {
    if let Command::List = command {
        list(&config::load_machine().config);
        return Ok(());
    }
    must_be_root()?;
    let config = config::load_machine().config;
    match command {
        Command::List => Ok(()),
        Command::Enable(switch) => enable(&config, switch),
        // An addon that no longer exists can still be disabled.
        Command::Disable(switch) => set(&config, switch, false),
        Command::Pull(names) => pull(&config, &names.names, Images::All),
    }
}

fn list(config: &Config) {
    for name in config.addons.keys() {
        print(name, config.enabled_addons.contains(name));
    }
}

fn print(name: &str, enabled: bool) {
    println!("{name} {}", if enabled { "enabled" } else { "disabled" });
}

/// Pulls the images first, so that an addon whose images cannot be pulled is not enabled.
fn enable(config: &Config, switch: &Switch) -> Result<(), String> {
    pull(config, &switch.names.names, Images::Missing)?;
    set(config, switch, true)
}

fn set(config: &Config, switch: &Switch, on: bool) -> Result<(), String> {
    let store = Store::machine();
    enabled::change(&store, config, &switch.names.names, on)?;
    let file = store.path().display().to_string();
    let loaded = config::load_machine();
    for name in &switch.names.names {
        if loaded.config.enabled_addons.contains(name) != on {
            let reason = if loaded.last_good {
                "the document has an error, so the last good document applies; hint: run \
                 `sudo rancherctl config edit`"
            } else {
                "`enabledAddons` of cloud-init or of the kernel command line overrides it"
            };
            return Err(format!("changed {file} without effect: {reason}"));
        }
        print(name, on);
    }
    if switch.now {
        let file = config::SUPERVISOR_PID.as_ref();
        engines::signal(file, "supervisor", Signal::SIGHUP)?;
    }
    Ok(())
}

/// The images to pull.
#[derive(Clone, Copy, PartialEq)]
enum Images {
    Missing,
    All,
}

fn pull(config: &Config, names: &[String], which: Images) -> Result<(), String> {
    let (mut images, mut tags) = (Vec::new(), Vec::new());
    for name in names {
        images.extend(config.images_of_addon(name)?);
        tags.extend(config.addon(name)?.tagged());
    }
    block_on(async {
        let docker =
            Docker::connect_with_unix(config::SYSTEM_DOCKER, REQUEST_TIMEOUT, API_DEFAULT_VERSION);
        let with_name = |error: bollard::errors::Error| format!("system-docker: {error}");
        let docker = docker.map_err(with_name)?;
        docker.ping().await.map_err(with_name)?;
        engines::update_registries(&docker, config).await?;
        for image in &images {
            if which == Images::All || !engines::has_image(&docker, image).await {
                engines::pull(&docker, &config.registries, image).await?;
            }
        }
        for (tag, image) in &tags {
            engines::tag(&docker, image, tag).await?;
        }
        Ok(())
    })
}
