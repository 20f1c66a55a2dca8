//! Putting layer upon layer, and leaving out of each what does not fit.

use std::path::Path;

use serde_yaml::Value;

use super::{Layer, Loaded, defaults, merge};
use crate::document::layer;
use crate::{
    Document, GOOD_LAYER, Misfit, Problem, USER_LAYER, cmdline, fit, hostname, path, written,
};

/// What comes of a value that is left out.
const IGNORED: &str = "; it is ignored";

/// What comes of a user's document with a mistake where there is a good one.
const LAST_GOOD: &str =
    "; the last good document holds; mend this one: `sudo rancherctl config edit`";

/// Layers merged so far: always a valid document.
pub(super) struct Stack {
    merged: Value,
    pub(super) problems: Vec<Problem>,
    last_good: bool,
    layers: Vec<Layer>,
}

impl Stack {
    pub(super) fn defaults() -> Self {
        Self {
            merged: defaults(),
            problems: Vec::new(),
            last_good: false,
            layers: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Loaded {
        let mut config = fit(&self.merged).expect("only what fits was merged");
        for service in config.services.values_mut() {
            service.image = service.image.replace("${VERSION}", crate::VERSION);
        }
        if let Some(name) = hostname::fitted(&config.hostname) {
            config.hostname = name.into_owned();
        }
        Loaded {
            config,
            merged: self.merged,
            problems: self.problems,
            last_good: self.last_good,
            layers: self.layers,
        }
    }

    /// Keeps problems, with what came of them.
    fn tell(&mut self, problems: impl IntoIterator<Item = Problem>, so: &'static str) {
        let told = problems.into_iter();
        self.problems
            .extend(told.map(|problem| Problem { so, ..problem }));
    }

    /// Takes a layer if the document still fits the schema with it.
    fn try_add(&mut self, name: &str, layer: &Value) -> Result<(), Misfit> {
        let mut merged = self.merged.clone();
        merge(&mut merged, layer);
        fit(&merged)?;
        self.merged = merged;
        self.layers.push(Layer {
            name: name.into(),
            value: layer.clone(),
            document: None,
        });
        Ok(())
    }

    /// What the machine wrote itself: what does not fit is left out.
    pub(super) fn add_file(&mut self, path: &Path) {
        match Document::read(path) {
            Ok(Some(document)) => self.add_document(document),
            Ok(None) => (),
            Err(problem) => self.tell([problem], IGNORED),
        }
    }

    /// The user's document, or the last good one where it has a mistake. A key that is not known is
    /// none that much: it may be one of a newer version, and all the others are as good as they were; so
    /// they are beside a name that is none.
    pub(super) fn add_user_document(&mut self, folder: &Path) {
        let user = match Document::read(&folder.join(USER_LAYER)) {
            Ok(None) => return,
            Ok(Some(user)) => user,
            Err(problem) => return self.add_last_good(folder, vec![problem], None),
        };
        let misfits = self.fitting(&mut user.value.clone());
        if misfits.iter().all(Misfit::is_minor) {
            return self.add_document(user);
        }
        let problems = misfits.iter().map(|misfit| user.problem(misfit)).collect();
        self.add_last_good(folder, problems, Some(user));
    }

    fn add_last_good(&mut self, folder: &Path, problems: Vec<Problem>, user: Option<Document>) {
        let good = Document::read(&folder.join(GOOD_LAYER)).ok().flatten();
        match (good, user) {
            (Some(good), _) => {
                self.tell(problems, LAST_GOOD);
                self.last_good = true;
                self.add_document(good);
            }
            (None, Some(user)) => self.add_document(user),
            (None, None) => self.tell(problems, IGNORED),
        }
    }

    /// Takes of a document what fits.
    pub(super) fn add_document(&mut self, document: Document) {
        let mut value = document.value.clone();
        let misfits = self.fitting(&mut value).into_iter();
        self.tell(misfits.map(|misfit| document.problem(&misfit)), IGNORED);
        let place = || document.place(&["hostname".to_owned()]);
        self.problems.extend(long_name(&value, place));
        // What is left fits: there is nothing to be told.
        if self.try_add(&document.name, &value).is_ok()
            && let Some(layer) = self.layers.last_mut()
        {
            layer.document = Some(document);
        }
    }

    /// Leaves out of a layer what does not fit, one by one; returns that.
    fn fitting(&self, layer: &mut Value) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        loop {
            let mut merged = self.merged.clone();
            merge(&mut merged, layer);
            let Err(misfit) = fit(&merged) else {
                return misfits;
            };
            let whole = misfit.path.clone();
            let removed = (1..=whole.len())
                .rev()
                .any(|depth| path::remove(layer, &whole[..depth]));
            if !removed {
                // It is nobody's in particular: none of the layer is taken.
                *layer = Value::Mapping(serde_yaml::Mapping::new());
            }
            misfits.push(misfit);
        }
    }

    pub(super) fn add_arguments(&mut self, cmdline: &str) {
        for argument in cmdline::arguments(cmdline) {
            self.add_argument(&argument);
        }
    }

    fn add_argument(&mut self, argument: &cmdline::Argument) {
        let name = format!("kernel argument {}", shown(&argument.text));
        let value = layer(argument.layer());
        let Err(error) = self.try_add(&name, &value) else {
            self.problems.extend(long_name(&value, || name));
            return;
        };
        let as_text = argument
            .layer_as_text()
            .map(|text| self.try_add(&name, &layer(text)));
        if !matches!(as_text, Some(Ok(()))) {
            self.tell([Problem::new(name, error)], IGNORED);
        }
    }
}

/// What becomes of a host name that is too long.
fn long_name(layer: &Value, place: impl FnOnce() -> String) -> Option<Problem> {
    let name = written::text(layer.get("hostname")?)?;
    let fitted = hostname::fitted(&name)?;
    (fitted != name).then(|| Problem {
        key: "hostname".into(),
        ..Problem::new(
            place(),
            if name.strip_suffix('.') == Some(&fitted) {
                format!("`hostname`: `{name}` ends with a dot; the machine is called `{fitted}`")
            } else {
                format!("`hostname`: `{name}` is too long for a host name; the machine is called `{fitted}`")
            },
        )
    })
}

/// An argument as it may be printed: what may be a secret is not.
fn shown(text: &str) -> String {
    match text.split_once('=') {
        Some((name, _)) if name.contains("password") || name.contains("key") => format!("{name}=…"),
        _ => text.into(),
    }
}
