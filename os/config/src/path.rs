//! Paths to values: `a.b.c`, with double quotes around a key that contains dots.

use serde_yaml::Value;

/// Keys whose values are secrets; `*` matches any key except the public halves of host keys.
const PRIVATE: [&[&str]; 5] = [
    &["password"],
    &["registries", "credentials", "*", "password"],
    &["ssh", "keys", "*"],
    &["userdocker", "tls_ca_key"],
    &["userdocker", "tls_server_key"],
];

/// Whether the value at a path, or one of its parents, is a secret.
pub fn is_private(path: &[String]) -> bool {
    PRIVATE.iter().any(|pattern| {
        let mut pairs = pattern.iter().zip(path);
        path.len() >= pattern.len()
            && pairs.all(|(want, key)| match *want {
                "*" => !key.ends_with("-pub"),
                want => want == key,
            })
    })
}

/// Parses a path as written on a command line. A leading `rancher.` is removed.
///
/// # Errors
/// A key is empty, or a quote is not closed.
pub fn parse(text: &str) -> Result<Vec<String>, String> {
    let mut keys = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            '.' if !quoted => keys.push(String::new()),
            other => keys.last_mut().expect("there is always one").push(other),
        }
    }
    if quoted || keys.iter().any(String::is_empty) {
        return Err(format!(
            "`{text}` is not a key; hint: write a key such as `state.dev`"
        ));
    }
    if keys.len() > 1 && keys[0] == "rancher" {
        keys.remove(0);
    }
    // Names of kernel settings contain dots, and no key is nested below them.
    if keys[0] == "sysctl" && keys.len() > 2 {
        let name = keys.split_off(1).join(".");
        keys.push(name);
    }
    Ok(keys)
}

/// Joins keys to a path, the inverse of [`parse`].
pub fn join(path: &[String]) -> String {
    path.iter().map(quoted).collect::<Vec<_>>().join(".")
}

fn quoted(key: &String) -> String {
    if key.contains('.') {
        format!("\"{key}\"")
    } else {
        key.clone()
    }
}

/// The value at a path. A number selects an item of a list.
pub fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Sequence(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

/// Sets the value at a path. Parents that are not mappings are replaced.
pub fn put(value: &mut Value, path: &[String], new: Value) {
    let Some((key, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    // `is_mapping` would also accept a tagged mapping.
    if !matches!(value, Value::Mapping(_)) {
        *value = Value::Mapping(serde_yaml::Mapping::new());
    }
    if let Value::Mapping(entries) = value {
        put(
            entries.entry(key.as_str().into()).or_insert(Value::Null),
            rest,
            new,
        );
    }
}

/// Removes the value at a path and the mappings that become empty. A list that becomes empty stays.
/// Returns whether there was a value.
pub fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return false;
    };
    match value {
        Value::Sequence(items) => match key.parse::<usize>() {
            Ok(number) if number < items.len() && rest.is_empty() => {
                items.remove(number);
                true
            }
            Ok(number) => items.get_mut(number).is_some_and(|item| remove(item, rest)),
            Err(_) => false,
        },
        Value::Mapping(entries) if rest.is_empty() => entries.shift_remove(key.as_str()).is_some(),
        Value::Mapping(entries) => {
            let Some(inner) = entries.get_mut(key.as_str()) else {
                return false;
            };
            let removed = remove(inner, rest);
            if removed
                && inner
                    .as_mapping()
                    .is_some_and(serde_yaml::Mapping::is_empty)
            {
                entries.shift_remove(key.as_str());
            }
            removed
        }
        _ => false,
    }
}

/// The paths of all values that are not mappings, and of empty mappings.
pub fn leaves(value: &Value) -> Vec<Vec<String>> {
    match value {
        Value::Mapping(entries) if !entries.is_empty() => entries
            .iter()
            .flat_map(|(key, inner)| {
                let key = key.as_str().unwrap_or("?").to_owned();
                let below = leaves(inner).into_iter();
                below.map(move |path| [vec![key.clone()], path].concat())
            })
            .collect(),
        _ => vec![Vec::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_quotes_keys_that_contain_dots() {
        let path = parse(r#"services.x.labels."io.rancher.os.after""#).unwrap();
        assert_eq!(path, ["services", "x", "labels", "io.rancher.os.after"]);
        assert_eq!(join(&path), r#"services.x.labels."io.rancher.os.after""#);
        assert_eq!(parse("rancher.environment").unwrap(), ["environment"]);
        let setting = ["sysctl", "net.ipv4.ip_forward"];
        assert_eq!(parse("sysctl.net.ipv4.ip_forward").unwrap(), setting);
        assert_eq!(parse(r#"sysctl."net.ipv4.ip_forward""#).unwrap(), setting);
        for wrong in ["", ".", "a.", "a..b", "\"a"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn private_keys_are_secrets_and_public_keys_are_not() {
        let secret = |text| is_private(&parse(text).unwrap());
        assert!(
            secret("password") && secret("ssh.keys.rsa") && secret("userdocker.tls_server_key")
        );
        assert!(!secret("ssh.keys.rsa-pub") && !secret("ssh.keys") && !secret("hostname"));
    }

    #[test]
    fn remove_also_removes_mappings_that_become_empty() {
        let mut value = serde_yaml::from_str("a: {b: {c: 1}}\nd: [1, 2]").unwrap();
        assert!(remove(&mut value, &parse("a.b.c").unwrap()));
        assert!(remove(&mut value, &parse("d.0").unwrap()));
        assert!(!remove(&mut value, &parse("x.y").unwrap()));
        assert_eq!(value, serde_yaml::from_str::<Value>("d: [2]").unwrap());
    }
}
