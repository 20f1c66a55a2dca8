//! Tests with the accounts of a temporary root folder.

use std::os::unix::fs::MetadataExt as _;

use crate::{Accounts, Change, NewUser};

struct Console {
    accounts: Accounts,
    folder: tempfile::TempDir,
}

impl Console {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let write = |name: &str, text: &str| std::fs::write(etc.join(name), text).unwrap();
        write(
            "passwd",
            "root:x:0:0::/root:/bin/sh\nrancher:x:1100:1100::/home/rancher:/bin/bash\n",
        );
        write("shadow", "root:*:::::::\nrancher:*:::::::\n");
        write(
            "group",
            "root:x:0:\nusers:x:100:\nrancher:x:1100:\ndocker:x:1101:rancher\nsudo:x:1103:rancher\n",
        );
        let accounts = Accounts::of(folder.path());
        Self { accounts, folder }
    }

    fn add(&self, new: NewUser) -> Result<(), String> {
        let new = NewUser {
            no_home: true,
            ..new
        };
        self.accounts.add_user(&new)
    }

    fn line(&self, table: &str, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("etc").join(table)).unwrap();
        let mut lines = text.lines();
        let found = lines.find(|line| line.split(':').next() == Some(name));
        found.unwrap_or("none").to_owned()
    }
}

fn named(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        ..NewUser::default()
    }
}

#[test]
fn add_user_sets_defaults_when_only_the_name_is_given() {
    let console = Console::new();
    console.add(named("bob")).unwrap();
    assert_eq!(
        console.line("passwd", "bob"),
        "bob:x:1101:1104::/home/bob:/bin/bash"
    );
    assert_eq!(console.line("group", "bob"), "bob:x:1104:");
    assert!(console.line("shadow", "bob").starts_with("bob:!:"));
    assert_eq!(console.line("shadow", "bob").split(':').count(), 9);
    assert_eq!(
        console.add(named("bob")).unwrap_err(),
        "user `bob` already exists"
    );
}

#[test]
fn add_user_sets_all_values() {
    let console = Console::new();
    let new = NewUser {
        uid: Some(2000),
        group: Some("users".into()),
        groups: vec!["docker".into(), "1103".into()],
        home: Some("/opt/ann".into()),
        shell: Some("/bin/sh".into()),
        comment: "Ann".into(),
        password: Some("$6$hash".into()),
        ..named("ann")
    };
    console.add(new).unwrap();
    assert_eq!(
        console.line("passwd", "ann"),
        "ann:x:2000:100:Ann:/opt/ann:/bin/sh"
    );
    assert_eq!(console.line("group", "docker"), "docker:x:1101:rancher,ann");
    assert_eq!(console.line("group", "sudo"), "sudo:x:1103:rancher,ann");
    assert!(console.line("shadow", "ann").starts_with("ann:$6$hash:"));
    let system = NewUser {
        system: true,
        ..named("daemon")
    };
    console.add(system).unwrap();
    assert_eq!(
        console.line("passwd", "daemon"),
        "daemon:x:999:999::/home/daemon:/bin/bash"
    );
}

#[test]
fn add_user_changes_nothing_when_a_value_is_invalid() {
    let console = Console::new();
    let groups = |groups: &str| NewUser {
        groups: vec![groups.into()],
        ..named("bob")
    };
    assert_eq!(
        console.add(groups("tea")).unwrap_err(),
        "group `tea` does not exist"
    );
    assert!(console.add(named("-bob")).is_err());
    assert!(console.add(named("bob:x")).is_err());
    let broken = NewUser {
        comment: "a:b".into(),
        ..named("bob")
    };
    assert!(console.add(broken).unwrap_err().contains("colon"));
    assert_eq!(console.line("passwd", "bob"), "none");
    assert_eq!(console.line("group", "bob"), "none");
}

#[test]
fn home_contains_a_copy_of_the_skeleton() {
    let console = Console::new();
    let root = console.folder.path();
    std::fs::create_dir_all(root.join("etc/skel")).unwrap();
    std::fs::write(root.join("etc/skel/.profile"), "x").unwrap();
    // Only root can give files to other users, so the new user has the IDs of this process.
    let me = root.metadata().unwrap();
    let group = root.join("etc/group");
    let groups = std::fs::read_to_string(&group).unwrap();
    std::fs::write(&group, format!("{groups}mine:x:{}:\n", me.gid())).unwrap();
    let new = NewUser {
        uid: Some(me.uid()).filter(|uid| *uid != 0),
        group: Some("mine".into()),
        ..named("bob")
    };
    console.accounts.add_user(&new).unwrap();
    let home = root.join("home/bob");
    assert_eq!(home.metadata().unwrap().mode() & 0o777, 0o700);
    assert_eq!(home.join(".profile").metadata().unwrap().gid(), me.gid());
    console.accounts.remove_user("bob", true).unwrap();
    assert!(!home.exists());
}

#[test]
fn change_user_preserves_the_other_values() {
    let console = Console::new();
    console.add(named("bob")).unwrap();
    let change = |change: Change| console.accounts.change_user("bob", &change);
    let groups = |names: &[&str], append| Change {
        groups: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        append,
        ..Change::default()
    };
    change(groups(&["docker"], true)).unwrap();
    change(groups(&["sudo"], true)).unwrap();
    assert_eq!(console.line("group", "docker"), "docker:x:1101:rancher,bob");
    change(groups(&["users"], false)).unwrap();
    assert_eq!(console.line("group", "docker"), "docker:x:1101:rancher");
    assert_eq!(console.line("group", "users"), "users:x:100:bob");
    let shell = Change {
        shell: Some("/bin/sh".into()),
        ..Change::default()
    };
    change(shell).unwrap();
    assert_eq!(
        console.line("passwd", "bob"),
        "bob:x:1101:1104::/home/bob:/bin/sh"
    );
    let unlock = |lock| Change {
        lock: Some(lock),
        ..Change::default()
    };
    assert!(change(unlock(false)).is_err(), "there is no password");
    let password = Change {
        password: Some("$6$x".into()),
        ..Change::default()
    };
    change(password).unwrap();
    change(unlock(true)).unwrap();
    assert!(console.line("shadow", "bob").starts_with("bob:!$6$x:"));
    change(unlock(false)).unwrap();
    assert!(console.line("shadow", "bob").starts_with("bob:$6$x:"));
}

#[test]
fn remove_user_removes_the_own_group_and_memberships() {
    let console = Console::new();
    let new = NewUser {
        groups: vec!["docker".into()],
        ..named("bob")
    };
    console.add(new).unwrap();
    assert!(
        console.accounts.remove_group("bob").is_err(),
        "it is bob's primary group"
    );
    console.accounts.remove_user("bob", false).unwrap();
    for table in ["passwd", "shadow", "group"] {
        assert_eq!(console.line(table, "bob"), "none", "{table}");
    }
    assert_eq!(console.line("group", "docker"), "docker:x:1101:rancher");
    assert!(console.accounts.remove_user("bob", false).is_err());
    assert!(console.accounts.remove_user("root", false).is_err());
    console
        .accounts
        .add_group("tea", Some(3000), false)
        .unwrap();
    assert!(
        console
            .accounts
            .add_group("milk", Some(3000), false)
            .is_err()
    );
    console.accounts.remove_group("tea").unwrap();
}
