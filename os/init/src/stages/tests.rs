//! The order of what the boot does to the machine, recorded instead of done.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::*;
use nix::sys::resource::Resource;

use crate::sys::{Content, Ended, Extent, Free, Node, Outcome, Patience};
use crate::uevents::Came;

const PLENTY: Free = Free {
    octets: 1 << 30,
    files: Some(1 << 16),
};

/// Writes down what it is asked to do; fails what it is told to.
#[derive(Default)]
struct Recorder {
    done: Vec<String>,
    fails: Vec<&'static str>,
    cmdline: &'static str,
    over: Vec<&'static str>,
    scsi_hosts: Vec<&'static str>,
    /// What is left on the state disk; plenty unless told.
    left: Option<Free>,
    /// What devices come, each so long after the one before.
    comes: VecDeque<(Duration, Came)>,
    /// Programs by how their command line begins, and how they end: each time the next one, and the
    /// last for ever. Others succeed.
    ends: BTreeMap<&'static str, VecDeque<(i32, &'static str)>>,
    /// Programs that do not end, and whether they can be ended.
    hangs: Vec<(&'static str, Outcome)>,
    /// What is on the disks that are there.
    disks: BTreeMap<&'static str, Content>,
    /// A file in the place of /dev/vda: what knows its file system is run in earnest.
    real: Option<state::Disk>,
}

impl Recorder {
    fn note(&mut self, what: String) -> Result<()> {
        let failure = self.fails.iter().find(|text| what.contains(**text));
        let result = failure.map_or(Ok(()), |text| Err(format!("{text}: told to fail")));
        self.done.push(what);
        result
    }
}

impl Sys for Recorder {
    fn make_folder(&mut self, path: &str) -> Result<()> {
        self.note(format!("mkdir {path}"))
    }
    fn link(&mut self, target: &str, path: &str) -> Result<()> {
        self.note(format!("link {path} -> {target}"))
    }
    fn make_node(&mut self, path: &str, node: Node) -> Result<()> {
        let (major, minor) = node.number;
        let (mode, group) = (node.mode, node.group);
        self.note(format!("mknod {path} {major}:{minor} {mode:o} {group}"))
    }
    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> Result<()> {
        self.note(format!("limit {resource:?} {soft}:{hard}"))
    }
    fn mount(&mut self, m: Mount<'_>) -> Result<()> {
        self.note(format!(
            "mount {} {} {} {:?} {}",
            m.source, m.target, m.kind, m.flags, m.data
        ))
    }
    fn load_module(&mut self, path: &str) -> Result<()> {
        self.note(format!("load {path}"))
    }
    fn attach_loop(&mut self, file: &str) -> Result<String> {
        self.note(format!("loop {file}"))
            .map(|()| "/dev/loop0".into())
    }
    fn enter(&mut self, path: &str) -> Result<()> {
        self.note(format!("cd {path}"))
    }
    fn change_root(&mut self, path: &str) -> Result<()> {
        self.note(format!("chroot {path}"))
    }
    fn set_hostname(&mut self, name: &str) -> Result<()> {
        self.note(format!("hostname {name}"))
    }
    fn read(&mut self, path: &str) -> Result<String> {
        match path {
            "/proc/cmdline" => Ok(self.cmdline.into()),
            "/proc/sys/kernel/osrelease" => Ok("6.0\n".into()),
            "/usr/lib/modules/6.0/modules.devname" => Ok("tun net/tun c10:200\n".into()),
            _ => Ok("pci:v1\n".into()),
        }
    }
    fn write(&mut self, path: &str, content: &str) -> Result<()> {
        self.note(format!("write {path} {content:?}"))
    }
    fn remove_file(&mut self, path: &str) -> Result<()> {
        self.note(format!("rm {path}"))
    }
    fn list(&mut self, path: &str) -> Result<Vec<String>> {
        Ok(match path {
            "/root.d" => self.over.iter().map(|&name| name.into()).collect(),
            "/modules" => vec!["00-loop.ko".into(), "01-squashfs.ko".into()],
            "/sys/bus" => vec!["cpu".into(), "pci".into()],
            "/sys/class/scsi_host" => self.scsi_hosts.iter().map(|&name| name.into()).collect(),
            _ => vec!["0000:00:01.0".into()],
        })
    }
    fn free(&mut self, _: &str) -> Result<Free> {
        Ok(self.left.unwrap_or(PLENTY))
    }
    fn copy_file(&mut self, from: &str, to: &str) -> Result<()> {
        self.note(format!("copy {from} {to}"))
    }
    fn copy_folder(&mut self, from: &str, to: &str) -> Result<()> {
        self.note(format!("copy {from} {to}"))
    }
    fn run(&mut self, program: &str, arguments: &[&str]) -> Result<String> {
        self.note(format!("run {program} {}", arguments.join(" ")))
            .map(|()| "/dev/vda\n".into())
    }
    fn ask_within(&mut self, program: &str, arguments: &[&str], _: Duration) -> Result<Ended> {
        let line = format!("{program} {}", arguments.join(" "));
        self.note(format!("ask {line}"))?;
        if let Some(disk) = &mut self.real
            && let Some(ended) = disk.ask(program, arguments)
        {
            return Ok(ended);
        }
        let ends = self
            .ends
            .iter_mut()
            .find(|(begin, _)| line.starts_with(**begin));
        let (status, output) = match ends {
            Some((_, ends)) if ends.len() > 1 => ends.pop_front().unwrap(),
            Some((_, ends)) => ends[0],
            None if line.contains("TYPE") => (0, "TYPE=ext4\n"),
            None => (0, "/dev/vda\n"),
        };
        Ok(Ended {
            status,
            output: output.into(),
            errors: output.into(),
        })
    }
    fn ask_patiently(
        &mut self,
        program: &str,
        arguments: &[&str],
        patience: Patience,
        tell: &mut dyn FnMut(Duration),
    ) -> Result<Outcome> {
        let ended = self.ask_within(program, arguments, patience.limit)?;
        tell(patience.tell);
        let line = format!("{program} {}", arguments.join(" "));
        let mut hangs = self.hangs.iter();
        let hangs = hangs.find(|(begin, _)| line.starts_with(begin));
        Ok(hangs.map_or(Outcome::Ended(ended), |(_, how)| how.clone()))
    }
    fn watch_devices(&mut self) -> Result<()> {
        self.note("watch devices".into())
    }
    fn device_came(&mut self, limit: Duration) -> Result<Option<Came>> {
        self.done.push("wait".into());
        match self.comes.front_mut() {
            Some((after, _)) if *after > limit => {
                *after -= limit;
                Ok(None)
            }
            _ => Ok(self.comes.pop_front().map(|(_, came)| came)),
        }
    }
    fn content(&mut self, device: &str, extent: Extent) -> Result<Content> {
        self.done.push(format!("read {device} {extent:?}"));
        let content = self.disks.get(device).copied();
        content.ok_or_else(|| format!("{device}: no such file"))
    }
    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        self.note(format!("start {program} {}", arguments.join(" ")))
    }
    fn become_program(&mut self, program: &str, arguments: &[&str], log: &str) -> String {
        let all = arguments.join(" ");
        self.done.push(format!("exec {program} {all} > {log}"));
        "told to fail".into()
    }
}

mod state;

fn boot(recorder: &mut Recorder) -> std::result::Result<(), Fatal> {
    let mut report = Report::default();
    Boot::new(recorder, &mut report).run()
}

#[test]
fn the_boot_in_order() {
    let mut recorder = Recorder::default();
    assert_eq!(boot(&mut recorder), Ok(()));
    insta::assert_snapshot!(recorder.done.join("\n"));
}

#[test]
fn drivers_of_scsi_disks_are_loaded_where_there_is_a_controller_for_them() {
    for scsi_hosts in [vec![], vec!["host0"]] {
        let mut recorder = Recorder {
            scsi_hosts,
            ..Default::default()
        };
        assert_eq!(boot(&mut recorder), Ok(()));
        let loaded = |step: &String| step.contains("modprobe -a -b -q sd_mod sr_mod");
        let loaded = recorder.done.iter().any(loaded);
        assert_eq!(loaded, !recorder.scsi_hosts.is_empty());
    }
}

#[test]
fn what_lies_in_the_initrd_for_it_is_laid_over_the_root() {
    let mut recorder = Recorder {
        over: vec!["usr"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    let mounts: Vec<_> = recorder
        .done
        .iter()
        .filter(|step| step.contains("/packed") && !step.starts_with("mkdir"))
        .collect();
    let flags = "MsFlags(MS_RDONLY | MS_NODEV)";
    assert_eq!(
        mounts,
        [
            &format!("mount /dev/loop0 /packed squashfs {flags} "),
            &format!("mount root /newroot overlay {flags} lowerdir=/root.d:/packed"),
        ]
    );
}

#[test]
fn a_root_that_cannot_be_mounted_ends_the_boot() {
    let mut recorder = Recorder {
        fails: vec!["/newroot squashfs"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder).unwrap_err().stage, "root");
    assert!(!recorder.done.iter().any(|step| step.starts_with("start")));
}

#[test]
fn a_full_state_device_leaves_the_systems_own_containers_in_memory() {
    let no_octets = Free {
        octets: 4096,
        ..PLENTY
    };
    let no_files = Free {
        files: Some(0),
        ..PLENTY
    };
    for left in [no_octets, no_files] {
        let mut recorder = Recorder {
            left: Some(left),
            ..Default::default()
        };
        assert_eq!(boot(&mut recorder), Ok(()));
        let in_memory = |step: &&String| step.starts_with("mount full ");
        let mounts: Vec<_> = recorder.done.iter().filter(in_memory).collect();
        assert_eq!(mounts.len(), 2, "{left:?}");
        assert!(mounts[0].contains("/var/lib/system-docker tmpfs"));
    }
}

#[test]
fn nonsense_on_the_command_line_does_not_stop_the_boot() {
    let mut recorder = Recorder {
        cmdline: "rancher.=1 rancher.state.required=x rancher.nope",
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.done.contains(&"hostname rancher".into()));
}

#[test]
fn a_name_that_cannot_be_set_does_not_stop_the_boot() {
    let mut recorder = Recorder {
        fails: vec!["hostname"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(
        recorder
            .done
            .last()
            .unwrap()
            .contains("promote_secondaries")
    );
}

#[test]
fn a_name_that_is_none_is_not_taken() {
    let mut recorder = Recorder {
        cmdline: "rancher.hostname=[x]",
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.done.contains(&"hostname rancher".into()));
}

/// Boots, and becomes system-docker; returns what that was started with.
fn system_docker(recorder: &mut Recorder) -> String {
    let mut report = Report::default();
    let mut boot = Boot::new(recorder, &mut report);
    assert_eq!(boot.run(), Ok(()));
    boot.become_system_docker();
    recorder.done.pop().unwrap()
}

const VALIDATE: &str = "/usr/sbin/dockerd --validate";

#[test]
fn arguments_that_the_engine_refuses_leave_system_docker_its_own() {
    let mut recorder = Recorder {
        cmdline: "rancher.system_docker_args=[--log-level=chatty]",
        ..Default::default()
    };
    let refuses = (1, "invalid logging level: chatty\n");
    recorder.ends.insert(VALIDATE, [refuses].into());
    assert_eq!(
        system_docker(&mut recorder),
        system_docker(&mut Recorder::default())
    );
    let asked: Vec<_> = recorder
        .done
        .iter()
        .filter(|step| step.contains(VALIDATE))
        .collect();
    assert!(asked.len() == 1 && asked[0].contains("--log-level=chatty"));
}

#[test]
fn an_engine_that_does_not_say_in_time_has_its_own_arguments() {
    let mut recorder = Recorder {
        cmdline: "rancher.system_docker_args=[--log-level=info]",
        fails: vec![VALIDATE],
        ..Default::default()
    };
    assert!(system_docker(&mut recorder).contains("--log-level=warn"));
}

#[test]
fn arguments_that_the_engine_takes_are_those_of_system_docker() {
    let mut recorder = Recorder {
        cmdline: "rancher.system_docker_args=[--log-level=info]",
        ..Default::default()
    };
    assert!(system_docker(&mut recorder).contains("--log-level=info"));
}

#[test]
fn only_arguments_of_the_user_are_read_before() {
    for cmdline in ["", "rancher.system_docker_args=[--nonsense]"] {
        let mut recorder = Recorder {
            cmdline,
            ..Default::default()
        };
        system_docker(&mut recorder);
        assert!(!recorder.done.iter().any(|step| step.contains(VALIDATE)));
    }
}
