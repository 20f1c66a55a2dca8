//! The layers of the configuration, and loading the merged result.

mod stack;

use std::path::Path;

use serde_yaml::Value;

use crate::document::normalized;
use crate::{
    CLOUD_LAYER, Config, Consequence, Document, FOLDER, GENERATED_LAYER, GOOD_LAYER, Problem,
    USER_LAYER,
};
use stack::Stack;

/// The compiled defaults.
const DEFAULTS: &str = include_str!("defaults.yml");

/// A loaded configuration and the problems found in it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration in effect.
    pub config: Config,
    /// The merged document that `config` was read from.
    pub merged: Value,
    /// The values that were ignored or corrected; the boot prints them on the console.
    pub problems: Vec<Problem>,
    /// Whether the last good document replaces the user's document.
    pub last_good: bool,
    /// The layers that were merged, the lowest first, without the defaults.
    pub layers: Vec<Layer>,
}

impl Loaded {
    /// Whether a layer sets the host name. If none does, DHCP may set it.
    pub fn sets_hostname(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.any(|layer| layer.value.get("hostname").is_some())
    }
}

/// A merged layer.
#[derive(Debug)]
pub struct Layer {
    /// The path of the file or the kernel argument, for messages.
    pub name: String,
    /// The valid values of the layer.
    pub value: Value,
    /// The document, if the layer is a file.
    pub document: Option<Document>,
}

impl Layer {
    /// Whether this is the user's document, or the last good one that replaces it.
    pub fn is_users(&self) -> bool {
        let name = self.document.as_ref().map(|one| Path::new(&one.name));
        name.is_some_and(|name| name.ends_with(USER_LAYER) || name.ends_with(GOOD_LAYER))
    }
}

/// The location of the value at a path in the uppermost layer that sets it.
pub fn location(layers: &[Layer], path: &[String]) -> Option<String> {
    let layer = layers
        .iter()
        .rev()
        .find(|layer| crate::path::get(&layer.value, path).is_some())?;
    Some(match &layer.document {
        Some(document) => document.location(path),
        None => layer.name.clone(),
    })
}

/// The document of the compiled defaults.
pub fn defaults() -> Value {
    normalized(serde_yaml::from_str(DEFAULTS).expect("the compiled defaults are valid"))
}

/// Loads this machine's configuration: the layers in [`FOLDER`] and `/proc/cmdline`.
pub fn load_machine() -> Loaded {
    // Without /proc there are no arguments to read.
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    load(FOLDER.as_ref(), &cmdline)
}

/// Loads the layers in `folder` and a kernel command line.
pub fn load(folder: &Path, cmdline: &str) -> Loaded {
    let mut stack = Stack::defaults();
    stack.add_file(&folder.join(GENERATED_LAYER));
    stack.add_user_document(folder);
    stack.add_file(&folder.join(CLOUD_LAYER));
    stack.add_arguments(cmdline);
    stack.finish()
}

/// Loads the configuration that applies before any disk is mounted: the defaults and a kernel command
/// line.
pub fn from_cmdline(cmdline: &str) -> Loaded {
    let mut stack = Stack::defaults();
    stack.add_arguments(cmdline);
    stack.finish()
}

/// The problems of a document, checked without the other layers.
pub fn check(document: &Document) -> Vec<Problem> {
    let mut stack = Stack::defaults();
    stack.add_document(document.clone());
    let problems = stack.problems.into_iter();
    problems
        .map(|problem| Problem {
            consequence: Consequence::None,
            ..problem
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn with(user: &str, cmdline: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(USER_LAYER), user).unwrap();
        let mut loaded = load(folder.path(), cmdline);
        for problem in &mut loaded.problems {
            problem.location = problem
                .location
                .replace(&*folder.path().to_string_lossy(), "CONF");
        }
        loaded
    }

    /// The configuration of a valid user document.
    pub(crate) fn config(user: &str) -> Config {
        let loaded = with(user, "");
        assert_eq!(loaded.problems, []);
        loaded.config
    }

    fn problems(loaded: &Loaded) -> Vec<String> {
        loaded.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_are_valid_and_refer_only_to_existing_services() {
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
    fn sets_hostname_is_true_when_a_layer_has_the_key() {
        assert!(!with("", "").sets_hostname());
        assert!(with("hostname: box\n", "").sets_hostname());
        assert!(with("", "rancher.hostname=rancher").sets_hostname());
    }

    #[test]
    fn merge_preserves_sibling_keys() {
        let state = with("", "rancher.state.required=true").config.state;
        assert_eq!(
            (state.dev.as_str(), state.fstype.as_str()),
            ("LABEL=RANCHER_STATE", "auto")
        );
        assert!(state.required);
    }

    #[test]
    fn kernel_argument_disables_a_service() {
        let services = with("", "rancher.services.syslog.disabled").config.services;
        assert!(services["syslog"].disabled && !services["console"].disabled);
        assert_eq!(services["syslog"].command, ["/usr/sbin/syslog"]);
    }

    #[test]
    fn image_of_a_user_service_expands_the_version() {
        let own = "services: { mine: { image: 'rancher/os-base:${VERSION}' } }\n";
        let services = with(own, "").config.services;
        assert!(services["mine"].image.ends_with(crate::VERSION));
        assert!(services.contains_key("console"));
    }

    #[test]
    fn environment_values_are_read_as_text() {
        let loaded = with(
            "environment: { A: 1, B: true }\n",
            "rancher.environment.C=2",
        );
        let variables: Vec<_> = loaded.config.environment.values().collect();
        assert_eq!(variables, ["1", "true", "2"]);
        assert_eq!(with("environment: { A: [] }\n", "").problems.len(), 1);
    }

    #[test]
    fn text_values_keep_their_spelling_in_every_key_and_layer() {
        let text = "hostname: 007\npassword: 1.10\nenvironment: {RELEASE: 1.10, HEX: 0x10, 2.0: True}\n\
                    dns: {search: [1e3]}\nservices: {mine: {image: 1.0, privileged: True, \
                    command: [sleep, 3600, 1.50], labels: {v: 1.20}, environment: [7]}}\n\
                    addons: {a: {services: {b: {image: x, labels: {v: 1.30}, disabled: False}}}}\n\
                    enabledAddons: [a]\nregistries: {credentials: {a: {username: 010, password: 2.50}}}\n\
                    network: {interfaces: {eth0: {mtu: 0x5dc, dhcp: FALSE}, br0: {bridge: True}}}\n";
        let check = |loaded: &Loaded| {
            let config = &loaded.config;
            assert_eq!(problems(loaded), Vec::<String>::new());
            assert_eq!(config.password.as_deref(), Some("1.10"));
            assert_eq!(config.hostname, "007");
            let environment: Vec<_> = config.environment.iter().collect();
            let text = |text: &str| text.to_owned();
            assert_eq!(environment[0], (&text("2.0"), &text("True")));
            assert_eq!(environment[1], (&text("HEX"), &text("0x10")));
            assert_eq!(environment[2], (&text("RELEASE"), &text("1.10")));
            assert_eq!(config.dns.search, ["1e3"]);
            let services = config.effective_services();
            let mine = &services["mine"];
            assert!(mine.privileged && mine.image == "1.0" && mine.labels["v"] == "1.20");
            assert_eq!(mine.command, ["sleep", "3600", "1.50"]);
            assert_eq!(services["b"].labels["v"], "1.30");
            let credentials = config.registries.credentials_for("a.b/c");
            assert_eq!(credentials, None);
            assert_eq!(config.network.interfaces["eth0"].mtu, Some(1500));
            assert_eq!(config.network.interfaces["eth0"].dhcp, Some(false));
            let bridge = config.network.interfaces["br0"].bridge.as_ref();
            assert_eq!(bridge, Some(&crate::Bridge::Is(true)));
        };
        check(&with(text, ""));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CLOUD_LAYER), text).unwrap();
        check(&load(folder.path(), ""));
        let argument = |text: &str| with("", text).config;
        assert_eq!(argument("rancher.hostname=007").hostname, "007");
        assert_eq!(
            argument("rancher.environment.R=1.10").environment["R"],
            "1.10"
        );
        assert_eq!(argument("rancher.dns.search=[007]").dns.search, ["007"]);
    }

    #[test]
    fn kernel_command_line_overrides_the_file() {
        let loaded = with("hostname: one\n", "rancher.hostname=two");
        assert_eq!(loaded.config.hostname, "two");
    }

    #[test]
    fn hostname_is_ignored_when_invalid_and_cut_when_too_long() {
        let loaded = with("hostname: my_box\nmodules: [tun]\n", "");
        assert_eq!(loaded.config.hostname, "rancher");
        assert_eq!(loaded.config.modules, ["tun"]);
        let problem = &problems(&loaded)[0];
        assert!(
            problem.starts_with(
                "CONF/rancher.yml:1:1: ignored: `hostname`: `my_box` is not a host name"
            ),
            "{problem}"
        );
        let long = format!("box.{}", "long.".repeat(20));
        let loaded = with(&format!("# x\nhostname: {long}org\n"), "");
        assert_eq!(loaded.config.hostname, "box");
        let problem = &problems(&loaded)[0];
        assert!(
            problem.starts_with("CONF/rancher.yml:2:1: ")
                && problem.ends_with("the host name is `box`"),
            "{problem}"
        );
        let loaded = with(
            "hostname: x\n",
            &format!("rancher.hostname={}", "a".repeat(70)),
        );
        assert_eq!(
            (loaded.config.hostname.len(), loaded.problems.len()),
            (63, 1)
        );
        let loaded = with("hostname: x\n", "rancher.hostname=a_b");
        assert_eq!(
            (loaded.config.hostname.as_str(), loaded.problems.len()),
            ("x", 1)
        );
    }

    #[test]
    fn sysctl_accepts_dotted_names_and_nested_mappings() {
        let loaded = with(
            "sysctl: {vm.max_map_count: 262144, net: {core.somaxconn: 0x10}}\n",
            "rancher.sysctl.vm.max_map_count=1",
        );
        let settings = |loaded: &Loaded| {
            let all = loaded.config.sysctl.iter();
            let all = all.map(|(name, value)| format!("{name}={value}"));
            all.collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            settings(&loaded),
            "net.core.somaxconn=0x10; vm.max_map_count=1"
        );
        let loaded = with("sysctl:\n  vm.a: 1\n  vm/../b: 2\n", "");
        assert_eq!(settings(&loaded), "vm.a=1");
        assert_eq!(loaded.problems[0].location, "CONF/rancher.yml:3:3");
    }

    #[test]
    fn password_of_digits_is_read_as_text() {
        assert_eq!(
            with("", "rancher.password=0123").config.password.as_deref(),
            Some("0123")
        );
    }

    #[test]
    fn invalid_values_are_ignored_and_the_others_apply() {
        let loaded = with(
            "hostname: x\nstate: 3\nhostnam: y\n",
            "rancher.state.required=maybe rancher.x.y",
        );
        assert_eq!(loaded.config.hostname, "x");
        assert!(!loaded.config.state.required);
        insta::assert_yaml_snapshot!(problems(&loaded));
    }

    #[test]
    fn malformed_yaml_is_ignored_and_reported_with_its_line() {
        let loaded = with("hostname: x\n  bad: [\n", "");
        assert_eq!(loaded.config.hostname, "rancher");
        assert!(
            problems(&loaded)[0].contains("line 2"),
            "{:?}",
            problems(&loaded)
        );
    }

    #[test]
    fn problem_does_not_print_a_secret() {
        let loaded = with("", "rancher.password.x=geheim");
        assert!(!problems(&loaded)[0].contains("geheim"));
    }

    #[test]
    fn invalid_list_item_is_ignored_and_the_other_items_apply() {
        let loaded = with("ssh_authorized_keys: [a, [], b]\n", "");
        assert_eq!(loaded.config.ssh_authorized_keys, ["a", "b"]);
        assert_eq!(loaded.problems[0].location, "CONF/rancher.yml:1:26");
    }

    #[test]
    fn last_good_document_applies_when_the_users_document_is_invalid() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(GOOD_LAYER, "hostname: good\nmodules: [loop]\n");
        for (bad, line) in [
            ("hostname: bad\nmodules: loop\n", 2),
            ("hostname: bad\nmodules: [\n", 3),
        ] {
            write(USER_LAYER, bad);
            let loaded = load(folder.path(), "rancher.rescue");
            assert!(loaded.last_good && loaded.config.rescue);
            assert_eq!(loaded.config.hostname, "good");
            assert!(
                problems(&loaded)[0].contains(&format!("rancher.yml:{line}:")),
                "{:?}",
                problems(&loaded)
            );
        }
        write(USER_LAYER, "hostname: unknown\nfuture: 1\n");
        let loaded = load(folder.path(), "");
        assert!(!loaded.last_good && loaded.problems.len() == 1);
        assert_eq!(loaded.config.hostname, "unknown");
    }

    #[test]
    fn both_forms_of_dns_merge() {
        let dns = with("dns: [1.1.1.1]\n", "rancher.dns.search=[a.org]")
            .config
            .dns;
        assert_eq!((dns.nameservers.len(), dns.search.len()), (1, 1));
        let dns = with("", "rancher.dns=[8.8.8.8,8.8.4.4]").config.dns;
        assert_eq!(dns.nameservers, ["8.8.8.8", "8.8.4.4"]);
    }
}
