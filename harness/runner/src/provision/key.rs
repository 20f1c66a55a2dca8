//! The cache key of a checkpoint: everything that it depends on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::content::{self, Unreadable};
use base::hash::Hash;
use machine::profile::ResolvedFirmware;
use machine::services::registry::Storage;
use machine::{CardNetwork, MachineSpec, SLOTS};
use scenario::step::WaitForStep;
use yaml::ConsoleRules;

/// The version of the checkpoint inputs. Increment it when older checkpoints become unusable.
const VERSION: u32 = 10;

/// The cache key of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointKey {
    /// A name for people; not part of the hash.
    pub label: String,
    /// The machines that are saved together; empty for one machine. The hash depends on them through the inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<String>,
    /// Everything that the checkpoint depends on.
    pub inputs: Value,
}

impl CheckpointKey {
    /// The name of the checkpoint: the hash of its inputs.
    pub fn name(&self) -> String {
        Hash::default().text(&self.inputs.to_string()).finish()
    }
}

/// Everything that the checkpoint of a boot depends on: the machine, and the condition `ready` that ends its
/// boot. The key pair in `spec` must be the same for all machines.
pub(crate) fn boot_inputs(
    spec: &MachineSpec,
    ready: Option<&WaitForStep>,
) -> Result<Value, Unreadable> {
    let mut profile = spec.profile.profile.clone();
    profile.about.clear();
    profile.budgets.clear();
    profile.console = ConsoleRules::default();
    let initrd = spec.initrd.as_deref().map(content::hash).transpose()?;
    let mut inputs = json!({
        "version": VERSION,
        "kernel": content::hash(&spec.kernel)?,
        "initrd": initrd,
        "qemu": spec.profile.qemu_version,
        "accelerator": format!("{:?}", spec.profile.accelerator),
        "processor": spec.profile.accelerator.processor(),
        "firmware": firmware(&spec.profile.firmware)?,
        "profile": profile,
        "kernel arguments": spec.kernel_arguments(),
        "memory": spec.memory_mib(),
        "disks": spec.disks,
        "user data": spec.user_data,
    });
    if !spec.volumes.is_empty() {
        inputs["volumes"] = json!(spec.volumes);
    }
    if !spec.metadata.is_empty() {
        inputs["metadata"] = json!(spec.metadata);
    }
    if spec.first_card != CardNetwork::default() || !spec.cards.is_empty() {
        inputs["networks"] = json!([spec.first_card, spec.cards]);
    }
    if spec.slots != SLOTS {
        inputs["slots"] = spec.slots.into();
    }
    if let Some(registry) = &spec.registry {
        inputs["registry"] = json!(images(&registry.storage)?);
        inputs["account"] = json!(registry.account.is_some());
    }
    if let Some(ready) = ready {
        inputs["ready"] = json!(ready);
    }
    if spec.outside {
        inputs["outside"] = true.into();
    }
    if spec.balloon {
        inputs["balloon"] = true.into();
    }
    Ok(inputs)
}

/// The content of the firmware files: an upgrade of the host changes the content and keeps the names.
fn firmware(files: &ResolvedFirmware) -> Result<Value, Unreadable> {
    Ok(match files {
        // QEMU's built-in firmware is identified by the version of QEMU.
        ResolvedFirmware::Builtin => "Builtin".into(),
        ResolvedFirmware::Flash { code, vars } => {
            json!([content::hash(code)?, content::hash(vars)?])
        }
        ResolvedFirmware::Bios(image) => content::hash(image)?.into(),
    })
}

/// The images that a registry serves at first, each with a hash of its content.
pub(crate) fn images(storage: &Storage) -> Result<BTreeMap<String, String>, Unreadable> {
    let images = storage.images();
    images
        .map(|(name, config)| Ok((name, content::hash(config)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_input_depends_on_the_content_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let flash = |code: &str, vars: &str| ResolvedFirmware::Flash {
            code: file(&format!("{code}-{vars}.code"), code),
            vars: file(&format!("{code}-{vars}.vars"), vars),
        };
        let old = firmware(&flash("old", "empty")).unwrap();
        assert_ne!(old, firmware(&flash("new", "empty")).unwrap());
        assert_ne!(old, firmware(&flash("old", "other")).unwrap());
        let bios = |name: &str, text: &str| firmware(&ResolvedFirmware::Bios(file(name, text)));
        assert_eq!(bios("one", "old").unwrap(), bios("two", "old").unwrap());
        assert_ne!(bios("three", "old").unwrap(), bios("four", "new").unwrap());
        assert!(firmware(&ResolvedFirmware::Bios("/nowhere/uefi.fd".into())).is_err());
    }
}
