//! The state disk: finding, formatting and repairing it, and booting without it.

use std::path::PathBuf;

use sys::Linux;
use tempfile::TempDir;

use super::*;

const FIND: &str = "/usr/sbin/blkid -c";
const PROBE: &str = "/usr/sbin/blkid -p /dev/";
const CHECK: &str = "/usr/sbin/e2fsck -p";
const REPAIR: &str = "/usr/sbin/e2fsck -y";
const NOTHING: (i32, &str) = (2, "");
const MINUTE: Duration = Duration::from_secs(60);

impl Recorder {
    /// Sets exit status and output of a program.
    fn with(mut self, program: &'static str, exits: &[(i32, &'static str)]) -> Self {
        self.exits.insert(program, exits.iter().copied().collect());
        self
    }

    /// Adds a disk.
    fn on(mut self, device: &'static str, content: Content) -> Self {
        self.disks.insert(device, content);
        self
    }

    /// Whether a step has this text.
    fn did(&self, text: &str) -> bool {
        self.steps.iter().any(|step| step.contains(text))
    }
}

fn without_state(cmdline: &'static str) -> Recorder {
    let recorder = Recorder {
        cmdline,
        ..Default::default()
    };
    recorder.with(FIND, &[NOTHING]).with(PROBE, &[NOTHING])
}

#[test]
fn missing_disk_fails_the_boot_only_when_it_is_required() {
    let mut optional = without_state("");
    assert_eq!(boot(&mut optional), Ok(()));
    assert!(!optional.did("/var ext4"));
    let mut required = without_state("rancher.state.required");
    assert_eq!(boot(&mut required).unwrap_err().stage, "state");
}

#[test]
fn disk_is_found_when_it_appears_late() {
    let mut recorder = Recorder {
        devices: [
            DeviceEvent::Other,
            DeviceEvent::Disk,
            DeviceEvent::Other,
            DeviceEvent::Other,
            DeviceEvent::Disk,
        ]
        .map(|event| (Duration::ZERO, event))
        .into(),
        ..Default::default()
    }
    .with(FIND, &[NOTHING, NOTHING, (0, "/dev/sdb1\n")]);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mount /dev/sdb1 /var ext4"));
    let watching = recorder
        .steps
        .iter()
        .position(|step| step == "watch devices");
    let looking = recorder
        .steps
        .iter()
        .position(|step| step.contains("blkid"));
    assert!(watching < looking);
}

#[test]
fn disk_is_found_by_each_kind_of_name() {
    for (cmdline, step) in [
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
        assert!(recorder.did(step) && recorder.did("/var ext4"), "{cmdline}");
    }
}

#[test]
fn blank_disk_is_not_changed_when_its_path_is_configured() {
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
fn state_none_reads_no_device() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.dev=none rancher.state.autoformat=[/dev/vda]",
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("blkid") && !recorder.did("/dev/vda"));
}

#[test]
fn format_uses_only_the_first_blank_disk() {
    let list = "rancher.state.autoformat=[/dev/sda,/dev/vda,/dev/vdb,/dev/vdc]";
    let mut recorder = without_state(list)
        .on("/dev/vda", Content::Data { near: 0 })
        .on("/dev/vdb", Content::Zero)
        .on("/dev/vdc", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    let formatted: Vec<_> = recorder
        .steps
        .iter()
        .filter(|step| step.contains("mke2fs"))
        .collect();
    let line = "ask /usr/sbin/mke2fs -q -t ext4 -L RANCHER_STATE /dev/vdb";
    assert_eq!(formatted, [line]);
    assert!(recorder.did("read /dev/vda Whole"));
    assert!(recorder.did("mount /dev/vdb /var ext4"));
}

#[test]
fn disk_is_never_formatted_when_it_has_data() {
    for content in [Content::Data { near: 1 << 20 }, Content::TooLarge] {
        let mut recorder =
            without_state("rancher.state.autoformat=[/dev/vda]").on("/dev/vda", content);
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(!recorder.did("mke2fs"), "{content:?}");
    }
    // Its beginning is zero, but blkid recognizes something (0) or is not sure (8).
    for status in [0, 8] {
        let mut recorder = Recorder {
            cmdline: "rancher.state.autoformat=[/dev/vda] rancher.state.formatzero",
            ..Default::default()
        }
        .with(FIND, &[NOTHING])
        .with(PROBE, &[(status, "")])
        .on("/dev/vda", Content::Zero);
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(recorder.did("read /dev/vda Beginning") && !recorder.did("mke2fs"));
    }
}

#[test]
fn disk_is_formatted_when_it_is_marked() {
    let mut recorder =
        without_state("rancher.state.autoformat=[/dev/vda]").on("/dev/vda", Content::Marked);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mke2fs"));
}

#[test]
fn nothing_is_formatted_when_the_disk_is_found() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.autoformat=[/dev/vdb]",
        ..Default::default()
    }
    .on("/dev/vdb", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("read /dev/vdb") && !recorder.did("mke2fs"));
}

#[test]
fn nothing_is_formatted_when_the_disk_is_only_late() {
    let late = |seconds| {
        let mut recorder = Recorder {
            cmdline: "rancher.state.autoformat=[/dev/vda]",
            devices: [(Duration::from_secs(seconds), DeviceEvent::Disk)].into(),
            ..Default::default()
        }
        .with(FIND, &[NOTHING, (0, "/dev/sdb1\n")])
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
fn blank_disk_is_formatted_without_a_second_wait_when_its_path_is_configured() {
    let mut recorder = Recorder {
        cmdline: "rancher.state.dev=/dev/vda rancher.state.autoformat=[/dev/vda]",
        ..Default::default()
    }
    .with(PROBE, &[NOTHING])
    .on("/dev/vda", Content::Zero);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.did("mke2fs"));
    let waits = recorder.steps.iter().filter(|step| *step == "wait");
    assert_eq!(waits.count(), 1);
}

#[test]
fn damaged_file_system_is_repaired_before_it_is_mounted() {
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
fn file_system_is_not_mounted_when_it_cannot_be_repaired() {
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

/// A disk without the time of the last write, which e2undo stores in the superblock, and without the
/// superblock's checksum: a second may have passed.
fn without_time(mut disk: Vec<u8>) -> Vec<u8> {
    const SUPERBLOCK: usize = 1024;
    for field in [0x30..0x34, 0x3fc..0x400] {
        disk[SUPERBLOCK + field.start..SUPERBLOCK + field.end].fill(0);
    }
    disk
}

/// A file with a damaged file system, in place of a disk.
pub(super) struct Disk {
    folder: TempDir,
    /// How many bytes of a file e2fsck may write before it is killed; a limit interrupts the repair.
    limit: &'static str,
    /// The content when the repair began.
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
        // Without a journal, which would be written first and far behind the other blocks.
        let options = ["-q", "-t", "ext4", "-O", "^has_journal", "-d"];
        disk.run(
            "mke2fs",
            &[&options[..], &[files.to_str().unwrap(), image, "32M"]].concat(),
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
        let output = Linux::default().run_with_timeout(program, arguments, MINUTE);
        let output = output.unwrap();
        assert_eq!(output.status, 0, "{program} {arguments:?}: {output:?}");
    }

    /// Executes a program on the file, if its name begins with `e2`.
    pub(super) fn run_program(
        &mut self,
        program: &str,
        arguments: &[&str],
    ) -> Option<ProgramOutput> {
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
        let output = Linux::default().run_with_timeout("prlimit", &real, MINUTE);
        Some(output.unwrap())
    }
}

#[test]
fn repair_succeeds_on_a_real_file_system() {
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
fn disk_is_unchanged_when_the_repair_fails() {
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

/// Boots with a program that times out.
fn with_timeout(recorder: Recorder, program: &'static str, outcome: Outcome) -> Recorder {
    let mut recorder = Recorder {
        timeouts: vec![(program, outcome)],
        ..recorder
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("/var ext4"));
    recorder
}

#[test]
fn disk_is_not_mounted_when_its_check_times_out() {
    for outcome in [Outcome::Killed, Outcome::Stuck] {
        let recorder = with_timeout(Recorder::default(), CHECK, outcome.clone());
        assert!(!recorder.did(REPAIR) && !recorder.did("e2undo"));
        let mut required = Recorder {
            cmdline: "rancher.state.required",
            timeouts: vec![(CHECK, outcome)],
            ..Default::default()
        };
        assert_eq!(boot(&mut required).unwrap_err().stage, "state");
    }
}

#[test]
fn disk_is_unchanged_when_the_repair_times_out() {
    let interrupted = Recorder {
        real: Some(Disk::damaged("400000")),
        ..Default::default()
    };
    let recorder = with_timeout(interrupted, REPAIR, Outcome::Killed);
    assert!(recorder.did("e2undo -f") && recorder.did("rm /run/state.e2undo"));
    let disk = recorder.real.unwrap();
    let (now, before) = (without_time(disk.content()), without_time(disk.before));
    assert!(now == before, "the disk was changed");
}

#[test]
fn undo_file_is_kept_when_undoing_is_not_possible() {
    let damaged = || Recorder::default().with(CHECK, &[(4, "")]);
    // While e2fsck may still write to the disk, nothing else does.
    let recorder = with_timeout(damaged(), REPAIR, Outcome::Stuck);
    assert!(!recorder.did("e2undo -f") && !recorder.did("rm /run/state.e2undo"));
    let hopeless = damaged().with(REPAIR, &[(8, "")]);
    let recorder = with_timeout(hopeless, "/usr/sbin/e2undo", Outcome::Stuck);
    assert!(recorder.did("e2undo -f") && !recorder.did("rm /run/state.e2undo"));
}

#[test]
fn disk_is_not_mounted_when_blkid_fails() {
    for program in [FIND, "/usr/sbin/blkid -p -o export"] {
        let mut recorder = Recorder {
            fails: vec![program],
            ..Default::default()
        };
        assert_eq!(boot(&mut recorder), Ok(()));
        assert!(!recorder.did("/var ext4"), "{program}");
    }
}

#[test]
fn boot_continues_when_the_file_system_cannot_be_mounted() {
    let mut recorder = Recorder {
        fails: vec!["mount /dev/vda /var"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
}

#[test]
fn e2fsck_runs_only_when_the_file_system_is_ext() {
    let mut recorder =
        Recorder::default().with("/usr/sbin/blkid -p -o export", &[(0, "TYPE=vfat\n")]);
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(!recorder.did("e2fsck") && recorder.did("mount /dev/vda /var vfat"));
}
