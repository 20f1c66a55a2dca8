//! People and groups of a console: adding, changing and removing them, as shadow's `useradd`, `usermod`,
//! `userdel`, `groupadd` and `groupdel` do.
//!
//! Debian's own programs need libsemanage, libselinux and libaudit, and so would be a tenth of the image of
//! the console; and what a cloud-config says of people must be done in every console.
//!
//! Not its job: keeping people over reboots. The console does, for whoever changes its files.

mod change;
mod files;
mod table;

use std::path::{Path, PathBuf};

use table::Table;

/// The numbers of people and of their groups (login.defs(5)).
const PEOPLE: std::ops::Range<u32> = 1000..60000;

/// The numbers of programs and of their groups.
const SYSTEM: std::ops::Range<u32> = 100..1000;

/// The shell of whoever asks for no other one.
pub const SHELL: &str = "/bin/bash";

/// A password that nobody has.
const LOCKED: &str = "!";

/// Somebody to add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUser {
    /// The name.
    pub name: String,
    /// The number, if it is to be a certain one.
    pub uid: Option<u32>,
    /// The main group, by name or number; without one there is a new group of the user's name.
    pub group: Option<String>,
    /// Other groups.
    pub groups: Vec<String>,
    /// The home folder; `/home/NAME` without one.
    pub home: Option<String>,
    /// Whether the home folder is left to somebody else to make.
    pub no_home: bool,
    /// Whether there is no group of the user's name; the main group is then `users` (100).
    pub no_user_group: bool,
    /// The login shell.
    pub shell: Option<String>,
    /// The full name, or a comment.
    pub comment: String,
    /// The hash of the password (crypt(5)); nobody can log in by password without one.
    pub password: Option<String>,
    /// Whether it is a program's account.
    pub system: bool,
}

/// What is to become of somebody; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The main group, by name or number.
    pub group: Option<String>,
    /// Other groups, instead of those of before or beside them.
    pub groups: Option<Vec<String>>,
    /// Whether those of before stay.
    pub append: bool,
    /// The home folder. What is in the old one stays where it is.
    pub home: Option<String>,
    /// The login shell.
    pub shell: Option<String>,
    /// The full name, or a comment.
    pub comment: Option<String>,
    /// The hash of the password.
    pub password: Option<String>,
    /// `true` locks the password, `false` unlocks it.
    pub lock: Option<bool>,
}

/// The accounts of a root folder.
pub struct Accounts {
    root: PathBuf,
}

impl Accounts {
    /// Those of this console.
    pub fn here() -> Self {
        Self::of("/".as_ref())
    }

    /// Those of another root folder.
    pub fn of(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Whether there is such a user.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub fn has_user(&self, name: &str) -> Result<bool, String> {
        Ok(self.table("passwd")?.line(name).is_some())
    }

    /// Whether there is such a group.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub fn has_group(&self, name: &str) -> Result<bool, String> {
        Ok(self.table("group")?.line(name).is_some())
    }

    /// Number, number of the main group, and home folder of somebody.
    ///
    /// # Errors
    /// There is no such user, or the accounts cannot be read.
    pub fn user(&self, name: &str) -> Result<(u32, u32, String), String> {
        let passwd = self.table("passwd")?;
        let line = passwd.line(name).ok_or_else(|| no_user(name))?;
        let number = |index| table::field(line, index).parse::<u32>();
        match (number(2), number(3)) {
            (Ok(user), Ok(group)) => Ok((user, group, table::field(line, 5).to_owned())),
            _ => Err(format!(
                "{}: the line of `{name}` is broken",
                self.path("passwd").display()
            )),
        }
    }

    /// Adds a group.
    ///
    /// # Errors
    /// There is one of that name or number, or the accounts cannot be written.
    pub fn add_group(&self, name: &str, number: Option<u32>, system: bool) -> Result<u32, String> {
        let _lock = self.lock()?;
        let mut group = self.table("group")?;
        let number = group.add_group(name, number, if system { SYSTEM } else { PEOPLE })?;
        group.save()?;
        Ok(number)
    }

    /// Adds somebody, with a home folder that has what `/etc/skel` has.
    ///
    /// # Errors
    /// The user is there already, a group is not, a value cannot be, or the accounts cannot be written.
    pub fn add_user(&self, new: &NewUser) -> Result<(), String> {
        let lock = self.lock()?;
        let (mut passwd, mut group) = (self.table("passwd")?, self.table("group")?);
        let mut shadow = self.table("shadow")?;
        check_name(&new.name)?;
        if passwd.line(&new.name).is_some() {
            return Err(format!("user `{}` already exists", new.name));
        }
        let range = if new.system { SYSTEM } else { PEOPLE };
        let uid = passwd.free_number(new.uid, &range)?;
        let gid = match &new.group {
            Some(name) => group.group_number(name)?,
            None if new.no_user_group => USERS,
            None => {
                // A group of the same number, as people expect it, if that is free.
                let same = Some(uid).filter(|uid| !group.has_number(*uid));
                group.add_group(&new.name, same, range)?
            }
        };
        group.join(&new.name, &new.groups)?;
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
        // A line that somebody left who was removed by hand is not the new one's.
        shadow.remove(&new.name);
        shadow.push(&[&new.name, password, &today, "0", "99999", "7", "", "", ""])?;
        // Who is in passwd is known: the last of all.
        group.save()?;
        shadow.save()?;
        passwd.save()?;
        drop(lock);
        if new.no_home {
            return Ok(());
        }
        files::make_home(&self.root, &home, (uid, gid)).map_err(|error| format!("{home}: {error}"))
    }

    fn table(&self, name: &str) -> Result<Table, String> {
        Table::read(self.path(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join("etc").join(name)
    }

    /// Keeps others out who change accounts (lckpwdf(3)).
    fn lock(&self) -> Result<files::Lock, String> {
        files::lock(&self.path(".pwd.lock"))
    }
}

/// The group of everybody, where nobody has a group of his own.
const USERS: u32 = 100;

fn no_user(name: &str) -> String {
    format!("user `{name}` does not exist")
}

/// A name that neither another program takes for an option or a path, nor breaks a table.
fn check_name(name: &str) -> Result<(), String> {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let other = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let good = name.bytes().next().is_some_and(first) && name.bytes().all(other);
    if good && name.len() <= 32 {
        return Ok(());
    }
    Err(format!(
        "`{name}` is no name; hint: use up to 32 letters, digits, `_`, `.` and `-`, a small letter first"
    ))
}

fn days_since_1970() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs() / (24 * 60 * 60)
}

#[cfg(test)]
mod tests;
