//! Changes and removes users and groups.

use std::os::unix::fs::MetadataExt as _;

use crate::accounts::{LOCKED, no_user};
use crate::table::{self, Table};
use crate::{Accounts, Change};

impl Accounts {
    /// Changes a user.
    ///
    /// # Errors
    /// The user or a group does not exist, a value is invalid, or the accounts cannot be written.
    pub fn change_user(&self, name: &str, change: &Change) -> Result<(), String> {
        let _lock = self.lock()?;
        let (mut passwd, mut group) = (self.table("passwd")?, self.table("group")?);
        let mut shadow = self.table("shadow")?;
        if passwd.line(name).is_none() {
            return Err(no_user(name));
        }
        if let Some(groups) = &change.groups {
            if !change.append {
                group.remove_member(name)?;
            }
            group.add_member(name, groups)?;
        }
        if let Some(primary) = &change.group {
            passwd.set(name, 3, &group.group_id(primary)?.to_string())?;
        }
        for (index, value) in [(4, &change.comment), (5, &change.home), (6, &change.shell)] {
            if let Some(value) = value {
                passwd.set(name, index, value)?;
            }
        }
        if let Some(password) = &change.password {
            shadow.set(name, 1, password)?;
        }
        if let Some(lock) = change.lock {
            set_lock(&mut shadow, name, lock)?;
        }
        group.save()?;
        shadow.save()?;
        passwd.save()
    }

    /// Removes a user, and the group of the same name if no other user needs it.
    ///
    /// # Errors
    /// The user does not exist, or the accounts or the home folder cannot be changed.
    pub fn remove_user(&self, name: &str, with_home: bool) -> Result<(), String> {
        let lock = self.lock()?;
        let (uid, gid, home) = self.user(name)?;
        if uid == 0 {
            return Err(format!(
                "`{name}` is the superuser; hint: lock it with `usermod -L`"
            ));
        }
        let (mut passwd, mut group) = (self.table("passwd")?, self.table("group")?);
        let mut shadow = self.table("shadow")?;
        passwd.remove(name);
        shadow.remove(name);
        group.remove_member(name)?;
        let own = group.line(name).map(str::to_owned);
        let is_own = own.is_some_and(|line| {
            table::field(&line, 2) == gid.to_string() && table::field(&line, 3).is_empty()
        });
        if is_own && !passwd.is_primary_group(&gid.to_string()) {
            group.remove(name);
        }
        passwd.save()?;
        shadow.save()?;
        group.save()?;
        drop(lock);
        let folder = self.root.join(home.trim_start_matches('/'));
        let is_owner = std::fs::symlink_metadata(&folder).is_ok_and(|found| found.uid() == uid);
        if with_home && is_owner {
            std::fs::remove_dir_all(&folder).map_err(|error| format!("{home}: {error}"))?;
        }
        Ok(())
    }

    /// Removes a group.
    ///
    /// # Errors
    /// The group does not exist, it is the primary group of a user, or the accounts cannot be written.
    pub fn remove_group(&self, name: &str) -> Result<(), String> {
        let _lock = self.lock()?;
        let mut group = self.table("group")?;
        let Some(line) = group.line(name) else {
            return Err(format!("group `{name}` does not exist"));
        };
        if self
            .table("passwd")?
            .is_primary_group(table::field(line, 2))
        {
            return Err(format!("group `{name}` is the primary group of a user"));
        }
        group.remove(name);
        group.save()
    }
}

/// Locks or unlocks the password of a user.
fn set_lock(shadow: &mut Table, name: &str, lock: bool) -> Result<(), String> {
    let old = shadow.line(name).map(|line| table::field(line, 1));
    let hash = old
        .unwrap_or_default()
        .trim_start_matches(LOCKED)
        .to_owned();
    if lock {
        return shadow.set(name, 1, &format!("{LOCKED}{hash}"));
    }
    // An empty field would allow login without a password.
    if hash.is_empty() {
        return Err(format!("`{name}` has no password to unlock"));
    }
    shadow.set(name, 1, &hash)
}
