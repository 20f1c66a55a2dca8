//! What the user's engine is started with that people ask for, without what it would refuse: its
//! arguments (`userdocker.args`) and `daemon.json`.
//!
//! The engine reads both before it starts. What it refuses is left out word by word and key by key: an
//! engine that runs without is what people work with.

use std::ffi::OsString;

use config::engine::{self as file, Arguments, EngineFile, Warning};
use config::{Config, Loaded};

/// What the engine thinks of arguments and of the text of its file.
type Validate<'a> = &'a dyn Fn(&[String], &str) -> Result<(), String>;

/// The arguments that the engine takes, and whether containers are to survive its end; its file is
/// written. What is left out is told.
pub(super) fn accepted(loaded: &Loaded, asked: &[OsString]) -> (Vec<OsString>, bool) {
    let daemon = config::DAEMON_JSON.iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        Some((*path, text))
    });
    let daemon = daemon.as_ref().map(|(path, text)| (*path, text.as_str()));
    let words = asked.iter().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<_> = words.collect();
    let mut plan = plan(loaded, words, daemon, &validate);
    for problem in &plan.problems {
        super::tell(problem);
    }
    let live_restore = plan.take_live_restore();
    if let Err(error) = config::write_for_all(config::USER_ENGINE_SETTINGS.as_ref(), &plan.text()) {
        super::tell(&format!("{}: {error}", config::USER_ENGINE_SETTINGS));
    }
    let words = plan.words.into_iter().map(OsString::from);
    (words.collect(), live_restore)
}

/// The engine itself reads them.
fn validate(words: &[String], text: &str) -> Result<(), String> {
    config::write_for_all(config::USER_ENGINE_SETTINGS.as_ref(), text)
        .map_err(|error| error.to_string())?;
    let words: Vec<_> = words.iter().map(OsString::from).collect();
    super::validate(&words)
}

/// Arguments and a file that the engine takes. `words` are all of its arguments.
fn plan(
    loaded: &Loaded,
    words: Vec<String>,
    daemon: Option<(&str, &str)>,
    validate: Validate<'_>,
) -> EngineFile {
    let config = &loaded.config;
    let settings = config.engine_settings();
    let mut arguments = config.user_docker_arguments();
    let is_ours = arguments.words.get(1..) == Some(&words[..]);
    arguments.words = words;
    let good = |plan: &EngineFile| validate(&plan.words, &plan.text());
    let mut plan = file::file(&settings, &arguments, daemon);
    // Nobody asked for anything: the engine says itself what it has against the machine's own.
    let is_plain = plan.words == arguments.words && arguments.asked.is_empty();
    if (is_plain && daemon.is_none()) || good(&plan).is_ok() {
        return plan;
    }
    let mut problems = Vec::new();
    if is_ours {
        arguments = without_refused(config, &settings, &good, |item, why| {
            let why = format!("{why}; the engine runs without it");
            let warning = Warning::new("userdocker.args", Some(item), why);
            problems.push(warning.placed(&loaded.layers));
        });
    }
    plan = keys_taken(&settings, &arguments, daemon, &good);
    plan.problems.extend(problems);
    plan
}

/// The arguments without those that the engine refuses, each told with the number of its word.
fn without_refused(
    config: &Config,
    settings: &str,
    good: &dyn Fn(&EngineFile) -> Result<(), String>,
    mut refused: impl FnMut(usize, String),
) -> Arguments {
    let with = |asked: &[(usize, String)]| {
        let mut config = config.clone();
        config.userdocker.args = asked.iter().map(|(_, word)| word.clone()).collect();
        let mut arguments = config.user_docker_arguments();
        arguments.words.remove(0);
        arguments
    };
    let mut taken = Vec::new();
    for (item, word) in config.user_docker_arguments().asked {
        taken.push((item, word.clone()));
        let arguments = with(&taken);
        if let Err(why) = good(&file::file(settings, &arguments, None)) {
            taken.pop();
            refused(item, format!("the engine refuses `{word}`: {why}"));
        }
    }
    with(&taken)
}

/// The file without the keys of `daemon.json` that the engine refuses.
fn keys_taken(
    settings: &str,
    arguments: &Arguments,
    daemon: Option<(&str, &str)>,
    good: &dyn Fn(&EngineFile) -> Result<(), String>,
) -> EngineFile {
    let whole = file::file(settings, arguments, daemon);
    let plain = file::file(settings, arguments, None);
    let Some((name, text)) = daemon.filter(|_| good(&whole).is_err() && good(&plain).is_ok())
    else {
        return whole;
    };
    let mut problems = whole.problems;
    let asked = serde_json::from_str(text).unwrap_or_default();
    let asked: serde_json::Map<String, serde_json::Value> = asked;
    let mut taken = serde_json::Map::new();
    let made = |taken: &serde_json::Map<_, _>| {
        let text = serde_json::Value::Object(taken.clone()).to_string();
        file::file(settings, arguments, Some((name, &text)))
    };
    for (key, value) in asked
        .into_iter()
        .filter(|(key, _)| whole.keys.contains_key(key))
    {
        taken.insert(key.clone(), value);
        if let Err(why) = good(&made(&taken)) {
            taken.remove(&key);
            let place = file::place(name, text, &key);
            problems.push(format!(
                "{place}: `{key}` is left out: the engine refuses it: {why}"
            ));
        }
    }
    EngineFile {
        problems,
        ..made(&taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that refuses what has `bad` in it, and a user's document.
    fn planned(user: &str, daemon: Option<&str>) -> EngineFile {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(config::USER_LAYER), user).unwrap();
        let loaded = config::load(folder.path(), "");
        let words = loaded.config.user_docker_arguments().words[1..].to_vec();
        let engine = |words: &[String], text: &str| {
            let bad = words
                .iter()
                .map(String::as_str)
                .chain([text])
                .find(|one| one.contains("bad"));
            bad.map_or(Ok(()), |_| Err("no bad".into()))
        };
        plan(&loaded, words, daemon.map(|text| ("F", text)), &engine)
    }

    #[test]
    fn engine_runs_without_the_words_that_it_refuses() {
        let user = "userdocker:\n  args:\n  - --mtu=1400\n  - --group=bad\n  - --label=a=b\n";
        let plan = planned(user, None);
        for word in ["--mtu=1400", "--label=a=b", "--group=docker"] {
            assert!(plan.words.contains(&word.into()), "{word}");
        }
        assert!(!plan.words.iter().any(|word| word.contains("bad")));
        let told = &plan.problems[0];
        assert!(
            told.contains("rancher.yml:4:") && told.contains("refuses `--group=bad`: no bad"),
            "{told}"
        );
    }

    #[test]
    fn engine_runs_without_the_keys_that_it_refuses() {
        let daemon = "{\n\"mtu\": 1400,\n\"bridge\": \"bad\",\n\"log-level\": \"info\"\n}";
        let plan = planned("userdocker: {args: [--group=bad]}\n", Some(daemon));
        assert_eq!(plan.keys["mtu"], 1400);
        assert!(!plan.keys.contains_key("bridge"));
        assert!(!plan.words.contains(&"--log-level=warn".into()));
        assert_eq!(plan.problems.len(), 2, "{:?}", plan.problems);
        assert!(
            plan.problems
                .iter()
                .any(|one| one.starts_with("F:3: `bridge`")),
            "{:?}",
            plan.problems
        );
    }

    #[test]
    fn nothing_is_told_when_nobody_asked_for_anything() {
        let plan = planned("hostname: bad\n", None);
        assert_eq!(plan.problems, Vec::<String>::new());
        assert!(planned("", Some("{")).problems[0].starts_with("F:1:"));
    }
}
