//! A scenario file's head: who it is and what machine it wants.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_yaml::Value;

use yaml::ConsoleRules;

use super::cards::{CardFile, NetworkFile};
use super::known_failure::KnownFailure;
use super::sabotage::SabotageFile;
use super::step::{StepFile, WaitForStep};
use super::told::{PageFile, VolumeFile};
use super::value::Span;

/// One behaviour of the OS: a machine, and steps that must all hold on it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Scenario")]
pub struct ScenarioFile<S = StepFile> {
    /// Its name; the file is called `NAME.yaml`.
    pub name: String,
    /// What it proves, in a sentence.
    pub about: String,
    /// The profiles (`qemu-profiles/*.yaml`) it runs on: one trial each.
    #[serde(default = "default_profiles")]
    pub profiles: Vec<String>,
    /// Others that it runs on where somebody asks for one of them (`--profile`) or for all
    /// (`--all-profiles`), as a CI matrix does: what a change seldom breaks there alone.
    #[serde(default)]
    pub more_profiles: Vec<String>,
    /// What the machine is given beside its profile, added to what its setup gives it.
    #[serde(default)]
    pub machine: MachineFile,
    /// The setup (`setups/*.yaml`) that it goes on from.
    pub setup: Option<String>,
    /// Where it begins.
    #[serde(default)]
    pub start: Start,
    /// What a boot is waited for before the first step, where that is not its end. To be forked the
    /// machine must let the trial's key in as well.
    pub ready: Option<WaitForStep>,
    /// How long all steps together may take after the boot; 10 minutes unless told.
    pub timeout: Option<Span>,
    /// What must hold all through it, beside a console that says nothing bad and a system-docker
    /// that is alive: steps that ask over SSH or Docker, checked in the background.
    #[serde(default)]
    pub invariants: Vec<S>,
    /// Lines of the console that fail it beside those that are known, and such that do not.
    #[serde(default)]
    pub console: ConsoleRules,
    /// Files of the machine that are fetched into the evidence (`collected/`) when it is red.
    #[serde(default)]
    pub collect: Vec<String>,
    /// That it is known to fail, why, and until when that is accepted.
    pub known_failure: Option<KnownFailure>,
    /// What is done and what must hold, in order.
    pub steps: Vec<S>,
    /// Changes that must each turn it red, which `harness prove` tries.
    #[serde(default)]
    pub sabotage: Vec<SabotageFile>,
}

/// Where a scenario begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// On a copy of a machine that is ready: SSH lets the trial's key in, both Dockers answer.
    #[default]
    Fork,
    /// With power-on.
    Cold,
}

fn default_profiles() -> Vec<String> {
    vec!["q35".into()]
}

/// What the machine is given beside its profile.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Machine")]
pub struct MachineFile {
    /// User data on the config drive: a mapping (a cloud-config) or the text itself.
    pub cloud_config: Option<CloudConfig>,
    /// Kernel arguments after those of the profile.
    pub kernel_arguments: Vec<String>,
    /// Empty disks beside those of the profile.
    pub disks: Vec<DiskFile>,
    /// Volumes that tell it something: read-only, with these files.
    pub volumes: Vec<VolumeFile>,
    /// What a cloud tells it: pages of `http://169.254.169.254/`, by their paths.
    pub metadata: BTreeMap<String, PageFile>,
    /// Memory in MiB instead of the profile's.
    pub memory: Option<u64>,
    /// Whether a key made for this trial is put on the config drive, so that `ssh` and `docker`
    /// steps can log in. Without it they need a `password`. Where `<ssh_key>` stands in a file of
    /// `volumes` or a page of `metadata` the key is there, and on no config drive.
    pub ssh_key: bool,
    /// A registry that the machine reaches at `10.0.2.100:5000`, over HTTP.
    pub registry: Option<RegistryFile>,
    /// Whether it reaches every service of this host and what lies beyond it. Without it the machine
    /// reaches its fixtures and nothing else.
    pub outside: bool,
    /// What the network of the first card tells it.
    pub network: NetworkFile,
    /// Network cards beside the first (`eth1`, `eth2`, …), each on a network of its own with DHCP.
    pub cards: Vec<CardFile>,
}

/// A registry beside the machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Registry")]
pub struct RegistryFile {
    /// What it serves at first: definitions of `images/`, each as `rancher/os-NAME` with the tags
    /// `latest` and the OS's version.
    pub images: Vec<String>,
    /// Who alone may pull.
    pub account: Option<AccountFile>,
}

/// A name and a password that a registry asks for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RegistryAccount")]
pub struct AccountFile {
    /// The name.
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
    /// This machine with more: what comes later is added to lists, and goes before what is single.
    #[must_use]
    pub fn with(&self, more: Self) -> Self {
        let both = |base: &[String], more: Vec<String>| [base, &more].concat();
        Self {
            cloud_config: more.cloud_config.or_else(|| self.cloud_config.clone()),
            kernel_arguments: both(&self.kernel_arguments, more.kernel_arguments),
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
            network: match more.network == NetworkFile::default() {
                true => self.network.clone(),
                false => more.network,
            },
            cards: [self.cards.as_slice(), &more.cards].concat(),
        }
    }
}

/// An empty disk, gone with the machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Disk")]
pub struct DiskFile {
    /// Size in MiB.
    pub size: u64,
    /// When given, the disk is formatted as ext4 with this label.
    pub label: Option<String>,
    /// When given, it has a partition of this name (GPT), in which the file system is.
    pub partition: Option<String>,
}

/// User data: a mapping or the text itself.
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
    /// The first line that makes user data a cloud-config.
    const HEADER: &str = "#cloud-config";

    /// The user data as written, with `key` among its authorised keys.
    ///
    /// # Errors
    /// A key was to go in, and this is no cloud-config that could hold one.
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
            _ => Err("cloud_config is neither a mapping nor a text".into()),
        }
    }
}

/// Adds a key to `ssh_authorized_keys` of a cloud-config.
fn with_key(text: &str, key: &str) -> Result<String, String> {
    let header = CloudConfig::HEADER;
    if text.lines().next().map(str::trim_end) != Some(header) {
        return Err(format!(
            "cloud_config does not begin with `{header}`, so it holds no keys"
        ));
    }
    let mut config = match serde_yaml::from_str(text) {
        Ok(Value::Mapping(config)) => config,
        Ok(Value::Null) => serde_yaml::Mapping::new(),
        Ok(_) => return Err("cloud_config is no mapping, so it holds no keys".into()),
        Err(error) => return Err(format!("cloud_config is not YAML: {error}")),
    };
    let keys = config
        .entry("ssh_authorized_keys".into())
        .or_insert_with(|| Value::Sequence(Vec::new()));
    match keys {
        Value::Sequence(keys) => keys.push(key.into()),
        _ => return Err("`ssh_authorized_keys` of cloud_config is no list".into()),
    }
    let body = serde_yaml::to_string(&config).map_err(|error| error.to_string())?;
    Ok(format!("{header}\n{body}"))
}
