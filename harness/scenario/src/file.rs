//! The top level of a scenario file, and the machine that it describes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_yaml::Value;

use yaml::ConsoleRules;

use super::cards::{CardFile, NetworkFile};
use super::cluster::{ClusterMachineFile, ClusterNetworkFile};
use super::empty_disk::DiskFile;
use super::known_failure::KnownFailure;
use super::sabotage::SabotageFile;
use super::seed_data::{PageFile, VolumeFile};
use super::step::{StepFile, WaitForStep};
use super::value::Span;

/// One behaviour of the OS: a machine, and steps that must all succeed on it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Scenario")]
pub struct ScenarioFile<S = StepFile> {
    /// The name; the file is `NAME.yaml`.
    pub name: String,
    /// What it proves, in one sentence.
    pub about: String,
    /// The profiles (`qemu-profiles/*.yaml`) that it runs on, one trial each.
    #[serde(default = "default_profiles")]
    pub profiles: Vec<String>,
    /// Further profiles, for runs with `--profile NAME` or `--all-profiles` (a CI matrix): use it if
    /// changes seldom break the scenario on these profiles alone.
    #[serde(default)]
    pub more_profiles: Vec<String>,
    /// Whether only runs with `--nightly`, and filters that contain its name, include it: use it if the
    /// scenario takes too long for every run.
    #[serde(default)]
    pub nightly: bool,
    /// What the machine gets in addition to its profile and its setup.
    #[serde(default)]
    pub machine: MachineFile,
    /// The machines of a cluster, by name, each as `machine` describes. Without this key, the scenario has
    /// one machine without a name.
    pub machines: Option<BTreeMap<String, ClusterMachineFile>>,
    /// The networks between the machines, by name.
    #[serde(default)]
    pub networks: BTreeMap<String, ClusterNetworkFile>,
    /// The setup (`setups/*.yaml`) that it continues from.
    pub setup: Option<String>,
    /// Where it starts.
    #[serde(default)]
    pub start: Start,
    /// The condition that ends the boot; the default is the last boot stage. A machine that is forked
    /// must also accept a login with the trial's key.
    pub ready: Option<WaitForStep>,
    /// The timeout of all steps together, after the boot; the default is 10 minutes.
    pub timeout: Option<Span>,
    /// SSH and Docker steps that must hold during the whole trial, checked in the background. The console
    /// scan and the check that system-docker is alive always run.
    #[serde(default)]
    pub invariants: Vec<S>,
    /// Console lines that fail the trial in addition to the known ones, and lines that are allowed.
    #[serde(default)]
    pub console: ConsoleRules,
    /// Files of the machine that a failed trial copies into its evidence (`collected/`).
    #[serde(default)]
    pub collect: Vec<String>,
    /// An accepted failure: the reason, the ticket and the last day.
    pub known_failure: Option<KnownFailure>,
    /// The steps, in order.
    pub steps: Vec<S>,
    /// Changes that must each make the scenario fail; `harness prove` checks this.
    #[serde(default)]
    pub sabotage: Vec<SabotageFile>,
}

/// Where a scenario starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// On a copy of a machine that is ready: SSH accepts the trial's key, both Docker engines answer.
    #[default]
    Fork,
    /// At power-on.
    Cold,
}

fn default_profiles() -> Vec<String> {
    vec!["q35".into()]
}

/// What the machine gets in addition to its profile.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Machine")]
pub struct MachineFile {
    /// User data on the config drive: a cloud-config as a mapping, or the text itself.
    pub cloud_config: Option<CloudConfig>,
    /// Kernel arguments, after those of the profile.
    pub kernel_arguments: Vec<String>,
    /// Empty disks in addition to those of the profile.
    pub disks: Vec<DiskFile>,
    /// Read-only volumes with files (seed data).
    pub volumes: Vec<VolumeFile>,
    /// Pages of a cloud's metadata service at `http://169.254.169.254/`, by path.
    pub metadata: BTreeMap<String, PageFile>,
    /// Memory in MiB, instead of that of the profile.
    pub memory: Option<u64>,
    /// Whether the machine gets a key that is generated for the trial. `ssh` and `docker` steps log in with
    /// it; without it they need a `password`. The key replaces `<ssh_key>` in files of `volumes` and pages
    /// of `metadata`; if neither contains `<ssh_key>`, it is on the config drive.
    pub ssh_key: bool,
    /// A registry at `10.0.2.100:5000`, over HTTP.
    pub registry: Option<RegistryFile>,
    /// Whether the machine can reach this host and the networks behind it. The default is its fixtures only.
    pub outside: bool,
    /// What DHCP server and router of the first card announce.
    pub network: NetworkFile,
    /// More network cards (`eth1`, `eth2`, …), each on a network of its own with DHCP.
    pub cards: Vec<CardFile>,
}

/// A registry that the machine can pull from.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Registry")]
pub struct RegistryFile {
    /// The images that it serves: folders of `images/`, each as `rancher/os-NAME` with the tags `latest`
    /// and the version of the OS.
    pub images: Vec<String>,
    /// The account that a pull requires.
    pub account: Option<AccountFile>,
}

/// The account of a registry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RegistryAccount")]
pub struct AccountFile {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Default for MachineFile {
    fn default() -> Self {
        Self {
            cloud_config: None,
            kernel_arguments: Vec::new(),
            disks: Vec::new(),
            volumes: Vec::new(),
            metadata: BTreeMap::new(),
            memory: None,
            ssh_key: true,
            registry: None,
            outside: false,
            network: NetworkFile::default(),
            cards: Vec::new(),
        }
    }
}

impl MachineFile {
    /// This machine extended by `more`: lists are appended, single values of `more` take precedence.
    #[must_use]
    pub fn with(&self, more: Self) -> Self {
        let append = |base: &[String], more: Vec<String>| [base, &more].concat();
        Self {
            cloud_config: more.cloud_config.or_else(|| self.cloud_config.clone()),
            kernel_arguments: append(&self.kernel_arguments, more.kernel_arguments),
            disks: [self.disks.as_slice(), &more.disks].concat(),
            volumes: [self.volumes.as_slice(), &more.volumes].concat(),
            metadata: self
                .metadata
                .clone()
                .into_iter()
                .chain(more.metadata)
                .collect(),
            memory: more.memory.or(self.memory),
            ssh_key: self.ssh_key && more.ssh_key,
            registry: more.registry.or_else(|| self.registry.clone()),
            outside: self.outside || more.outside,
            network: if more.network == NetworkFile::default() {
                self.network.clone()
            } else {
                more.network
            },
            cards: [self.cards.as_slice(), &more.cards].concat(),
        }
    }
}

/// User data: a mapping, or the text itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct CloudConfig(pub Value);

impl JsonSchema for CloudConfig {
    fn schema_name() -> Cow<'static, str> {
        "CloudConfig".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "string"] })
    }
}

impl CloudConfig {
    /// The first line of a cloud-config.
    const HEADER: &str = "#cloud-config";

    /// Renders the user data, with `key` among its authorised keys.
    ///
    /// # Errors
    /// A key is given, and the user data is not a cloud-config that can contain one.
    pub fn render(config: Option<&Self>, key: Option<&str>) -> Result<Option<String>, String> {
        let (Some(key), text) = (key, config.map(Self::text).transpose()?) else {
            return config.map(Self::text).transpose();
        };
        let text = text.unwrap_or_else(|| Self::HEADER.to_owned());
        with_key(&text, key).map(Some)
    }

    fn text(&self) -> Result<String, String> {
        match &self.0 {
            Value::String(text) => Ok(text.clone()),
            Value::Mapping(_) => {
                let body = serde_yaml::to_string(&self.0).map_err(|error| error.to_string())?;
                Ok(format!("{}\n{body}", Self::HEADER))
            }
            _ => Err("`cloud_config` is neither a mapping nor a text".into()),
        }
    }
}

/// Adds a key to `ssh_authorized_keys` of a cloud-config.
fn with_key(text: &str, key: &str) -> Result<String, String> {
    let header = CloudConfig::HEADER;
    if text.lines().next().map(str::trim_end) != Some(header) {
        return Err(format!(
            "`cloud_config` does not start with `{header}`, so it cannot contain the trial's key"
        ));
    }
    let mut config = match serde_yaml::from_str(text) {
        Ok(Value::Mapping(config)) => config,
        Ok(Value::Null) => serde_yaml::Mapping::new(),
        Ok(_) => {
            return Err(
                "`cloud_config` is not a mapping, so it cannot contain the trial's key".into(),
            );
        }
        Err(error) => return Err(format!("`cloud_config` is not YAML: {error}")),
    };
    let keys = config
        .entry("ssh_authorized_keys".into())
        .or_insert_with(|| Value::Sequence(Vec::new()));
    match keys {
        Value::Sequence(keys) => keys.push(key.into()),
        _ => return Err("`ssh_authorized_keys` of `cloud_config` is not a list".into()),
    }
    let body = serde_yaml::to_string(&config).map_err(|error| error.to_string())?;
    Ok(format!("{header}\n{body}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    use crate::testing::read;

    #[test]
    fn cloud_config_renders_with_the_key() {
        let text = "name: tea\nabout: tea\nmachine:\n  cloud_config: { hostname: pot, ssh_authorized_keys: [a] }\nsteps: [{ reboot: {} }]\n";
        let config = read(text).unwrap().machine.cloud_config;
        assert_snapshot!(
            CloudConfig::render(config.as_ref(), Some("b"))
                .unwrap()
                .unwrap()
        );
        assert_eq!(CloudConfig::render(None, None), Ok(None));
    }
}
