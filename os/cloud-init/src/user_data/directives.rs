//! Parses the directives of a cloud-config.
//!
//! A misplaced or misspelt directive is applied as intended and reported: user-data often cannot be
//! changed any more, and a machine without its SSH keys lets no user in.

use serde_yaml::{Mapping, Value};

use config::verbatim;

use super::lines::line_at;
use super::unsupported;
use super::{Kind, UserData};
use crate::Problem;

/// The supported top-level directives besides `rancher`.
const DIRECTIVES: [&str; 13] = [
    "ssh_authorized_keys",
    "hostname",
    "write_files",
    "bootcmd",
    "runcmd",
    "fqdn",
    "ntp",
    "resolv_conf",
    "users",
    "groups",
    "timezone",
    "mounts",
    "ssh_pwauth",
];

/// Keys that users nest top-level directives below by mistake.
const WRAPPERS: [&str; 3] = ["cloud_config", "cloud_init", RANCHER];

/// The directive that is merged into the configuration.
const RANCHER: &str = "rancher";

/// The maximum edit distance of a misspelt directive.
const MAX_TYPOS: usize = 2;

pub(super) fn parse(text: &str) -> UserData {
    let directives = match verbatim::parse(text) {
        Ok(Value::Mapping(directives)) => directives,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => return UserData::broken(Problem::at(2, "not a mapping of directives")),
        Err(error) => {
            let line = error.location().map(|location| location.line());
            return UserData::broken(Problem::at(line, error.to_string()));
        }
    };
    let mut reader = Reader {
        text,
        user_data: UserData {
            kind: Kind::CloudConfig,
            ..UserData::default()
        },
    };
    for (key, value) in &directives {
        reader.top_level(key, value);
    }
    // `hostname` has priority over `fqdn`.
    if let Some(name) = reader.user_data.full_name.take()
        && !reader.user_data.layer.contains_key("hostname")
    {
        reader.merge("hostname", &name.into());
    }
    reader.user_data
}

/// Reads directives into user-data.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) user_data: UserData,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let problem = Problem::at(line_at(self.text, key, None), message);
        self.user_data.problems.push(problem);
    }

    /// Reports an unsupported key below a top-level key.
    pub(super) fn unsupported(&mut self, outer: &str, key: &str) {
        let path = [outer.to_owned(), key.to_owned()];
        let message = format!("ignored: `{key}` below `{outer}` is not supported");
        let line = config::line(self.text, &path);
        self.user_data.problems.push(Problem::at(line, message));
    }

    fn top_level(&mut self, key: &Value, value: &Value) {
        let Some(key) = key.as_str() else {
            return self.problem("?", "ignored: a directive that is not text");
        };
        let name = key.replace('-', "_");
        if unsupported::is_no_op(&name, value) {
            return;
        }
        match value {
            Value::Mapping(inner) if name == RANCHER => self.rancher(key, inner),
            _ if name == RANCHER => self.problem(key, "ignored: `rancher` must be a mapping"),
            Value::Mapping(inner)
                if WRAPPERS.contains(&name.as_str()) && holds_directive(inner) =>
            {
                self.wrapped(key, inner);
            }
            _ if unsupported::key_replacement(&name).is_some() => self.unsupported_key(key, &name),
            _ if self.directive(key, &name, value) => (),
            _ if config::is_key(&name) => {
                let message = format!(
                    "`{key}` is applied as if it were below `rancher:`; hint: move it there"
                );
                self.problem(key, message);
                self.merge(&name, value);
            }
            _ => {
                let hint = config::nearest(&name, &DIRECTIVES).map_or_else(String::new, |near| {
                    format!("; hint: did you mean `{near}`?")
                });
                let message = format!("ignored: unknown directive `{key}`{hint}");
                self.problem(key, message);
            }
        }
    }

    /// Reports a directive of cloud-init that is not supported.
    fn unsupported_key(&mut self, key: &str, name: &str) {
        let hint = unsupported::key_replacement(name).unwrap_or_default();
        self.problem(
            key,
            format!("ignored: `{key}` is not supported; hint: {hint}"),
        );
    }

    /// Merges the mapping into the configuration, except for directives that are below it by mistake.
    fn rancher(&mut self, outer: &str, inner: &Mapping) {
        for (key, value) in inner {
            let Some(key) = key.as_str() else {
                self.problem(
                    outer,
                    format!("ignored: a key below `{outer}` that is not text"),
                );
                continue;
            };
            let name = key.replace('-', "_");
            match value {
                Value::Mapping(inner) if name == RANCHER => {
                    let message = "`rancher` is nested twice; hint: remove one of them";
                    self.problem(key, message);
                    self.rancher(key, inner);
                }
                Value::Mapping(inner)
                    if WRAPPERS.contains(&name.as_str()) && holds_directive(inner) =>
                {
                    self.wrapped(key, inner);
                }
                // This is also a key of the configuration, with a different format.
                _ if name == "ntp" => self.merge(key, value),
                _ if similar_directive(&name).is_some() => self.misplaced(outer, key, &name, value),
                _ => self.merge(key, value),
            }
        }
    }

    /// Reads directives that are below a key by mistake.
    fn wrapped(&mut self, outer: &str, inner: &Mapping) {
        for (key, value) in inner {
            let key = key.as_str().unwrap_or_default();
            let name = key.replace('-', "_");
            match value {
                Value::Mapping(inner) if name == RANCHER => self.rancher(key, inner),
                _ if similar_directive(&name).is_some() => self.misplaced(outer, key, &name, value),
                _ => self.problem(key, format!("ignored: unknown key `{key}` below `{outer}`")),
            }
        }
    }

    fn misplaced(&mut self, outer: &str, key: &str, name: &str, value: &Value) {
        let message =
            format!("`{key}` is below `{outer}` and is applied; hint: move it to the top level");
        self.problem(key, message);
        self.directive(key, name, value);
    }

    /// Merges a key into the layer; mappings are merged key by key.
    pub(super) fn merge(&mut self, key: &str, value: &Value) {
        let mut layer = Value::Mapping(std::mem::take(&mut self.user_data.layer));
        let more = Mapping::from_iter([(Value::from(key), value.clone())]);
        config::merge(&mut layer, &Value::Mapping(more));
        if let Value::Mapping(layer) = layer {
            self.user_data.layer = layer;
        }
    }

    /// Applies a directive. Returns false if there is no directive of this or a similar name.
    fn directive(&mut self, key: &str, name: &str, value: &Value) -> bool {
        let Some(known) = similar_directive(name) else {
            return false;
        };
        if known != key {
            self.problem(
                key,
                format!("`{key}` is read as `{known}`; hint: correct the name"),
            );
        }
        self.apply(known, key, value);
        true
    }
}

/// The directive with the same or a similar name.
fn similar_directive(name: &str) -> Option<&'static str> {
    let is_similar = |known: &&&str| {
        let typos = MAX_TYPOS.min(known.len() / 4);
        strsim::damerau_levenshtein(known, name) <= typos
    };
    DIRECTIVES.iter().find(is_similar).copied()
}

fn holds_directive(inner: &Mapping) -> bool {
    let name = |key: &Value| key.as_str().map(|key| key.replace('-', "_"));
    let mut names = inner.keys().filter_map(name);
    names.any(|name| name == RANCHER || similar_directive(&name).is_some())
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::super::{Kind, UserData, parse};

    fn user_data(body: &str) -> UserData {
        parse(format!("#cloud-config\n{body}").as_bytes())
    }

    fn messages(user_data: &UserData) -> Vec<String> {
        user_data.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn directives_become_a_layer() {
        let user_data = user_data(
            "ssh_authorized_keys:\n- ssh-ed25519 AAAA me\nhostname: pot\n\
             rancher:\n  state: {required: true}\n  modules: [dummy]\n",
        );
        assert_eq!(user_data.problems, []);
        let layer = Value::Mapping(user_data.layer);
        assert_eq!(layer["ssh_authorized_keys"][0], "ssh-ed25519 AAAA me");
        assert_eq!(layer["hostname"], "pot");
        assert_eq!(layer["state"]["required"], true);
        assert_eq!(layer["modules"][0], "dummy");
    }

    #[test]
    fn misplaced_directives_apply_and_are_reported() {
        for body in [
            "rancher:\n  ssh_authorized_keys: [k]\n  hostname: pot\n  modules: [m]\n",
            "cloud-config:\n  ssh_authorized_keys: [k]\n  hostname: pot\n  rancher: {modules: [m]}\n",
            "rancher:\n  rancher:\n    modules: [m]\n    ssh_authorized_keys: [k]\n    hostname: pot\n",
            "ssh-authorized-keys: [k]\nhostnam: pot\nrancher: {rancher: {modules: [m]}}\n",
            "ssh_authorised_keys: k\nhostname: pot\nmodules: [m]\n",
            "cloud_init:\n  ssh_authorized_keys: [k]\nhostname: pot\nmodules: [m]\n",
        ] {
            let user_data = user_data(body);
            assert!(!user_data.problems.is_empty(), "{body}");
            assert!(
                user_data.problems.iter().all(|one| one.line.is_some()),
                "{:?}",
                messages(&user_data)
            );
            let layer = Value::Mapping(user_data.layer);
            assert_eq!(layer["ssh_authorized_keys"][0], "k", "{body}");
            assert_eq!(layer["hostname"], "pot", "{body}");
            assert_eq!(layer["modules"][0], "m", "{body}");
        }
    }

    #[test]
    fn datasources_below_rancher_are_configuration() {
        let user_data = user_data("rancher:\n  cloud_init:\n    datasources: [ec2]\n");
        assert_eq!(messages(&user_data), Vec::<String>::new());
        assert_eq!(
            Value::Mapping(user_data.layer)["cloud_init"]["datasources"][0],
            "ec2"
        );
    }

    #[test]
    fn keys_apply_when_other_directives_are_invalid() {
        let user_data =
            user_data("packages: 3\nssh_authorized_keys: [k, 7]\nhostname: [x]\nrancher: 1\n");
        let layer = Value::Mapping(user_data.layer.clone());
        assert_eq!(layer["ssh_authorized_keys"].as_sequence().unwrap().len(), 1);
        let lines: Vec<_> = user_data
            .problems
            .iter()
            .map(|problem| problem.line)
            .collect();
        assert_eq!(
            lines,
            [Some(2), Some(3), Some(4), Some(5)],
            "{:?}",
            messages(&user_data)
        );
    }

    #[test]
    fn cloud_init_directives_apply_or_are_reported_with_a_replacement() {
        let user_data = user_data(
            "fqdn: box.example.org\nntp: {pools: [a], servers: [b], config: {x: 1}}\n\
             resolv_conf: {nameservers: [1.1.1.1], searchdomains: [x.org], options: {}}\n\
             manage_etc_hosts: true\npackage_update: false\npassword: tea\n\
             packages: [vim]\nusers-and-more: 1\nlocale: C\nca-certs: {}\nruncmds: [ls]\n",
        );
        let layer = Value::Mapping(user_data.layer.clone());
        assert_eq!(layer["hostname"], "box.example.org");
        let servers: Vec<_> = layer["ntp"]["servers"]
            .as_sequence()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(servers, ["a", "b"]);
        assert_eq!(layer["dns"]["search"][0], "x.org");
        assert_eq!(layer["password"], "tea");
        assert!(user_data.commands.is_some());
        let messages = messages(&user_data);
        let lines: Vec<_> = user_data
            .problems
            .iter()
            .map(|problem| problem.line)
            .collect();
        let wanted = [3, 4, 7, 8, 9, 10, 11, 12].map(Some);
        assert_eq!(lines, wanted, "{messages:?}");
        assert!(
            messages[3].contains("hint: run the program as a container"),
            "{}",
            messages[3]
        );
    }

    #[test]
    fn malformed_yaml_is_broken_and_reported_with_its_line() {
        let user_data = user_data("hostname: x\nwrite_files: [\n");
        assert_eq!(user_data.kind, Kind::Broken);
        assert!(
            user_data.problems[0].line.is_some_and(|line| line >= 3),
            "{:?}",
            messages(&user_data)
        );
        assert_eq!(parse(b"#cloud-config\n- a\n").kind, Kind::Broken);
        assert_eq!(parse(b"#cloud-config\n").problems, []);
    }
}
