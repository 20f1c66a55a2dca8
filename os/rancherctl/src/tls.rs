//! `rancherctl tls`: generates certificates for the user's Docker and for etcd.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tls::{ETCD_FOLDER, EtcdAuthority, Owner, Store};

use crate::caller;

/// `rancherctl tls`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate certificates for the user's Docker and its clients on other computers, or for etcd
    Generate(Generate),
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Generate the engine's certificate and save it in the configuration; otherwise a client's
    #[arg(short, long, group = "hosts")]
    server: bool,
    /// Generate the certificate of a machine in an etcd cluster, for its member and its clients
    #[arg(long, group = "hosts")]
    etcd: bool,
    /// A name or address of the machine, for --server and --etcd [default: all names and addresses of this one]
    #[arg(long, value_name = "HOST", num_args = 1.., requires = "hosts")]
    hostname: Vec<String>,
    /// The folder for the files [default: /etc/docker/tls for --server, /var/lib/rancher/conf/etcd for --etcd,
    /// otherwise ~/.docker]
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
    let generated = if options.server {
        server(options)
    } else if options.etcd {
        etcd(options)
    } else {
        client(options)
    };
    generated.map_err(|error| error.to_string())
}

fn server(options: Generate) -> tls::Result<()> {
    let folder = options.dir.unwrap_or_else(|| "/etc/docker/tls".into());
    Store::machine().make_server(&options.hostname, &folder)?;
    println!(
        "Wrote ca.pem, server-cert.pem and server-key.pem to {}.",
        folder.display()
    );
    println!("Restart the engine to use them: sudo system-docker restart userdocker");
    Ok(())
}

fn client(options: Generate) -> tls::Result<()> {
    let caller = caller::caller();
    let folder = options.dir.unwrap_or_else(|| caller.home.join(".docker"));
    let owner: Owner = (caller.user, caller.group);
    Store::machine().make_client()?.write(&folder, owner)?;
    println!(
        "Wrote ca.pem, cert.pem and key.pem to {}.",
        folder.display()
    );
    Ok(())
}

fn etcd(options: Generate) -> tls::Result<()> {
    let (folder, owner) = match options.dir {
        // Copied to another machine by the caller.
        Some(folder) => {
            let caller = caller::caller();
            (folder, (caller.user, caller.group))
        }
        None => (ETCD_FOLDER.into(), (0, 0)),
    };
    EtcdAuthority::machine().generate(&options.hostname, &folder, owner)?;
    println!(
        "Wrote ca.pem, cert.pem and key.pem to {}.",
        folder.display()
    );
    Ok(())
}
