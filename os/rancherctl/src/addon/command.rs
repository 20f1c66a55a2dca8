//! `rancherctl addon`: what is part of the machine beside what it comes with.

mod enabled;

use bollard::{API_DEFAULT_VERSION, Docker};
use clap::{Args, Subcommand};
use config::{Config, Store};
use nix::sys::signal::Signal;

use crate::caller::must_be_root;

/// How long one request to an engine may take, in seconds: a pull is one.
const REQUEST_LIMIT: u64 = 3600;

/// What to do about addons.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the addons, and which of them are enabled
    List,
    /// Pull addons where that was not done, and make them part of the machine from the next boot on
    Enable(Switch),
    /// Make addons no longer part of the machine from the next boot on
    Disable(Switch),
    /// Pull what addons are made of, to enable them later without a network
    Pull(Names),
}

/// Which addons, and when.
#[derive(Debug, Args)]
pub struct Switch {
    /// At once, without a reboot; whoever is logged in to a console that is switched has to log in again
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    names: Names,
}

/// Which addons.
#[derive(Debug, Args)]
pub struct Names {
    /// Names, as `list` prints them
    #[arg(required = true)]
    names: Vec<String>,
}

/// Does it.
///
/// # Errors
/// Told as they are to be printed.
pub fn run(command: &Command) -> Result<(), String> {
    if let Command::List = command {
        list(&config::load_machine().config);
        return Ok(());
    }
    must_be_root()?;
    let config = config::load_machine().config;
    match command {
        Command::List => Ok(()),
        Command::Enable(switch) => enable(&config, switch),
        // One that there is no more can be disabled, too.
        Command::Disable(switch) => set(&config, switch, false),
        Command::Pull(names) => pull(&config, &names.names, Wanted::Anew),
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

/// Nothing is written before all of it is there: what cannot be pulled is not enabled.
fn enable(config: &Config, switch: &Switch) -> Result<(), String> {
    pull(config, &switch.names.names, Wanted::Missing)?;
    set(config, switch, true)
}

fn set(config: &Config, switch: &Switch, on: bool) -> Result<(), String> {
    let store = Store::machine();
    enabled::change(&store, config, &switch.names.names, on)?;
    let file = store.path().display().to_string();
    let loaded = config::load_machine();
    for name in &switch.names.names {
        if loaded.config.enabled_addons.contains(name) != on {
            let but = match loaded.last_good {
                true => "has a mistake, and the last good document holds until that is mended",
                false => {
                    "`enabledAddons` of cloud-init or of the kernel command line has the last word"
                }
            };
            return Err(format!("{file} says so now, but {but}"));
        }
        print(name, on);
    }
    if switch.now {
        let file = config::SUPERVISOR_PID.as_ref();
        engines::signal(file, "supervisor", Signal::SIGHUP)?;
    }
    Ok(())
}

/// Which images are pulled.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Missing,
    Anew,
}

fn pull(config: &Config, names: &[String], wanted: Wanted) -> Result<(), String> {
    let mut images = Vec::new();
    for name in names {
        images.extend(config.images_of_addon(name)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let docker =
            Docker::connect_with_unix(config::SYSTEM_DOCKER, REQUEST_LIMIT, API_DEFAULT_VERSION);
        let told = |error: bollard::errors::Error| format!("system-docker: {error}");
        let docker = docker.map_err(told)?;
        docker.ping().await.map_err(told)?;
        engines::tell_registries(&docker, config).await?;
        for image in &images {
            if wanted == Wanted::Anew || !engines::has(&docker, image).await {
                engines::pull(&docker, &config.registries, image).await?;
            }
        }
        Ok(())
    })
}
