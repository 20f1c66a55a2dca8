//! `useradd`, `usermod`, `userdel`, `groupadd` and `groupdel`, with Debian's flags.

use accounts::{Accounts, Change, NewUser};
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version, propagate_version = true, multicall = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user
    Useradd(Add),
    /// Change a user
    Usermod(Modify),
    /// Remove a user
    Userdel(Remove),
    /// Add a group
    Groupadd(AddGroup),
    /// Remove a group
    Groupdel(RemoveGroup),
}

#[derive(Debug, Args)]
struct Add {
    /// The name
    name: String,
    /// Create the home folder (the default)
    #[arg(short = 'm', long, conflicts_with = "no_create_home")]
    create_home: bool,
    /// Do not create the home folder
    #[arg(short = 'M', long)]
    no_create_home: bool,
    /// The home folder [default: /home/NAME]
    #[arg(short = 'd', long, value_name = "FOLDER")]
    home_dir: Option<String>,
    /// The login shell
    #[arg(short, long, default_value = accounts::SHELL)]
    shell: String,
    /// The user ID
    #[arg(short, long)]
    uid: Option<u32>,
    /// The primary group, by name or ID [default: a new group of the same name]
    #[arg(short, long)]
    gid: Option<String>,
    /// Supplementary groups, separated by commas
    #[arg(short = 'G', long, value_delimiter = ',')]
    groups: Vec<String>,
    /// The full name, or a comment
    #[arg(short, long, default_value = "")]
    comment: String,
    /// The hash of the password, as `mkpasswd` prints it
    #[arg(short, long, value_name = "HASH")]
    password: Option<String>,
    /// Add a system account, with an ID below 1000 and without a home folder
    #[arg(short = 'r', long)]
    system: bool,
    /// Create a group of the same name (the default)
    #[arg(short = 'U', long, conflicts_with = "no_user_group")]
    user_group: bool,
    /// Do not create a group of the same name
    #[arg(short = 'N', long)]
    no_user_group: bool,
}

#[derive(Debug, Args)]
struct Modify {
    /// The name
    name: String,
    /// Supplementary groups, separated by commas; they replace the current ones
    #[arg(short = 'G', long, value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// Add the groups to the current ones
    #[arg(short, long, requires = "groups")]
    append: bool,
    /// The primary group, by name or ID
    #[arg(short, long)]
    gid: Option<String>,
    /// The home folder; files in the old one are not moved
    #[arg(short = 'd', long, value_name = "FOLDER")]
    home: Option<String>,
    /// The login shell
    #[arg(short, long)]
    shell: Option<String>,
    /// The full name, or a comment
    #[arg(short, long)]
    comment: Option<String>,
    /// The hash of the password, as `mkpasswd` prints it
    #[arg(short, long, value_name = "HASH")]
    password: Option<String>,
    /// Lock the password
    #[arg(short = 'L', long, conflicts_with_all = ["unlock", "password"])]
    lock: bool,
    /// Unlock the password
    #[arg(short = 'U', long)]
    unlock: bool,
}

#[derive(Debug, Args)]
struct Remove {
    /// The name
    name: String,
    /// Also remove the home folder
    #[arg(short, long)]
    remove: bool,
    /// No effect: users who are logged in are removed in any case
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
struct AddGroup {
    /// The name
    name: String,
    /// The group ID
    #[arg(short, long)]
    gid: Option<u32>,
    /// Add a system group, with an ID below 1000
    #[arg(short = 'r', long)]
    system: bool,
    /// Succeed if the group exists
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
struct RemoveGroup {
    /// The name
    name: String,
}

/// Runs the program of this name with the arguments of this process, if it is one of this module.
pub(crate) fn run_as(name: &str) -> Option<Result<(), String>> {
    match name {
        "useradd" | "usermod" | "userdel" | "groupadd" | "groupdel" => {
            let command = Program::parse().command;
            let permission = crate::caller::must_be_root();
            Some(permission.and_then(|()| run(command, &Accounts::here())))
        }
        _ => None,
    }
}

fn run(command: Command, accounts: &Accounts) -> Result<(), String> {
    match command {
        Command::Useradd(add) => accounts.add_user(&add.into()),
        Command::Usermod(modify) => {
            let name = modify.name.clone();
            accounts.change_user(&name, &modify.into())
        }
        Command::Userdel(remove) => accounts.remove_user(&remove.name, remove.remove),
        Command::Groupadd(add) if add.force && accounts.has_group(&add.name)? => Ok(()),
        Command::Groupadd(add) => accounts.add_group(&add.name, add.gid, add.system).map(drop),
        Command::Groupdel(remove) => accounts.remove_group(&remove.name),
    }
}

impl From<Add> for NewUser {
    fn from(add: Add) -> Self {
        Self {
            name: add.name,
            uid: add.uid,
            group: add.gid,
            groups: add.groups,
            home: add.home_dir,
            no_home: add.no_create_home || (add.system && !add.create_home),
            no_user_group: add.no_user_group,
            shell: Some(add.shell),
            comment: add.comment,
            password: add.password,
            system: add.system,
        }
    }
}

impl From<Modify> for Change {
    fn from(modify: Modify) -> Self {
        let lock = (modify.lock || modify.unlock).then_some(modify.lock);
        Self {
            group: modify.gid,
            groups: modify.groups,
            append: modify.append,
            home: modify.home,
            shell: modify.shell,
            comment: modify.comment,
            password: modify.password,
            lock,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_definition_is_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn useradd_accepts_debians_flags() {
        let words = "useradd -m -s /bin/sh -G docker,sudo -u 2000 -p $6$x -c Bob bob";
        let Ok(Program {
            command: Command::Useradd(add),
        }) = Program::try_parse_from(words.split(' '))
        else {
            panic!("{words}")
        };
        let new = NewUser::from(add);
        assert_eq!((new.name.as_str(), new.uid), ("bob", Some(2000)));
        assert_eq!(new.groups, ["docker", "sudo"]);
        assert_eq!(new.shell.as_deref(), Some("/bin/sh"));
        assert!(!new.no_home);
    }

    #[test]
    fn usermod_appends_groups_when_append_is_set() {
        let words = "usermod -aG docker,sudo bob";
        let Ok(Program {
            command: Command::Usermod(modify),
        }) = Program::try_parse_from(words.split(' '))
        else {
            panic!("{words}")
        };
        let change = Change::from(modify);
        assert_eq!(change.groups.unwrap(), ["docker", "sudo"]);
        assert!(change.append && change.lock.is_none());
        assert!(Program::try_parse_from(["usermod", "-a", "bob"]).is_err());
    }
}
