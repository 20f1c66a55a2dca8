//! User-data: what it is, told by its first line, and what it says.

use serde_yaml::{Mapping, Value};

/// The first line of a cloud-config.
const CLOUD_CONFIG: &str = "#cloud-config";

/// What user-data came to.
#[derive(Debug, PartialEq)]
pub struct Told {
    /// A layer of the configuration.
    pub layer: Value,
    /// What was left out, and why.
    pub problems: Vec<String>,
}

/// Why user-data says nothing at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its first line names no kind that is known.
    #[error("the first line is `{0}`; it must be `#cloud-config`")]
    Header(String),
    /// It is not YAML.
    #[error("{0}")]
    Yaml(String),
    /// It is YAML of another shape.
    #[error("it is not a mapping of directives")]
    Shape,
}

/// Reads user-data.
///
/// # Errors
/// See [`Error`].
pub fn parse(text: &str) -> Result<Told, Error> {
    let first = text.lines().next().unwrap_or_default().trim_end();
    if first != CLOUD_CONFIG {
        return Err(Error::Header(first.chars().take(60).collect()));
    }
    let directives = match serde_yaml::from_str(text) {
        Ok(Value::Mapping(directives)) => directives,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => return Err(Error::Shape),
        Err(error) => return Err(Error::Yaml(error.to_string())),
    };
    let mut layer = Mapping::new();
    let mut problems = Vec::new();
    for (directive, value) in directives {
        match directive.as_str() {
            Some("ssh_authorized_keys") => {
                let keys = keys(&value, &mut problems);
                layer.insert(directive, Value::Sequence(keys));
            }
            _ => problems.push(format!("directive `{}` is not known", shown(&directive))),
        }
    }
    Ok(Told {
        layer: Value::Mapping(layer),
        problems,
    })
}

/// The lines of a list of keys; what is no line of text is left out by itself.
fn keys(value: &Value, problems: &mut Vec<String>) -> Vec<Value> {
    let Value::Sequence(list) = value else {
        problems.push("`ssh_authorized_keys` is not a list".into());
        return Vec::new();
    };
    let (good, bad): (Vec<_>, Vec<_>) = list
        .iter()
        .cloned()
        .partition(|key| key.as_str().is_some_and(|key| !key.trim().contains('\n')));
    if !bad.is_empty() {
        problems.push(format!(
            "{} of `ssh_authorized_keys` are no lines of text",
            bad.len()
        ));
    }
    good
}

fn shown(key: &Value) -> String {
    serde_yaml::to_string(key)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_a_layer() {
        let told = parse("#cloud-config\nssh_authorized_keys:\n- ssh-ed25519 AAAA me\n").unwrap();
        assert_eq!(told.problems, Vec::<String>::new());
        assert_eq!(told.layer["ssh_authorized_keys"][0], "ssh-ed25519 AAAA me");
    }

    #[test]
    fn a_mistake_beside_the_keys_does_not_lock_out() {
        let told =
            parse("#cloud-config\nssh_authorised_keys: 3\nssh_authorized_keys: [k, 7]\n").unwrap();
        assert_eq!(
            told.layer["ssh_authorized_keys"]
                .as_sequence()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(told.problems.len(), 2, "{:?}", told.problems);
    }

    #[test]
    fn what_is_no_cloud_config_is_named() {
        assert_eq!(parse("hello\n"), Err(Error::Header("hello".into())));
        assert_eq!(parse("#cloud-config\n- a\n"), Err(Error::Shape));
        assert!(matches!(
            parse("#cloud-config\na: [\n"),
            Err(Error::Yaml(_))
        ));
        assert!(parse("#cloud-config\n").unwrap().problems.is_empty());
    }
}
