//! The user data of the interactive machine: the given file and the user's public keys.

use std::path::Path;

use serde_yaml::{Mapping, Value};

const HEADER: &str = "#cloud-config";
const KEYS: &str = "ssh_authorized_keys";

/// User data, and whether it contains SSH keys.
#[derive(Debug, PartialEq)]
pub(super) struct UserData {
    pub(super) text: Option<String>,
    pub(super) has_keys: bool,
}

/// The public keys of this user, `~/.ssh/*.pub`.
pub(super) fn public_keys() -> Vec<String> {
    std::env::var_os("HOME").map_or(vec![], |home| keys_in(&Path::new(&home).join(".ssh")))
}

fn keys_in(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|e| e == "pub"))
        .collect();
    files.sort();
    let texts = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok());
    let lines = texts.flat_map(|text| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    });
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// Adds keys to the given user data. A script is left unchanged.
pub(super) fn merge(given: Option<&str>, keys: &[String]) -> Result<UserData, String> {
    let Some(given) = given else {
        let text = (!keys.is_empty())
            .then(|| written(with_keys(Mapping::new(), keys)?))
            .transpose()?;
        return Ok(UserData {
            text,
            has_keys: !keys.is_empty(),
        });
    };
    if given.lines().next().map(str::trim_end) != Some(HEADER) {
        return Ok(UserData {
            text: Some(given.into()),
            has_keys: false,
        });
    }
    let document = match serde_yaml::from_str(given).map_err(|e| e.to_string())? {
        Value::Mapping(mapping) => mapping,
        Value::Null => Mapping::new(),
        _ => return Err("#cloud-config must be a mapping".into()),
    };
    let document = with_keys(document, keys)?;
    let has_keys = document.contains_key(KEYS);
    Ok(UserData {
        text: Some(written(document)?),
        has_keys,
    })
}

fn with_keys(mut document: Mapping, keys: &[String]) -> Result<Mapping, String> {
    if keys.is_empty() {
        return Ok(document);
    }
    let list = document
        .entry(KEYS.into())
        .or_insert_with(|| Value::Sequence(vec![]));
    let Value::Sequence(list) = list else {
        return Err(format!("{KEYS} must be a list"));
    };
    for key in keys {
        let key = Value::from(key.as_str());
        if !list.contains(&key) {
            list.push(key);
        }
    }
    Ok(document)
}

fn written(document: Mapping) -> Result<String, String> {
    let yaml = serde_yaml::to_string(&document).map_err(|e| e.to_string())?;
    Ok(format!("{HEADER}\n{yaml}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<String> {
        vec!["ssh-ed25519 AAAA me".into()]
    }

    #[test]
    fn merge_appends_keys_to_the_given_keys() {
        let given = "#cloud-config\nhostname: here\nssh_authorized_keys:\n- ssh-rsa BBBB you\n";
        let merged = merge(Some(given), &keys()).unwrap();
        assert!(merged.has_keys);
        insta::assert_snapshot!(merged.text.unwrap(), @r"
        #cloud-config
        hostname: here
        ssh_authorized_keys:
        - ssh-rsa BBBB you
        - ssh-ed25519 AAAA me
        ");
    }

    #[test]
    fn merge_returns_no_user_data_without_a_file_and_keys() {
        assert_eq!(
            merge(None, &[]).unwrap(),
            UserData {
                text: None,
                has_keys: false
            }
        );
        assert!(merge(None, &keys()).unwrap().text.unwrap().contains("AAAA"));
    }

    #[test]
    fn merge_leaves_a_script_unchanged() {
        let merged = merge(Some("#!/bin/sh\n"), &keys()).unwrap();
        assert_eq!(
            merged,
            UserData {
                text: Some("#!/bin/sh\n".into()),
                has_keys: false
            }
        );
    }

    #[test]
    fn merge_rejects_an_invalid_cloud_config() {
        assert!(
            merge(Some("#cloud-config\n- a\n"), &[])
                .unwrap_err()
                .contains("mapping")
        );
        assert!(
            merge(Some("#cloud-config\nssh_authorized_keys: x\n"), &keys())
                .unwrap_err()
                .contains("list")
        );
    }

    #[test]
    fn keys_in_reads_only_pub_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("id.pub"), "ssh-ed25519 AAAA me\n\n").unwrap();
        std::fs::write(folder.path().join("id"), "secret").unwrap();
        assert_eq!(keys_in(folder.path()), keys());
        assert!(keys_in(&folder.path().join("none")).is_empty());
    }
}
