//! Changing and removing users and groups.

use std::os::unix::fs::MetadataExt as _;

use crate::{Accounts, Change, LOCKED, no_user, table};

impl Accounts {
    /// Changes somebody.
    ///
    /// # Errors
    /// There is no such user or group, a value cannot be, or the accounts cannot be written.
    pub fn change_user(&self, name: &str, change: &Change) -> Result<(), String> {
        let _lock = self.lock()?;
        let (mut passwd, mut group) = (self.table("passwd")?, self.table("group")?);
        let mut shadow = self.table("shadow")?;
        if passwd.line(name).is_none() {
            return Err(no_user(name));
        }
        if let Some(groups) = &change.groups {
            if !change.append {
                group.leave_all(name)?;
            }
            group.join(name, groups)?;
        }
        if let Some(main) = &change.group {
            passwd.set(name, 3, &group.group_number(main)?.to_string())?;
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
            let old = shadow.line(name).map(|line| table::field(line, 1));
            let hash = old
                .unwrap_or_default()
                .trim_start_matches(LOCKED)
                .to_owned();
            match lock {
                true => shadow.set(name, 1, &format!("{LOCKED}{hash}"))?,
                // Without a hash everybody could log in.
                false if hash.is_empty() => {
                    return Err(format!("`{name}` has no password to unlock"));
                }
                false => shadow.set(name, 1, &hash)?,
            }
        }
        group.save()?;
        shadow.save()?;
        passwd.save()
    }

    /// Removes somebody, with the group of the same name if it is nobody else's.
    ///
    /// # Errors
    /// There is no such user, or the accounts or the home folder cannot be changed.
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
        group.leave_all(name)?;
        let own = group.line(name).map(str::to_owned);
        let is_own = own.is_some_and(|line| {
            table::field(&line, 2) == gid.to_string() && table::field(&line, 3).is_empty()
        });
        if is_own && !passwd.is_main_group(&gid.to_string()) {
            group.remove(name);
        }
        passwd.save()?;
        shadow.save()?;
        group.save()?;
        drop(lock);
        let folder = self.root.join(home.trim_start_matches('/'));
        let is_theirs = std::fs::symlink_metadata(&folder).is_ok_and(|found| found.uid() == uid);
        if with_home && is_theirs {
            std::fs::remove_dir_all(&folder).map_err(|error| format!("{home}: {error}"))?;
        }
        Ok(())
    }

    /// Removes a group.
    ///
    /// # Errors
    /// There is no such group, it is somebody's main group, or the accounts cannot be written.
    pub fn remove_group(&self, name: &str) -> Result<(), String> {
        let _lock = self.lock()?;
        let mut group = self.table("group")?;
        let Some(line) = group.line(name) else {
            return Err(format!("group `{name}` does not exist"));
        };
        if self.table("passwd")?.is_main_group(table::field(line, 2)) {
            return Err(format!("group `{name}` is the main group of a user"));
        }
        group.remove(name);
        group.save()
    }
}
