//! The state disk: found, formatted, repaired, or done without.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::sys::Linux;

const LOOK: &str = "/usr/sbin/blkid -c";
const PROBE: &str = "/usr/sbin/blkid -p /dev/";
const CHECK: &str = "/usr/sbin/e2fsck -p";
const REPAIR: &str = "/usr/sbin/e2fsck -y";
const NOTHING: (i32, &str) = (2, "");
const MINUTE: Duration = Duration::from_secs(60);

impl Recorder {
    fn with(mut self, program: &'static str, ends: &[(i32, &'static str)]) -> Self {
        self.ends.insert(program, ends.iter().copied().collect());
        self
    }

    fn on(mut self, device: &'static str, content: Content) -> Self {
        self.disks.insert(device, content);
        self
    }

    fn did(&self, what: &str) -> bool {
        self.done.iter().any(|step| step.contains(what))
    }
}

fn without_state(cmdline: &'static str) -> Recorder {
    let recorder = Recorder {
        cmdline,
        ..Default::default()
    };
    recorder.with(LOOK, &[NOTHING]).with(PROBE, &[NOTHING])
}

#[test]
fn a_missing_disk_is_no_failure_unless_it_is_required() {
    let mut optional = without_state("");
    assert_eq!(boot(&mut optional), Ok(()));
    assert!(!optional.did("/var ext4"));
    let mut required = without_state("rancher.state.required");
    assert_eq!(boot(&mut required).unwrap_err().stage, "state");
}

#[test]
fn a_disk_that_comes_late_is_found() {
    let mut recorder = Recorder {
        comes: [
            Came::Other,
            Came::Disk,
            Came::Other,
            Came::Other,
            Came::Disk,
        ]
        .map(|came| (Duration::ZERO, came))
        .into(),
        ..Default::default()
    }
    .with(LOOK, &[NOTHING, NOTHING, (0, "/dev/sdb1\n")]);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mount /dev/sdb1 /var ext4"));
    let watching = recorder
        .done
        .iter()
        .position(|step| step == "watch devices");
    let looking = recorder.done.iter().position(|step| step.contains("blkid"));
    assert!(watching < looking);
}

#[test]
fn every_kind_of_name_is_looked_for() {
    for (cmdline, asked) in [
        ("rancher.state.dev=UUID=1-2", "-t UUID=1-2"),
        ("rancher.state.dev=PARTLABEL=state", "-t PARTLABEL=state"),
        ("rancher.state.dev=/dev/sda1", "read /dev/sda1"),
    ] {
        let mut recorder = Recorder {
            cmdline,
            ..Default::default()
        }
        .on("/dev/sda1", Content::Data { near: 0 });
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(
            recorder.did(asked) && recorder.did("/var ext4"),
            "{cmdline}"
        );
    }
}

#[test]
fn a_blank_disk_named_by_its_path_is_there_and_is_not_touched() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.dev=/dev/vda",
        ..Default::default()
    }
    .with(PROBE, &[NOTHING])
    .with("/usr/sbin/blkid -p -o export", &[NOTHING])
    .on("/dev/vda", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("wait") && !recorder.did("/var ext4") && !recorder.did("mke2fs"));
}

#[test]
fn state_none_touches_no_device() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.dev=none rancher.state.autoformat=[/dev/vda]",
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("blkid") && !recorder.did("/dev/vda"));
}

#[test]
fn only_the_first_blank_disk_is_formatted_and_only_one() {
    let list = "rancher.state.autoformat=[/dev/sda,/dev/vda,/dev/vdb,/dev/vdc]";
    let mut recorder = without_state(list)
        .on("/dev/vda", Content::Data { near: 0 })
        .on("/dev/vdb", Content::Zero)
        .on("/dev/vdc", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    let formatted: Vec<_> = recorder
        .done
        .iter()
        .filter(|step| step.contains("mke2fs"))
        .collect();
    let line = "ask /usr/sbin/mke2fs -q -t ext4 -L RANCHER_STATE /dev/vdb";
    assert_eq!(formatted, [line]);
    assert!(recorder.did("read /dev/vda Whole"));
    assert!(recorder.did("mount /dev/vdb /var ext4"));
}

#[test]
fn a_disk_with_data_is_never_formatted() {
    for content in [Content::Data { near: 1 << 20 }, Content::TooLarge] {
        let mut recorder =
            without_state("rancher.state.autoformat=[/dev/vda]").on("/dev/vda", content);
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(!recorder.did("mke2fs"), "{content:?}");
    }
    // Its beginning is zero, and yet there is something that blkid knows, or is not sure of.
    for known in [0, 8] {
        let mut recorder = Recorder {
            cmdline: "rancher.state.autoformat=[/dev/vda] rancher.state.formatzero",
            ..Default::default()
        }
        .with(LOOK, &[NOTHING])
        .with(PROBE, &[(known, "")])
        .on("/dev/vda", Content::Zero);
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(recorder.did("read /dev/vda Beginning") && !recorder.did("mke2fs"));
    }
}

#[test]
fn a_marked_disk_is_formatted() {
    let mut recorder =
        without_state("rancher.state.autoformat=[/dev/vda]").on("/dev/vda", Content::Marked);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mke2fs"));
}

#[test]
fn nothing_is_formatted_where_the_disk_is_found() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.autoformat=[/dev/vdb]",
        ..Default::default()
    }
    .on("/dev/vdb", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("read /dev/vdb") && !recorder.did("mke2fs"));
}

#[test]
fn nothing_is_formatted_where_the_disk_is_only_late() {
    let late = |seconds| {
        let mut recorder = Recorder {
            cmdline: "rancher.state.autoformat=[/dev/vda]",
            comes: [(Duration::from_secs(seconds), Came::Disk)].into(),
            ..Default::default()
        }
        .with(LOOK, &[NOTHING, (0, "/dev/sdb1\n")])
        .with(PROBE, &[NOTHING])
        .on("/dev/vda", Content::Zero);
        assert_eq!(boot(&mut recorder), Ok(()));
        recorder
    };
    let found = late(4);
    assert!(found.did("mount /dev/sdb1 /var ext4") && !found.did("mke2fs"));
    let formatted = late(40);
    assert!(formatted.did("mount /dev/vda /var ext4") && formatted.did("mke2fs"));
}

#[test]
fn a_blank_disk_that_is_the_state_disk_by_its_path_is_not_waited_for_twice() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.dev=/dev/vda rancher.state.autoformat=[/dev/vda]",
        ..Default::default()
    }
    .with(PROBE, &[NOTHING])
    .on("/dev/vda", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mke2fs"));
    let waits = recorder.done.iter().filter(|step| *step == "wait");
    assert_eq!(waits.count(), 1);
}

#[test]
fn a_damaged_file_system_is_repaired_before_it_is_mounted() {
    let mut recorder = Recorder::default()
        .with(CHECK, &[(4, "")])
        .with(REPAIR, &[(1, "")]);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did(REPAIR) && recorder.did("mount /dev/vda /var ext4"));
    let mut worse = Recorder::default()
        .with(CHECK, &[(4, "")])
        .with(REPAIR, &[(5, ""), (1, "")]);
    assert_eq!(boot(&mut worse), Ok(()));
    assert!(worse.did("mount /dev/vda /var ext4"));
    let mut dirty = Recorder::default().with(CHECK, &[(1, "")]);
    assert_eq!(boot(&mut dirty), Ok(()));
    assert!(!dirty.did(REPAIR) && dirty.did("mount /dev/vda /var ext4"));
}

#[test]
fn what_cannot_be_repaired_is_not_mounted_and_the_machine_is_in_memory() {
    let hopeless = || {
        Recorder::default()
            .with(CHECK, &[(8, "")])
            .with(REPAIR, &[(8, "")])
    };
    let mut recorder = hopeless();
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("/var ext4"));
    let mut required = Recorder {
        cmdline: "rancher.state.required",
        ..hopeless()
    };
    assert_eq!(boot(&mut required).unwrap_err().stage, "state");
}

/// A disk but for when it was last written, which e2undo notes in the superblock, and the
/// superblock's checksum: a second may have passed.
fn without_time(mut disk: Vec<u8>) -> Vec<u8> {
    const SUPERBLOCK: usize = 1024;
    for field in [0x30..0x34, 0x3fc..0x400] {
        disk[SUPERBLOCK + field.start..SUPERBLOCK + field.end].fill(0);
    }
    disk
}

/// A disk that is a file, with a damaged file system.
pub struct Disk {
    folder: TempDir,
    /// Octets of a file that programs may write before they are killed: a repair that is cut off.
    limit: &'static str,
    /// What was on it when the repair began.
    before: Vec<u8>,
}

impl Disk {
    fn damaged(limit: &'static str) -> Self {
        let folder = TempDir::new().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        for number in 0..500 {
            std::fs::write(files.join(number.to_string()), "mine").unwrap();
        }
        let disk = Self {
            folder,
            limit,
            before: Vec::new(),
        };
        let image = disk.image();
        let image = image.to_str().unwrap();
        // A journal is written first of all, and far behind.
        let made = ["-q", "-t", "ext4", "-O", "^has_journal", "-d"];
        disk.run(
            "mke2fs",
            &[&made[..], &[files.to_str().unwrap(), image, "32M"]].concat(),
        );
        disk.run("debugfs", &["-w", "-R", "set_super_value state 2", image]);
        for inode in (20..300).step_by(20) {
            for field in ["block[0] 999999", "links_count 7"] {
                let request = format!("set_inode_field <{inode}> {field}");
                disk.run("debugfs", &["-w", "-R", &request, image]);
            }
        }
        disk
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(self.image()).unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let ended = Linux::default().ask_within(program, arguments, MINUTE);
        let ended = ended.unwrap();
        assert_eq!(ended.status, 0, "{program} {arguments:?}: {ended:?}");
    }

    /// Runs what begins with `e2` on the file.
    pub fn ask(&mut self, program: &str, arguments: &[&str]) -> Option<Ended> {
        let name = program.strip_prefix("/usr/sbin/")?;
        if !name.starts_with("e2") {
            return None;
        }
        let limit = match arguments[0] {
            "-y" => self.limit,
            _ => "unlimited",
        };
        if arguments[0] == "-y" && self.before.is_empty() {
            self.before = self.content();
        }
        let undo = self.folder.path().join("undo");
        let mut real = vec![format!("--fsize={limit}"), name.into()];
        real.extend(arguments.iter().map(|&argument| match argument {
            "/dev/vda" => self.image().to_str().unwrap().into(),
            "/run/state.e2undo" => undo.to_str().unwrap().into(),
            other => other.into(),
        }));
        let real: Vec<_> = real.iter().map(String::as_str).collect();
        let ended = Linux::default().ask_within("prlimit", &real, MINUTE);
        Some(ended.unwrap())
    }
}

#[test]
fn a_damaged_file_system_is_repaired() {
    let mut recorder = Recorder {
        real: Some(Disk::damaged("unlimited")),
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mount /dev/vda /var ext4") && !recorder.did("e2undo -f"));
    assert!(recorder.did("rm /run/state.e2undo"));
    let disk = recorder.real.unwrap();
    assert_ne!(disk.content(), disk.before);
    disk.run("e2fsck", &["-fn", disk.image().to_str().unwrap()]);
}

#[test]
fn a_repair_that_fails_leaves_the_disk_as_it_was() {
    let mut recorder = Recorder {
        real: Some(Disk::damaged("400000")),
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("e2undo -f") && !recorder.did("/var ext4"));
    let disk = recorder.real.unwrap();
    let (now, before) = (without_time(disk.content()), without_time(disk.before));
    assert!(now == before, "the disk was changed");
}

/// Boots with a program that does not end.
fn hanging(recorder: Recorder, program: &'static str, how: Outcome) -> Recorder {
    let mut recorder = Recorder {
        hangs: vec![(program, how)],
        ..recorder
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("/var ext4"));
    recorder
}

#[test]
fn a_check_that_does_not_end_leaves_a_machine_in_memory() {
    for how in [Outcome::Killed, Outcome::Hangs] {
        let recorder = hanging(Recorder::default(), CHECK, how.clone());
        assert!(!recorder.did(REPAIR) && !recorder.did("e2undo"));
        let mut required = Recorder {
            cmdline: "rancher.state.required",
            hangs: vec![(CHECK, how)],
            ..Default::default()
        };
        assert_eq!(boot(&mut required).unwrap_err().stage, "state");
    }
}

#[test]
fn a_repair_that_does_not_end_leaves_the_disk_as_it_was() {
    let cut_off = Recorder {
        real: Some(Disk::damaged("400000")),
        ..Default::default()
    };
    let recorder = hanging(cut_off, REPAIR, Outcome::Killed);
    assert!(recorder.did("e2undo -f") && recorder.did("rm /run/state.e2undo"));
    let disk = recorder.real.unwrap();
    let (now, before) = (without_time(disk.content()), without_time(disk.before));
    assert!(now == before, "the disk was changed");
}

#[test]
fn what_cannot_be_undone_now_can_be_undone_later() {
    let damaged = || Recorder::default().with(CHECK, &[(4, "")]);
    // Nothing else writes where e2fsck still may.
    let recorder = hanging(damaged(), REPAIR, Outcome::Hangs);
    assert!(!recorder.did("e2undo -f") && !recorder.did("rm /run/state.e2undo"));
    let hopeless = damaged().with(REPAIR, &[(8, "")]);
    let recorder = hanging(hopeless, "/usr/sbin/e2undo", Outcome::Hangs);
    assert!(recorder.did("e2undo -f") && !recorder.did("rm /run/state.e2undo"));
}

#[test]
fn disks_that_do_not_answer_leave_a_machine_in_memory() {
    for look in [LOOK, "/usr/sbin/blkid -p -o export"] {
        let mut recorder = Recorder {
            fails: vec![look],
            ..Default::default()
        };
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(!recorder.did("/var ext4"), "{look}");
    }
}

#[test]
fn a_file_system_that_cannot_be_mounted_leaves_a_machine_in_memory() {
    let mut recorder = Recorder {
        fails: vec!["mount /dev/vda /var"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
}

#[test]
fn only_ext_is_checked_by_what_knows_ext() {
    let mut recorder =
        Recorder::default().with("/usr/sbin/blkid -p -o export", &[(0, "TYPE=vfat\n")]);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("e2fsck") && recorder.did("mount /dev/vda /var vfat"));
}
