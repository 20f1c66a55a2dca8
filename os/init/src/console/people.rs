//! People beside `rancher`: whom somebody adds in a console (`useradd`), the next one knows, too.
//!
//! What a console has in `/etc` is thrown away with it, and it may be one of another make. So whenever
//! that changes, the lines of people and of their groups are kept in a file of the machine's, and put
//! where they are missing when a console starts.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::users::{GROUPS, RANCHER, replace};

/// Where they are kept: a line is what file it is of, and the line of that.
const KEPT: &str = "/var/lib/rancher/conf/people";

/// The numbers of people and of their groups; below are those of programs (login.defs(5)).
const NUMBERS: std::ops::Range<u32> = 1000..60000;

/// A shell that every console has.
const SHELL: &str = "/bin/bash";

/// The people of a console.
pub struct People {
    etc: PathBuf,
    kept: PathBuf,
}

impl People {
    /// Those of this one.
    pub fn here() -> Self {
        Self {
            etc: "/etc".into(),
            kept: KEPT.into(),
        }
    }

    /// Tells when they may have changed.
    pub fn watch(&self) -> nix::Result<Inotify> {
        let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let written = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
        changes.add_watch(&self.etc, written)?;
        Ok(changes)
    }

    /// Keeps those who are here.
    pub fn keep(&self) -> Result<()> {
        let (passwd, shadow) = (self.table("passwd")?, self.table("shadow")?);
        let group = self.table("group")?;
        let people: Vec<_> = passwd.lines().filter(|line| is_person(line)).collect();
        let names: BTreeSet<_> = people.iter().map(|line| name(line)).collect();
        let mut kept = String::new();
        let mut add = |file: &str, line: &str| kept += &format!("{file} {line}\n");
        people.iter().for_each(|line| add("passwd", line));
        let theirs = shadow.lines().filter(|line| names.contains(name(line)));
        theirs.for_each(|line| add("shadow", line));
        for line in group.lines() {
            let of_people = members(line).filter(|member| names.contains(member));
            let of_people = Vec::from_iter(of_people);
            if is_group_of_people(line) || !of_people.is_empty() {
                add("group", &with_members(line, &of_people));
            }
        }
        let before = read(&self.kept)?;
        match before.as_deref().unwrap_or_default() == kept {
            true => Ok(()),
            false => replace(&self.kept, kept.as_bytes(), 0o600, None),
        }
    }

    /// Makes those who are kept known here.
    pub fn restore(&self) -> Result<()> {
        let kept = read(&self.kept)?.unwrap_or_default();
        let of = |file: &str| {
            let lines = kept.lines().filter_map(|line| line.split_once(' '));
            let lines = lines.filter(|(of, _)| *of == file).map(|(_, line)| line);
            Vec::from_iter(lines)
        };
        // Who is in passwd is known: the last of all.
        for (file, mode) in [("group", 0o644), ("shadow", 0o600), ("passwd", 0o644)] {
            let old = self.table(file)?;
            let mut lines: Vec<_> = old.lines().map(str::to_owned).collect();
            for line in of(file) {
                let here = lines.iter_mut().find(|one| name(one) == name(line));
                match (file, here) {
                    ("group", Some(here)) => *here = with_more_members(here, line),
                    ("group", None) if !is_group_of_people(line) => (),
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
        read(&path)?.ok_or_else(|| Error::other(format!("{} is not there", path.display())))
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

fn number(line: &str) -> Option<u32> {
    field(line, 2).parse().ok()
}

/// Of passwd(5); `rancher` is the machine's own.
fn is_person(line: &str) -> bool {
    line.split(':').count() == 7
        && number(line).is_some_and(|number| NUMBERS.contains(&number) && number != RANCHER)
}

/// Of group(5).
fn is_group_of_people(line: &str) -> bool {
    number(line).is_some_and(|number| NUMBERS.contains(&number) && !GROUPS.contains(&number))
}

fn members(line: &str) -> impl Iterator<Item = &str> {
    let members = field(line, 3).split(',');
    members.filter(|member| !member.is_empty())
}

/// A line of group(5) with these members.
fn with_members(line: &str, members: &[&str]) -> String {
    let fields: Vec<_> = line.split(':').take(3).collect();
    format!("{}:{}", fields.join(":"), members.join(","))
}

/// A line of group(5) with the members of another one beside its own.
pub fn with_more_members(line: &str, other: &str) -> String {
    let mut all = Vec::from_iter(members(line));
    let more = members(other).filter(|member| !members(line).any(|has| has == *member));
    all.extend(more);
    with_members(line, &all)
}

/// A shell that this console lacks would let nobody in.
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
        people: People,
        folder: tempfile::TempDir,
    }

    impl Console {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let console = Self {
                people: People {
                    etc: folder.path().into(),
                    kept: folder.path().join("kept"),
                },
                folder,
            };
            console.renew();
            console
        }

        /// As its image has it.
        fn renew(&self) {
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
    fn who_was_added_is_known_in_the_next_console_with_groups_and_password() {
        let console = Console::new();
        console.add(
            "passwd",
            "ann:x:1101:1104::/home/ann:/bin/sh\nbob:x:1102:1105::/:/no/zsh\n",
        );
        console.add("shadow", "ann:$6$a:1::::::\nbob:!:1::::::\n");
        let groups =
            "root:x:0:\ndocker:x:1101:rancher,ann\naudio:x:29:ann\nsys:x:3:bob\nann:x:1104:\n";
        console.write("group", groups);
        console.people.keep().unwrap();
        console.renew();
        for _ in 0..2 {
            console.people.restore().unwrap();
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
    fn who_was_removed_stays_away_and_a_machine_of_nobody_keeps_nothing() {
        let console = Console::new();
        console.people.keep().unwrap();
        assert!(!console.people.kept.exists());
        console.people.restore().unwrap();
        console.add("passwd", "ann:x:1101:1104::/home/ann:/bin/sh\n");
        console.people.keep().unwrap();
        console.renew();
        console.people.keep().unwrap();
        console.people.restore().unwrap();
        assert!(!console.read("passwd").contains("ann"));
    }

    #[test]
    fn what_changes_is_heard_of() {
        let console = Console::new();
        let changes = console.people.watch().unwrap();
        assert!(changes.read_events().is_err(), "nothing yet");
        console.add("passwd", "ann:x:1101:1104::/home/ann:/bin/sh\n");
        assert!(!changes.read_events().unwrap().is_empty());
    }
}
