//! Layers: which there are, and what comes of merging them.

mod stack;

use std::path::Path;

use serde_yaml::Value;

use crate::document::layer;
use crate::{CLOUD_LAYER, Config, Document, GENERATED_LAYER, GOOD_LAYER, Problem, USER_LAYER};
use stack::Stack;

/// The compiled defaults.
const DEFAULTS: &str = include_str!("defaults.yml");

/// A configuration, and what had to be left out of it.
#[derive(Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The same before it was read into types, all layers merged.
    pub merged: Value,
    /// What was left out, to be shown on the console.
    pub problems: Vec<Problem>,
    /// Whether the last good document holds in place of the user's.
    pub last_good: bool,
    /// What was merged, the lowest first.
    pub layers: Vec<Layer>,
}

impl Loaded {
    /// Whether somebody gave the machine its name: otherwise DHCP may.
    pub fn names_machine(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.any(|layer| layer.value.get("hostname").is_some())
    }
}

/// What was merged.
#[derive(Debug)]
pub struct Layer {
    /// As it is named to people.
    pub name: String,
    /// What it says, as far as that holds.
    pub value: Value,
    /// The file that it comes from.
    pub document: Option<Document>,
}

impl Layer {
    /// Whether it is the user's document, or the last good one in its place.
    pub fn is_users(&self) -> bool {
        let name = self.document.as_ref().map(|one| Path::new(&one.name));
        name.is_some_and(|name| name.ends_with(USER_LAYER) || name.ends_with(GOOD_LAYER))
    }
}

/// Where the uppermost layer that says something at a path says it.
pub fn place(layers: &[Layer], path: &[String]) -> Option<String> {
    let says = |layer: &&Layer| crate::path::get(&layer.value, path).is_some();
    let layer = layers.iter().rev().find(says)?;
    let document = layer.document.as_ref();
    Some(document.map_or_else(|| layer.name.clone(), |document| document.place(path)))
}

/// Merges `upper` into `lower`: mappings key by key, anything else takes the place of what was there.
pub fn merge(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Mapping(lower), Value::Mapping(upper)) => {
            for (key, value) in upper {
                merge(lower.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}

/// The document of the compiled defaults.
pub fn defaults() -> Value {
    layer(serde_yaml::from_str(DEFAULTS).expect("the compiled defaults are valid"))
}

/// The configuration of the layers in `folder` and of a kernel command line.
pub fn load(folder: &Path, cmdline: &str) -> Loaded {
    let mut stack = Stack::defaults();
    stack.add_file(&folder.join(GENERATED_LAYER));
    stack.add_user_document(folder);
    stack.add_file(&folder.join(CLOUD_LAYER));
    stack.add_arguments(cmdline);
    stack.finish()
}

/// The configuration before any disk is there: the defaults and a kernel command line.
pub fn from_cmdline(cmdline: &str) -> Loaded {
    let mut stack = Stack::defaults();
    stack.add_arguments(cmdline);
    stack.finish()
}

/// All that is wrong with a document by itself.
pub fn check(document: &Document) -> Vec<Problem> {
    let mut stack = Stack::defaults();
    stack.add_document(document.clone());
    let quiet = |problem| Problem { so: "", ..problem };
    stack.problems.into_iter().map(quiet).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn with(user: &str, cmdline: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(USER_LAYER), user).unwrap();
        let mut loaded = load(folder.path(), cmdline);
        for problem in &mut loaded.problems {
            problem.place = problem
                .place
                .replace(&*folder.path().to_string_lossy(), "CONF");
        }
        loaded
    }

    /// The configuration of a user who made no mistake.
    pub(crate) fn config(user: &str) -> Config {
        let loaded = with(user, "");
        assert_eq!(loaded.problems, []);
        loaded.config
    }

    fn problems(loaded: &Loaded) -> Vec<String> {
        loaded.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_whole() {
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
    fn a_machine_has_a_name_where_a_layer_says_one() {
        assert!(!with("", "").names_machine());
        assert!(with("hostname: box\n", "").names_machine());
        assert!(with("", "rancher.hostname=rancher").names_machine());
    }

    #[test]
    fn siblings_of_what_is_set_are_kept() {
        let state = with("", "rancher.state.required=true").config.state;
        assert_eq!(
            (state.dev.as_str(), state.fstype.as_str()),
            ("LABEL=RANCHER_STATE", "auto")
        );
        assert!(state.required);
    }

    #[test]
    fn a_service_is_left_out_by_an_argument() {
        let services = with("", "rancher.services.syslog.disabled").config.services;
        assert!(services["syslog"].disabled && !services["console"].disabled);
        assert_eq!(services["syslog"].command, ["/usr/sbin/syslog"]);
    }

    #[test]
    fn a_service_of_ones_own_may_use_the_images_of_this_version() {
        let own = "services: { mine: { image: 'rancher/os-base:${VERSION}' } }\n";
        let services = with(own, "").config.services;
        assert!(services["mine"].image.ends_with(crate::VERSION));
        assert!(services.contains_key("console"));
    }

    #[test]
    fn variables_are_text_whatever_they_look_like() {
        let loaded = with(
            "environment: { A: 1, B: true }\n",
            "rancher.environment.C=2",
        );
        let variables: Vec<_> = loaded.config.environment.values().collect();
        assert_eq!(variables, ["1", "true", "2"]);
        assert_eq!(with("environment: { A: [] }\n", "").problems.len(), 1);
    }

    #[test]
    fn text_is_as_it_was_written_in_every_key_and_layer() {
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
    fn the_command_line_wins_over_the_file() {
        let loaded = with("hostname: one\n", "rancher.hostname=two");
        assert_eq!(loaded.config.hostname, "two");
    }

    #[test]
    fn a_name_that_is_none_is_left_out_and_one_that_is_too_long_is_cut() {
        let loaded = with("hostname: my_box\nmodules: [tun]\n", "");
        assert_eq!(loaded.config.hostname, "rancher");
        assert_eq!(loaded.config.modules, ["tun"]);
        let told = &problems(&loaded)[0];
        assert!(
            told.starts_with("CONF/rancher.yml:1:1: `hostname`: `my_box` is no host name"),
            "{told}"
        );
        let long = format!("box.{}", "long.".repeat(20));
        let loaded = with(&format!("# x\nhostname: {long}org\n"), "");
        assert_eq!(loaded.config.hostname, "box");
        let told = &problems(&loaded)[0];
        assert!(
            told.starts_with("CONF/rancher.yml:2:1: ") && told.ends_with("is called `box`"),
            "{told}"
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
    fn kernel_settings_are_one_list_however_they_are_written() {
        let loaded = with(
            "sysctl: {vm.max_map_count: 262144, net: {core.somaxconn: 0x10}}\n",
            "rancher.sysctl.vm.max_map_count=1",
        );
        let settings: Vec<_> = loaded.config.sysctl.iter().collect();
        let text = |text: &str| text.to_owned();
        let somaxconn = (&text("net.core.somaxconn"), &text("0x10"));
        assert_eq!(
            settings,
            [somaxconn, (&text("vm.max_map_count"), &text("1"))]
        );
        let loaded = with("sysctl:\n  vm.a: 1\n  vm/../b: 2\n", "");
        assert_eq!(loaded.config.sysctl.len(), 1);
        assert_eq!(loaded.problems[0].place, "CONF/rancher.yml:3:3");
    }

    #[test]
    fn a_password_of_digits_is_text() {
        assert_eq!(
            with("", "rancher.password=0123").config.password.as_deref(),
            Some("0123")
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_holds() {
        let loaded = with(
            "hostname: x\nstate: 3\nhostnam: y\n",
            "rancher.state.required=maybe rancher.x.y",
        );
        assert_eq!(loaded.config.hostname, "x");
        assert!(!loaded.config.state.required);
        insta::assert_yaml_snapshot!(problems(&loaded));
    }

    #[test]
    fn malformed_yaml_is_left_out_with_its_line() {
        let loaded = with("hostname: x\n  bad: [\n", "");
        assert_eq!(loaded.config.hostname, "rancher");
        assert!(
            problems(&loaded)[0].contains("line 2"),
            "{:?}",
            problems(&loaded)
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let loaded = with("", "rancher.password.x=geheim");
        assert!(!problems(&loaded)[0].contains("geheim"));
    }

    #[test]
    fn a_mistake_in_a_list_leaves_the_rest_of_it() {
        let loaded = with("ssh_authorized_keys: [a, [], b]\n", "");
        assert_eq!(loaded.config.ssh_authorized_keys, ["a", "b"]);
        assert_eq!(loaded.problems[0].place, "CONF/rancher.yml:1:26");
    }

    #[test]
    fn the_last_good_document_holds_in_place_of_a_bad_one() {
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
    fn both_forms_of_dns_are_merged() {
        let dns = with("dns: [1.1.1.1]\n", "rancher.dns.search=[a.org]")
            .config
            .dns;
        assert_eq!((dns.nameservers.len(), dns.search.len()), (1, 1));
        let dns = with("", "rancher.dns=[8.8.8.8,8.8.4.4]").config.dns;
        assert_eq!(dns.nameservers, ["8.8.8.8", "8.8.4.4"]);
    }
}
