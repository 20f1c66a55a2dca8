//! Reads the accounts of a console, and adds users and groups.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::NewUser;
use crate::files;
use crate::table::{self, Table};

/// The IDs of users and their groups (login.defs(5)).
const USER_IDS: Range<u32> = 1000..60000;

/// The IDs of system accounts and their groups.
pub(crate) const SYSTEM_IDS: Range<u32> = 100..1000;

/// The default login shell.
pub const SHELL: &str = "/bin/bash";

/// A password field that matches no password.
pub(crate) const LOCKED: &str = "!";

/// The accounts of a root folder.
pub struct Accounts {
    pub(crate) root: PathBuf,
}

impl Accounts {
    /// The accounts of this console.
    pub fn here() -> Self {
        Self::of("/".as_ref())
    }

    /// The accounts of another root folder.
    pub fn of(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Whether a user exists.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub fn has_user(&self, name: &str) -> Result<bool, String> {
        Ok(self.table("passwd")?.line(name).is_some())
    }

    /// Whether a group exists.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub fn has_group(&self, name: &str) -> Result<bool, String> {
        Ok(self.table("group")?.line(name).is_some())
    }

    /// The user ID, the ID of the primary group, and the home folder of a user.
    ///
    /// # Errors
    /// The user does not exist, or the accounts cannot be read.
    pub fn user(&self, name: &str) -> Result<(u32, u32, String), String> {
        let passwd = self.table("passwd")?;
        let line = passwd.line(name).ok_or_else(|| no_user(name))?;
        let id = |index| table::field(line, index).parse::<u32>();
        match (id(2), id(3)) {
            (Ok(user), Ok(group)) => Ok((user, group, table::field(line, 5).to_owned())),
            _ => Err(format!(
                "{}: the line of `{name}` is malformed",
                self.path("passwd").display()
            )),
        }
    }

    /// Adds a group.
    ///
    /// # Errors
    /// A group with this name or ID exists, or the accounts cannot be written.
    pub fn add_group(&self, name: &str, id: Option<u32>, system: bool) -> Result<u32, String> {
        let _lock = self.lock()?;
        let mut group = self.table("group")?;
        let id = group.add_group(name, id, if system { SYSTEM_IDS } else { USER_IDS })?;
        group.save()?;
        Ok(id)
    }

    /// Adds a user with a home folder that contains a copy of `/etc/skel`.
    ///
    /// # Errors
    /// The user exists, a group does not exist, a value is invalid, or the accounts cannot be written.
    pub fn add_user(&self, new: &NewUser) -> Result<(), String> {
        let lock = self.lock()?;
        let (mut passwd, mut group) = (self.table("passwd")?, self.table("group")?);
        let mut shadow = self.table("shadow")?;
        check_name(&new.name)?;
        if passwd.line(&new.name).is_some() {
            return Err(format!("user `{}` already exists", new.name));
        }
        let range = if new.system { SYSTEM_IDS } else { USER_IDS };
        let uid = passwd.free_id(new.uid, &range)?;
        let gid = match &new.group {
            Some(name) => group.group_id(name)?,
            None if new.no_user_group => USERS_GROUP,
            None => {
                // The group gets the ID of the user if that ID is free.
                let same = Some(uid).filter(|uid| !group.has_id(*uid));
                group.add_group(&new.name, same, range)?
            }
        };
        group.add_member(&new.name, &new.groups)?;
        let home = new
            .home
            .clone()
            .unwrap_or_else(|| format!("/home/{}", new.name));
        let shell = new.shell.as_deref().unwrap_or(SHELL);
        let (uid_text, gid_text) = (uid.to_string(), gid.to_string());
        passwd.push(&[
            &new.name,
            "x",
            &uid_text,
            &gid_text,
            &new.comment,
            &home,
            shell,
        ])?;
        let password = new.password.as_deref().unwrap_or(LOCKED);
        let today = days_since_1970().to_string();
        // A user that was removed by hand may have left a line in shadow.
        shadow.remove(&new.name);
        shadow.push(&[&new.name, password, &today, "0", "99999", "7", "", "", ""])?;
        // passwd is written last, because its line makes the user exist.
        group.save()?;
        shadow.save()?;
        passwd.save()?;
        drop(lock);
        if new.no_home {
            return Ok(());
        }
        files::create_home(&self.root, &home, (uid, gid))
            .map_err(|error| format!("{home}: {error}"))
    }

    pub(crate) fn table(&self, name: &str) -> Result<Table, String> {
        Table::read(self.path(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join("etc").join(name)
    }

    /// Locks the accounts against other writers (lckpwdf(3)).
    pub(crate) fn lock(&self) -> Result<files::Lock, String> {
        files::lock(&self.path(".pwd.lock"))
    }
}

/// The ID of the group `users`.
const USERS_GROUP: u32 = 100;

pub(crate) fn no_user(name: &str) -> String {
    format!("user `{name}` does not exist")
}

/// Checks a name: it must not break a table, nor look like an option or a path.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_valid = name.bytes().next().is_some_and(is_first) && name.bytes().all(is_inner);
    if is_valid && name.len() <= 32 {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a valid name; hint: use up to 32 letters, digits, `_`, `.` and `-`; begin with a \
         lower-case letter"
    ))
}

fn days_since_1970() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs() / (24 * 60 * 60)
}
