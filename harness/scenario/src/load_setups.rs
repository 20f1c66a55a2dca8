//! Loads setups: reads files, deserializes them and lints them.

use std::path::Path;
use std::sync::Arc;

use serde_yaml::Value;

use base::hash::Hash;
use yaml::{Document, SourceError};

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
        for document in documents {
            match read(document) {
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

fn read(document: &Document) -> Result<Setup, Vec<SourceError>> {
    let value = document.value().map_err(|error| vec![error])?;
    let head = document.fit::<SetupFile<Value>>(value, "");
    let head = head.map_err(|error| vec![error])?;
    let mut lint = Lint::of(document);
    let mut content: Vec<_> = head.steps.iter().cloned().map(nameless).collect();
    let steps = load::steps(&mut lint, head.steps.clone(), "steps");
    content.extend(sent_hashes(document, &steps));
    lint::setup(&mut lint, &head, &steps);
    if !lint.errors.is_empty() {
        lint.errors.sort_by_key(|error| error.line);
        return Err(lint.errors);
    }
    Ok(Setup {
        file: document.file().into(),
        name: head.name,
        after: head.after,
        machine: head.machine,
        steps,
        content: Value::Sequence(content),
    })
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
            ("setup_that_injects_a_fault", vec![("kettle", fault)]),
            ("setup_that_cuts_the_power", vec![("kettle", cut)]),
        ] {
            let files: Vec<_> = files.iter().map(|(n, text)| (*n, text.as_str())).collect();
            assert_snapshot!(name, setups(&files).unwrap_err());
        }
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
