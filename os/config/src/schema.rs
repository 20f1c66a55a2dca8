//! The schema of the configuration document.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Addon, Dns, Mount, Network, Registries, Subnet, Timezone};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host name.
    pub hostname: String,
    /// Kernel modules to load at boot, besides the ones that the hardware needs.
    pub modules: Vec<String>,
    /// The disk for data that persists across a reboot.
    pub state: State,
    /// File systems and swap to mount at boot.
    pub mounts: Vec<Mount>,
    /// Public keys that may log in over SSH, as lines of `authorized_keys`.
    pub ssh_authorized_keys: Vec<String>,
    /// The password of user `rancher`. Without it, login by password is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether a fatal boot error opens a shell on the console; otherwise the machine reboots.
    pub rescue: bool,
    /// The sources of user-data.
    pub cloud_init: CloudInit,
    /// Environment variables of all system containers, including the user's Docker, and of the commands
    /// that `rancherctl env` runs.
    pub environment: BTreeMap<String, String>,
    /// Time synchronization.
    pub ntp: Ntp,
    /// The user's Docker.
    pub userdocker: UserDocker,
    /// DNS settings that override the ones from DHCP.
    pub dns: Dns,
    /// Network interfaces.
    pub network: Network,
    /// The SSH server.
    pub ssh: Ssh,
    /// Kernel settings, by their names in sysctl(8).
    pub sysctl: BTreeMap<String, String>,
    /// The time zone, a name such as `Europe/Berlin`.
    pub timezone: Timezone,
    /// Additional arguments of system-docker; see the module `engine`.
    pub system_docker_args: Vec<String>,
    /// The registries that the engines use.
    pub registries: Registries,
    /// Names of the addons that are enabled.
    #[serde(rename = "enabledAddons")]
    pub enabled_addons: Vec<String>,
    /// Available addons, by name.
    pub addons: BTreeMap<String, Addon>,
    /// The system containers, by name.
    pub services: BTreeMap<String, Service>,
}

/// The disk for data that persists across a reboot; it is mounted on `/var`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// `LABEL=…`, `UUID=…`, `PARTLABEL=…`, a path, or `none`.
    pub dev: String,
    /// File system, or `auto`.
    pub fstype: String,
    /// Whether the boot fails without it.
    pub required: bool,
    /// Disks that may be formatted if `dev` is not found. The first one that is blank or marked for
    /// formatting gets the file system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub autoformat: Vec<String>,
    /// Whether a disk counts as blank if its first MiB is zero; otherwise the whole disk must be zero.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub formatzero: bool,
}

/// The sources of user-data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudInit {
    /// Datasources in the order in which they are tried: `configdrive:PATH`, `nocloud:PATH`, `file:PATH`,
    /// `url:URL`, `cmdline`, `ec2`, `gce`.
    pub datasources: Vec<String>,
}

/// The SSH server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// Host keys: `TYPE` is the private key as PEM, `TYPE-pub` the public key as a line.
    pub keys: BTreeMap<String, String>,
    /// The TCP port that the SSH server listens on.
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// Whether the SSH server accepts passwords. The default is to accept them if `password` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passwords: Option<bool>,
    /// Networks whose connections the SSH server accepts; an empty list accepts all.
    pub allow: Vec<Subnet>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            port: SSH_PORT,
            passwords: None,
            allow: Vec::new(),
        }
    }
}

impl Config {
    /// Whether the SSH server accepts passwords.
    pub fn accepts_passwords(&self) -> bool {
        self.ssh.passwords.unwrap_or(self.password.is_some())
    }
}

/// The default of `ssh.port`.
pub const SSH_PORT: u16 = 22;

fn port<'de, D: Deserializer<'de>>(source: D) -> Result<u16, D::Error> {
    let number = u32::deserialize(source)?;
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(D::Error::custom(format!(
            "`{number}` is not a port; hint: write a number from 1 to 65535"
        ))),
    }
}

/// Time synchronization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntp {
    /// Time servers, `HOST` or `HOST:PORT`. An empty list disables synchronization.
    pub servers: Vec<String>,
}

/// The user's Docker. Certificates are PEM; generated ones are in [`crate::GENERATED_LAYER`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserDocker {
    /// Whether it listens on port 2376 for clients with a certificate.
    pub use_tls: bool,
    /// The certificate of the CA that signs client certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_cert: Option<String>,
    /// The key of the CA; `rancherctl tls generate` signs with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_key: Option<String>,
    /// The engine's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_cert: Option<String>,
    /// The key of the engine's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_key: Option<String>,
    /// The names and addresses of a server certificate that the machine generated by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_hosts: Option<Vec<String>>,
    /// Additional arguments; see the module `engine`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// A system container, with the keys of a compose file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Whether the service is not started.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The image; `${VERSION}` expands to the version of the OS.
    pub image: String,
    /// Program and arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables, each `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Whether it has all privileges of root on the machine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Capabilities in addition to Docker's default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// From -1000 (never killed when memory is short) to 1000 (killed first); the default is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
    /// `host` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// `host` to see all processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// `host` to share System V IPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// `host` to share the machine's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    /// Mounts, as `docker run --volume` takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Services whose mounts it also gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    /// Labels; those named `io.rancher.os.…` control how it is started. See the methods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Service {
    /// `io.rancher.os.createonly`: the container is created for its mounts and never started.
    pub fn create_only(&self) -> bool {
        self.flag("io.rancher.os.createonly", false)
    }

    /// `io.rancher.os.detach`: the container keeps running. Otherwise the boot waits until it exits.
    pub fn detach(&self) -> bool {
        self.flag("io.rancher.os.detach", true)
    }

    /// `io.rancher.os.reloadconfig`: the container changes the configuration; the supervisor reloads it
    /// when the container exits.
    pub fn reload_config(&self) -> bool {
        self.flag("io.rancher.os.reloadconfig", false)
    }

    /// `io.rancher.os.ephemeral`: whenever the container exits, a new one replaces it and its files are
    /// discarded.
    pub fn ephemeral(&self) -> bool {
        self.flag("io.rancher.os.ephemeral", false)
    }

    /// `io.rancher.os.ready`: the readiness check, `docker:SOCKET` or `tcp:PORT`.
    pub fn ready(&self) -> Option<(&str, &str)> {
        self.labels.get("io.rancher.os.ready")?.split_once(':')
    }

    /// The services that start before this one: `io.rancher.os.after` and `volumes_from`.
    pub fn after(&self) -> Vec<&str> {
        self.named("io.rancher.os.after")
            .chain(self.volumes_from.iter().map(String::as_str))
            .collect()
    }

    /// `io.rancher.os.before`: the services that start after this one.
    pub fn before(&self) -> Vec<&str> {
        self.named("io.rancher.os.before").collect()
    }

    /// The comma-separated names in a label.
    fn named(&self, label: &str) -> impl Iterator<Item = &str> {
        let text = self.labels.get(label).map(String::as_str);
        text.unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
    }

    fn flag(&self, label: &str, default: bool) -> bool {
        self.labels
            .get(label)
            .map_or(default, |value| value == "true")
    }
}
