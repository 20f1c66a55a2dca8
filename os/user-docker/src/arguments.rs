//! The engine's arguments (`userdocker.args`) and its settings file (`daemon.json`), without what it would
//! reject.
//!
//! The engine validates both before it starts. Arguments and keys that it rejects are left out one by one.
//! Some settings fail only when the engine starts (options of a log driver, a runtime that does not exist;
//! moby 26.1, `NewDaemon`): after an engine that exited before it was ready, the next one starts without
//! any of them.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use config::engine::{self as file, Arguments, EngineFile, Warning};
use config::{Config, Loaded};
use sys::Linux;

use crate::report::warn;

/// Lets the engine check arguments and the text of its settings file.
type Validate<'a> = &'a dyn Fn(&[String], &str) -> Result<(), String>;

/// The settings file for checks.
const CANDIDATE: &str = "/run/user-engine.candidate.json";

/// The hash of the settings with which an engine exited before it was ready.
const REJECTED: &str = "/run/user-engine.refused";

/// The settings that the engine is started with.
pub(crate) struct Accepted {
    /// Its arguments.
    pub(crate) words: Vec<OsString>,
    /// Whether containers keep running when the engine exits.
    pub(crate) live_restore: bool,
    /// The hash of the settings; `None` if the user asked for none.
    hash: Option<u64>,
}

impl Accepted {
    /// Records for the next start that the engine exited before it was ready.
    pub(crate) fn reject(&self) {
        if let Some(hash) = self.hash
            && let Err(error) = std::fs::write(REJECTED, hash.to_string())
        {
            warn(&format!("{REJECTED}: {error}"));
        }
    }
}

/// Determines the settings that the engine accepts, reports the others, and writes the settings file.
pub(crate) fn accepted(loaded: &Loaded) -> Accepted {
    let daemon = file::daemon_json().and_then(|(path, text)| match text {
        Ok(text) => Some((path, text)),
        Err(error) => {
            warn(&format!("{path}: {error}; the engine runs without it"));
            None
        }
    });
    let daemon = daemon.as_ref().map(|(path, text)| (*path, text.as_str()));
    let mut plan = plan(loaded, daemon, &validate_settings);
    let plain = plain(loaded);
    let mut hash = None;
    if (&plan.keys, &plan.words) != (&plain.keys, &plain.words) {
        let number = hash_of(&plan);
        if std::fs::read_to_string(REJECTED).is_ok_and(|rejected| rejected == number.to_string()) {
            let problem = "the engine exited before it was ready and now runs without `userdocker.args` and \
                           daemon.json; hint: `sudo system-docker logs userdocker` prints the error";
            plan.problems.push(problem.into());
            (plan.keys, plan.words) = (plain.keys, plain.words);
        } else {
            hash = Some(number);
        }
    }
    for problem in &plan.problems {
        warn(problem);
    }
    let live_restore = plan.take_live_restore();
    if let Err(error) = engines::write_user_settings(&plan.text()) {
        warn(&format!("{}: {error}", config::USER_ENGINE_SETTINGS));
    }
    Accepted {
        words: plan.words.into_iter().map(OsString::from).collect(),
        live_restore,
        hash,
    }
}

/// The settings without those that the user asks for.
fn plain(loaded: &Loaded) -> EngineFile {
    let mut config = loaded.config.clone();
    config.userdocker.args = Vec::new();
    file::file(&loaded.config.engine_settings(), &arguments(&config), None)
}

/// The arguments without the program.
fn arguments(config: &Config) -> Arguments {
    let mut arguments = config.user_docker_arguments();
    arguments.words = arguments.words.split_off(arguments.words.len().min(1));
    arguments
}

fn hash_of(plan: &EngineFile) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&plan.words, plan.text()).hash(&mut hasher);
    hasher.finish()
}

/// Lets the engine check arguments and the text of its settings file.
fn validate_settings(words: &[String], text: &str) -> Result<(), String> {
    config::write(CANDIDATE.as_ref(), text).map_err(|error| format!("{CANDIDATE}: {error}"))?;
    let words: Vec<_> = words
        .iter()
        .map(|word| word.replace(config::USER_ENGINE_SETTINGS, CANDIDATE).into())
        .collect();
    validate(&words)
}

/// Lets the engine check its arguments and the files that they name.
pub(crate) fn validate(arguments: &[OsString]) -> Result<(), String> {
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    engines::validate(&mut Linux::default(), &words)
}

/// Arguments and a settings file that the engine accepts.
fn plan(loaded: &Loaded, daemon: Option<(&str, &str)>, validate: Validate<'_>) -> EngineFile {
    let config = &loaded.config;
    let settings = config.engine_settings();
    let mut arguments = arguments(config);
    let check = |plan: &EngineFile| validate(&plan.words, &plan.text());
    let mut plan = file::file(&settings, &arguments, daemon);
    // The user asked for nothing: the engine itself reports errors in the machine's own settings.
    let is_plain = plan.words == arguments.words && arguments.asked.is_empty();
    if (is_plain && daemon.is_none()) || check(&plan).is_ok() {
        return plan;
    }
    let mut problems = Vec::new();
    arguments = without_rejected(config, &settings, &check, |item, why| {
        let why = format!("{why}; the engine runs without it");
        let warning = Warning::new("userdocker.args", Some(item), why);
        problems.push(warning.placed(&loaded.layers));
    });
    plan = without_rejected_keys(&settings, &arguments, daemon, &check);
    plan.problems.extend(problems);
    plan
}

/// The arguments without those that the engine rejects; calls `on_rejected` for each of these, with its
/// index in `userdocker.args`.
fn without_rejected(
    config: &Config,
    settings: &str,
    check: &dyn Fn(&EngineFile) -> Result<(), String>,
    mut on_rejected: impl FnMut(usize, String),
) -> Arguments {
    let with = |asked: &[(usize, String)]| {
        let mut config = config.clone();
        config.userdocker.args = asked.iter().map(|(_, word)| word.clone()).collect();
        self::arguments(&config)
    };
    let mut kept = Vec::new();
    for (item, word) in config.user_docker_arguments().asked {
        kept.push((item, word.clone()));
        let arguments = with(&kept);
        if let Err(why) = check(&file::file(settings, &arguments, None)) {
            kept.pop();
            on_rejected(item, format!("the engine rejects `{word}`: {why}"));
        }
    }
    with(&kept)
}

/// The settings file without the keys of `daemon.json` that the engine rejects.
fn without_rejected_keys(
    settings: &str,
    arguments: &Arguments,
    daemon: Option<(&str, &str)>,
    check: &dyn Fn(&EngineFile) -> Result<(), String>,
) -> EngineFile {
    let whole = file::file(settings, arguments, daemon);
    let plain = file::file(settings, arguments, None);
    let Some((name, text)) = daemon.filter(|_| check(&whole).is_err() && check(&plain).is_ok())
    else {
        return whole;
    };
    let mut problems = whole.problems;
    let asked = serde_json::from_str(text).unwrap_or_default();
    let asked: serde_json::Map<String, serde_json::Value> = asked;
    let mut kept = serde_json::Map::new();
    let with_keys = |keys: &serde_json::Map<_, _>| {
        let text = serde_json::Value::Object(keys.clone()).to_string();
        file::file(settings, arguments, Some((name, &text)))
    };
    for (key, value) in asked
        .into_iter()
        .filter(|(key, _)| whole.keys.contains_key(key))
    {
        kept.insert(key.clone(), value);
        if let Err(why) = check(&with_keys(&kept)) {
            kept.remove(&key);
            let location = file::location(name, text, &key);
            problems.push(format!(
                "{location}: `{key}` is left out: the engine rejects it: {why}"
            ));
        }
    }
    EngineFile {
        problems,
        ..with_keys(&kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan for a user's document, with an engine that rejects text with `bad` in it.
    fn planned(user: &str, daemon: Option<&str>) -> EngineFile {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(config::USER_LAYER), user).unwrap();
        let loaded = config::load(folder.path(), "");
        let engine = |words: &[String], text: &str| {
            let bad = words
                .iter()
                .map(String::as_str)
                .chain([text])
                .find(|one| one.contains("bad"));
            bad.map_or(Ok(()), |_| Err("no bad".into()))
        };
        plan(&loaded, daemon.map(|text| ("F", text)), &engine)
    }

    #[test]
    fn plan_leaves_out_arguments_that_the_engine_rejects() {
        let user = "userdocker:\n  args:\n  - --mtu=1400\n  - --group=bad\n  - --label=a=b\n";
        let plan = planned(user, None);
        for word in ["--mtu=1400", "--label=a=b", "--group=docker"] {
            assert!(plan.words.contains(&word.into()), "{word}");
        }
        assert!(!plan.words.iter().any(|word| word.contains("bad")));
        let problem = &plan.problems[0];
        assert!(
            problem.contains("rancher.yml:4:") && problem.contains("rejects `--group=bad`: no bad"),
            "{problem}"
        );
    }

    #[test]
    fn plan_leaves_out_keys_that_the_engine_rejects() {
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
    fn plan_reports_nothing_when_the_user_asks_for_nothing() {
        let plan = planned("hostname: bad\n", None);
        assert_eq!(plan.problems, Vec::<String>::new());
        assert!(planned("", Some("{")).problems[0].starts_with("F:1:"));
    }
}
