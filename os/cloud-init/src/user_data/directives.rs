//! The directives of a cloud-config.
//!
//! A directive in the wrong place or misspelt is taken for what was meant, and said: user-data can
//! often not be changed any more, and a machine without its keys lets nobody in.

use serde_yaml::{Mapping, Value};

use config::written;

use super::{Kind, Told, commands, elsewhere, files, users};
use crate::Problem;

/// What can be told beside `rancher:`.
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

/// What people put directives below that belongs on top.
const WRAPPERS: [&str; 3] = ["cloud_config", "cloud_init", RANCHER];

/// What is merged into the configuration.
const RANCHER: &str = "rancher";

/// So many letters may be wrong.
const TYPOS: usize = 2;

pub(super) fn parse(text: &str) -> Told {
    let directives = match written::read(text) {
        Ok(Value::Mapping(directives)) => directives,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => return Told::broken(Problem::at(2, "it is not a mapping of directives")),
        Err(error) => {
            let line = error.location().map(|place| place.line());
            return Told::broken(Problem::at(line, error.to_string()));
        }
    };
    let mut reader = Reader {
        text,
        told: Told {
            kind: Kind::CloudConfig,
            ..Told::default()
        },
    };
    for (key, value) in &directives {
        reader.top(key, value);
    }
    // Its own name is not overruled by the longer one.
    if let Some(name) = reader.told.full_name.take()
        && !reader.told.layer.contains_key("hostname")
    {
        reader.merge("hostname", &name.into());
    }
    reader.told
}

/// The line in which a key is given, as far as the text alone tells: the first one.
pub(crate) fn line_of(text: &str, key: &str) -> Option<usize> {
    let gives = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        let rest = line.trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|rest| {
            rest.trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(':')
        })
    };
    text.lines().position(gives).map(|index| index + 1)
}

/// The line of an item of a list at the top, or of the key.
pub(super) fn line_at(text: &str, key: &str, item: Option<usize>) -> Option<usize> {
    let number = item.map(|item| item.to_string());
    let path: Vec<_> = [Some(key.to_owned()), number]
        .into_iter()
        .flatten()
        .collect();
    config::line(text, &path).or_else(|| line_of(text, key))
}

struct Reader<'a> {
    text: &'a str,
    told: Told,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, what: impl Into<String>) {
        let problem = Problem::at(line_at(self.text, key, None), what);
        self.told.problems.push(problem);
    }

    /// Tells a key below one at the top that is left out.
    fn unsupported(&mut self, outer: &str, key: &str) {
        let path = [outer.to_owned(), key.to_owned()];
        let what = format!("`{key}` below `{outer}` is not supported; it is ignored");
        let line = config::line(self.text, &path);
        self.told.problems.push(Problem::at(line, what));
    }

    /// A key at the top.
    fn top(&mut self, key: &Value, value: &Value) {
        let Some(key) = key.as_str() else {
            return self.problem("?", "a directive that is no word; it is ignored");
        };
        let name = key.replace('-', "_");
        if elsewhere::asks_for_nothing(&name, value) {
            return;
        }
        match value {
            Value::Mapping(inner) if name == RANCHER => self.rancher(key, inner),
            _ if name == RANCHER => self.problem(key, "`rancher` is no mapping; it is ignored"),
            Value::Mapping(inner)
                if WRAPPERS.contains(&name.as_str()) && holds_directive(inner) =>
            {
                self.wrapped(key, inner);
            }
            _ if elsewhere::key(&name).is_some() => self.elsewhere(key, &name),
            _ if self.directive(key, &name, value) => (),
            _ if config::is_key(&name) => {
                let what =
                    format!("`{key}` is taken as if it stood below `rancher:`; write it there");
                self.problem(key, what);
                self.merge(&name, value);
            }
            _ => {
                let hint = config::nearest(&name, &DIRECTIVES);
                let hint =
                    hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let what = format!("directive `{key}` is not known; it is ignored{hint}");
                self.problem(key, what);
            }
        }
    }

    /// A key of cloud-init that is none here.
    fn elsewhere(&mut self, key: &str, name: &str) {
        let instead = elsewhere::key(name).unwrap_or_default();
        let what = format!("`{key}` is not supported; it is ignored; hint: {instead}");
        self.problem(key, what);
    }

    /// What is merged into the configuration, but for directives that stand there by mistake.
    fn rancher(&mut self, outer: &str, inner: &Mapping) {
        for (key, value) in inner {
            let Some(key) = key.as_str() else {
                self.problem(
                    outer,
                    format!("a key below `{outer}` is no word; it is ignored"),
                );
                continue;
            };
            let name = key.replace('-', "_");
            match value {
                Value::Mapping(inner) if name == RANCHER => {
                    let what = "`rancher` below `rancher` is one too many; it is left out";
                    self.problem(key, what);
                    self.rancher(key, inner);
                }
                Value::Mapping(inner)
                    if WRAPPERS.contains(&name.as_str()) && holds_directive(inner) =>
                {
                    self.wrapped(key, inner);
                }
                // Also a key of the configuration, with other words.
                _ if name == "ntp" => self.merge(key, value),
                _ if is_directive(&name).is_some() => self.misplaced(outer, key, &name, value),
                _ => self.merge(key, value),
            }
        }
    }

    /// Directives below a key that should not be there.
    fn wrapped(&mut self, outer: &str, inner: &Mapping) {
        for (key, value) in inner {
            let key = key.as_str().unwrap_or_default();
            let name = key.replace('-', "_");
            match value {
                Value::Mapping(inner) if name == RANCHER => self.rancher(key, inner),
                _ if is_directive(&name).is_some() => self.misplaced(outer, key, &name, value),
                _ => self.problem(
                    key,
                    format!("`{key}` below `{outer}` is not known; it is ignored"),
                ),
            }
        }
    }

    fn misplaced(&mut self, outer: &str, key: &str, name: &str, value: &Value) {
        let what = format!("`{key}` stands below `{outer}`; it is understood, but write it on top");
        self.problem(key, what);
        self.directive(key, name, value);
    }

    /// A layer's key; of two that are mappings both hold.
    fn merge(&mut self, key: &str, value: &Value) {
        let mut layer = Value::Mapping(std::mem::take(&mut self.told.layer));
        let more = Mapping::from_iter([(Value::from(key), value.clone())]);
        config::merge(&mut layer, &Value::Mapping(more));
        if let Value::Mapping(layer) = layer {
            self.told.layer = layer;
        }
    }

    /// Does what a directive says; `false` where the name is none's.
    fn directive(&mut self, key: &str, name: &str, value: &Value) -> bool {
        let Some(known) = is_directive(name) else {
            return false;
        };
        if known != key {
            self.problem(key, format!("`{key}` is taken for `{known}`; write it so"));
        }
        match known {
            "ssh_authorized_keys" => self.keys(key, value),
            "users" => self.people(users::read_users(self.text, key, value)),
            "groups" => self.people(users::read_groups(self.text, key, value)),
            "timezone" | "mounts" => self.merge(known, value),
            "ssh_pwauth" => self.passwords(key, value),
            "hostname" => match written::text(value) {
                Some(name) => self.merge(known, &name.into()),
                None => self.problem(key, "`hostname` is no text; it is ignored"),
            },
            "bootcmd" => self.told.boot_commands = self.commands(key, value),
            "runcmd" => self.told.commands = self.commands(key, value),
            "fqdn" => match written::text(value) {
                Some(name) => self.told.full_name = Some(name),
                None => self.problem(key, "`fqdn` is no text; it is ignored"),
            },
            "ntp" => self.ntp(key, value),
            "resolv_conf" => self.resolv_conf(key, value),
            _ => {
                let (files, problems) = files::read(self.text, key, value);
                self.told.files.extend(files);
                self.told.problems.extend(problems);
            }
        }
        true
    }

    /// The script of a list of commands.
    fn commands(&mut self, key: &str, value: &Value) -> Option<Vec<u8>> {
        let (script, problems) = commands::read(self.text, key, value);
        self.told.problems.extend(problems);
        script
    }

    /// Time servers as cloud-init has them: `servers` and `pools` are all asked.
    fn ntp(&mut self, key: &str, value: &Value) {
        let mut servers = Vec::new();
        let Value::Mapping(entries) = value else {
            return self.problem(
                key,
                "`ntp` is no mapping of `servers` and `pools`; it is ignored",
            );
        };
        for (name, value) in entries {
            match name.as_str().unwrap_or_default() {
                "servers" | "pools" => servers.extend(value.as_sequence().into_iter().flatten()),
                "enabled" if value.as_bool() == Some(false) => {
                    servers.clear();
                    break;
                }
                "enabled" => (),
                other => self.unsupported(key, other),
            }
        }
        let is_off = entries.get("enabled").and_then(Value::as_bool) == Some(false);
        if is_off || !servers.is_empty() {
            let servers = servers.into_iter().cloned().collect();
            let servers = Mapping::from_iter([("servers".into(), Value::Sequence(servers))]);
            self.merge("ntp", &Value::Mapping(servers));
        }
    }

    /// Name servers as cloud-init has them.
    fn resolv_conf(&mut self, key: &str, value: &Value) {
        let Value::Mapping(entries) = value else {
            return self.problem(key, "`resolv_conf` is no mapping; it is ignored");
        };
        let mut dns = Mapping::new();
        for (name, value) in entries {
            match name.as_str().unwrap_or_default() {
                "nameservers" => drop(dns.insert("nameservers".into(), value.clone())),
                "searchdomains" => drop(dns.insert("search".into(), value.clone())),
                other => self.unsupported(key, other),
            }
        }
        self.merge("dns", &Value::Mapping(dns));
    }

    fn people(&mut self, people: users::People) {
        self.told.users.extend(people.users);
        self.told.groups.extend(people.groups);
        self.told.problems.extend(people.problems);
        if !people.own_keys.is_empty() {
            let keys: Vec<_> = people.own_keys.into_iter().map(Value::from).collect();
            self.keys("ssh_authorized_keys", &Value::Sequence(keys));
        }
    }

    /// Whether passwords are accepted over SSH: `true`, `false`, or `unchanged`.
    fn passwords(&mut self, key: &str, value: &Value) {
        let word = written::text(value).unwrap_or_default().to_lowercase();
        if word == "unchanged" {
            return;
        }
        match users::flag(key, value) {
            Ok(passwords) => {
                let ssh = Mapping::from_iter([("passwords".into(), passwords.into())]);
                self.merge("ssh", &Value::Mapping(ssh));
            }
            Err(what) => self.problem(key, what),
        }
    }

    /// The lines of a list of keys; what is no line of text is left out by itself.
    fn keys(&mut self, key: &str, value: &Value) {
        let list = match value {
            Value::Sequence(list) => list.as_slice(),
            // Several may stand in one text, as in a file of them.
            Value::String(_) => std::slice::from_ref(value),
            _ => {
                return self.problem(key, "`ssh_authorized_keys` is not a list; it is ignored");
            }
        };
        let texts = list.iter().filter_map(Value::as_str);
        let lines = texts.flat_map(str::lines).map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        let keys: Vec<Value> = lines.map(Value::from).collect();
        let bad = list.iter().filter(|one| one.as_str().is_none()).count();
        if bad > 0 {
            let what = format!("{bad} of `ssh_authorized_keys` are no text; they are ignored");
            self.problem(key, what);
        }
        let more = self.told.layer.entry("ssh_authorized_keys".into());
        match more.or_insert_with(|| Value::Sequence(Vec::new())) {
            Value::Sequence(all) => all.extend(keys),
            other => *other = Value::Sequence(keys),
        }
    }
}

/// The directive that a name is, or nearly is.
fn is_directive(name: &str) -> Option<&'static str> {
    let near = |known: &&&str| {
        let typos = TYPOS.min(known.len() / 4);
        strsim::damerau_levenshtein(known, name) <= typos
    };
    DIRECTIVES.iter().find(near).copied()
}

fn holds_directive(inner: &Mapping) -> bool {
    let name = |key: &Value| key.as_str().map(|key| key.replace('-', "_"));
    let mut names = inner.keys().filter_map(name);
    names.any(|name| name == RANCHER || is_directive(&name).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn told(body: &str) -> Told {
        parse(format!("#cloud-config\n{body}").as_bytes())
    }

    fn said(told: &Told) -> Vec<String> {
        told.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn directives_become_a_layer() {
        let told = told(
            "ssh_authorized_keys:\n- ssh-ed25519 AAAA me\nhostname: pot\n\
             rancher:\n  state: {required: true}\n  modules: [dummy]\n",
        );
        assert_eq!(told.problems, []);
        let layer = Value::Mapping(told.layer);
        assert_eq!(layer["ssh_authorized_keys"][0], "ssh-ed25519 AAAA me");
        assert_eq!(layer["hostname"], "pot");
        assert_eq!(layer["state"]["required"], true);
        assert_eq!(layer["modules"][0], "dummy");
    }

    #[test]
    fn what_is_nested_by_mistake_is_understood_and_said() {
        for body in [
            "rancher:\n  ssh_authorized_keys: [k]\n  hostname: pot\n  modules: [m]\n",
            "cloud-config:\n  ssh_authorized_keys: [k]\n  hostname: pot\n  rancher: {modules: [m]}\n",
            "rancher:\n  rancher:\n    modules: [m]\n    ssh_authorized_keys: [k]\n    hostname: pot\n",
            "ssh-authorized-keys: [k]\nhostnam: pot\nrancher: {rancher: {modules: [m]}}\n",
            "ssh_authorised_keys: k\nhostname: pot\nmodules: [m]\n",
            "cloud_init:\n  ssh_authorized_keys: [k]\nhostname: pot\nmodules: [m]\n",
        ] {
            let told = told(body);
            assert!(!told.problems.is_empty(), "{body}");
            assert!(
                told.problems.iter().all(|one| one.line.is_some()),
                "{:?}",
                said(&told)
            );
            let layer = Value::Mapping(told.layer);
            assert_eq!(layer["ssh_authorized_keys"][0], "k", "{body}");
            assert_eq!(layer["hostname"], "pot", "{body}");
            assert_eq!(layer["modules"][0], "m", "{body}");
        }
    }

    #[test]
    fn where_user_data_comes_from_is_configuration() {
        let told = told("rancher:\n  cloud_init:\n    datasources: [ec2]\n");
        assert_eq!(said(&told), Vec::<String>::new());
        assert_eq!(
            Value::Mapping(told.layer)["cloud_init"]["datasources"][0],
            "ec2"
        );
    }

    #[test]
    fn a_mistake_beside_the_keys_does_not_lock_out() {
        let told = told("packages: 3\nssh_authorized_keys: [k, 7]\nhostname: [x]\nrancher: 1\n");
        let layer = Value::Mapping(told.layer.clone());
        assert_eq!(layer["ssh_authorized_keys"].as_sequence().unwrap().len(), 1);
        let lines: Vec<_> = told.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(
            lines,
            [Some(2), Some(3), Some(4), Some(5)],
            "{:?}",
            said(&told)
        );
    }

    #[test]
    fn what_cloud_init_knows_is_done_or_told_with_what_to_use_instead() {
        let told = told(
            "fqdn: box.example.org\nntp: {pools: [a], servers: [b], config: {x: 1}}\n\
             resolv_conf: {nameservers: [1.1.1.1], searchdomains: [x.org], options: {}}\n\
             manage_etc_hosts: true\npackage_update: false\npassword: tea\n\
             packages: [vim]\nusers-and-more: 1\nlocale: C\nca-certs: {}\nruncmds: [ls]\n",
        );
        let layer = Value::Mapping(told.layer.clone());
        assert_eq!(layer["hostname"], "box.example.org");
        let servers: Vec<_> = layer["ntp"]["servers"]
            .as_sequence()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(servers, ["a", "b"]);
        assert_eq!(layer["dns"]["search"][0], "x.org");
        assert_eq!(layer["password"], "tea");
        assert!(told.commands.is_some());
        let said = said(&told);
        let lines: Vec<_> = told.problems.iter().map(|problem| problem.line).collect();
        let wanted = [3, 4, 7, 8, 9, 10, 11, 12].map(Some);
        assert_eq!(lines, wanted, "{said:?}");
        assert!(
            said[3].contains("hint: run the program as a container"),
            "{}",
            said[3]
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let told = told("hostname: x\nwrite_files: [\n");
        assert_eq!(told.kind, Kind::Broken);
        assert!(
            told.problems[0].line.is_some_and(|line| line >= 3),
            "{:?}",
            said(&told)
        );
        assert_eq!(
            super::super::parse(b"#cloud-config\n- a\n").kind,
            Kind::Broken
        );
        assert_eq!(super::super::parse(b"#cloud-config\n").problems, []);
    }
}
