//! The steps of a boot, recorded instead of executed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nix::sys::resource::Resource;
use sys::report::Report;
use sys::uevents::DeviceEvent;
use sys::{Content, Extent, FreeSpace, Mount, Node, Outcome, ProgramOutput, Progress, Result, Sys};

use super::{Fatal, become_system_docker, run};
use crate::boot::Boot;

const PLENTY: FreeSpace = FreeSpace {
    bytes: 1 << 30,
    files: Some(1 << 16),
};

/// Records its calls, and returns the errors and outputs that a test asks for.
#[derive(Default)]
struct Recorder {
    steps: Vec<String>,
    /// Texts of steps that fail.
    fails: Vec<&'static str>,
    cmdline: &'static str,
    /// The files in `/root.d`.
    overlay: Vec<&'static str>,
    scsi_hosts: Vec<&'static str>,
    /// The free space of the state disk; the default is [`PLENTY`].
    free_space: Option<FreeSpace>,
    /// Devices that appear, each with the time since the one before.
    devices: VecDeque<(Duration, DeviceEvent)>,
    /// Programs, by the beginning of the command line, with exit status and output for each run; the last
    /// entry repeats. Other programs succeed.
    exits: BTreeMap<&'static str, VecDeque<(i32, &'static str)>>,
    /// Programs that time out, and whether they can be killed.
    timeouts: Vec<(&'static str, Outcome)>,
    /// The content of the disks that exist.
    disks: BTreeMap<&'static str, Content>,
    /// A file in place of /dev/vda, on which the programs of e2fsprogs are executed.
    real: Option<state::Disk>,
}

impl Recorder {
    fn record(&mut self, step: String) -> Result<()> {
        let failure = self.fails.iter().find(|text| step.contains(**text));
        let result = failure.map_or(Ok(()), |text| Err(format!("{text}: test failure")));
        self.steps.push(step);
        result
    }
}

impl Sys for Recorder {
    fn create_dir(&mut self, path: &str) -> Result<()> {
        self.record(format!("mkdir {path}"))
    }
    fn symlink(&mut self, target: &str, path: &str) -> Result<()> {
        self.record(format!("link {path} -> {target}"))
    }
    fn create_node(&mut self, path: &str, node: Node) -> Result<()> {
        let (major, minor) = node.number;
        let (mode, group) = (node.mode, node.group);
        self.record(format!("mknod {path} {major}:{minor} {mode:o} {group}"))
    }
    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> Result<()> {
        self.record(format!("limit {resource:?} {soft}:{hard}"))
    }
    fn mount(&mut self, m: Mount<'_>) -> Result<()> {
        self.record(format!(
            "mount {} {} {} {:?} {}",
            m.source, m.target, m.kind, m.flags, m.data
        ))
    }
    fn load_module(&mut self, path: &str) -> Result<()> {
        self.record(format!("load {path}"))
    }
    fn attach_loop(&mut self, file: &str) -> Result<String> {
        self.record(format!("loop {file}"))
            .map(|()| "/dev/loop0".into())
    }
    fn set_current_dir(&mut self, path: &str) -> Result<()> {
        self.record(format!("cd {path}"))
    }
    fn chroot(&mut self, path: &str) -> Result<()> {
        self.record(format!("chroot {path}"))
    }
    fn set_hostname(&mut self, name: &str) -> Result<()> {
        self.record(format!("hostname {name}"))
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
        self.record(format!("write {path} {content:?}"))
    }
    fn remove_file(&mut self, path: &str) -> Result<()> {
        self.record(format!("rm {path}"))
    }
    fn list(&mut self, path: &str) -> Result<Vec<String>> {
        Ok(match path {
            "/root.d" => self.overlay.iter().map(|&name| name.into()).collect(),
            "/modules" => vec!["00-loop.ko".into(), "01-squashfs.ko".into()],
            "/sys/bus" => vec!["cpu".into(), "pci".into()],
            "/sys/class/scsi_host" => self.scsi_hosts.iter().map(|&name| name.into()).collect(),
            _ => vec!["0000:00:01.0".into()],
        })
    }
    fn free_space(&mut self, _: &str) -> Result<FreeSpace> {
        Ok(self.free_space.unwrap_or(PLENTY))
    }
    fn copy_file(&mut self, from: &str, to: &str) -> Result<()> {
        self.record(format!("copy {from} {to}"))
    }
    fn copy_folder(&mut self, from: &str, to: &str) -> Result<()> {
        self.record(format!("copy {from} {to}"))
    }
    fn run(&mut self, program: &str, arguments: &[&str]) -> Result<String> {
        self.record(format!("run {program} {}", arguments.join(" ")))
            .map(|()| "/dev/vda\n".into())
    }
    fn run_with_timeout(
        &mut self,
        program: &str,
        arguments: &[&str],
        _: Duration,
    ) -> Result<ProgramOutput> {
        let line = format!("{program} {}", arguments.join(" "));
        self.record(format!("ask {line}"))?;
        if let Some(disk) = &mut self.real
            && let Some(output) = disk.run_program(program, arguments)
        {
            return Ok(output);
        }
        let exits = self
            .exits
            .iter_mut()
            .find(|(begin, _)| line.starts_with(**begin));
        let (status, output) = match exits {
            Some((_, exits)) if exits.len() > 1 => exits.pop_front().unwrap(),
            Some((_, exits)) => exits[0],
            None if line.contains("TYPE") => (0, "TYPE=ext4\n"),
            None => (0, "/dev/vda\n"),
        };
        Ok(ProgramOutput {
            status,
            stdout: output.into(),
            stderr: output.into(),
        })
    }
    fn run_with_progress(
        &mut self,
        program: &str,
        arguments: &[&str],
        progress: Progress,
        on_progress: &mut dyn FnMut(Duration),
    ) -> Result<Outcome> {
        let output = self.run_with_timeout(program, arguments, progress.timeout)?;
        on_progress(progress.interval);
        let line = format!("{program} {}", arguments.join(" "));
        let mut timeouts = self.timeouts.iter();
        let timeout = timeouts.find(|(begin, _)| line.starts_with(begin));
        Ok(timeout.map_or(Outcome::Exited(output), |(_, outcome)| outcome.clone()))
    }
    fn watch_devices(&mut self) -> Result<()> {
        self.record("watch devices".into())
    }
    fn next_device(&mut self, timeout: Duration) -> Result<Option<DeviceEvent>> {
        self.steps.push("wait".into());
        match self.devices.front_mut() {
            Some((after, _)) if *after > timeout => {
                *after -= timeout;
                Ok(None)
            }
            _ => Ok(self.devices.pop_front().map(|(_, event)| event)),
        }
    }
    fn content(&mut self, device: &str, extent: Extent) -> Result<Content> {
        self.steps.push(format!("read {device} {extent:?}"));
        let content = self.disks.get(device).copied();
        content.ok_or_else(|| format!("{device}: no such file"))
    }
    fn spawn(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        self.record(format!("start {program} {}", arguments.join(" ")))
    }
    fn exec(&mut self, program: &str, arguments: &[&str], log: &str) -> String {
        let all = arguments.join(" ");
        self.steps.push(format!("exec {program} {all} > {log}"));
        "test failure".into()
    }
}

mod state;

fn boot(recorder: &mut Recorder) -> std::result::Result<(), Fatal> {
    let mut report = Report::default();
    run(&mut Boot::new(recorder, &mut report))
}

#[test]
fn stages_run_in_order() {
    let mut recorder = Recorder::default();
    assert_eq!(boot(&mut recorder), Ok(()));
    insta::assert_snapshot!(recorder.steps.join("\n"));
}

#[test]
fn drivers_of_scsi_disks_load_when_there_is_a_controller() {
    for scsi_hosts in [vec![], vec!["host0"]] {
        let mut recorder = Recorder {
            scsi_hosts,
            ..Default::default()
        };
        assert_eq!(boot(&mut recorder), Ok(()));
        let loaded = |step: &String| step.contains("modprobe -a -b -q sd_mod sr_mod");
        let loaded = recorder.steps.iter().any(loaded);
        assert_eq!(loaded, !recorder.scsi_hosts.is_empty());
    }
}

#[test]
fn root_is_an_overlay_when_the_initrd_has_files_for_it() {
    let mut recorder = Recorder {
        overlay: vec!["usr"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    let mounts: Vec<_> = recorder
        .steps
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
fn boot_ends_when_the_root_cannot_be_mounted() {
    let mut recorder = Recorder {
        fails: vec!["/newroot squashfs"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder).unwrap_err().stage, "root");
    assert!(!recorder.steps.iter().any(|step| step.starts_with("start")));
}

#[test]
fn system_containers_are_in_memory_when_the_state_device_is_full() {
    let no_bytes = FreeSpace {
        bytes: 4096,
        ..PLENTY
    };
    let no_files = FreeSpace {
        files: Some(0),
        ..PLENTY
    };
    for free_space in [no_bytes, no_files] {
        let mut recorder = Recorder {
            free_space: Some(free_space),
            ..Default::default()
        };
        assert_eq!(boot(&mut recorder), Ok(()));
        let in_memory = |step: &&String| step.starts_with("mount full ");
        let mounts: Vec<_> = recorder.steps.iter().filter(in_memory).collect();
        assert_eq!(mounts.len(), 2, "{free_space:?}");
        assert!(mounts[0].contains("/var/lib/system-docker tmpfs"));
    }
}

#[test]
fn boot_continues_when_the_command_line_is_invalid() {
    let mut recorder = Recorder {
        cmdline: "rancher.=1 rancher.state.required=x rancher.nope",
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.steps.contains(&"hostname rancher".into()));
}

#[test]
fn boot_continues_when_the_host_name_cannot_be_set() {
    let mut recorder = Recorder {
        fails: vec!["hostname"],
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(
        recorder
            .steps
            .last()
            .unwrap()
            .contains("promote_secondaries")
    );
}

#[test]
fn hostname_is_the_default_when_the_configured_one_is_invalid() {
    let mut recorder = Recorder {
        cmdline: "rancher.hostname=[x]",
        ..Default::default()
    };
    assert_eq!(boot(&mut recorder), Ok(()));
    assert!(recorder.steps.contains(&"hostname rancher".into()));
}

/// Boots and becomes system-docker; returns its command line.
fn system_docker(recorder: &mut Recorder) -> String {
    let mut report = Report::default();
    let mut boot = Boot::new(recorder, &mut report);
    assert_eq!(run(&mut boot), Ok(()));
    become_system_docker(&mut boot);
    recorder.steps.pop().unwrap()
}

const VALIDATE: &str = "/usr/sbin/dockerd --validate";

#[test]
fn system_docker_has_its_own_arguments_when_the_engine_rejects_the_users() {
    let mut recorder = Recorder {
        cmdline: "rancher.system_docker_args=[--log-level=chatty]",
        ..Default::default()
    };
    let rejection = (1, "invalid logging level: chatty\n");
    recorder.exits.insert(VALIDATE, [rejection].into());
    assert_eq!(
        system_docker(&mut recorder),
        system_docker(&mut Recorder::default())
    );
    let checks: Vec<_> = recorder
        .steps
        .iter()
        .filter(|step| step.contains(VALIDATE))
        .collect();
    assert!(checks.len() == 1 && checks[0].contains("--log-level=chatty"));
}

#[test]
fn system_docker_has_its_own_arguments_when_the_check_times_out() {
    let mut recorder = Recorder {
        cmdline: "rancher.system_docker_args=[--log-level=info]",
        fails: vec![VALIDATE],
        ..Default::default()
    };
    assert!(system_docker(&mut recorder).contains("--log-level=warn"));
}

#[test]
fn system_docker_has_the_users_arguments_when_the_engine_accepts_them() {
    let mut recorder = Recorder {
        cmdline: "rancher.system_docker_args=[--log-level=info]",
        ..Default::default()
    };
    assert!(system_docker(&mut recorder).contains("--log-level=info"));
}

#[test]
fn arguments_are_checked_only_when_the_user_adds_some() {
    for cmdline in ["", "rancher.system_docker_args=[--nonsense]"] {
        let mut recorder = Recorder {
            cmdline,
            ..Default::default()
        };
        system_docker(&mut recorder);
        assert!(!recorder.steps.iter().any(|step| step.contains(VALIDATE)));
    }
}
