//! What the user's engine is started with that people ask for, without what it would refuse: its
//! arguments (`userdocker.args`) and `daemon.json`.
//!
//! The engine reads both before it starts. What it refuses is left out word by word and key by key. Some
//! of it the engine refuses only when it starts (options of a log driver, a runtime that is not there,
//! moby 26.1, `NewDaemon`): one that ended before it was ready is started without all of it. An engine that
//! runs without is what people work with.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use config::engine::{self as file, Arguments, EngineFile, Warning};
use config::{Config, Loaded};

/// What the engine thinks of arguments and of the text of its file.
type Validate<'a> = &'a dyn Fn(&[String], &str) -> Result<(), String>;

/// The file that the engine reads while it is only asked what it thinks of it.
const CANDIDATE: &str = "/run/user-engine.candidate.json";

/// What an engine ended of before it was ready.
const REFUSED: &str = "/run/user-engine.refused";

/// What the engine is started with.
pub(super) struct Accepted {
    pub words: Vec<OsString>,
    /// Whether containers are to survive its end.
    pub live_restore: bool,
    /// Stands for all that people asked for and the engine takes; `None` is nothing.
    asked: Option<u64>,
}

impl Accepted {
    /// Remembers that the engine ended before it was ready, for its next start.
    pub fn refuse(&self) {
        if let Some(asked) = self.asked
            && let Err(error) = std::fs::write(REFUSED, asked.to_string())
        {
            super::tell(&format!("{REFUSED}: {error}"));
        }
    }
}

/// What the engine takes; its file is written. What is left out is told.
pub(super) fn accepted(loaded: &Loaded) -> Accepted {
    let daemon = file::daemon_json().and_then(|(path, text)| match text {
        Ok(text) => Some((path, text)),
        Err(error) => {
            super::tell(&format!("{path}: {error}; the engine runs without it"));
            None
        }
    });
    let daemon = daemon.as_ref().map(|(path, text)| (*path, text.as_str()));
    let mut plan = plan(loaded, daemon, &validate);
    let plain = plain(loaded);
    let mut asked = None;
    if (&plan.keys, &plan.words) != (&plain.keys, &plain.words) {
        let number = number(&plan);
        if std::fs::read_to_string(REFUSED).is_ok_and(|refused| refused == number.to_string()) {
            let what = "the engine ended before it was ready, and runs without `userdocker.args` and \
                        daemon.json; hint: `sudo system-docker logs userdocker` prints why";
            plan.problems.push(what.into());
            (plan.keys, plan.words) = (plain.keys, plain.words);
        } else {
            asked = Some(number);
        }
    }
    for problem in &plan.problems {
        super::tell(problem);
    }
    let live_restore = plan.take_live_restore();
    if let Err(error) = engines::write_user_settings(&plan.text()) {
        super::tell(&format!("{}: {error}", config::USER_ENGINE_SETTINGS));
    }
    Accepted {
        words: plan.words.into_iter().map(OsString::from).collect(),
        live_restore,
        asked,
    }
}

/// What the engine is started with when nobody asks for anything.
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

fn number(plan: &EngineFile) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&plan.words, plan.text()).hash(&mut hasher);
    hasher.finish()
}

/// The engine itself reads them.
fn validate(words: &[String], text: &str) -> Result<(), String> {
    config::write(CANDIDATE.as_ref(), text).map_err(|error| format!("{CANDIDATE}: {error}"))?;
    let words: Vec<_> = words
        .iter()
        .map(|word| word.replace(config::USER_ENGINE_SETTINGS, CANDIDATE).into())
        .collect();
    super::validate(&words)
}

/// Arguments and a file that the engine takes.
fn plan(loaded: &Loaded, daemon: Option<(&str, &str)>, validate: Validate<'_>) -> EngineFile {
    let config = &loaded.config;
    let settings = config.engine_settings();
    let mut arguments = arguments(config);
    let good = |plan: &EngineFile| validate(&plan.words, &plan.text());
    let mut plan = file::file(&settings, &arguments, daemon);
    // Nobody asked for anything: the engine says itself what it has against the machine's own.
    let is_plain = plan.words == arguments.words && arguments.asked.is_empty();
    if (is_plain && daemon.is_none()) || good(&plan).is_ok() {
        return plan;
    }
    let mut problems = Vec::new();
    arguments = without_refused(config, &settings, &good, |item, why| {
        let why = format!("{why}; the engine runs without it");
        let warning = Warning::new("userdocker.args", Some(item), why);
        problems.push(warning.placed(&loaded.layers));
    });
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
        self::arguments(&config)
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
            let place = file::location(name, text, &key);
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
