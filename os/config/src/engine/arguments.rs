//! Merges the configured arguments into the arguments that the machine sets.

use super::words::{options, value_of, with_current_socket};
use super::{Warning, options as table};
use crate::{Config, Layer, Registries, Service};

/// The arguments of system-docker. It creates no networks, because only the machine uses it.
const SYSTEM: [&str; 19] = [
    "--bridge=none",
    "--config-file=/run/engine-registries.json",
    "--containerd=/run/containerd/containerd.sock",
    "--containerd-namespace=system",
    "--containerd-plugins-namespace=system-plugins",
    "--data-root=/var/lib/system-docker",
    "--exec-opt=native.cgroupdriver=cgroupfs",
    "--exec-root=/run/system-docker",
    // Members of `sudo` can become root without a password anyway; other users have no access.
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

/// The options of system-docker that the configuration may set. None of them keeps an engine from
/// starting whose values passed `dockerd --validate`. `icc` is not among them: the engine would fail
/// later, because it requires packet filter rules.
const SYSTEM_SETTABLE: [&str; 6] = [
    "debug",
    "dns",
    "dns-search",
    "label",
    "log-level",
    "selinux-enabled",
];

/// Options of the user's Docker that the machine relies on; the configuration cannot set them.
const USER_FIXED: [&str; 7] = [
    "config-file",
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "data-root",
    "exec-root",
    "pidfile",
];

/// Arguments of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// All arguments.
    pub words: Vec<String>,
    /// The arguments that come from the configuration, each with the index of its word there.
    pub asked: Vec<(usize, String)>,
    /// Arguments of the configuration that are dropped, with the reason.
    pub(crate) dropped: Vec<Warning>,
}

impl Config {
    /// The arguments that system-docker is started with.
    pub fn system_docker_arguments(&self) -> Arguments {
        let own: Vec<_> = SYSTEM.map(str::to_owned).into();
        merged(
            "system_docker_args",
            &own,
            &self.system_docker_args,
            // The engine validates the values itself before it becomes PID 1.
            |name, word| (!SYSTEM_SETTABLE.contains(&name)).then(|| not_settable(word)),
        )
    }

    /// Settings of the engines and addons that have no effect.
    pub fn warnings(&self) -> Vec<Warning> {
        let both = [self.system_docker_arguments(), self.user_docker_arguments()];
        both.into_iter()
            .flat_map(|arguments| arguments.dropped)
            .chain(self.services_with_addons().1)
            .collect()
    }

    /// Settings of the engines and addons that have no effect, each with its location.
    pub fn placed_warnings(&self, layers: &[Layer]) -> Vec<String> {
        let warnings = self.warnings();
        warnings
            .iter()
            .map(|warning| warning.placed(layers))
            .collect()
    }

    /// The file that both engines read when they start and again on SIGHUP: the registries, with the
    /// registries that the arguments of either engine name.
    pub fn engine_settings(&self) -> String {
        let mut registries = self.registries.clone();
        let arguments = [&self.system_docker_args, &self.userdocker.args];
        for (name, word) in arguments
            .into_iter()
            .flat_map(|all| options(all))
            .filter_map(|(_, option)| option.ok().flatten())
        {
            // An invalid registry is reported as a dropped argument.
            let _ = registries.take(&name, value_of(&word));
        }
        registries.engine_settings()
    }

    /// The command line of the user's Docker; the first word is the program.
    pub fn user_docker_arguments(&self) -> Arguments {
        let own = self
            .services
            .get("userdocker")
            .map(|service: &Service| &service.command[..]);
        merged(
            "userdocker.args",
            own.unwrap_or_default(),
            &self.userdocker.args,
            |name, word| {
                if USER_FIXED.contains(&name) {
                    Some(not_settable(word))
                } else {
                    table::error(name, value_of(word))
                }
            },
        )
    }
}

fn not_settable(word: &str) -> String {
    format!("`{word}` cannot be set, because the machine depends on its own value")
}

/// Merges the requested arguments into the machine's own; `error` says why an option is not accepted.
fn merged(
    key: &str,
    own: &[String],
    requested: &[String],
    error: impl Fn(&str, &str) -> Option<String>,
) -> Arguments {
    let mut words: Vec<_> = own.iter().map(|word| with_current_socket(word)).collect();
    let (mut dropped, mut accepted) = (Vec::new(), Vec::new());
    for (item, option) in options(requested) {
        let (name, word) = match option {
            Ok(Some(option)) => option,
            Ok(None) => continue,
            Err(message) => {
                dropped.push(Warning::new(key, Some(item), message));
                continue;
            }
        };
        if words.contains(&word) {
            continue;
        }
        let error = match Registries::default().take(&name, value_of(&word)) {
            // An engine accepts registries from its arguments or from its file, not from both.
            Some(Ok(())) => continue,
            Some(Err(message)) => Some(message),
            None => error(&name, &word),
        };
        if let Some(message) = error {
            dropped.push(Warning::new(key, Some(item), message));
            continue;
        }
        accepted.push((item, word.clone()));
        replace(&mut words, &name, word);
    }
    Arguments {
        words,
        asked: accepted,
        dropped,
    }
}

/// Adds an option. It replaces an earlier one of the same name unless the option may be repeated.
fn replace(words: &mut Vec<String>, name: &str, word: String) {
    if !table::is_repeatable(name) {
        let with_value = format!("--{name}=");
        let flag = format!("--{name}");
        words.retain(|word| !word.starts_with(&with_value) && *word != flag);
    }
    words.push(word);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::tests::config;

    #[test]
    fn arguments_of_2015_are_translated_to_current_ones() {
        let sample = "system_docker_args: [docker, -d, -s, overlay, -b, none, --restart=false, -H, 'unix:///var/run/system-docker.sock']";
        let arguments = config(sample).system_docker_arguments();
        assert_eq!(arguments.words, SYSTEM);
        let dropped: Vec<_> = arguments.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(
            dropped,
            ["system_docker_args: Docker no longer has the option `--restart=false`"]
        );
    }

    #[test]
    fn system_docker_drops_options_that_could_make_it_exit() {
        let text = "system_docker_args: [-D, --data-root, /x, --log-level=info, --host=tcp://1.2.3.4:5, --nonsense, --icc=false, --dns, 1.1.1.1, --dns=8.8.8.8, what, -x]";
        let arguments = config(text).system_docker_arguments();
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
    fn user_docker_drops_options_that_the_machine_relies_on() {
        let text = "userdocker: {args: [daemon, -G, people, --label=a=b, -g, /tmp, -H, 'tcp://127.0.0.1:1', -H, 'unix:///var/run/docker.sock']}";
        let config = config(text);
        let arguments = config.user_docker_arguments();
        assert_eq!(arguments.words[0], "/usr/lib/rancher/user-docker");
        for word in ["--group=people", "--label=a=b", "--host=tcp://127.0.0.1:1"] {
            assert!(arguments.words.contains(&word.into()), "{word}");
        }
        assert!(!arguments.words.contains(&"--group=docker".into()));
        assert_eq!(arguments.dropped.len(), 1, "{:?}", arguments.dropped);
    }

    #[test]
    fn invalid_user_docker_argument_is_dropped_and_reported_with_its_line() {
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
    fn repeatable_options_accumulate_and_flags_need_no_value() {
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
    fn registries_in_arguments_move_to_the_engine_file() {
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
            [
                "system_docker_args: `m` is not a mirror; hint: write `https://HOST` or `https://HOST:PORT`"
            ]
        );
    }
}
