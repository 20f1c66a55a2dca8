//! What the document may say.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Addon, Dns, Mount, Network, Registries, Subnet, Timezone};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The machine's name.
    pub hostname: String,
    /// Kernel modules to load at boot beside those that the hardware asks for.
    pub modules: Vec<String>,
    /// The disk that keeps what outlives a reboot.
    pub state: State,
    /// File systems and swap to mount at boot.
    pub mounts: Vec<Mount>,
    /// Who may log in over SSH: lines as in `authorized_keys`.
    pub ssh_authorized_keys: Vec<String>,
    /// The password of user `rancher`; without one nobody can log in by password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether a boot that fails for good leaves a shell on the console (otherwise it reboots).
    pub rescue: bool,
    /// Where user-data comes from.
    pub cloud_init: CloudInit,
    /// Variables of all system containers, the user's Docker among them, and of what `rancherctl env` runs.
    pub environment: BTreeMap<String, String>,
    /// Who knows what time it is.
    pub ntp: Ntp,
    /// The user's Docker.
    pub userdocker: UserDocker,
    /// Name servers that are asked whatever DHCP says.
    pub dns: Dns,
    /// Network interfaces.
    pub network: Network,
    /// The SSH server: its identity, its port and whom it accepts.
    pub ssh: Ssh,
    /// Kernel settings, by the names that sysctl(8) has for them.
    pub sysctl: BTreeMap<String, String>,
    /// The time zone, a name such as `Europe/Berlin`.
    pub timezone: Timezone,
    /// Arguments of system-docker beside its own; see [`crate::engine`].
    pub system_docker_args: Vec<String>,
    /// Where the engines get images from.
    pub registries: Registries,
    /// Addons that are part of the machine, by name.
    #[serde(rename = "enabledAddons")]
    pub enabled_addons: Vec<String>,
    /// Addons that there are, by name.
    pub addons: BTreeMap<String, Addon>,
    /// The system containers, by name.
    pub services: BTreeMap<String, Service>,
}

/// The disk that keeps what outlives a reboot; it is mounted on `/var`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// `LABEL=…`, `UUID=…`, `PARTLABEL=…`, a path, or `none`.
    pub dev: String,
    /// File system, or `auto`.
    pub fstype: String,
    /// Whether a machine without it must not boot.
    pub required: bool,
    /// Where `dev` is not found: disks of which the first that is blank, or marked to be formatted,
    /// gets a file system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub autoformat: Vec<String>,
    /// Whether a disk is blank when its first MiB is zero; otherwise all of it must be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub formatzero: bool,
}

/// Where user-data comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudInit {
    /// Sources in the order in which they are tried: `configdrive:PATH`, `nocloud:PATH`, `file:PATH`,
    /// `url:URL`, `cmdline`, `ec2`, `gce`.
    pub datasources: Vec<String>,
}

/// The SSH server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// Host keys: `TYPE` is the private one as PEM, `TYPE-pub` its public line.
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
            "`{number}` is no port; write a number from 1 to 65535"
        ))),
    }
}

/// Who knows what time it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntp {
    /// Time servers, `HOST` or `HOST:PORT`; none leaves the clock alone.
    pub servers: Vec<String>,
}

/// The user's Docker. The certificates are PEM; those that are made lie in [`crate::GENERATED_LAYER`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserDocker {
    /// Whether it listens on port 2376 to clients with a certificate.
    pub use_tls: bool,
    /// Who must have signed the certificate of a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_cert: Option<String>,
    /// With what `rancherctl tls generate` signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_key: Option<String>,
    /// What the engine shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_cert: Option<String>,
    /// And its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_key: Option<String>,
    /// The names and addresses that it is for, where the machine made it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_hosts: Option<Vec<String>>,
    /// Arguments beside its own; see [`crate::engine`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// A system container, in the words of a compose file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Whether it is left out of the boot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The image; `${VERSION}` stands for the version of the OS.
    pub image: String,
    /// Program and arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Whether it may do what root on the machine may.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Capabilities beside Docker's default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// From -1000 (never ended when memory is short) to 1000 (first); 0 unless told.
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
    /// `host` to share the machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    /// Mounts, as `docker run --volume` takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Services whose mounts it gets too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    /// `io.rancher.os.…`: how it is started. See the methods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Service {
    /// `io.rancher.os.createonly`: the container is made for its mounts and never started.
    pub fn create_only(&self) -> bool {
        self.flag("io.rancher.os.createonly", false)
    }

    /// `io.rancher.os.detach`: it goes on running; otherwise the boot waits for its end.
    pub fn detach(&self) -> bool {
        self.flag("io.rancher.os.detach", true)
    }

    /// `io.rancher.os.reloadconfig`: the configuration is another one when it has ended.
    pub fn reload_config(&self) -> bool {
        self.flag("io.rancher.os.reloadconfig", false)
    }

    /// `io.rancher.os.ephemeral`: whenever it ends it is made anew, and what was written in it is gone.
    pub fn ephemeral(&self) -> bool {
        self.flag("io.rancher.os.ephemeral", false)
    }

    /// `io.rancher.os.ready`: what shows that it works, `docker:SOCKET` or `tcp:PORT`.
    pub fn ready(&self) -> Option<(&str, &str)> {
        self.labels.get("io.rancher.os.ready")?.split_once(':')
    }

    /// `io.rancher.os.after` and what it takes mounts from: services that must be up before it.
    pub fn after(&self) -> Vec<&str> {
        self.named("io.rancher.os.after")
            .chain(self.volumes_from.iter().map(String::as_str))
            .collect()
    }

    /// `io.rancher.os.before`: services that it must be up before.
    pub fn before(&self) -> Vec<&str> {
        self.named("io.rancher.os.before").collect()
    }

    /// The names in a label, between commas.
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
