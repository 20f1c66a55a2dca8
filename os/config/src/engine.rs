//! Arguments of the two Dockers: those that the machine is made of, and what the configuration adds.
//!
//! Those of 2015 are understood: what has a successor is translated, what has none is left out and
//! told. So is what would end the engine: system-docker is PID 1, and the machine ends with it.

mod file;
mod options;

pub use file::{
    EngineFile, check_daemon_json, daemon_json, file, place, with_live_restore, with_registries,
};

use crate::{Config, Layer, Registries, Service};

/// System-docker's own: nobody but the machine uses it, so it makes no network.
const SYSTEM: [&str; 19] = [
    "--bridge=none",
    "--config-file=/run/engine-registries.json",
    "--containerd=/run/containerd/containerd.sock",
    "--containerd-namespace=system",
    "--containerd-plugins-namespace=system-plugins",
    "--data-root=/var/lib/system-docker",
    "--exec-opt=native.cgroupdriver=cgroupfs",
    "--exec-root=/run/system-docker",
    // Who may use sudo without a password may use it anyway; others may not.
    "--group=sudo",
    "--host=unix:///run/system-docker.sock",
    "--ip-forward=false",
    "--iptables=false",
    "--ip6tables=false",
    "--log-level=warn",
    "--log-opt=max-file=2",
    "--log-opt=max-size=25m",
    "--pidfile=/run/system-docker.pid",
    "--storage-driver=overlay2",
    "--userland-proxy=false",
];

/// All that system-docker lets itself be told beside its own. None of it keeps an engine from
/// starting that has read it and found its values good (`dockerd --validate`): of `icc` it would
/// only say later that it does not go without packet filter rules.
const SYSTEM_TAKES: [&str; 6] = [
    "debug",
    "dns",
    "dns-search",
    "label",
    "log-level",
    "selinux-enabled",
];

/// What the user's Docker shares with the machine, which knows it by these.
const USER_KEEPS: [&str; 7] = [
    "config-file",
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "data-root",
    "exec-root",
    "pidfile",
];

/// Options of 2015 that take no value in the next word; see [`options::is_flag`] for those of today.
const GONE_FLAGS: [&str; 4] = [
    "api-enable-cors",
    "daemon",
    "disable-legacy-registry",
    "restart",
];

/// What there was in 2015 and is no more.
const GONE: [&str; 8] = [
    "api-enable-cors",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opt",
    "disable-legacy-registry",
    "exec-driver",
    "restart",
    "userland-proxy-path",
];

/// One folder by two names: an engine that listens at both takes its own socket away.
const SOCKETS: (&str, &str) = ("unix:///var/run/", "unix:///run/");

/// Arguments of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// What it is started with.
    pub words: Vec<String>,
    /// Those of it that the configuration asks for, each with the number of its word there.
    pub asked: Vec<(usize, String)>,
    /// What of the configuration is left out, and why.
    pub dropped: Vec<Warning>,
}

/// Something in the configuration that does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    path: Vec<String>,
    why: String,
}

impl Warning {
    /// One of a key, or of an item of its list.
    pub fn new(key: &str, item: Option<usize>, why: impl Into<String>) -> Self {
        let keys = key.split('.').map(str::to_owned);
        let path = keys.chain(item.map(|item| item.to_string())).collect();
        let why = why.into();
        Self { path, why }
    }

    /// One of a key whose parts may have dots in them.
    pub fn at(path: Vec<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { path, why }
    }

    /// With the place of it in the layer that says it.
    pub fn placed(&self, layers: &[Layer]) -> String {
        match crate::place(layers, &self.path) {
            Some(place) => format!("{place}: {self}"),
            None => self.to_string(),
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.path.iter().filter(|key| key.parse::<usize>().is_err());
        let key = key.map(String::as_str).collect::<Vec<_>>().join(".");
        write!(f, "{key}: {}", self.why)
    }
}

impl Config {
    /// What system-docker is started with.
    pub fn system_docker_arguments(&self) -> Arguments {
        let own: Vec<_> = SYSTEM.map(str::to_owned).into();
        merged(
            "system_docker_args",
            &own,
            &self.system_docker_args,
            // The engine reads their values itself, before it is PID 1.
            |name, word| (!SYSTEM_TAKES.contains(&name)).then(|| not_taken(word)),
        )
    }

    /// What of the engines' arguments does nothing, to be told.
    pub fn warnings(&self) -> Vec<Warning> {
        let both = [self.system_docker_arguments(), self.user_docker_arguments()];
        both.into_iter()
            .flat_map(|arguments| arguments.dropped)
            .chain(self.services_with_addons().1)
            .collect()
    }

    /// The same, each with its place.
    pub fn placed_warnings(&self, layers: &[Layer]) -> Vec<String> {
        let warnings = self.warnings();
        warnings
            .iter()
            .map(|warning| warning.placed(layers))
            .collect()
    }

    /// What both engines read at their start, and again at SIGHUP: the registries, with those that
    /// the arguments of either name.
    pub fn engine_settings(&self) -> String {
        let mut registries = self.registries.clone();
        let arguments = [&self.system_docker_args, &self.userdocker.args];
        for (name, word) in arguments
            .into_iter()
            .flat_map(|all| options(all))
            .filter_map(|(_, option)| option.ok().flatten())
        {
            // One that makes no sense is told of as one of the arguments.
            let _ = registries.take(&name, value_of(&word));
        }
        registries.engine_settings()
    }

    /// What the user's Docker is started with, the program first.
    pub fn user_docker_arguments(&self) -> Arguments {
        let own = self
            .services
            .get("userdocker")
            .map(|service: &Service| &service.command[..]);
        merged(
            "userdocker.args",
            own.unwrap_or_default(),
            &self.userdocker.args,
            |name, word| match USER_KEEPS.contains(&name) {
                true => Some(not_taken(word)),
                false => options::fault(name, value_of(word)),
            },
        )
    }
}

fn not_taken(word: &str) -> String {
    format!("`{word}` is not taken, the machine depends on its own")
}

fn merged(
    key: &str,
    own: &[String],
    asked: &[String],
    fault: impl Fn(&str, &str) -> Option<String>,
) -> Arguments {
    let mut words: Vec<_> = own
        .iter()
        .map(|word| word.replace(SOCKETS.0, SOCKETS.1))
        .collect();
    let (mut dropped, mut taken) = (Vec::new(), Vec::new());
    for (item, option) in options(asked) {
        let (name, word) = match option {
            Ok(Some(option)) => option,
            Ok(None) => continue,
            Err(why) => {
                dropped.push(Warning::new(key, Some(item), why));
                continue;
            }
        };
        if words.contains(&word) {
            continue;
        }
        let fault = match Registries::default().take(&name, value_of(&word)) {
            // An engine takes them from its arguments or from its file, not from both.
            Some(Ok(())) => continue,
            Some(Err(why)) => Some(why),
            None => fault(&name, &word),
        };
        if let Some(why) = fault {
            dropped.push(Warning::new(key, Some(item), why));
            continue;
        }
        taken.push((item, word.clone()));
        if !options::is_list(&name) {
            let before = format!("--{name}=");
            // A flag may stand there without a value.
            let bare = &before[..before.len() - 1];
            words.retain(|word| !word.starts_with(&before) && word != bare);
        }
        words.push(word);
    }
    Arguments {
        words,
        asked: taken,
        dropped,
    }
}

/// An option as its name and in the form `--name=value`; `None` is one that means nothing any more, and an
/// error says why one is left out.
type Asked = Result<Option<(String, String)>, String>;

/// The options in a list of words, each with the number of its word.
fn options(words: &[String]) -> Vec<(usize, Asked)> {
    let mut found = Vec::new();
    let mut words = words.iter().map(String::as_str).enumerate().peekable();
    while let Some((item, word)) = words.next() {
        let Some((name, mut value)) = named(word) else {
            let program = ["docker", "dockerd", "daemon"];
            let is_program = program.contains(&word.rsplit('/').next().unwrap_or(word));
            let option = if is_program {
                Ok(None)
            } else {
                Err(format!("`{word}` is no argument of Docker's"))
            };
            found.push((item, option));
            continue;
        };
        let is_flag = options::is_flag(&name) || GONE_FLAGS.contains(&name.as_str());
        if value.is_none() && !is_flag {
            value = words
                .next_if(|(_, next)| !next.starts_with('-'))
                .map(|(_, next)| next.to_owned());
            if value.is_none() {
                let why = match options::fault(&name, "") {
                    Some(why) if why.starts_with("Docker has no") => why,
                    _ => format!("`{word}` has no value"),
                };
                found.push((item, Err(why)));
                continue;
            }
        }
        let option = match name.as_str() {
            "daemon" => Ok(None),
            gone if GONE.contains(&gone) => Err(format!("Docker has no `{word}` any more")),
            _ => {
                let value = value.map_or_else(|| "true".into(), |value| current(&name, &value));
                Ok(Some((name.clone(), format!("--{name}={value}"))))
            }
        };
        found.push((item, option));
    }
    found
}

/// What stands after the name in `--name=value`.
fn value_of(word: &str) -> &str {
    word.split_once('=').map_or("", |(_, value)| value)
}

/// The name of an option today, and the value that stands with it.
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

/// A value as it is said today.
fn current(name: &str, value: &str) -> String {
    match (name, value) {
        ("storage-driver", "overlay" | "aufs" | "devicemapper") => "overlay2".into(),
        ("host", socket) => socket.replace(SOCKETS.0, SOCKETS.1),
        (_, other) => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::tests::config;

    #[test]
    fn the_arguments_of_2015_make_the_engine_of_today() {
        let sample = "system_docker_args: [docker, -d, -s, overlay, -b, none, --restart=false, -H, 'unix:///var/run/system-docker.sock']";
        let arguments = config(sample).system_docker_arguments();
        assert_eq!(arguments.words, SYSTEM);
        let dropped: Vec<_> = arguments.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(
            dropped,
            ["system_docker_args: Docker has no `--restart=false` any more"]
        );
    }

    #[test]
    fn system_docker_takes_nothing_that_could_end_it() {
        let asked = "system_docker_args: [-D, --data-root, /x, --log-level=info, --host=tcp://1.2.3.4:5, --nonsense, --icc=false, --dns, 1.1.1.1, --dns=8.8.8.8, what, -x]";
        let arguments = config(asked).system_docker_arguments();
        let added: Vec<_> = arguments
            .words
            .iter()
            .filter(|word| !SYSTEM.contains(&word.as_str()))
            .collect();
        assert_eq!(
            added,
            [
                "--debug=true",
                "--log-level=info",
                "--dns=1.1.1.1",
                "--dns=8.8.8.8"
            ]
        );
        assert!(!arguments.words.contains(&"--log-level=warn".into()));
        assert_eq!(arguments.dropped.len(), 6, "{:?}", arguments.dropped);
    }

    #[test]
    fn the_users_docker_keeps_what_the_machine_knows_it_by() {
        let asked = "userdocker: {args: [daemon, -G, people, --label=a=b, -g, /tmp, -H, 'tcp://127.0.0.1:1', -H, 'unix:///var/run/docker.sock']}";
        let config = config(asked);
        let arguments = config.user_docker_arguments();
        assert_eq!(arguments.words[0], "/usr/lib/rancher/user-docker");
        for word in ["--group=people", "--label=a=b", "--host=tcp://127.0.0.1:1"] {
            assert!(arguments.words.contains(&word.into()), "{word}");
        }
        assert!(!arguments.words.contains(&"--group=docker".into()));
        assert_eq!(arguments.dropped.len(), 1, "{:?}", arguments.dropped);
    }

    #[test]
    fn bad_word_of_the_users_docker_is_left_out_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = "userdocker:\n  args:\n  - --mtu=1400\n  - --nonsense\n  - --log-level\n  - chatty\n\
                    \x20 - -l\n  - info\n  - '--dns=x'\n  - --live-restore=false\n";
        std::fs::write(folder.path().join(crate::USER_LAYER), text).unwrap();
        let loaded = crate::load(folder.path(), "");
        assert_eq!(loaded.problems, []);
        let arguments = loaded.config.user_docker_arguments();
        let asked: Vec<_> = arguments
            .asked
            .iter()
            .map(|(item, word)| (*item, word.as_str()))
            .collect();
        assert_eq!(
            asked,
            [
                (0, "--mtu=1400"),
                (4, "--log-level=info"),
                (7, "--live-restore=false")
            ]
        );
        assert!(!arguments.words.contains(&"--live-restore".into()));
        let warnings = loaded.config.placed_warnings(&loaded.layers);
        let lines: Vec<_> = warnings
            .iter()
            .map(|one| one.split(':').nth(1).unwrap())
            .collect();
        assert_eq!(lines, ["4", "5", "9"], "{warnings:?}");
    }

    #[test]
    fn options_that_may_stand_there_twice_do_and_flags_need_no_value() {
        let pools = "--default-address-pool=base=10.1.0.0/16,size=24, --default-address-pool=base=10.2.0.0/16,size=24";
        let arguments = config(&format!(
            "userdocker: {{args: ['{}', --userland-proxy, --ipv6]}}",
            pools.replace(", --", "', '--")
        ));
        let arguments = arguments.user_docker_arguments();
        let many = arguments.words.iter();
        let many = many.filter(|word| word.starts_with("--default-address-pool="));
        assert_eq!(many.count(), 2);
        for word in ["--userland-proxy=true", "--ipv6=true"] {
            assert!(arguments.words.contains(&word.into()), "{word}");
        }
        assert_eq!(arguments.dropped, []);
    }

    #[test]
    fn registries_of_the_arguments_are_those_of_the_machine() {
        let text = "registries: {insecure: ['a:1']}\nsystem_docker_args: [--registry-mirror, m]\nuserdocker: {args: [--registry-mirror=http://m, --insecure-registry=b]}";
        let config = config(text);
        assert_eq!(
            config.engine_settings(),
            "{\"registry-mirrors\": [\"http://m\"], \"insecure-registries\": [\"a:1\", \"b\"]}\n"
        );
        let own = config.services["userdocker"].command.len();
        assert_eq!(config.user_docker_arguments().words.len(), own);
        let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            ["system_docker_args: `m` is no mirror; write `https://HOST` or `https://HOST:PORT`"]
        );
    }
}
