//! The running machines, as recorded in the lock file of the state folder.

use serde::{Deserialize, Serialize};

/// The owner process and its machines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Running {
    /// The process id of the owner, not of QEMU.
    pub(super) pid: i32,
    /// The machines that the owner starts or runs; none before their ports are checked.
    pub(super) machines: Vec<RunningMachine>,
    /// How many seconds the owner needs at most to stop the machines after a signal. The owner computes it,
    /// because another process may measure a different speed of this host.
    pub(super) ends_within: u64,
}

/// A machine of the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunningMachine {
    /// Its name, if there are several.
    pub(super) name: Option<String>,
    /// The port for SSH.
    pub(super) port: u16,
}

impl Running {
    /// Finds a machine by its name. The name can be left out if there is one machine.
    pub(super) fn find(&self, wanted: Option<&str>) -> Result<&RunningMachine, String> {
        let named = |one: &&RunningMachine| one.name.as_deref() == wanted;
        match (&self.machines[..], wanted) {
            ([], _) => Err("no machine is running yet; hint: wait for `harness run`".into()),
            ([alone], None) => Ok(alone),
            (machines, Some(name)) => machines
                .iter()
                .find(named)
                .ok_or_else(|| self.unknown(name)),
            ([first, ..], None) => {
                let example = first.name.as_deref().unwrap_or_default();
                let names = self.names();
                Err(format!(
                    "several machines are running: {names}; hint: name one, for example \
                     `harness ssh {example}`"
                ))
            }
        }
    }

    fn unknown(&self, name: &str) -> String {
        let first = self.machines.first().and_then(|one| one.name.as_ref());
        let (running, of) = match first {
            Some(first) => (format!("running: {}", self.names()), format!(" {first}")),
            None => ("the running machine has no name".into(), String::new()),
        };
        format!(
            "no machine `{name}`; {running}; hint: a command goes after `--`, for example \
             `harness ssh{of} -- {name}`"
        )
    }

    /// The names of the machines, separated by commas; empty if one machine runs, which has none.
    fn names(&self) -> String {
        let names = self.machines.iter().filter_map(|one| one.name.as_deref());
        names.collect::<Vec<_>>().join(", ")
    }

    /// The owner and the ports, for messages.
    pub(super) fn describe(&self) -> String {
        let mut parts = vec![format!("pid {}", self.pid)];
        parts.extend(self.machines.iter().map(RunningMachine::describe));
        parts.join(", ")
    }
}

impl RunningMachine {
    fn describe(&self) -> String {
        let name = self.name.as_ref().map(|name| format!("{name}: "));
        format!("{}port {}", name.unwrap_or_default(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn running(machines: &[(Option<&str>, u16)]) -> Running {
        let machine = |(name, port): &(Option<&str>, u16)| RunningMachine {
            name: name.map(str::to_owned),
            port: *port,
        };
        Running {
            pid: 7,
            machines: machines.iter().map(machine).collect(),
            ends_within: 1,
        }
    }

    #[test]
    fn name_can_be_left_out_if_there_is_one_machine() {
        let alone = running(&[(None, 2222)]);
        assert_eq!(alone.find(None).unwrap().port, 2222);
        assert_snapshot!(alone.find(Some("ps")).unwrap_err(), @"no machine `ps`; the running machine has no name; hint: a command goes after `--`, for example `harness ssh -- ps`");
        let entered = running(&[(Some("b"), 2222)]);
        assert_eq!(entered.find(None), entered.find(Some("b")));
    }

    #[test]
    fn one_of_several_machines_must_be_named() {
        let cluster = running(&[(Some("a"), 2222), (Some("b"), 2223)]);
        assert_eq!(cluster.find(Some("b")).unwrap().port, 2223);
        assert_snapshot!(cluster.find(None).unwrap_err(), @"several machines are running: a, b; hint: name one, for example `harness ssh a`");
        assert_snapshot!(cluster.find(Some("c")).unwrap_err(), @"no machine `c`; running: a, b; hint: a command goes after `--`, for example `harness ssh a -- c`");
        assert_snapshot!(cluster.describe(), @"pid 7, a: port 2222, b: port 2223");
    }
}
