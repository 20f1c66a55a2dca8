//! `rancherctl addon`: what is part of the machine beside what it comes with.

use bollard::{API_DEFAULT_VERSION, Docker};
use clap::{Args, Subcommand};
use config::{Config, Store, edit};
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
        Command::Disable(switch) => disable(&config, switch),
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
    let names = &switch.names.names;
    pull(config, names, Wanted::Missing)?;
    let mut enabled = config.enabled_addons.clone();
    for name in names {
        if !enabled.contains(name) {
            enabled.push(name.clone());
        }
    }
    set(switch, enabled, true)
}

/// One that there is no more can be disabled, too.
fn disable(config: &Config, switch: &Switch) -> Result<(), String> {
    let names = &switch.names.names;
    let mut enabled = config.enabled_addons.clone();
    for name in names.iter().filter(|name| !enabled.contains(name)) {
        config.addon(name)?;
    }
    enabled.retain(|name| !names.contains(name));
    set(switch, enabled, false)
}

fn set(switch: &Switch, enabled: Vec<String>, on: bool) -> Result<(), String> {
    let store = Store::machine();
    let key = ["enabledAddons".to_owned()];
    let change = |old: &str| edit::set(old, &key, &enabled.into()).map_err(std::io::Error::other);
    let file = store.path().display().to_string();
    store
        .change(change)
        .map_err(|error| format!("{file}: {error}\nnothing was changed"))?;
    let config = config::load_machine().config;
    for name in &switch.names.names {
        if config.enabled_addons.contains(name) != on {
            return Err(format!(
                "{file} says so now, but `enabledAddons` of cloud-init or of the kernel command line \
                 has the last word"
            ));
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
