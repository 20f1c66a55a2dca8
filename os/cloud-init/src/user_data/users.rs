//! `users` and `groups`: people whom a cloud wants to be known, in the words of cloud-init.

use config::written;
use serde_yaml::{Mapping, Value};

use super::line_of;
use crate::Problem;

/// Somebody who is to be known. What is not said is as `useradd` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub account: accounts::NewUser,
    /// Lines for `authorized_keys`.
    pub keys: Vec<String>,
    /// Rules for sudoers(5), without the name.
    pub sudo: Vec<String>,
    /// Whether groups that are not there are made.
    pub make_groups: bool,
    /// Where it stands.
    pub line: Option<usize>,
}

/// A group that is to be known, and who is to be in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The names of users.
    pub members: Vec<String>,
    /// Where it stands.
    pub line: Option<usize>,
}

/// The user that every machine has, by the name that cloud-init has for such a one, too.
pub(super) const OWN: [&str; 2] = ["default", "rancher"];

/// Keys that mean nothing here, and harm nobody.
const HARMLESS: [&str; 2] = ["no_log_init", "name"];

/// What came of a directive.
#[derive(Default)]
pub(super) struct People {
    pub users: Vec<User>,
    pub groups: Vec<Group>,
    /// Keys of the machine's own user.
    pub own_keys: Vec<String>,
    pub problems: Vec<Problem>,
}

/// Reads `users`: a list of names and mappings, or names between commas.
pub(super) fn read_users(text: &str, key: &str, value: &Value) -> People {
    let mut people = People::default();
    let items = match value {
        Value::Sequence(items) => items.clone(),
        Value::String(_) => texts(value).into_iter().map(Value::from).collect(),
        Value::Mapping(_) => vec![value.clone()],
        _ => {
            let what = format!("`{key}` is not a list; it is ignored");
            people.problems.push(Problem::at(line_of(text, key), what));
            return people;
        }
    };
    for item in &items {
        match item {
            Value::String(name) => people.named(text, key, name),
            Value::Mapping(about) => Reader::new(text, key, about).read(&mut people),
            _ => {
                let what = format!("one of `{key}` is neither a name nor a mapping; it is ignored");
                people.problems.push(Problem::at(line_of(text, key), what));
            }
        }
    }
    people
}

/// Reads `groups`: a list of names and of mappings from a name to members, or names between commas.
pub(super) fn read_groups(text: &str, key: &str, value: &Value) -> People {
    let mut people = People::default();
    let line = line_of(text, key);
    let mut add = |name: &str, members: Vec<String>| {
        let line = line_of(text, name).or(line);
        let name = name.to_owned();
        people.groups.push(Group {
            name,
            members,
            line,
        });
    };
    let mut bad = 0;
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
                        None => bad += 1,
                    }
                }
            }
            _ => bad += 1,
        }
    }
    if bad > 0 {
        let what = format!("{bad} of `{key}` are no names; they are ignored");
        people.problems.push(Problem::at(line, what));
    }
    people
}

impl People {
    fn named(&mut self, text: &str, key: &str, names: &str) {
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
    about: &'a Mapping,
    /// Where it begins, as far as the text alone tells.
    start: usize,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, key: &str, about: &'a Mapping) -> Self {
        let first = line_of(text, key).unwrap_or(1);
        let name = about.get("name").and_then(Value::as_str);
        let start = name.and_then(|name| {
            let mut lines = text.lines().enumerate().skip(first - 1);
            let names = |line: &str| line.contains("name") && line.contains(name);
            lines.find_map(|(index, line)| names(line).then_some(index + 1))
        });
        Self {
            text,
            about,
            start: start.unwrap_or(first),
            problems: Vec::new(),
        }
    }

    fn read(mut self, people: &mut People) {
        let name = self.about.get("name").and_then(Value::as_str);
        let Some(name) = name.map(str::to_owned) else {
            let what = "a user without a `name`; it is ignored";
            people.problems.push(Problem::at(self.start, what));
            return;
        };
        let user = self.user(name.clone());
        if OWN.contains(&name.as_str()) {
            people.own_keys.extend(user.keys.clone());
            self.doubt_own(&name, &user);
        } else {
            people.users.push(user);
        }
        people.problems.append(&mut self.problems);
    }

    fn user(&mut self, name: String) -> User {
        let mut user = User {
            make_groups: true,
            line: Some(self.start),
            ..User::default()
        };
        user.account.name = name;
        let (mut hash, mut locked) = (None, false);
        let about = self.about;
        for (key, value) in about {
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
                    None => self.problem(key, format!("`{key}` is no number; it is ignored")),
                },
                "passwd" | "hashed_passwd" => self.set_some(key, value, &mut hash),
                "lock_passwd" => self.set(key, flag(key, value), &mut locked),
                "ssh_authorized_keys" => user.keys = lines(value),
                // `false` is no rule.
                "sudo" => user.sudo = lines(value),
                "create_groups" => self.set(key, flag(key, value), &mut user.make_groups),
                "plain_text_passwd" => {
                    let what = format!("`{key}` is ignored; write the hash of it as `passwd`");
                    self.problem(key, what);
                }
                known if HARMLESS.contains(&known) => (),
                _ => self.problem(
                    key,
                    format!("`{key}` of a user is not known; it is ignored"),
                ),
            }
        }
        user.account.password = match (hash, locked) {
            (Some(hash), true) => Some(format!("!{hash}")),
            (hash, _) => hash,
        };
        user
    }

    /// What is said of the machine's own user beside keys.
    fn doubt_own(&mut self, name: &str, user: &User) {
        let own = User {
            keys: user.keys.clone(),
            line: user.line,
            make_groups: user.make_groups,
            account: accounts::NewUser {
                name: name.to_owned(),
                ..accounts::NewUser::default()
            },
            ..User::default()
        };
        if *user != own {
            let what = format!(
                "`{name}` is the machine's own user: of what is said here only `ssh_authorized_keys` \
                 holds; its password is `rancher: {{ password: … }}`"
            );
            self.problems.push(Problem::at(self.start, what));
        }
    }

    fn set<T>(&mut self, key: &str, value: Result<T, String>, place: &mut T) {
        match value {
            Ok(value) => *place = value,
            Err(what) => self.problem(key, what),
        }
    }

    fn set_some(&mut self, key: &str, value: &Value, place: &mut Option<String>) {
        match text(key, value) {
            Ok(value) => *place = Some(value),
            Err(what) => self.problem(key, what),
        }
    }

    /// Tells what is wrong with a key, with its line from the user's name on.
    fn problem(&mut self, key: &str, what: String) {
        let rest: String = self
            .text
            .lines()
            .skip(self.start - 1)
            .map(|line| format!("{line}\n"))
            .collect();
        let line = line_of(&rest, key).map_or(self.start, |line| self.start + line - 1);
        self.problems.push(Problem::at(line, what));
    }
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    written::text(value).ok_or_else(|| format!("`{key}` is no text; it is ignored"))
}

pub(super) fn flag(key: &str, value: &Value) -> Result<bool, String> {
    match written::text(value)
        .unwrap_or_default()
        .to_lowercase()
        .as_str()
    {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err(format!(
            "`{key}` is neither `true` nor `false`; it is ignored"
        )),
    }
}

fn number(value: &Value) -> Option<u32> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value
        .as_u64()
        .and_then(|number| number.try_into().ok())
        .or(text)
}

/// Names: a list, or text between commas.
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

/// Lines of text, or of a list of texts.
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
    use super::super::{Told, parse};

    fn told(body: &str) -> Told {
        parse(format!("#cloud-config\n{body}").as_bytes())
    }

    #[test]
    fn user_has_what_a_cloud_says() {
        let told = told(
            "users:\n- default\n- name: ann\n  uid: 2000\n  gecos: Ann\n  groups: docker, tea\n  \
             primary_group: users\n  homedir: /opt/ann\n  no_create_home: true\n  system: false\n  \
             shell: /bin/sh\n  passwd: $6$x\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  \
             ssh_authorized_keys: [k1, k2]\n- bob\n",
        );
        assert_eq!(told.problems, []);
        let [ann, bob] = told.users.as_slice() else {
            panic!("{:?}", told.users)
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
    fn password_is_locked_when_a_cloud_says_so() {
        let locked = |lock: &str| {
            let told = told(&format!("users: [{{name: ann, passwd: h{lock}}}]\n"));
            told.users[0].account.password.clone().unwrap()
        };
        assert_eq!(locked(""), "h");
        assert_eq!(locked(", lock_passwd: false"), "h");
        assert_eq!(locked(", lock_passwd: true"), "!h");
    }

    #[test]
    fn keys_of_the_machines_own_user_are_the_machines() {
        let told = told("users:\n- name: rancher\n  ssh_authorized_keys: k\n");
        assert_eq!((told.problems.len(), told.users.len()), (0, 0));
        assert_eq!(told.layer["ssh_authorized_keys"][0], "k");
        let told = self::told("users:\n- name: rancher\n  shell: /bin/sh\n");
        assert_eq!(told.problems[0].line, Some(3));
    }

    #[test]
    fn what_is_not_understood_of_a_user_is_said_with_its_line() {
        let told = told(
            "users:\n- name: ann\n  shell: [a]\n  expiredate: tomorrow\n- shell: /bin/sh\n- 7\n\
             groups: [tea, milk: [ann, bob]]\n",
        );
        let lines: Vec<_> = told.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(
            lines,
            [Some(4), Some(5), Some(2), Some(2)],
            "{:?}",
            told.problems
        );
        assert_eq!(told.users.len(), 1);
        let groups: Vec<_> = told
            .groups
            .iter()
            .map(|one| (one.name.as_str(), one.members.len()))
            .collect();
        assert_eq!(groups, [("tea", 0), ("milk", 2)]);
    }

    #[test]
    fn passwords_and_time_zone_are_configuration() {
        let told = told("ssh_pwauth: true\ntimezone: Europe/Berlin\n");
        assert_eq!(told.problems, []);
        assert_eq!(told.layer["ssh"]["passwords"], true);
        assert_eq!(told.layer["timezone"], "Europe/Berlin");
    }
}
