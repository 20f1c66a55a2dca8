//! In the console: making people known whom a cloud names, before files are written that may be theirs.

use std::path::Path;

use accounts::{Accounts, Change};

use crate::Problem;
use crate::files::replace;
use crate::status::Status;
use crate::user_data::{Group, Told, User};

/// What the people of a cloud may do as root. Its name is the one that cloud-init gives it.
const SUDOERS: &str = "/etc/sudoers.d/90-cloud-init-users";

/// Makes groups and users. Who is there already keeps number, home and password, and gets groups and
/// keys that are missing: it is done at each boot.
pub(crate) fn make(told: &Told, status: &mut Status) {
    let accounts = Accounts::here();
    for group in &told.groups {
        if let Err(why) = make_group(&accounts, &group.name) {
            tell(status, group.line, "groups", &group.name, &why);
        }
    }
    for user in &told.users {
        if let Err(why) = make_user(&accounts, user) {
            tell(status, user.line, "users", &user.account.name, &why);
        }
    }
    // Users may be members of groups that stand above them.
    for group in &told.groups {
        for why in join(&accounts, group) {
            tell(status, group.line, "groups", &group.name, &why);
        }
    }
    let rules = rules(&told.users);
    if !rules.is_empty()
        && let Err(error) = replace(SUDOERS.as_ref(), rules.as_bytes(), 0o440, (0, 0))
    {
        tell(status, None, "users", SUDOERS, &error.to_string());
    }
}

fn tell(status: &mut Status, line: Option<usize>, key: &str, name: &str, why: &str) {
    status.problem(Problem::at(line, format!("`{key}`: {name}: {why}")));
}

fn make_group(accounts: &Accounts, name: &str) -> Result<(), String> {
    match accounts.has_group(name)? {
        true => Ok(()),
        false => accounts.add_group(name, None, false).map(drop),
    }
}

fn make_user(accounts: &Accounts, user: &User) -> Result<(), String> {
    let account = &user.account;
    if user.make_groups {
        for group in account.groups.iter().chain(&account.group) {
            // A number is one of a group that is there.
            if group.parse::<u32>().is_err() {
                make_group(accounts, group)?;
            }
        }
    }
    match accounts.has_user(&account.name)? {
        true => accounts.change_user(&account.name, &in_groups(&account.groups))?,
        false => accounts.add_user(account)?,
    }
    if user.keys.is_empty() {
        return Ok(());
    }
    let (uid, gid, home) = accounts.user(&account.name)?;
    let told = |error: std::io::Error| format!("ssh_authorized_keys: {error}");
    add_keys(Path::new(&home), (uid, gid), &user.keys).map_err(told)
}

fn join(accounts: &Accounts, group: &Group) -> Vec<String> {
    let change = in_groups(std::slice::from_ref(&group.name));
    let members = group.members.iter();
    members
        .filter_map(|member| accounts.change_user(member, &change).err())
        .collect()
}

fn in_groups(groups: &[String]) -> Change {
    Change {
        groups: Some(groups.to_vec()),
        append: true,
        ..Change::default()
    }
}

/// Adds the keys that are missing; those that somebody has written there stay.
fn add_keys(home: &Path, owner: (u32, u32), keys: &[String]) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, chown};
    let folder = home.join(".ssh");
    if !folder.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        chown(&folder, Some(owner.0), Some(owner.1))?;
    }
    let file = folder.join("authorized_keys");
    let old = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        old => old.unwrap_or_default(),
    };
    let mut lines = Vec::from_iter(old.lines());
    for key in keys {
        if !lines.contains(&key.as_str()) {
            lines.push(key);
        }
    }
    let new: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if new == old {
        return Ok(());
    }
    replace(&file, new.as_bytes(), 0o600, owner)
}

/// A file of sudoers(5); empty where nobody has a rule.
fn rules(users: &[User]) -> String {
    let rules = users.iter().flat_map(|user| {
        let rules = user.sudo.iter();
        rules.map(|rule| format!("{} {rule}\n", user.account.name))
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn keys_are_added_to_those_of_people() {
        let home = tempfile::tempdir().unwrap();
        let me = home.path().metadata().unwrap();
        let add = |keys: &[&str]| {
            let keys = Vec::from_iter(keys.iter().map(|key| (*key).to_owned()));
            add_keys(home.path(), (me.uid(), me.gid()), &keys).unwrap();
        };
        add(&["a"]);
        let file = home.path().join(".ssh/authorized_keys");
        std::fs::write(&file, "a\nmine").unwrap();
        add(&["a", "b"]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nmine\nb\n");
        let folder = home.path().join(".ssh").metadata().unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn rules_name_whose_they_are() {
        let mut user = User {
            sudo: vec!["ALL=(ALL) NOPASSWD:ALL".into()],
            ..User::default()
        };
        user.account.name = "ann".into();
        assert_eq!(
            rules(&[user, User::default()]),
            "ann ALL=(ALL) NOPASSWD:ALL\n"
        );
    }
}
