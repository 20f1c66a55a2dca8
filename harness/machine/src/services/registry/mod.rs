//! A registry beside a machine: Debian's `docker-registry`, which serves images of `images/` on a
//! socket that only this machine's network leads to.
//!
//! The guest reaches it at [`ADDRESS`], on every host and on every fork, because QEMU's network leads
//! that address to the socket. Each machine has one of its own, so that what one pushes no other sees;
//! what they serve at first is made once.

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

use crate::MachineError;
use base::wait::{Poll, wait_until};
pub use storage::{Image, Storage};

/// Where the guest finds it.
pub const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 2, 100), 5000);

/// The program.
const PROGRAM: &str = "docker-registry";
/// What leads QEMU's network to it.
const RELAY: &str = "socat";

/// In the machine's folder.
const SOCKET: &str = "registry.sock";

/// For it to listen, on the reference host.
const START_SECONDS: u64 = 20;

/// Who may pull; anybody where there is none.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// What a machine's registry is asked to be.
#[derive(Debug, Clone)]
pub struct RegistrySpec {
    /// What it serves at first.
    pub storage: Storage,
    /// Who may pull.
    pub account: Option<Account>,
}

/// A running registry; it ends with this value.
pub struct Registry(#[allow(dead_code, reason = "held until the machine is gone")] Owned);

impl Registry {
    /// Starts it with its socket and its files in a machine's own folder.
    ///
    /// # Errors
    /// It is not installed, or its files cannot be written.
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
            "the registry listening",
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
        // A socket of before, where the machine is powered on again.
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

/// The registry's configuration, which holds no secret but a hash.
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
    // JSON is YAML, too.
    std::fs::write(&file, configuration.to_string())?;
    Ok(file)
}

impl Account {
    /// As `htpasswd` writes it; the least of work, for the password is no secret.
    fn line(&self) -> io::Result<String> {
        let hash = bcrypt::hash(&self.password, 4).map_err(io::Error::other)?;
        Ok(format!("{}:{hash}\n", self.user))
    }
}

/// What QEMU's network is told, so that the guest finds the registry of a machine in `folder`.
pub fn forwarding(folder: &PrivateFolder) -> String {
    let socket = folder.socket(SOCKET);
    let (address, port) = ADDRESS;
    format!("guestfwd=tcp:{address}:{port}-cmd:{RELAY} - UNIX-CONNECT:{socket}")
}

/// Whether this host has what it takes.
///
/// # Errors
/// What is missing, and how to get it.
pub fn check_host() -> Result<(), String> {
    for program in [PROGRAM, RELAY] {
        if base::command::find(program).is_none() {
            return Err(format!(
                "`{program}` is not installed; `ci/setup tests` installs it, or `apt install {program}`"
            ));
        }
    }
    Ok(())
}
