//! Parses command lines of Docker engines, those of 2015 included.

use super::options;

/// Flags of 2015 that take no value in the next word; see [`options::is_flag`] for the current ones.
const REMOVED_FLAGS: [&str; 4] = [
    "api-enable-cors",
    "daemon",
    "disable-legacy-registry",
    "restart",
];

/// Options that existed in 2015 and were removed since.
const REMOVED: [&str; 8] = [
    "api-enable-cors",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opt",
    "disable-legacy-registry",
    "exec-driver",
    "restart",
    "userland-proxy-path",
];

/// Two names of one folder. An engine that listens on a socket in both removes its own socket.
const SOCKETS: (&str, &str) = ("unix:///var/run/", "unix:///run/");

/// An option as its name and the word `--name=value`. `Ok(None)` is a word without effect, and an error
/// says why an option is dropped.
type ParsedOption = Result<Option<(String, String)>, String>;

/// The options in a list of words, each with the index of its word.
pub(super) fn options(words: &[String]) -> Vec<(usize, ParsedOption)> {
    let mut found = Vec::new();
    let mut words = words.iter().map(String::as_str).enumerate().peekable();
    while let Some((item, word)) = words.next() {
        let Some((name, mut value)) = named(word) else {
            found.push((item, positional(word)));
            continue;
        };
        let is_flag = options::is_flag(&name) || REMOVED_FLAGS.contains(&name.as_str());
        if value.is_none() && !is_flag {
            value = words
                .next_if(|(_, next)| !next.starts_with('-'))
                .map(|(_, next)| next.to_owned());
            if value.is_none() {
                found.push((item, Err(missing_value(&name, word))));
                continue;
            }
        }
        let option = match name.as_str() {
            "daemon" => Ok(None),
            removed if REMOVED.contains(&removed) => {
                Err(format!("Docker no longer has the option `{word}`"))
            }
            _ => {
                let value = value.map_or_else(|| "true".into(), |value| current(&name, &value));
                Ok(Some((name.clone(), format!("--{name}={value}"))))
            }
        };
        found.push((item, option));
    }
    found
}

/// The name of the program has no effect; any other positional argument is an error.
fn positional(word: &str) -> ParsedOption {
    let program = word.rsplit('/').next().unwrap_or(word);
    if ["docker", "dockerd", "daemon"].contains(&program) {
        Ok(None)
    } else {
        Err(format!("`{word}` is not an option of Docker"))
    }
}

fn missing_value(name: &str, word: &str) -> String {
    if options::is_known(name) {
        format!("`{word}` has no value")
    } else {
        options::unknown(name)
    }
}

/// The value in `--name=value`.
pub(super) fn value_of(word: &str) -> &str {
    word.split_once('=').map_or("", |(_, value)| value)
}

/// Replaces the other name of the folder of sockets.
pub(super) fn with_current_socket(word: &str) -> String {
    word.replace(SOCKETS.0, SOCKETS.1)
}

/// The current name of an option, and its value if the word contains one.
fn named(word: &str) -> Option<(String, Option<String>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let name = if name == "graph" { "data-root" } else { name };
        return (!name.is_empty()).then(|| (name.into(), value));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let name = match letters.next()? {
        'b' => "bridge",
        'd' => "daemon",
        'D' => "debug",
        'e' => "exec-driver",
        'g' => "data-root",
        'G' => "group",
        'H' => "host",
        'l' => "log-level",
        'p' => "pidfile",
        's' => "storage-driver",
        _ => return None,
    };
    let rest = letters.as_str().trim_start_matches('=');
    Some((
        name.into(),
        Some(rest.to_owned()).filter(|rest| !rest.is_empty()),
    ))
}

/// Translates a value of 2015 to its current form.
fn current(name: &str, value: &str) -> String {
    match (name, value) {
        ("storage-driver", "overlay" | "aufs" | "devicemapper") => "overlay2".into(),
        ("host", socket) => with_current_socket(socket),
        (_, other) => other.into(),
    }
}
