//! The specifications of the machines of `harness run`.

use std::net::Ipv4Addr;
use std::path::Path;

use super::cloud_config::{UserData, merge, public_keys};
use super::state::StateFolder;
use super::{RunOptions, other};
use machine::services::Names;
use machine::{Disk, Link, MachineError, MachineSpec, RANCHEROS};

/// What distinguishes a machine from the others.
pub(super) struct Place {
    /// Its name, if it is one of several.
    pub(super) name: Option<String>,
    pub(super) port: u16,
    /// Its address on the network of the cluster.
    pub(super) address: Option<Ipv4Addr>,
    pub(super) links: Vec<Link>,
    pub(super) names: Names,
}

impl Place {
    /// The place of a single machine.
    pub(super) fn alone(port: u16) -> Self {
        Self {
            name: None,
            port,
            address: None,
            links: Vec::new(),
            names: Names::new(),
        }
    }
}

/// The specification of a machine, and how to log in.
pub(super) fn spec(
    options: &RunOptions,
    state: &StateFolder,
    place: &Place,
) -> Result<(MachineSpec, String), MachineError> {
    let user_data = user_data(options.cloud_config.as_deref())?;
    let mut kernel_args = options.append.clone();
    let is_given = |argument: &str| options.append.iter().any(|arg| arg.contains(argument));
    let password = is_given(RANCHEROS.password_argument);
    if !user_data.has_keys && !password {
        kernel_args.push(format!("{}{}", RANCHEROS.password_argument, RANCHEROS.user));
    }
    if let Some(name) = &place.name
        && !is_given(RANCHEROS.hostname_argument)
    {
        kernel_args.push(format!("{}{name}", RANCHEROS.hostname_argument));
    }
    let (kernel, initrd) = (&options.artifacts.kernel, &options.artifacts.initrd);
    let disk = state.disk(place.name.as_deref(), options.fresh)?;
    let spec = MachineSpec {
        kernel_args,
        memory: options.memory,
        disks: vec![Disk::Kept(disk)],
        ssh_port: Some(place.port),
        outside: true,
        links: place.links.clone(),
        names: place.names.clone(),
        user_data: user_data.text,
        ..MachineSpec::new(options.profile.clone(), kernel, Some(initrd))
    };
    Ok((spec, login(place, password, user_data.has_keys)))
}

/// The given user data with the user's keys.
fn user_data(file: Option<&Path>) -> Result<UserData, MachineError> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|e| other(format!("{}: {e}", file.display())))
    };
    let given = file.map(read).transpose()?;
    merge(given.as_deref(), &public_keys()).map_err(|why| {
        let file = file.unwrap_or(Path::new("cloud-config"));
        other(format!("{}: {why}", file.display()))
    })
}

/// How to log in, for the user.
fn login(place: &Place, password: bool, has_keys: bool) -> String {
    let user = RANCHEROS.user;
    let method = if password {
        "with the given password".to_owned()
    } else if has_keys {
        "with your key".to_owned()
    } else {
        // The machine listens on this host only.
        format!("with the password `{user}`")
    };
    let name = place.name.as_ref();
    let shortcut = name.map(|name| format!("harness ssh {name}, or "));
    let shortcut = shortcut.unwrap_or_default();
    format!("{shortcut}ssh -p {} {user}@localhost, {method}", place.port)
}
