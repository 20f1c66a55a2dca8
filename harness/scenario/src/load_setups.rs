//! Loads setups: reads files, deserializes them and lints them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_yaml::Value;

use base::hash::Hash;
use yaml::{Document, SourceError};

use super::cluster::Cluster;
use super::collector::Lint;
use super::lint;
use super::load;
use super::scenario::sent_files;
use super::setup::{Setup, SetupFile, Setups};
use super::step::Step;
use super::upload;

impl Setups {
    /// Reads `*.yaml` of a folder; a missing folder has no setups.
    ///
    /// # Errors
    /// All errors of all files.
    pub fn load(folder: &Path) -> Result<Self, Vec<SourceError>> {
        if !folder.is_dir() {
            return Ok(Self::default());
        }
        let mut documents = Vec::new();
        for file in load::files(folder).map_err(|error| vec![error])? {
            documents.push(Document::read(&file).map_err(|error| vec![error])?);
        }
        Self::read(&documents)
    }

    pub(super) fn read(documents: &[Document]) -> Result<Self, Vec<SourceError>> {
        let mut setups = Self::default();
        let mut all_errors = Vec::new();
        let heads = heads(documents);
        for document in documents {
            match read(document, &heads) {
                Ok(setup) => drop(setups.0.insert(setup.name.clone(), Arc::new(setup))),
                Err(errors) => all_errors.extend(errors),
            }
        }
        if all_errors.is_empty() {
            all_errors = documents
                .iter()
                .filter_map(|d| setups.broken_chain(d))
                .collect();
        }
        if all_errors.is_empty() {
            Ok(setups)
        } else {
            Err(all_errors)
        }
    }
}

/// What a setup needs to know of the others: which one each continues from, and its own machines.
type Heads = BTreeMap<String, (Option<String>, Cluster)>;

fn heads(documents: &[Document]) -> Heads {
    let head = |document: &Document| {
        let head = document.fit::<SetupFile<Value>>(document.value().ok()?, "");
        let head = head.ok()?;
        let own = Cluster::of(head.machines.as_ref(), &head.networks);
        Some((head.name, (head.after, own)))
    };
    documents.iter().filter_map(head).collect()
}

/// The machines and networks of the setups before one, and the setup that they are from.
fn inherited<'a>(head: &'a SetupFile<Value>, heads: &'a Heads) -> Option<(&'a str, &'a Cluster)> {
    let mut next = head.after.as_deref();
    // A chain that is a cycle is reported later.
    for _ in 0..heads.len() {
        let (after, cluster) = heads.get(next?)?;
        if !cluster.is_empty() {
            return Some((next?, cluster));
        }
        next = after.as_deref();
    }
    None
}

fn read(document: &Document, heads: &Heads) -> Result<Setup, Vec<SourceError>> {
    let value = document.value().map_err(|error| vec![error])?;
    let own = ["machines", "networks"].map(|key| value.get(key).cloned());
    let head = document.fit::<SetupFile<Value>>(value, "");
    let head = head.map_err(|error| vec![error])?;
    let mut lint = Lint::of(document);
    let mut content: Vec<_> = head.steps.iter().cloned().map(nameless).collect();
    content.extend(own.into_iter().flatten());
    let cluster = cluster(&mut lint, &head, heads);
    let steps = load::steps(&mut lint, &cluster, head.steps.clone(), "steps");
    content.extend(sent_hashes(document, &steps));
    lint::setup(&mut lint, &head, &cluster, &steps);
    if !lint.errors.is_empty() {
        lint.errors.sort_by_key(|error| error.line);
        return Err(lint.errors);
    }
    Ok(Setup {
        file: document.file().into(),
        name: head.name,
        after: head.after,
        machine: head.machine,
        cluster,
        steps,
        content: Value::Sequence(content),
    })
}

/// The machines and networks of a setup: its own, or those of the setups before it.
fn cluster(lint: &mut Lint<'_>, head: &SetupFile<Value>, heads: &Heads) -> Cluster {
    let own = Cluster::of(head.machines.as_ref(), &head.networks);
    lint::cluster(lint, head.machines.is_some(), &head.machine, &own);
    let Some((setup, inherited)) = inherited(head, heads) else {
        return own;
    };
    let given = head.machines.is_some() || !head.networks.is_empty();
    let key = if head.machines.is_some() {
        "machines"
    } else {
        "networks"
    };
    let message = format!("the setup `{setup}` has `machines` and `networks` already");
    lint.refuse(given, key, &message, "remove the key");
    inherited.clone()
}

/// The hashes of the files that steps send.
fn sent_hashes(document: &Document, steps: &[Step]) -> Vec<Value> {
    let folder = upload::folder_of(document.file());
    let hash = |name| Some(Hash::default().file(&folder.join(name)).ok()?.finish());
    let files = sent_files(steps);
    files.filter_map(hash).map(Value::String).collect()
}

/// A step without its name and timeout, which do not change what it does.
fn nameless(mut step: Value) -> Value {
    if let Value::Mapping(step) = &mut step {
        for key in ["name", "timeout"] {
            step.remove(key);
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use yaml::render_all;

    use super::*;
    use crate::load::Known;
    use crate::testing::{known, read_with};

    fn setups(files: &[(&str, &str)]) -> Result<Setups, String> {
        let document = |(name, text): &(&str, &str)| {
            let file = format!("scenarios/setups/{name}.yaml");
            Document::from_text(Path::new(&file), text).unwrap()
        };
        let documents: Vec<_> = files.iter().map(document).collect();
        Setups::read(&documents).map_err(|errors| render_all(&errors, false))
    }

    const KETTLE: &str = "name: kettle\nabout: hot water\nmachine: {memory: 2048, kernel_arguments: [base]}\nsteps:\n  - ssh: {run: boil}\n";
    const TEA: &str = "name: tea\nabout: tea\nafter: kettle\nsteps:\n  - name: wait\n    timeout: 3s\n    ssh: {run: brew}\n";

    #[test]
    fn setup_chain_lists_the_setups_from_first_to_last() {
        let setups = setups(&[("kettle", KETTLE), ("tea", TEA)]).unwrap();
        let chain = setups.chain("tea").unwrap();
        let names: Vec<_> = chain.iter().map(|setup| setup.name.as_str()).collect();
        assert_eq!(names, ["kettle", "tea"]);
        assert!(setups.chain("coffee").is_none());
    }

    #[test]
    fn setup_content_ignores_names_and_timeouts_of_steps() {
        let content = |text: &str| {
            let setups = setups(&[("kettle", KETTLE), ("tea", text)]).unwrap();
            setups.chain("tea").unwrap()[1].content.clone()
        };
        let other = TEA.replace("name: wait\n    timeout: 3s\n    ", "");
        assert_eq!(content(TEA), content(&other));
        assert_ne!(content(TEA), content(&TEA.replace("brew", "spill")));
    }

    #[test]
    fn setup_is_refused_when_its_chain_or_a_step_is_invalid() {
        let cycle = KETTLE.replace("about: hot water", "about: hot water\nafter: tea");
        let cut = KETTLE.replace("ssh: {run: boil}", "power_cut: {}");
        let events = KETTLE.replace("ssh: {run: boil}", "events: {failed: []}");
        let on = KETTLE.replace("ssh: {run: boil}", "{ on: a, ssh: {run: boil} }");
        let fault = KETTLE.replace("ssh: {run: boil}", "clock: {jump: 1h}");
        for (name, files) in [
            (
                "setup_that_does_not_exist",
                vec![
                    ("tea", TEA.replace("after: kettle", "after: ketle")),
                    ("kettle", KETTLE.into()),
                ],
            ),
            (
                "setups_that_form_a_cycle",
                vec![("tea", TEA.into()), ("kettle", cycle)],
            ),
            (
                "setup_with_another_name_than_its_file",
                vec![("pot", KETTLE.into())],
            ),
            ("setup_that_checks_the_boot", vec![("kettle", events)]),
            ("setup_that_names_machines", vec![("kettle", on)]),
            (
                "setup_with_machines_after_one_with_machines",
                vec![
                    (
                        "kettle",
                        KETTLE.replace("steps:\n  - ", &format!("{LAN}steps:\n  - on: a\n    ")),
                    ),
                    (
                        "tea",
                        TEA.replace("after: kettle\n", &format!("after: kettle\n{LAN}")),
                    ),
                ],
            ),
            ("setup_that_injects_a_fault", vec![("kettle", fault)]),
            ("setup_that_cuts_the_power", vec![("kettle", cut)]),
        ] {
            let files: Vec<_> = files.iter().map(|(n, text)| (*n, text.as_str())).collect();
            assert_snapshot!(name, setups(&files).unwrap_err());
        }
    }

    const LAN: &str = "machines: { a: { networks: [lan] }, b: { networks: [lan] } }\nnetworks: { lan: { subnet: 10.9.0.0/24 } }\n";

    #[test]
    fn machines_of_a_setup_are_those_of_what_continues_from_it() {
        let pair = KETTLE.replace("name: kettle", "name: pair").replace(
            "steps:\n  - ssh: {run: boil}",
            &format!("{LAN}steps:\n  - {{ on: b, ssh: {{run: 'boil ${{a.lan}}'}} }}"),
        );
        let tea = TEA
            .replace("after: kettle", "after: pair")
            .replace("ssh: {run: brew}", "on: [a, b]\n    ssh: {run: brew}");
        let setups = setups(&[("pair", &pair), ("tea", &tea)]).unwrap();
        let chain = setups.chain("tea").unwrap();
        assert_eq!(
            chain[0].cluster.address("b", "lan"),
            Some([10, 9, 0, 2].into())
        );
        assert_eq!(chain[0].cluster, chain[1].cluster);
        let known = Known { setups, ..known() };
        let text = "name: tea\nabout: tea\nsetup: tea\nsteps:\n  - { on: a, ssh: { run: 'get ${b.lan}' } }\n";
        let scenario = read_with(text, &known).unwrap();
        assert_eq!(scenario.cluster, chain[1].cluster);
        let again = text.replace("setup: tea\n", &format!("setup: tea\n{LAN}"));
        assert_snapshot!(read_with(&again, &known).unwrap_err());
        let nowhere = text.replace("on: a, ", "");
        assert!(
            read_with(&nowhere, &known)
                .unwrap_err()
                .contains("`on` is missing")
        );
    }

    #[test]
    fn content_of_a_setup_depends_on_its_machines() {
        let content = |subnet: &str| {
            let lan = LAN.replace("10.9.0.0/24", subnet);
            let text = KETTLE.replace("steps:\n  - ", &format!("{lan}steps:\n  - on: a\n    "));
            let setups = setups(&[("kettle", &text)]).unwrap();
            setups.chain("kettle").unwrap()[0].content.clone()
        };
        assert_ne!(content("10.9.0.0/24"), content("10.8.0.0/24"));
    }

    #[test]
    fn scenario_continues_from_its_setup() {
        let text = |setup: &str| {
            format!(
                "name: tea\nabout: tea\nsetup: {setup}\nmachine:\n  kernel_arguments: [more]\nsteps:\n  - ssh: {{ run: make tea }}\n"
            )
        };
        let known = Known {
            setups: setups(&[("kettle", KETTLE)]).unwrap(),
            ..known()
        };
        let read = |setup: &str| read_with(&text(setup), &known);
        let scenario = read("kettle").unwrap();
        assert_eq!(scenario.setups[0].name, "kettle");
        assert_eq!(scenario.machine.memory, Some(2048));
        assert_eq!(scenario.machine.kernel_arguments, ["base", "more"]);
        assert_snapshot!(read("ketle").unwrap_err());
    }
}
