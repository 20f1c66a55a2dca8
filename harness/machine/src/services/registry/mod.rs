//! A registry for one machine: Debian's `docker-registry`, which serves the images of `images/` on a
//! socket that only this machine's network can reach.
//!
//! The guest reaches it at [`ADDRESS`], on every host and in every fork, because QEMU forwards that
//! address to the socket. Each machine has a registry of its own, so that no other machine sees what it
//! pushes; the initial content is created once.

mod storage;

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use base::private_dir::PrivateFolder;
use base::process::Owned;
use host::speed;

use crate::error::MachineError;
use base::wait::{Poll, wait_until};
pub use storage::{Image, Storage};

/// The address of the registry in the guest's network.
pub const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 2, 100), 5000);

/// The registry program.
const PROGRAM: &str = "docker-registry";
/// The program that connects QEMU's network to the registry.
const RELAY: &str = "socat";

/// The name of the socket in the machine's folder.
const SOCKET: &str = "registry.sock";

/// Timeout of the start, on the reference host.
const START_SECONDS: u64 = 20;

/// Credentials for pulls. Without an account everybody may pull.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// The configuration of a machine's registry.
#[derive(Debug, Clone)]
pub struct RegistrySpec {
    /// The initial content.
    pub storage: Storage,
    /// Credentials for pulls; `None` allows everybody.
    pub account: Option<Account>,
}

/// A running registry; dropping it stops it.
pub struct Registry(#[allow(dead_code, reason = "its drop kills the registry")] Owned);

impl Registry {
    /// Starts a registry, with its socket and its files in the machine's folder.
    ///
    /// # Errors
    /// The registry is not installed, or its files cannot be written.
    pub async fn start(
        spec: &RegistrySpec,
        folder: &PrivateFolder,
        log: std::fs::File,
    ) -> Result<Self, MachineError> {
        let started = Self::spawn(spec, folder, log);
        let started =
            started.map_err(|error| MachineError::Start(format!("{PROGRAM}: {error}")))?;
        let socket = folder.socket(SOCKET);
        let listens = async || match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(_) => Poll::Ready(()),
            Err(error) => Poll::NotYet(format!(
                "{PROGRAM} does not listen: {error}; see registry.log"
            )),
        };
        wait_until(
            "the registry to listen",
            speed::seconds(START_SECONDS),
            listens,
        )
        .await?;
        Ok(started)
    }

    fn spawn(spec: &RegistrySpec, folder: &PrivateFolder, log: std::fs::File) -> io::Result<Self> {
        let own = folder.file("registry");
        if !own.is_dir() {
            spec.storage.copy(&own)?;
        }
        let configuration = configure(spec, folder, &own)?;
        // The socket may remain from before a power cut.
        let _ = std::fs::remove_file(folder.file(SOCKET));
        let mut command = Command::new(PROGRAM);
        command
            .arg("serve")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Owned::spawn(command).map(Self)
    }
}

/// Writes the registry's configuration, which holds no secret except a password hash.
fn configure(spec: &RegistrySpec, folder: &PrivateFolder, own: &Path) -> io::Result<PathBuf> {
    let mut configuration = json!({
        "version": "0.1",
        "log": { "accesslog": { "disabled": false }, "level": "warn" },
        "storage": { "filesystem": { "rootdirectory": own } },
        "http": { "net": "unix", "addr": folder.socket(SOCKET), "secret": "of one machine" },
    });
    if let Some(account) = &spec.account {
        let path = folder.file("registry.users");
        std::fs::write(&path, account.line()?)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        configuration["auth"] = json!({ "htpasswd": { "realm": "registry", "path": path } });
    }
    let file = folder.file("registry.yml");
    // JSON is valid YAML.
    std::fs::write(&file, configuration.to_string())?;
    Ok(file)
}

impl Account {
    /// A line in the format of `htpasswd`. The lowest cost suffices, because the password is no secret.
    fn line(&self) -> io::Result<String> {
        let hash = bcrypt::hash(&self.password, 4).map_err(io::Error::other)?;
        Ok(format!("{}:{hash}\n", self.user))
    }
}

/// The forwarding rule, in QEMU's syntax, to the registry of the machine in `folder`.
pub fn forwarding(folder: &PrivateFolder) -> String {
    let socket = folder.socket(SOCKET);
    let (address, port) = ADDRESS;
    format!("guestfwd=tcp:{address}:{port}-cmd:{RELAY} - UNIX-CONNECT:{socket}")
}

/// Checks that this host has the needed programs.
///
/// # Errors
/// A program is missing; the message has a hint.
pub fn check_host() -> Result<(), String> {
    for program in [PROGRAM, RELAY] {
        if base::command::find(program).is_none() {
            return Err(format!(
                "`{program}` not found; hint: run `ci/setup tests` or `apt install {program}`"
            ));
        }
    }
    Ok(())
}
