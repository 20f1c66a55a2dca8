//! Setups: beginnings that scenarios share. One is a machine and steps, and may go on from another;
//! what they leave is kept as a checkpoint, made once for all who ask for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use base::hash::Hash;
use yaml::{Document, SourceError, closest};

use super::file::MachineFile;
use super::lint::{self, Lint};
use super::load::{self, Step};
use super::step::StepFile;
use super::upload;

/// A beginning that scenarios share: `setup: NAME` in a scenario goes on from here.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Setup")]
pub struct SetupFile<S = StepFile> {
    /// Its name; the file is called `setups/NAME.yaml`.
    pub name: String,
    /// What is there when it is done, in a sentence.
    pub about: String,
    /// The setup that it goes on from; a machine that is ready without one.
    pub after: Option<String>,
    /// What the machine is given beside its profile, added to that of `after`.
    #[serde(default)]
    pub machine: MachineFile,
    /// What is done, in order.
    pub steps: Vec<S>,
}

/// A setup that is known to make sense.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The file it stands in.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// What it goes on from.
    pub after: Option<String>,
    /// What the machine is given by this one alone.
    pub machine: MachineFile,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What its steps do, without what they are called and how long they may take.
    pub content: Value,
}

/// All setups of a tree, by name.
#[derive(Debug, Clone, Default)]
pub struct Setups(BTreeMap<String, Arc<Setup>>);

impl Setups {
    /// Reads `*.yaml` of a folder, which need not be there.
    ///
    /// # Errors
    /// All that is wrong in all of them.
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
        let mut wrong = Vec::new();
        for document in documents {
            match read(document) {
                Ok(setup) => drop(setups.0.insert(setup.name.clone(), Arc::new(setup))),
                Err(errors) => wrong.extend(errors),
            }
        }
        if wrong.is_empty() {
            wrong = documents.iter().filter_map(|d| setups.no_way(d)).collect();
        }
        if wrong.is_empty() {
            Ok(setups)
        } else {
            Err(wrong)
        }
    }

    /// A setup and all that it goes on from, the first of them first; none when it or one of them
    /// is not there, or they go round.
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

    /// What to write instead of a name that is not there.
    pub(super) fn hint(&self, wanted: &str) -> String {
        let names = || self.0.keys().map(String::as_str);
        let list = match names().next() {
            Some(_) => format!("`setups/` has: {}", names().collect::<Vec<_>>().join(", ")),
            None => "there is no file in `setups/`".into(),
        };
        match closest(wanted, names()) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        }
    }

    /// What is wrong with the way to a setup.
    fn no_way(&self, document: &Document) -> Option<SourceError> {
        let name = document.file().file_stem()?.to_string_lossy().into_owned();
        let after = self.0.get(&name)?.after.clone()?;
        if self.chain(&name).is_some() {
            return None;
        }
        let wrong = |message: String| document.at_value("after", message);
        Some(if self.0.contains_key(&after) {
            wrong(format!("`{after}` leads back to `{name}`, or to nothing"))
                .hint("a setup goes on from one that does not need it")
        } else {
            wrong(format!("there is no setup `{after}`")).hint(self.hint(&after))
        })
    }
}

fn read(document: &Document) -> Result<Setup, Vec<SourceError>> {
    let value = document.value().map_err(|error| vec![error])?;
    let head = document.fit::<SetupFile<Value>>(value, "");
    let head = head.map_err(|error| vec![error])?;
    let mut lint = Lint::of(document);
    let mut content: Vec<_> = head.steps.iter().cloned().map(nameless).collect();
    let steps = load::steps(&mut lint, head.steps.clone(), "steps");
    content.extend(sent(document, &steps));
    lint::setup(&mut lint, &head, &steps);
    if !lint.found.is_empty() {
        lint.found.sort_by_key(|error| error.line);
        return Err(lint.found);
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

/// Of the files that steps send, what is in them.
fn sent(document: &Document, steps: &[Step]) -> Vec<Value> {
    let folder = upload::folder_of(document.file());
    let hash = |name| Some(Hash::default().file(&folder.join(name)).ok()?.finish());
    let files = upload::sent_files(steps);
    files.filter_map(hash).map(Value::String).collect()
}

/// A step without what changes nothing that it does.
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
    use super::*;
    use insta::assert_snapshot;
    use yaml::render_all;

    fn setups(files: &[(&str, &str)]) -> Result<Setups, String> {
        let document = |(name, text): &(&str, &str)| {
            let file = format!("scenarios/setups/{name}.yaml");
            Document::from_text(Path::new(&file), text).unwrap()
        };
        let documents: Vec<_> = files.iter().map(document).collect();
        Setups::read(&documents).map_err(|errors| render_all(&errors, false))
    }

    const KETTLE: &str =
        "name: kettle\nabout: hot water\nmachine: {memory: 2048}\nsteps:\n  - ssh: {run: boil}\n";
    const TEA: &str = "name: tea\nabout: tea\nafter: kettle\nsteps:\n  - name: wait\n    timeout: 3s\n    ssh: {run: brew}\n";

    #[test]
    fn setups_go_on_from_one_another() {
        let setups = setups(&[("kettle", KETTLE), ("tea", TEA)]).unwrap();
        let chain = setups.chain("tea").unwrap();
        let names: Vec<_> = chain.iter().map(|setup| setup.name.as_str()).collect();
        assert_eq!(names, ["kettle", "tea"]);
        assert!(setups.chain("coffee").is_none());
    }

    #[test]
    fn what_a_step_is_called_changes_no_content() {
        let content = |text: &str| {
            let setups = setups(&[("kettle", KETTLE), ("tea", text)]).unwrap();
            setups.chain("tea").unwrap()[1].content.clone()
        };
        let other = TEA.replace("name: wait\n    timeout: 3s\n    ", "");
        assert_eq!(content(TEA), content(&other));
        assert_ne!(content(TEA), content(&TEA.replace("brew", "spill")));
    }

    #[test]
    fn what_is_wrong_with_a_setup_is_told() {
        let round = KETTLE.replace("about: hot water", "about: hot water\nafter: tea");
        let cut = KETTLE.replace("ssh: {run: boil}", "power_cut: {}");
        let events = KETTLE.replace("ssh: {run: boil}", "events: {failed: []}");
        let fault = KETTLE.replace("ssh: {run: boil}", "clock: {jump: 1h}");
        for (name, files) in [
            (
                "a_setup_that_is_not_there",
                vec![
                    ("tea", TEA.replace("after: kettle", "after: ketle")),
                    ("kettle", KETTLE.into()),
                ],
            ),
            (
                "setups_that_go_round",
                vec![("tea", TEA.into()), ("kettle", round)],
            ),
            ("a_setup_by_another_name", vec![("pot", KETTLE.into())]),
            ("a_setup_about_the_boot", vec![("kettle", events)]),
            ("a_setup_that_breaks_something", vec![("kettle", fault)]),
            ("a_setup_that_cuts_the_power", vec![("kettle", cut)]),
        ] {
            let files: Vec<_> = files.iter().map(|(n, text)| (*n, text.as_str())).collect();
            assert_snapshot!(name, setups(&files).unwrap_err());
        }
    }
}
