//! Applies single directives of a cloud-config.

use serde_yaml::{Mapping, Value};

use config::verbatim;

use super::directives::Reader;
use super::{commands, files, users};

impl Reader<'_> {
    /// Applies the directive `name`, which the document may spell as `key`.
    pub(super) fn apply(&mut self, name: &str, key: &str, value: &Value) {
        match name {
            "ssh_authorized_keys" => self.keys(key, value),
            "users" => self.accounts(users::read_users(self.text, key, value)),
            "groups" => self.accounts(users::read_groups(self.text, key, value)),
            "timezone" | "mounts" => self.merge(name, value),
            "ssh_pwauth" => self.passwords(key, value),
            "hostname" => match verbatim::text(value) {
                Some(hostname) => self.merge(name, &hostname.into()),
                None => self.problem(key, "ignored: `hostname` must be text"),
            },
            "bootcmd" => self.user_data.boot_commands = self.commands(key, value),
            "runcmd" => self.user_data.commands = self.commands(key, value),
            "fqdn" => match verbatim::text(value) {
                Some(name) => self.user_data.full_name = Some(name),
                None => self.problem(key, "ignored: `fqdn` must be text"),
            },
            "ntp" => self.ntp(key, value),
            "resolv_conf" => self.resolv_conf(key, value),
            _ => {
                let (files, problems) = files::read(self.text, key, value);
                self.user_data.files.extend(files);
                self.user_data.problems.extend(problems);
            }
        }
    }

    /// The script of a list of commands.
    fn commands(&mut self, key: &str, value: &Value) -> Option<Vec<u8>> {
        let (script, problems) = commands::read(self.text, key, value);
        self.user_data.problems.extend(problems);
        script
    }

    /// Time servers in the format of cloud-init: both `servers` and `pools` are used.
    fn ntp(&mut self, key: &str, value: &Value) {
        let mut servers = Vec::new();
        let Value::Mapping(entries) = value else {
            return self.problem(
                key,
                "ignored: `ntp` must be a mapping with `servers` and `pools`",
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

    /// DNS settings in the format of cloud-init.
    fn resolv_conf(&mut self, key: &str, value: &Value) {
        let Value::Mapping(entries) = value else {
            return self.problem(key, "ignored: `resolv_conf` must be a mapping");
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

    /// Users and groups. SSH keys of the machine's own user belong to the configuration.
    fn accounts(&mut self, accounts: users::Accounts) {
        self.user_data.users.extend(accounts.users);
        self.user_data.groups.extend(accounts.groups);
        self.user_data.problems.extend(accounts.problems);
        if !accounts.own_keys.is_empty() {
            let keys: Vec<_> = accounts.own_keys.into_iter().map(Value::from).collect();
            self.keys("ssh_authorized_keys", &Value::Sequence(keys));
        }
    }

    /// Whether SSH accepts passwords: `true`, `false`, or `unchanged`.
    fn passwords(&mut self, key: &str, value: &Value) {
        let word = verbatim::text(value).unwrap_or_default().to_lowercase();
        if word == "unchanged" {
            return;
        }
        match users::flag(key, value) {
            Ok(passwords) => {
                let ssh = Mapping::from_iter([("passwords".into(), passwords.into())]);
                self.merge("ssh", &Value::Mapping(ssh));
            }
            Err(message) => self.problem(key, message),
        }
    }

    /// Adds SSH keys; items that are not text are ignored.
    fn keys(&mut self, key: &str, value: &Value) {
        let list = match value {
            Value::Sequence(list) => list.as_slice(),
            // A text may contain several keys, as in a file of keys.
            Value::String(_) => std::slice::from_ref(value),
            _ => {
                return self.problem(key, "ignored: `ssh_authorized_keys` must be a list");
            }
        };
        let texts = list.iter().filter_map(Value::as_str);
        let lines = texts.flat_map(str::lines).map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        let keys: Vec<Value> = lines.map(Value::from).collect();
        let invalid = list.iter().filter(|one| one.as_str().is_none()).count();
        if invalid > 0 {
            let message = format!("ignored: {invalid} items of `ssh_authorized_keys` are not text");
            self.problem(key, message);
        }
        let more = self.user_data.layer.entry("ssh_authorized_keys".into());
        match more.or_insert_with(|| Value::Sequence(Vec::new())) {
            Value::Sequence(all) => all.extend(keys),
            other => *other = Value::Sequence(keys),
        }
    }
}
