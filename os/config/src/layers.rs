//! Layers: reading them, merging them, and leaving out what does not fit.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_yaml::{Mapping, Value};

use crate::{CLOUD_LAYER, Config, GENERATED_LAYER, USER_LAYER, cmdline};

/// The compiled defaults.
const DEFAULTS: &str = include_str!("defaults.yml");

/// A configuration, and what had to be left out of it.
#[derive(Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// What was left out, to be shown on the console.
    pub problems: Vec<Problem>,
}

/// Something in a layer that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}; it is ignored")]
pub struct Problem {
    /// The file and key, or the kernel argument.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// Merges `upper` into `lower`: mappings key by key, anything else takes the place of what was there.
pub fn merge(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Mapping(lower), Value::Mapping(upper)) => {
            for (key, value) in upper {
                merge(lower.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}

/// The configuration of the layers in `folder` and of a kernel command line.
pub fn load(folder: &Path, cmdline: &str) -> Loaded {
    let mut stack = Stack::defaults();
    for name in [GENERATED_LAYER, USER_LAYER, CLOUD_LAYER] {
        stack.add_file(&folder.join(name));
    }
    stack.add_arguments(cmdline);
    stack.finish()
}

/// The configuration before any disk is there: the defaults and a kernel command line.
pub fn from_cmdline(cmdline: &str) -> Loaded {
    let mut stack = Stack::defaults();
    stack.add_arguments(cmdline);
    stack.finish()
}

/// Layers merged so far: always a valid document.
struct Stack {
    merged: Value,
    problems: Vec<Problem>,
}

impl Stack {
    fn defaults() -> Self {
        let merged = serde_yaml::from_str(DEFAULTS).expect("the compiled defaults are valid");
        Self {
            merged,
            problems: Vec::new(),
        }
    }

    fn finish(self) -> Loaded {
        let mut config: Config =
            serde_yaml::from_value(self.merged).expect("only what fits was merged");
        for service in config.services.values_mut() {
            service.image = service.image.replace("${VERSION}", crate::VERSION);
        }
        Loaded {
            config,
            problems: self.problems,
        }
    }

    /// Takes a layer if the document still fits the schema with it.
    fn try_add(&mut self, layer: &Value) -> Result<(), serde_yaml::Error> {
        let mut merged = self.merged.clone();
        merge(&mut merged, layer);
        serde_yaml::from_value::<Config>(merged.clone())?;
        self.merged = merged;
        Ok(())
    }

    fn leave_out(&mut self, place: impl Into<String>, why: impl std::fmt::Display) {
        self.problems.push(Problem {
            place: place.into(),
            why: why.to_string(),
        });
    }

    fn add_file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.leave_out(path.to_string_lossy(), error),
        };
        match serde_yaml::from_str::<Value>(&text) {
            Ok(Value::Null) => (),
            Ok(Value::Mapping(layer)) => self.add_mapping(path, layer),
            Ok(_) => self.leave_out(
                path.to_string_lossy(),
                "it is not a mapping of keys to values",
            ),
            Err(error) => self.leave_out(path.to_string_lossy(), error),
        }
    }

    /// Takes a file as a whole, or key by key when something in it does not fit.
    fn add_mapping(&mut self, path: &Path, layer: Mapping) {
        if self.try_add(&Value::Mapping(layer.clone())).is_ok() {
            return;
        }
        for (key, value) in layer {
            let name = key.as_str().unwrap_or("?").to_owned();
            let single = Value::Mapping(Mapping::from_iter([(key, value)]));
            if let Err(error) = self.try_add(&single) {
                self.leave_out(format!("{}: {name}", path.display()), error);
            }
        }
    }

    fn add_arguments(&mut self, cmdline: &str) {
        for argument in cmdline::arguments(cmdline) {
            self.add_argument(&argument);
        }
    }

    fn add_argument(&mut self, argument: &cmdline::Argument) {
        let Err(error) = self.try_add(&argument.layer()) else {
            return;
        };
        let as_text = argument.layer_as_text().map(|layer| self.try_add(&layer));
        if !matches!(as_text, Some(Ok(()))) {
            self.leave_out(format!("kernel argument {}", shown(&argument.text)), error);
        }
    }
}

/// An argument as it may be printed: what may be a secret is not.
fn shown(text: &str) -> String {
    match text.split_once('=') {
        Some((name, _)) if name.contains("password") || name.contains("key") => format!("{name}=…"),
        _ => text.into(),
    }
}

/// Writes a layer: atomically, synced, readable by root only.
///
/// # Errors
/// The folder cannot be written.
pub fn write_layer(path: &Path, layer: &Value) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let text = serde_yaml::to_string(layer).map_err(std::io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(user: &str, cmdline: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(USER_LAYER), user).unwrap();
        let mut loaded = load(folder.path(), cmdline);
        for problem in &mut loaded.problems {
            problem.place = problem
                .place
                .replace(&*folder.path().to_string_lossy(), "CONF");
        }
        loaded
    }

    fn problems(loaded: &Loaded) -> Vec<String> {
        loaded.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_whole() {
        let loaded = with("", "");
        assert_eq!(loaded.problems, []);
        assert_eq!(loaded.config.hostname, "rancher");
        assert!(
            loaded.config.services["console"]
                .image
                .ends_with(crate::VERSION)
        );
        for (name, service) in &loaded.config.services {
            for before in service.after() {
                assert!(
                    loaded.config.services.contains_key(before),
                    "{name} after {before}"
                );
            }
        }
    }

    #[test]
    fn siblings_of_what_is_set_are_kept() {
        let state = with("", "rancher.state.required=true").config.state;
        assert_eq!(
            (state.dev.as_str(), state.fstype.as_str()),
            ("LABEL=RANCHER_STATE", "auto")
        );
        assert!(state.required);
    }

    #[test]
    fn a_service_is_left_out_by_an_argument() {
        let services = with("", "rancher.services.syslog.disabled").config.services;
        assert!(services["syslog"].disabled && !services["console"].disabled);
        assert_eq!(services["syslog"].command, ["/usr/sbin/syslog"]);
    }

    #[test]
    fn a_service_of_ones_own_may_use_the_images_of_this_version() {
        let own = "services: { mine: { image: 'rancher/os-base:${VERSION}' } }\n";
        let services = with(own, "").config.services;
        assert!(services["mine"].image.ends_with(crate::VERSION));
        assert!(services.contains_key("console"));
    }

    #[test]
    fn variables_are_text_whatever_they_look_like() {
        let loaded = with(
            "environment: { A: 1, B: true }\n",
            "rancher.environment.C=2",
        );
        let variables: Vec<_> = loaded.config.environment.values().collect();
        assert_eq!(variables, ["1", "true", "2"]);
        assert_eq!(with("environment: { A: [] }\n", "").problems.len(), 1);
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let loaded = with("hostname: one\n", "rancher.hostname=two");
        assert_eq!(loaded.config.hostname, "two");
    }

    #[test]
    fn a_password_of_digits_is_text() {
        assert_eq!(
            with("", "rancher.password=0123").config.password.as_deref(),
            Some("0123")
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_holds() {
        let loaded = with(
            "hostname: x\nstate: 3\nhostnam: y\n",
            "rancher.state.required=maybe rancher.x.y",
        );
        assert_eq!(loaded.config.hostname, "x");
        assert!(!loaded.config.state.required);
        insta::assert_yaml_snapshot!(problems(&loaded));
    }

    #[test]
    fn malformed_yaml_is_left_out_with_its_line() {
        let loaded = with("hostname: x\n  bad: [\n", "");
        assert_eq!(loaded.config.hostname, "rancher");
        assert!(
            problems(&loaded)[0].contains("line 2"),
            "{:?}",
            problems(&loaded)
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let loaded = with("", "rancher.password.x=geheim");
        assert!(!problems(&loaded)[0].contains("geheim"));
    }

    #[test]
    fn a_layer_is_written_for_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join(USER_LAYER);
        write_layer(&path, &serde_yaml::from_str("hostname: z").unwrap()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(path.parent().unwrap(), "").config.hostname, "z");
    }
}
