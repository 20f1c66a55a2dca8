//! Reads `users` and `groups` in the format of cloud-init.

use config::verbatim;
use serde_yaml::{Mapping, Value};

use super::line_of;
use crate::Problem;

/// A user to create. The defaults are those of `useradd`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct User {
    /// The account.
    pub(crate) account: accounts::NewUser,
    /// Lines for `authorized_keys`.
    pub(crate) keys: Vec<String>,
    /// Rules for sudoers(5), without the name.
    pub(crate) sudo: Vec<String>,
    /// Whether missing groups are created.
    pub(crate) create_groups: bool,
    /// The line of the user.
    pub(crate) line: Option<usize>,
}

/// A group to create, with its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// The name.
    pub(crate) name: String,
    /// Names of users.
    pub(crate) members: Vec<String>,
    /// The line of the group.
    pub(crate) line: Option<usize>,
}

/// The user that every machine has, and the name by which cloud-init refers to such a user.
const OWN: [&str; 2] = ["default", "rancher"];

/// Keys that are accepted and have no effect here.
const NO_EFFECT: [&str; 2] = ["no_log_init", "name"];

/// The result of reading a directive.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
    /// SSH keys of the machine's own user.
    pub(super) own_keys: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// Reads `users`: a list of names and mappings, or comma-separated names.
pub(super) fn read_users(text: &str, key: &str, value: &Value) -> Accounts {
    let mut accounts = Accounts::default();
    let items = match value {
        Value::Sequence(items) => items.clone(),
        Value::String(_) => texts(value).into_iter().map(Value::from).collect(),
        Value::Mapping(_) => vec![value.clone()],
        _ => {
            let message = format!("ignored: `{key}` must be a list");
            let line = line_of(text, key);
            accounts.problems.push(Problem::at(line, message));
            return accounts;
        }
    };
    for item in &items {
        match item {
            Value::String(name) => accounts.add_names(text, key, name),
            Value::Mapping(definition) => Reader::new(text, key, definition).read(&mut accounts),
            _ => {
                let message =
                    format!("ignored: an item of `{key}` is neither a name nor a mapping");
                let line = line_of(text, key);
                accounts.problems.push(Problem::at(line, message));
            }
        }
    }
    accounts
}

/// Reads `groups`: a list of names and of mappings from a name to members, or comma-separated names.
pub(super) fn read_groups(text: &str, key: &str, value: &Value) -> Accounts {
    let mut accounts = Accounts::default();
    let line = line_of(text, key);
    let mut add = |name: &str, members: Vec<String>| {
        let line = line_of(text, name).or(line);
        let name = name.to_owned();
        accounts.groups.push(Group {
            name,
            members,
            line,
        });
    };
    let mut invalid = 0;
    let items = match value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    for item in items {
        match item {
            Value::String(_) => texts(item).iter().for_each(|name| add(name, vec![])),
            Value::Mapping(groups) => {
                for (name, members) in groups {
                    match name.as_str() {
                        Some(name) => add(name, texts(members)),
                        None => invalid += 1,
                    }
                }
            }
            _ => invalid += 1,
        }
    }
    if invalid > 0 {
        let message = format!("ignored: {invalid} items of `{key}` are not names");
        accounts.problems.push(Problem::at(line, message));
    }
    accounts
}

impl Accounts {
    /// Adds users without any settings.
    fn add_names(&mut self, text: &str, key: &str, names: &str) {
        for name in texts(&names.into()) {
            if !OWN.contains(&name.as_str()) {
                let account = accounts::NewUser {
                    name,
                    ..accounts::NewUser::default()
                };
                self.users.push(User {
                    account,
                    line: line_of(text, key),
                    ..User::default()
                });
            }
        }
    }
}

/// Reads the mapping of one user.
struct Reader<'a> {
    text: &'a str,
    definition: &'a Mapping,
    /// The first line of the mapping, found without a YAML parser.
    start: usize,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, key: &str, definition: &'a Mapping) -> Self {
        let first = line_of(text, key).unwrap_or(1);
        let name = definition.get("name").and_then(Value::as_str);
        let start = name.and_then(|name| {
            let mut lines = text.lines().enumerate().skip(first - 1);
            let names = |line: &str| line.contains("name") && line.contains(name);
            lines.find_map(|(index, line)| names(line).then_some(index + 1))
        });
        Self {
            text,
            definition,
            start: start.unwrap_or(first),
            problems: Vec::new(),
        }
    }

    fn read(mut self, accounts: &mut Accounts) {
        let name = self.definition.get("name").and_then(Value::as_str);
        let Some(name) = name.map(str::to_owned) else {
            let message = "ignored: a user without a `name`";
            accounts.problems.push(Problem::at(self.start, message));
            return;
        };
        let user = self.user(name.clone());
        if OWN.contains(&name.as_str()) {
            accounts.own_keys.extend(user.keys.clone());
            self.check_own(&name, &user);
        } else {
            accounts.users.push(user);
        }
        accounts.problems.append(&mut self.problems);
    }

    fn user(&mut self, name: String) -> User {
        let mut user = User {
            create_groups: true,
            line: Some(self.start),
            ..User::default()
        };
        user.account.name = name;
        let (mut hash, mut locked) = (None, false);
        let definition = self.definition;
        for (key, value) in definition {
            let key = key.as_str().unwrap_or_default();
            let account = &mut user.account;
            match key.replace('-', "_").as_str() {
                "gecos" => self.set(key, text(key, value), &mut account.comment),
                "homedir" => self.set_some(key, value, &mut account.home),
                "shell" => self.set_some(key, value, &mut account.shell),
                "primary_group" => self.set_some(key, value, &mut account.group),
                "groups" => account.groups = texts(value),
                "no_create_home" => self.set(key, flag(key, value), &mut account.no_home),
                "no_user_group" => self.set(key, flag(key, value), &mut account.no_user_group),
                "system" => self.set(key, flag(key, value), &mut account.system),
                "uid" => match number(value) {
                    Some(uid) => account.uid = Some(uid),
                    None => self.problem(key, format!("ignored: `{key}` must be a number")),
                },
                "passwd" | "hashed_passwd" => self.set_some(key, value, &mut hash),
                "lock_passwd" => self.set(key, flag(key, value), &mut locked),
                "ssh_authorized_keys" => user.keys = lines(value),
                // The value `false` yields no lines.
                "sudo" => user.sudo = lines(value),
                "create_groups" => self.set(key, flag(key, value), &mut user.create_groups),
                "plain_text_passwd" => {
                    let message = format!("ignored: `{key}`; hint: set `passwd` to its hash");
                    self.problem(key, message);
                }
                known if NO_EFFECT.contains(&known) => (),
                _ => self.problem(key, format!("ignored: unknown key `{key}` of a user")),
            }
        }
        user.account.password = match (hash, locked) {
            (Some(hash), true) => Some(format!("!{hash}")),
            (hash, _) => hash,
        };
        user
    }

    /// Reports settings of the machine's own user other than SSH keys.
    fn check_own(&mut self, name: &str, user: &User) {
        let own = User {
            keys: user.keys.clone(),
            line: user.line,
            create_groups: user.create_groups,
            account: accounts::NewUser {
                name: name.to_owned(),
                ..accounts::NewUser::default()
            },
            ..User::default()
        };
        if *user != own {
            let message = format!(
                "only `ssh_authorized_keys` applies to the machine's own user `{name}`; hint: set its \
                 password with `rancher: {{ password: … }}`"
            );
            self.problems.push(Problem::at(self.start, message));
        }
    }

    fn set<T>(&mut self, key: &str, value: Result<T, String>, field: &mut T) {
        match value {
            Ok(value) => *field = value,
            Err(message) => self.problem(key, message),
        }
    }

    fn set_some(&mut self, key: &str, value: &Value, field: &mut Option<String>) {
        match text(key, value) {
            Ok(value) => *field = Some(value),
            Err(message) => self.problem(key, message),
        }
    }

    /// Records a problem of a key; its line is searched from the user's name on.
    fn problem(&mut self, key: &str, message: String) {
        let rest: String = self
            .text
            .lines()
            .skip(self.start - 1)
            .map(|line| format!("{line}\n"))
            .collect();
        let line = line_of(&rest, key).map_or(self.start, |line| self.start + line - 1);
        self.problems.push(Problem::at(line, message));
    }
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    verbatim::text(value).ok_or_else(|| format!("ignored: `{key}` must be text"))
}

/// Reads a boolean of YAML 1.1.
pub(super) fn flag(key: &str, value: &Value) -> Result<bool, String> {
    match verbatim::text(value)
        .unwrap_or_default()
        .to_lowercase()
        .as_str()
    {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err(format!("ignored: `{key}` must be `true` or `false`")),
    }
}

fn number(value: &Value) -> Option<u32> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value
        .as_u64()
        .and_then(|number| number.try_into().ok())
        .or(text)
}

/// Names: a list, or comma-separated text.
fn texts(value: &Value) -> Vec<String> {
    let items = match value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let words = items.iter().filter_map(|item| match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let words = words.flat_map(|text| {
        let words = text.split(',').map(|word| word.trim().to_owned());
        words.collect::<Vec<_>>()
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// The lines of a text or of a list of texts.
fn lines(value: &Value) -> Vec<String> {
    let items = match value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let lines = items.iter().filter_map(Value::as_str).flat_map(str::lines);
    let lines = lines.map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{UserData, parse};

    fn user_data(body: &str) -> UserData {
        parse(format!("#cloud-config\n{body}").as_bytes())
    }

    #[test]
    fn user_has_the_settings_of_user_data() {
        let user_data = user_data(
            "users:\n- default\n- name: ann\n  uid: 2000\n  gecos: Ann\n  groups: docker, tea\n  \
             primary_group: users\n  homedir: /opt/ann\n  no_create_home: true\n  system: false\n  \
             shell: /bin/sh\n  passwd: $6$x\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  \
             ssh_authorized_keys: [k1, k2]\n- bob\n",
        );
        assert_eq!(user_data.problems, []);
        let [ann, bob] = user_data.users.as_slice() else {
            panic!("{:?}", user_data.users)
        };
        let account = &ann.account;
        assert_eq!((account.name.as_str(), account.uid), ("ann", Some(2000)));
        assert_eq!(account.groups, ["docker", "tea"]);
        assert_eq!(account.group.as_deref(), Some("users"));
        assert_eq!(account.home.as_deref(), Some("/opt/ann"));
        assert!(account.no_home && !account.system);
        assert_eq!(account.password.as_deref(), Some("$6$x"));
        assert_eq!(ann.sudo, ["ALL=(ALL) NOPASSWD:ALL"]);
        assert_eq!(ann.keys, ["k1", "k2"]);
        assert_eq!(ann.line, Some(4));
        assert_eq!(bob.account.name, "bob");
    }

    #[test]
    fn password_is_locked_when_lock_passwd_is_true() {
        let locked = |lock: &str| {
            let user_data = user_data(&format!("users: [{{name: ann, passwd: h{lock}}}]\n"));
            user_data.users[0].account.password.clone().unwrap()
        };
        assert_eq!(locked(""), "h");
        assert_eq!(locked(", lock_passwd: false"), "h");
        assert_eq!(locked(", lock_passwd: true"), "!h");
    }

    #[test]
    fn keys_of_the_own_user_belong_to_the_configuration() {
        let user_data = user_data("users:\n- name: rancher\n  ssh_authorized_keys: k\n");
        assert_eq!((user_data.problems.len(), user_data.users.len()), (0, 0));
        assert_eq!(user_data.layer["ssh_authorized_keys"][0], "k");
        let user_data = self::user_data("users:\n- name: rancher\n  shell: /bin/sh\n");
        assert_eq!(user_data.problems[0].line, Some(3));
    }

    #[test]
    fn invalid_settings_of_a_user_are_reported_with_their_lines() {
        let user_data = user_data(
            "users:\n- name: ann\n  shell: [a]\n  expiredate: tomorrow\n- shell: /bin/sh\n- 7\n\
             groups: [tea, milk: [ann, bob]]\n",
        );
        let lines: Vec<_> = user_data
            .problems
            .iter()
            .map(|problem| problem.line)
            .collect();
        assert_eq!(
            lines,
            [Some(4), Some(5), Some(2), Some(2)],
            "{:?}",
            user_data.problems
        );
        assert_eq!(user_data.users.len(), 1);
        let groups: Vec<_> = user_data
            .groups
            .iter()
            .map(|one| (one.name.as_str(), one.members.len()))
            .collect();
        assert_eq!(groups, [("tea", 0), ("milk", 2)]);
    }

    #[test]
    fn ssh_pwauth_and_timezone_belong_to_the_configuration() {
        let user_data = user_data("ssh_pwauth: true\ntimezone: Europe/Berlin\n");
        assert_eq!(user_data.problems, []);
        assert_eq!(user_data.layer["ssh"]["passwords"], true);
        assert_eq!(user_data.layer["timezone"], "Europe/Berlin");
    }
}
