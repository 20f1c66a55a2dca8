//! Setups: starting points that scenarios share. A setup is a machine and steps, and can continue from
//! another setup. The resulting machine is saved as a checkpoint, once for all scenarios that use it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use yaml::{Document, SourceError, closest};

use super::cluster::{Cluster, ClusterMachineFile, ClusterNetworkFile};
use super::file::MachineFile;
use super::step::{Step, StepFile};

/// A starting point that scenarios share: `setup: NAME` in a scenario continues from it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Setup")]
pub struct SetupFile<S = StepFile> {
    /// The name; the file is `setups/NAME.yaml`.
    pub name: String,
    /// The state that it leaves, in one sentence.
    pub about: String,
    /// The setup that it continues from; the default is a machine that is ready.
    pub after: Option<String>,
    /// What the machine gets in addition to its profile and to `after`.
    #[serde(default)]
    pub machine: MachineFile,
    /// The machines of a cluster, by name. They are saved together, at one moment, and scenarios that continue
    /// from this setup have them. Without this key, the setup runs on each machine alone.
    pub machines: Option<BTreeMap<String, ClusterMachineFile>>,
    /// The networks between the machines, by name.
    #[serde(default)]
    pub networks: BTreeMap<String, ClusterNetworkFile>,
    /// The steps, in order.
    pub steps: Vec<S>,
}

/// A setup that passed the lint.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its file.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// The setup that it continues from.
    pub after: Option<String>,
    /// What this setup alone adds to the machine.
    pub machine: MachineFile,
    /// The machines and networks that it needs, its own or those of an earlier setup; none if it runs on each
    /// machine alone.
    pub cluster: Cluster,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The content of its steps without names and timeouts, and the hashes of the files that they send.
    /// It is part of the checkpoint key.
    pub content: Value,
}

/// All setups of a tree, by name.
#[derive(Debug, Clone, Default)]
pub struct Setups(pub(super) BTreeMap<String, Arc<Setup>>);

impl Setups {
    /// A setup and all that it continues from, the first one first; `None` if one of them does not exist,
    /// or if the chain is a cycle.
    pub fn chain(&self, name: &str) -> Option<Vec<Arc<Setup>>> {
        let mut chain: Vec<Arc<Setup>> = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next {
            let setup = self.0.get(name)?;
            if chain.iter().any(|known| known.name == setup.name) {
                return None;
            }
            chain.push(Arc::clone(setup));
            next = setup.after.as_deref();
        }
        chain.reverse();
        Some(chain)
    }

    /// The hint for an unknown name.
    pub(super) fn hint(&self, wanted: &str) -> String {
        let names = || self.0.keys().map(String::as_str);
        let list = match names().next() {
            Some(_) => format!(
                "`setups/` contains: {}",
                names().collect::<Vec<_>>().join(", ")
            ),
            None => "`setups/` is empty".into(),
        };
        match closest(wanted, names()) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        }
    }

    /// The error of a setup whose chain is a cycle, or names an unknown setup.
    pub(super) fn broken_chain(&self, document: &Document) -> Option<SourceError> {
        let name = document.file().file_stem()?.to_string_lossy().into_owned();
        let after = self.0.get(&name)?.after.clone()?;
        if self.chain(&name).is_some() {
            return None;
        }
        let error = |message: String| document.at_value("after", message);
        Some(if self.0.contains_key(&after) {
            error(format!(
                "`{after}` continues from `{name}`, or from an unknown setup"
            ))
            .hint("break the cycle: `after` names a setup that does not need this one")
        } else {
            error(format!("unknown setup `{after}`")).hint(self.hint(&after))
        })
    }
}
