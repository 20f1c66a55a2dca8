//! Converts the machine of a scenario, and parts of it that steps add, to what the machine crate uses.

use crate::artifacts::Artifacts;
use crate::project::Project;
use machine::profile::ResolvedProfile;
use machine::services::registry::{Account, Image, RegistrySpec, Storage};
use machine::{
    Blank, CardNetwork, Disk, Engine, FileSystemKind, KeyPair, MachineSpec, Metadata, Page,
    RANCHEROS, SLOTS, Volume,
};
use scenario::{
    Action, CardFile, CloudConfig, DiskFile, EngineName, KEY_PLACEHOLDER, MachineFile, NetworkFile,
    RegistryFile, Scenario, Step, VolumeFormat,
};

/// Why the machine of a scenario cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The cloud-config cannot be rendered.
    #[error("{0}")]
    CloudConfig(String),
    /// An image of the registry cannot be built.
    #[error("{0}")]
    Image(images::BuildError),
}

/// The machine of a scenario, which accepts this key pair.
pub(crate) fn of_scenario(
    scenario: &Scenario,
    profile: ResolvedProfile,
    project: &Project,
    artifacts: &Artifacts,
    keys: &KeyPair,
) -> Result<MachineSpec, SpecError> {
    let wanted = &scenario.machine;
    let key = wanted.ssh_key.then_some(keys.public.trim());
    let on_config_drive = key.filter(|_| !wanted.has_key_placeholder());
    let registry = |wanted| registry(project, wanted);
    Ok(MachineSpec {
        slots: slots(scenario),
        // A cluster adds them.
        links: vec![],
        names: Default::default(),
        profile,
        kernel: artifacts.kernel.clone(),
        initrd: Some(artifacts.initrd.clone()),
        kernel_args: kernel_arguments(&wanted.kernel_arguments, &scenario.disabled_services),
        memory: wanted.memory,
        disks: wanted
            .disks
            .iter()
            .map(|disk| Disk::Blank(blank(disk)))
            .collect(),
        user_data: CloudConfig::render(wanted.cloud_config.as_ref(), on_config_drive)
            .map_err(SpecError::CloudConfig)?,
        volumes: volumes(wanted, key.unwrap_or_default()),
        metadata: metadata(wanted, key.unwrap_or_default()),
        ssh_port: None,
        balloon: scenario.steps.iter().any(takes_memory),
        write_cache: scenario.steps.iter().any(cuts_power),
        registry: wanted.registry.as_ref().map(registry).transpose()?,
        outside: wanted.outside,
        first_card: network(&wanted.network),
        cards: wanted.cards.iter().map(card).collect(),
        console: scenario.console.clone(),
    })
}

/// The kernel arguments of a machine, and one for each system container that a sabotage disables. The latter replace
/// arguments with the same key.
fn kernel_arguments(own: &[String], disabled_services: &[String]) -> Vec<String> {
    let disabled = disabled_services.iter();
    let disabled: Vec<_> = disabled
        .map(|name| RANCHEROS.disabled_service(name))
        .collect();
    let is_replaced = |argument: &str| {
        let key = argument.split('=').next().unwrap_or_default();
        disabled.iter().any(|one| one == key)
    };
    let own = own.iter().filter(|argument| !is_replaced(argument));
    own.chain(&disabled).cloned().collect()
}

/// The registry of a machine, with the images of this tree that it serves at first.
pub(crate) fn registry(
    project: &Project,
    wanted: &RegistryFile,
) -> Result<RegistrySpec, SpecError> {
    let image = |name: &String| -> Result<Image, SpecError> {
        let built = images::publish(project.root(), name).map_err(SpecError::Image)?;
        Ok(Image {
            name: built.name,
            tag: built.tag,
            config: built.config,
            layers: built.layers,
        })
    };
    Ok(RegistrySpec {
        storage: Storage::new(wanted.images.iter().map(image).collect::<Result<_, _>>()?),
        account: wanted.account.as_ref().map(|account| Account {
            user: account.user.clone(),
            password: account.password.clone(),
        }),
    })
}

/// The slots that a machine of the scenario needs: one for each network, and for each device that a step plugs in.
fn slots(scenario: &Scenario) -> usize {
    let machines = scenario.cluster.machines.iter();
    let links = machines.map(|machine| machine.networks.len()).max();
    let steps = scenario.steps.iter();
    let plugged = steps.filter(|step| matches!(step.action, Action::Hotplug(_)));
    SLOTS.max(links.unwrap_or_default() + plugged.count())
}

fn cuts_power(step: &Step) -> bool {
    matches!(step.action, Action::PowerCut(_))
}

fn takes_memory(step: &Step) -> bool {
    matches!(step.action, Action::Memory(_))
}

/// An empty disk.
pub(crate) fn blank(disk: &DiskFile) -> Blank {
    Blank {
        mib: disk.size,
        label: disk.label.clone(),
        partition: disk.partition.clone(),
    }
}

/// The volumes of a machine, with the trial's key.
fn volumes(wanted: &MachineFile, key: &str) -> Vec<Volume> {
    let file =
        |(path, text): (&String, &String)| (path.clone(), text.replace(KEY_PLACEHOLDER, key));
    let volumes = wanted.volumes.iter().map(|volume| Volume {
        label: volume.label.clone(),
        files: volume.files.iter().map(file).collect(),
        file_system: match volume.format {
            VolumeFormat::Fat => FileSystemKind::Fat,
            VolumeFormat::Iso9660 => FileSystemKind::Iso9660,
        },
    });
    volumes.collect()
}

/// The cloud metadata of a machine, with the trial's key.
fn metadata(wanted: &MachineFile, key: &str) -> Metadata {
    let pages = wanted.metadata.iter().map(|(path, page)| {
        let page = Page {
            method: page.method.clone(),
            headers: page.headers.clone(),
            body: page.body.replace(KEY_PLACEHOLDER, key),
        };
        (path.clone(), page)
    });
    pages.collect()
}

fn network(file: &NetworkFile) -> CardNetwork {
    let text = |name: &scenario::HostName| name.as_str().to_owned();
    CardNetwork {
        subnet: None,
        router: file.router,
        name_server: file.name_server.map(|address| address.to_string()),
        domain: file.domain.as_ref().map(text),
        search: file.search.iter().map(text).collect(),
        hostname: file.hostname.as_ref().map(text),
        ipv6: file.ipv6,
    }
}

fn card(file: &CardFile) -> CardNetwork {
    let settings = NetworkFile {
        router: file.router,
        name_server: file.name_server,
        domain: file.domain.clone(),
        search: file.search.clone(),
        hostname: file.hostname.clone(),
        ipv6: file.ipv6,
    };
    CardNetwork {
        subnet: Some(file.subnet.to_string()),
        ..network(&settings)
    }
}

/// The engine that a scenario names.
pub(crate) fn engine(name: EngineName) -> Engine {
    match name {
        EngineName::System => Engine::System,
        EngineName::User => Engine::User,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_of_a_scenario_becomes_a_network_with_its_subnet() {
        let text =
            "{ subnet: 10.0.4.0/24, name_server: 10.0.4.9, search: [a.example], ipv6: false }";
        let network = card(&serde_yaml::from_str(text).unwrap());
        assert_eq!(network.subnet.as_deref(), Some("10.0.4.0/24"));
        assert_eq!(network.name_server.as_deref(), Some("10.0.4.9"));
        assert_eq!(network.search, ["a.example"]);
        assert!(network.router && !network.ipv6);
    }

    #[test]
    fn disabled_service_replaces_arguments_with_the_same_key() {
        let own = ["quiet", "rancher.services.syslog.disabled=false"].map(str::to_owned);
        assert_eq!(kernel_arguments(&own, &[]), own);
        assert_eq!(
            kernel_arguments(&own, &["syslog".into()]),
            ["quiet", "rancher.services.syslog.disabled"]
        );
    }
}
