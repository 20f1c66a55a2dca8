//! Addresses of machines in steps: `${MACHINE.NETWORK}`.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_yaml::Value;

use super::cluster::Cluster;
use super::collector::Lint;

/// No shell variable has a dot in its name, so this is no text that a command needs.
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{([\w-]+)\.([\w-]+)\}").expect("a regex"));

/// Replaces the references in all strings of a value; `path` is that of the value.
pub(crate) fn fill(lint: &mut Lint<'_>, cluster: &Cluster, value: &mut Value, path: &str) {
    match value {
        Value::String(text) => *text = filled(lint, cluster, text, path),
        Value::Sequence(list) => {
            for (number, value) in list.iter_mut().enumerate() {
                fill(lint, cluster, value, &format!("{path}[{number}]"));
            }
        }
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                let key = key.as_str().unwrap_or_default();
                fill(lint, cluster, value, &format!("{path}.{key}"));
            }
        }
        _ => {}
    }
}

/// A text with its references replaced. In a scenario with one machine it is returned as it is.
pub(crate) fn filled(lint: &mut Lint<'_>, cluster: &Cluster, text: &str, path: &str) -> String {
    if cluster.is_empty() {
        return text.to_owned();
    }
    let address = |found: &Captures<'_>| address(lint, cluster, found, path).to_string();
    REFERENCE.replace_all(text, address).into_owned()
}

/// The address that a reference names; the unspecified address after an error, which prevents more errors
/// about the same text.
fn address(
    lint: &mut Lint<'_>,
    cluster: &Cluster,
    reference: &Captures<'_>,
    path: &str,
) -> Ipv4Addr {
    let place = (&reference[1], &reference[2]);
    let (machine, network) = place;
    let count = lint.errors.len();
    if cluster.has_machine(lint, machine, path) && cluster.has_network(lint, network, path) {
        cluster.check_attached(lint, place, path);
    }
    lint.prefix_errors(count, &format!("`{}`: ", &reference[0]));
    cluster
        .address(machine, network)
        .unwrap_or(Ipv4Addr::UNSPECIFIED)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::Action;
    use crate::testing::{cluster, errors, read};

    fn runs(scenario: &crate::Scenario) -> Vec<String> {
        let steps = scenario.steps.iter().chain(&scenario.invariants);
        let run = |step: &crate::Step| match &step.action {
            Action::Ssh(step) => step.run.clone(),
            _ => None,
        };
        steps.filter_map(run).collect()
    }

    #[test]
    fn references_are_replaced_by_addresses_in_steps_and_invariants() {
        let text = cluster(
            "invariants: [{ ssh: { run: 'ping ${a.lan}' } }]\n",
            "{ on: a, ssh: { run: 'get ${b.lan}:80 ${HOME} ${a.lan.x} $a.lan ${c.wan}' } }",
        );
        let expected = [
            "get 10.9.0.2:80 ${HOME} ${a.lan.x} $a.lan 10.8.0.3",
            "ping 10.9.0.1",
        ];
        assert_eq!(runs(&read(&text).unwrap()), expected);
    }

    #[test]
    fn references_stay_in_a_scenario_with_one_machine() {
        let text = "name: tea\nabout: tea\nsteps:\n  - ssh: { run: 'echo ${a.lan}' }\n";
        assert_eq!(runs(&read(text).unwrap()), ["echo ${a.lan}"]);
    }

    #[test]
    fn reference_is_refused_when_its_machine_or_network_is_unknown_or_apart() {
        assert_snapshot!(errors(&cluster(
            "",
            "{ on: a, ssh: { run: 'get ${d.lan} ${a.lam}', stdout: { contains: ['${a.wan}'] } } }\n  \
             - { capture: { network: lan, has: 'host ${z.lan}' } }"
        )));
    }
}
