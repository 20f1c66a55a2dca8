//! The machines in a checkpoint: one, or all of a cluster, each in a folder of its own.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use machine::{Checkpoint, SnapshotError};

/// The machines in a checkpoint.
pub(crate) enum Saved {
    /// One machine. All machines of a cluster can be forked from it.
    One(Checkpoint),
    /// The machines of a cluster, saved at one moment.
    Cluster(BTreeMap<String, Checkpoint>),
}

impl Saved {
    /// Opens the machines in a folder; `machines` are the names of a cluster's machines.
    pub(super) fn open(folder: &Path, machines: &[String]) -> Result<Self, SnapshotError> {
        if machines.is_empty() {
            return Checkpoint::open(folder).map(Self::One);
        }
        let open = |name: &String| {
            let checkpoint = Checkpoint::open(&of_machine(folder, name))?;
            Ok((name.clone(), checkpoint))
        };
        machines
            .iter()
            .map(open)
            .collect::<Result<_, _>>()
            .map(Self::Cluster)
    }

    /// The checkpoint that a machine continues from.
    ///
    /// # Errors
    /// The checkpoint of a cluster has no such machine.
    pub(crate) fn of(&self, machine: Option<&str>) -> io::Result<&Checkpoint> {
        match (self, machine) {
            (Self::One(checkpoint), _) => Ok(checkpoint),
            (Self::Cluster(all), Some(name)) => all.get(name).ok_or_else(|| no_machine(name)),
            (Self::Cluster(_), None) => Err(no_machine("without a name")),
        }
    }
}

fn no_machine(name: &str) -> io::Error {
    io::Error::other(format!("the checkpoint has no machine {name}"))
}

/// The folder of one machine of a cluster.
pub(crate) fn of_machine(folder: &Path, name: &str) -> PathBuf {
    folder.join("machines").join(name)
}
