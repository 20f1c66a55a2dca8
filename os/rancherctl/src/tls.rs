//! `rancherctl tls`: generates certificates for the user's Docker.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tls::{Owner, Store};

use crate::caller;

/// `rancherctl tls`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate certificates for the user's Docker and its clients on other computers
    Generate(Generate),
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Generate the engine's certificate and save it in the configuration; otherwise a client's
    #[arg(short, long)]
    server: bool,
    /// A name or address of this machine, for --server [default: all names and addresses]
    #[arg(long, value_name = "HOST", num_args = 1.., requires = "server")]
    hostname: Vec<String>,
    /// The folder for the files [default: /etc/docker/tls for --server, otherwise ~/.docker]
    #[arg(short, long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The caller is not root, or a certificate cannot be generated or written.
pub(crate) fn run(command: Command) -> Result<(), String> {
    let Command::Generate(options) = command;
    caller::must_be_root()?;
    let store = Store::machine();
    if options.server {
        let folder = options.dir.unwrap_or_else(|| "/etc/docker/tls".into());
        store
            .make_server(&options.hostname, &folder)
            .map_err(|error| error.to_string())?;
        println!(
            "Wrote ca.pem, server-cert.pem and server-key.pem to {}.",
            folder.display()
        );
        println!("Restart the engine to use them: sudo system-docker restart userdocker");
        return Ok(());
    }
    let caller = caller::caller();
    let folder = options.dir.unwrap_or_else(|| caller.home.join(".docker"));
    let owner: Owner = (caller.user, caller.group);
    let client = store.make_client().map_err(|error| error.to_string())?;
    client
        .write(&folder, owner)
        .map_err(|error| error.to_string())?;
    println!(
        "Wrote ca.pem, cert.pem and key.pem to {}.",
        folder.display()
    );
    Ok(())
}
