//! Creates the users and groups of user-data in the console, before files are written that they may own.

use std::path::Path;

use accounts::{Accounts, Change};

use crate::Problem;
use crate::files::replace;
use crate::status::Status;
use crate::user_data::{Group, User, UserData};

/// The sudo rules of the users. cloud-init uses the same name.
const SUDOERS: &str = "/etc/sudoers.d/90-cloud-init-users";

/// Creates groups and users. This runs at each boot: an existing user keeps its ID, home and password, and
/// gets missing groups and keys.
pub(crate) fn create(user_data: &UserData, status: &mut Status) {
    let accounts = Accounts::here();
    for group in &user_data.groups {
        if let Err(error) = create_group(&accounts, &group.name) {
            report(status, group.line, "groups", &group.name, &error);
        }
    }
    for user in &user_data.users {
        if let Err(error) = create_user(&accounts, user) {
            report(status, user.line, "users", &user.account.name, &error);
        }
    }
    // Only now, because `groups` may name members that `users` creates.
    for group in &user_data.groups {
        for error in add_members(&accounts, group) {
            report(status, group.line, "groups", &group.name, &error);
        }
    }
    let rules = sudo_rules(&user_data.users);
    if !rules.is_empty()
        && let Err(error) = replace(SUDOERS.as_ref(), rules.as_bytes(), 0o440, (0, 0))
    {
        report(status, None, "users", SUDOERS, &error.to_string());
    }
}

fn report(status: &mut Status, line: Option<usize>, key: &str, name: &str, error: &str) {
    status.problem(Problem::at(line, format!("`{key}`: {name}: {error}")));
}

fn create_group(accounts: &Accounts, name: &str) -> Result<(), String> {
    if accounts.has_group(name)? {
        return Ok(());
    }
    accounts.add_group(name, None, false).map(drop)
}

fn create_user(accounts: &Accounts, user: &User) -> Result<(), String> {
    let account = &user.account;
    if user.create_groups {
        for group in account.groups.iter().chain(&account.group) {
            // A number refers to an existing group.
            if group.parse::<u32>().is_err() {
                create_group(accounts, group)?;
            }
        }
    }
    if accounts.has_user(&account.name)? {
        accounts.change_user(&account.name, &in_groups(&account.groups))?;
    } else {
        accounts.add_user(account)?;
    }
    if user.keys.is_empty() {
        return Ok(());
    }
    let (uid, gid, home) = accounts.user(&account.name)?;
    add_keys(Path::new(&home), (uid, gid), &user.keys)
        .map_err(|error| format!("ssh_authorized_keys: {error}"))
}

/// Adds the members of a group and returns the errors.
fn add_members(accounts: &Accounts, group: &Group) -> Vec<String> {
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

/// Adds missing keys to `authorized_keys`; other keys in the file persist.
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

/// The text of a sudoers(5) file; empty if no user has a rule.
fn sudo_rules(users: &[User]) -> String {
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
    fn add_keys_preserves_the_keys_of_the_file() {
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
    fn sudo_rules_begin_with_the_user_name() {
        let mut user = User {
            sudo: vec!["ALL=(ALL) NOPASSWD:ALL".into()],
            ..User::default()
        };
        user.account.name = "ann".into();
        assert_eq!(
            sudo_rules(&[user, User::default()]),
            "ann ALL=(ALL) NOPASSWD:ALL\n"
        );
    }
}
