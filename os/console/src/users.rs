//! Users other than `rancher`: those that somebody adds in a console (`useradd`) exist in the next one, too.
//!
//! A console's `/etc` is removed with its container, and the next console may use another image. So
//! whenever `/etc` changes, the lines of users and their groups are saved in a file of the machine, and a
//! console adds the missing ones when it starts.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::files::replace;
use crate::groups::{members, with_members, with_more_members};
use crate::rancher::{GROUPS, RANCHER};

/// The file with the saved lines, each after the name of the file that it belongs to.
const SAVED: &str = "/var/lib/rancher/conf/people";

/// The UIDs and GIDs of users; lower ones belong to programs (login.defs(5)).
const IDS: std::ops::Range<u32> = 1000..60000;

/// The shell that every console has.
const SHELL: &str = "/bin/bash";

/// The users of a console.
pub(crate) struct Users {
    etc: PathBuf,
    saved: PathBuf,
}

impl Users {
    /// The users of this console.
    pub(crate) fn of_console() -> Self {
        Self {
            etc: "/etc".into(),
            saved: SAVED.into(),
        }
    }

    /// Watches for changes.
    pub(crate) fn watch(&self) -> nix::Result<Inotify> {
        let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let written = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
        changes.add_watch(&self.etc, written)?;
        Ok(changes)
    }

    /// Saves the users, if they changed.
    pub(crate) fn save(&self) -> Result<()> {
        let (passwd, shadow) = (self.table("passwd")?, self.table("shadow")?);
        let group = self.table("group")?;
        let users: Vec<_> = passwd.lines().filter(|line| is_user(line)).collect();
        let names: BTreeSet<_> = users.iter().map(|line| name(line)).collect();
        let mut saved = String::new();
        let mut add = |file: &str, line: &str| saved += &format!("{file} {line}\n");
        users.iter().for_each(|line| add("passwd", line));
        let theirs = shadow.lines().filter(|line| names.contains(name(line)));
        theirs.for_each(|line| add("shadow", line));
        for line in group.lines() {
            let users = members(line).filter(|member| names.contains(member));
            let users = Vec::from_iter(users);
            if is_user_group(line) || !users.is_empty() {
                add("group", &with_members(line, &users));
            }
        }
        let before = read(&self.saved)?;
        if before.as_deref().unwrap_or_default() == saved {
            Ok(())
        } else {
            replace(&self.saved, saved.as_bytes(), 0o600, None)
        }
    }

    /// Adds the saved users and groups that this console lacks.
    pub(crate) fn restore(&self) -> Result<()> {
        let saved = read(&self.saved)?.unwrap_or_default();
        let of = |file: &str| {
            let lines = saved.lines().filter_map(|line| line.split_once(' '));
            let lines = lines.filter(|(of, _)| *of == file).map(|(_, line)| line);
            Vec::from_iter(lines)
        };
        // passwd comes last: a user exists with the line there.
        for (file, mode) in [("group", 0o644), ("shadow", 0o600), ("passwd", 0o644)] {
            let old = self.table(file)?;
            let mut lines: Vec<_> = old.lines().map(str::to_owned).collect();
            for line in of(file) {
                let existing = lines.iter_mut().find(|one| name(one) == name(line));
                match (file, existing) {
                    ("group", Some(existing)) => *existing = with_more_members(existing, line),
                    ("group", None) if !is_user_group(line) => (),
                    ("passwd", None) => lines.push(with_shell(line)),
                    (_, None) => lines.push(line.to_owned()),
                    (_, Some(_)) => (),
                }
            }
            let new: String = lines.iter().map(|line| format!("{line}\n")).collect();
            if new != old {
                replace(&self.etc.join(file), new.as_bytes(), mode, None)?;
            }
        }
        Ok(())
    }

    fn table(&self, file: &str) -> Result<String> {
        let path = self.etc.join(file);
        read(&path)?.ok_or_else(|| Error::other(format!("{} does not exist", path.display())))
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::other(format!("{}: {error}", path.display()))),
    }
}

fn field(line: &str, number: usize) -> &str {
    line.split(':').nth(number).unwrap_or_default()
}

fn name(line: &str) -> &str {
    field(line, 0)
}

fn id(line: &str) -> Option<u32> {
    field(line, 2).parse().ok()
}

/// Whether a line of passwd(5) is of a user other than `rancher`.
fn is_user(line: &str) -> bool {
    line.split(':').count() == 7 && id(line).is_some_and(|id| IDS.contains(&id) && id != RANCHER)
}

/// Whether a line of group(5) is of a user's group.
fn is_user_group(line: &str) -> bool {
    id(line).is_some_and(|id| IDS.contains(&id) && !GROUPS.contains(&id))
}

/// The line with another shell if this console does not have the shell of the user, who could not log in.
fn with_shell(line: &str) -> String {
    match line.rsplit_once(':') {
        Some((rest, shell)) if !Path::new(shell).exists() => format!("{rest}:{SHELL}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Console {
        users: Users,
        folder: tempfile::TempDir,
    }

    impl Console {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let console = Self {
                users: Users {
                    etc: folder.path().into(),
                    saved: folder.path().join("saved"),
                },
                folder,
            };
            console.recreate();
            console
        }

        /// Resets the files to those of the image.
        fn recreate(&self) {
            self.write(
                "passwd",
                "root:x:0:0::/root:/bin/sh\nrancher:x:1100:1100::/:/bin/sh\n",
            );
            self.write("shadow", "root:*:::::::\nrancher:*:::::::\n");
            self.write("group", "root:x:0:\ndocker:x:1101:rancher\naudio:x:29:\n");
        }

        fn write(&self, file: &str, text: &str) {
            std::fs::write(self.folder.path().join(file), text).unwrap();
        }

        fn add(&self, file: &str, text: &str) {
            self.write(file, &(self.read(file) + text));
        }

        fn read(&self, file: &str) -> String {
            std::fs::read_to_string(self.folder.path().join(file)).unwrap()
        }
    }

    #[test]
    fn restore_adds_users_with_groups_and_passwords() {
        let console = Console::new();
        console.add(
            "passwd",
            "ann:x:1101:1104::/home/ann:/bin/sh\nbob:x:1102:1105::/:/no/zsh\n",
        );
        console.add("shadow", "ann:$6$a:1::::::\nbob:!:1::::::\n");
        let groups =
            "root:x:0:\ndocker:x:1101:rancher,ann\naudio:x:29:ann\nsys:x:3:bob\nann:x:1104:\n";
        console.write("group", groups);
        console.users.save().unwrap();
        console.recreate();
        for _ in 0..2 {
            console.users.restore().unwrap();
            let passwd = console.read("passwd");
            let added = "ann:x:1101:1104::/home/ann:/bin/sh\nbob:x:1102:1105::/:/bin/bash\n";
            assert!(passwd.ends_with(&format!("rancher:x:1100:1100::/:/bin/sh\n{added}")));
            let shadow = console.read("shadow");
            assert_eq!(
                shadow,
                "root:*:::::::\nrancher:*:::::::\nann:$6$a:1::::::\nbob:!:1::::::\n"
            );
            let group = "root:x:0:\ndocker:x:1101:rancher,ann\naudio:x:29:ann\nann:x:1104:\n";
            assert_eq!(console.read("group"), group);
        }
    }

    #[test]
    fn restore_adds_nobody_when_the_user_was_removed() {
        let console = Console::new();
        console.users.save().unwrap();
        assert!(!console.users.saved.exists());
        console.users.restore().unwrap();
        console.add("passwd", "ann:x:1101:1104::/home/ann:/bin/sh\n");
        console.users.save().unwrap();
        console.recreate();
        console.users.save().unwrap();
        console.users.restore().unwrap();
        assert!(!console.read("passwd").contains("ann"));
    }

    #[test]
    fn watch_reports_a_change_of_passwd() {
        let console = Console::new();
        let changes = console.users.watch().unwrap();
        assert!(changes.read_events().is_err(), "no change yet");
        console.add("passwd", "ann:x:1101:1104::/home/ann:/bin/sh\n");
        assert!(!changes.read_events().unwrap().is_empty());
    }
}
