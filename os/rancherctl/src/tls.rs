//! Certificates for the user's Docker.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tls::{Owner, Store};

use crate::caller;

/// `rancherctl tls`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make certificates for the user's Docker and for those who use it from other computers
    Generate(Generate),
}

#[derive(Debug, Args)]
pub struct Generate {
    /// Make what the engine shows, and keep it in the configuration; otherwise what a client shows
    #[arg(short, long)]
    server: bool,
    /// A name or address of this machine, for --server; all that it has unless told
    #[arg(long, value_name = "HOST", num_args = 1.., requires = "server")]
    hostname: Vec<String>,
    /// Where the files go; /etc/docker/tls for --server, otherwise your ~/.docker
    #[arg(short, long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// The caller is not root; a certificate cannot be made or written.
pub fn run(command: Command) -> Result<(), String> {
    let Command::Generate(asked) = command;
    caller::must_be_root()?;
    let store = Store::machine();
    if asked.server {
        let folder = asked.dir.unwrap_or_else(|| "/etc/docker/tls".into());
        store
            .make_server(&asked.hostname, &folder)
            .map_err(|error| error.to_string())?;
        println!(
            "{}: ca.pem, server-cert.pem and server-key.pem are there.",
            folder.display()
        );
        println!(
            "The engine shows them from its next start on: sudo system-docker restart userdocker"
        );
        return Ok(());
    }
    let caller = caller::caller();
    let folder = asked.dir.unwrap_or_else(|| caller.home.join(".docker"));
    let owner: Owner = (caller.user, caller.group);
    let client = store.make_client().map_err(|error| error.to_string())?;
    client
        .write(&folder, owner)
        .map_err(|error| error.to_string())?;
    println!(
        "{}: ca.pem, cert.pem and key.pem are there.",
        folder.display()
    );
    Ok(())
}
