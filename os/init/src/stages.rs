//! The stages of the early boot, in order, each with one responsibility.

use nix::mount::MsFlags;

use crate::report::{Event, Report};
use crate::sys::{Mount, Result, Sys};

/// What a failure of a stage means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Without it there is no machine.
    Stop,
    /// The machine is less, but it is there to be repaired.
    GoOn,
}

/// One stage.
struct Stage {
    name: &'static str,
    on_failure: OnFailure,
    run: fn(&mut Boot<'_>) -> Result<()>,
}

/// All of them. Why each failure means what it means stands beside it.
const STAGES: [Stage; 9] = [
    // Nothing works without /proc, /sys and /dev.
    Stage {
        name: "mounts",
        on_failure: OnFailure::Stop,
        run: mounts,
    },
    // The root cannot be mounted without squashfs and loop.
    Stage {
        name: "modules",
        on_failure: OnFailure::Stop,
        run: early_modules,
    },
    // There is nothing to run outside the root.
    Stage {
        name: "root",
        on_failure: OnFailure::Stop,
        run: root,
    },
    // Without the keeper there is no containerd, and so no container. It needs nothing of what
    // follows, and containerd takes seconds to start.
    Stage {
        name: "keeper",
        on_failure: OnFailure::Stop,
        run: keeper,
    },
    // A device without its driver is missing; the others are not.
    Stage {
        name: "drivers",
        on_failure: OnFailure::GoOn,
        run: drivers,
    },
    // A state disk is optional unless the configuration says otherwise; `state` itself decides.
    Stage {
        name: "state",
        on_failure: OnFailure::Stop,
        run: state,
    },
    // Arguments and files that do not fit are left out one by one; the rest holds.
    Stage {
        name: "config",
        on_failure: OnFailure::GoOn,
        run: configuration,
    },
    // A name is a convenience.
    Stage {
        name: "hostname",
        on_failure: OnFailure::GoOn,
        run: hostname,
    },
    // Settings have working defaults.
    Stage {
        name: "kernel-settings",
        on_failure: OnFailure::GoOn,
        run: kernel_settings,
    },
];

/// A boot that ended for good.
#[derive(Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The stage.
    pub stage: &'static str,
    /// Why.
    pub error: String,
}

/// What the stages share.
pub struct Boot<'a> {
    sys: &'a mut dyn Sys,
    report: &'a mut Report,
    config: config::Config,
}

impl<'a> Boot<'a> {
    /// A boot on a machine, with the configuration's defaults until it can be read.
    pub fn new(sys: &'a mut dyn Sys, report: &'a mut Report) -> Self {
        let config = config::from_cmdline("").config;
        Self {
            sys,
            report,
            config,
        }
    }

    /// Runs the stages; then this process is ready to become system-docker.
    ///
    /// # Errors
    /// A stage failed without which there is no machine.
    pub fn run(&mut self) -> std::result::Result<(), Fatal> {
        self.report.event(&Event::ok("init"));
        for stage in &STAGES {
            match (stage.run)(self) {
                Ok(()) => self.report.event(&Event::ok(stage.name)),
                Err(error) => {
                    let fatal = stage.on_failure == OnFailure::Stop;
                    self.report.failure(stage.name, &error, fatal);
                    if fatal {
                        return Err(Fatal {
                            stage: stage.name,
                            error,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Becomes system-docker: returns only when that fails.
    pub fn become_system_docker(&mut self) -> Fatal {
        self.report.say("Launching System Docker");
        let arguments = system_docker_arguments();
        let error = self
            .sys
            .become_program("/usr/sbin/dockerd", &arguments, SYSTEM_DOCKER_LOG);
        self.report.failure("system-docker", &error, true);
        Fatal {
            stage: "system-docker",
            error,
        }
    }

    fn mount(
        &mut self,
        source: &str,
        target: &str,
        kind: &str,
        flags: MsFlags,
        data: &str,
    ) -> Result<()> {
        self.sys.make_folder(target)?;
        self.sys.mount(Mount {
            source,
            target,
            kind,
            flags,
            data,
        })
    }

    fn remount(&mut self, source: &str, target: &str, flags: MsFlags) -> Result<()> {
        self.sys.mount(Mount {
            source,
            target,
            kind: "",
            flags,
            data: "",
        })
    }
}

/// Where system-docker's own messages go.
const SYSTEM_DOCKER_LOG: &str = "/var/log/system-docker.log";

/// Where the root is prepared before it becomes the root.
const NEW_ROOT: &str = "/newroot";

fn mounts(boot: &mut Boot<'_>) -> Result<()> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    boot.mount("proc", "/proc", "proc", plain, "")?;
    boot.mount("sysfs", "/sys", "sysfs", plain, "")?;
    boot.mount(
        "devtmpfs",
        "/dev",
        "devtmpfs",
        MsFlags::MS_NOSUID,
        "mode=0755",
    )?;
    boot.report.open();
    boot.mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        "gid=5,mode=620,ptmxmode=666",
    )?;
    boot.mount(
        "shm",
        "/dev/shm",
        "tmpfs",
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=1777",
    )?;
    boot.mount(
        "run",
        "/run",
        "tmpfs",
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=0755",
    )?;
    boot.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", plain, "nsdelegate")?;
    // What a program expects to find in /dev: proc(5), "/proc/self/fd".
    for (target, path) in [
        ("/proc/self/fd", "fd"),
        ("fd/0", "stdin"),
        ("fd/1", "stdout"),
        ("fd/2", "stderr"),
    ] {
        boot.sys.link(target, &format!("/dev/{path}"))?;
    }
    Ok(())
}

fn early_modules(boot: &mut Boot<'_>) -> Result<()> {
    for name in boot.sys.list("/modules")? {
        boot.sys.load_module(&format!("/modules/{name}"))?;
    }
    Ok(())
}

/// Mounts the squashfs that lies in the initrd, moves what is mounted into it, and makes it the root.
fn root(boot: &mut Boot<'_>) -> Result<()> {
    let device = boot.sys.attach_loop("/root.squashfs")?;
    let readonly = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    boot.mount(&device, NEW_ROOT, "squashfs", readonly, "")?;
    // What is read lies in memory already: reading ahead only unpacks what nobody asked for.
    let queue = device.replace("/dev/", "/sys/block/") + "/queue/read_ahead_kb";
    boot.sys.write(&queue, "0")?;
    let programs = format!("{NEW_ROOT}{}", crate::PROGRAMS);
    boot.remount("/rancher", &programs, MsFlags::MS_BIND)?;
    let private = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // Containers have their devices and their set-user-id programs below /var.
    let writable = [
        ("etc", private, "0755"),
        ("tmp", private, "1777"),
        ("var", MsFlags::empty(), "0755"),
    ];
    for (folder, flags, mode) in writable {
        boot.mount(
            folder,
            &format!("{NEW_ROOT}/{folder}"),
            "tmpfs",
            flags,
            &format!("mode={mode}"),
        )?;
    }
    boot.sys
        .copy_folder("/newroot/usr/share/rancher/etc", "/newroot/etc")?;
    for folder in ["dev", "proc", "run", "sys"] {
        boot.remount(
            &format!("/{folder}"),
            &format!("{NEW_ROOT}/{folder}"),
            MsFlags::MS_MOVE,
        )?;
    }
    boot.sys.enter(NEW_ROOT)?;
    boot.remount(".", "/", MsFlags::MS_MOVE)?;
    boot.sys.change_root(".")?;
    // Mounts that one engine makes must show where containerd runs, and in the other containers.
    boot.remount("", "/", MsFlags::MS_SHARED | MsFlags::MS_REC)
}

/// Loads the drivers that the devices ask for (their `modalias`), and those that the configuration
/// of the command line names.
fn drivers(boot: &mut Boot<'_>) -> Result<()> {
    let mut wanted = Vec::new();
    for bus in boot.sys.list("/sys/bus")? {
        let devices = format!("/sys/bus/{bus}/devices");
        for device in boot.sys.list(&devices).unwrap_or_default() {
            // Most devices have none.
            if let Ok(alias) = boot.sys.read(&format!("{devices}/{device}/modalias")) {
                wanted.push(alias.trim().to_owned());
            }
        }
    }
    // A disk behind a controller whose driver comes now asks for its own later than we look.
    wanted.extend(["sd_mod".to_owned(), "sr_mod".to_owned()]);
    wanted.sort();
    wanted.dedup();
    let mut arguments = vec!["-a", "-b", "-q"];
    arguments.extend(wanted.iter().map(String::as_str));
    // Not every device has a module for it: the status says nothing.
    let _ = boot.sys.run("/usr/sbin/modprobe", &arguments);
    Ok(())
}

fn state(boot: &mut Boot<'_>) -> Result<()> {
    let early = config::from_cmdline(&boot.sys.read("/proc/cmdline")?).config;
    let mounted = mount_state(boot, &early.state);
    match mounted {
        Ok(Some(device)) => boot
            .report
            .say(&format!("Mounting state device {device} to /var")),
        Ok(None) => boot
            .report
            .say("No state device: what is written is gone at the next boot"),
        Err(error) if early.state.required => return Err(error),
        Err(error) => boot.report.failure("state", &error, false),
    }
    for folder in [
        "/var/lib/docker",
        "/var/lib/rancher/conf",
        "/var/lib/rancher/state/home",
        "/var/lib/rancher/state/opt",
        "/var/lib/system-docker",
        "/var/log",
    ] {
        boot.sys.make_folder(folder)?;
    }
    // Containerd mounts what the user's Docker names, and it runs here: people's files must have the
    // same names here as in the console.
    for folder in ["home", "opt"] {
        let kept = format!("/var/lib/rancher/state/{folder}");
        boot.remount(&kept, &format!("/{folder}"), MsFlags::MS_BIND)?;
    }
    boot.sys
        .link("/run", "/var/run")
        .or_else(|error| match boot.sys.list("/var/run") {
            Ok(_) => Ok(()),
            Err(_) => Err(error),
        })
}

/// Mounts the state device over the tmpfs on `/var`; `None` when there is none.
fn mount_state(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    if state.dev == "none" {
        return Ok(None);
    }
    let device = if state.dev.contains('=') {
        match boot.sys.run("/usr/bin/findfs", &[&state.dev]) {
            Ok(found) => found.trim().to_owned(),
            Err(error) if state.required => return Err(error),
            Err(_) => return Ok(None),
        }
    } else {
        state.dev.clone()
    };
    boot.sys
        .run("/usr/bin/mount", &["-t", &state.fstype, &device, "/var"])?;
    Ok(Some(device))
}

fn configuration(boot: &mut Boot<'_>) -> Result<()> {
    let cmdline = boot.sys.read("/proc/cmdline")?;
    let loaded = config::load(config::FOLDER.as_ref(), &cmdline);
    boot.config = loaded.config;
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

fn hostname(boot: &mut Boot<'_>) -> Result<()> {
    let asked = boot.config.hostname.clone();
    let name = if is_hostname(&asked) {
        &asked
    } else {
        "rancher"
    };
    // Containers have these files mounted, so they must be there whatever comes of the name.
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {name}\n"
    );
    boot.sys.write("/etc/hosts", &hosts)?;
    boot.sys.write("/etc/resolv.conf", "")?;
    boot.sys.write("/etc/hostname", &format!("{name}\n"))?;
    boot.sys.set_hostname(name)?;
    if name == asked {
        Ok(())
    } else {
        Err(format!("`{asked}` is not a host name"))
    }
}

/// Labels of letters, digits and hyphens, joined by dots (RFC 1123, 2.1; Linux holds 64 characters).
fn is_hostname(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    let label = |label: &str| {
        label.bytes().all(|byte| letter(byte) || byte == b'-')
            && label.bytes().next().is_some_and(letter)
            && label.bytes().last().is_some_and(letter)
    };
    name.len() <= 64 && name.split('.').all(label)
}

/// Seconds after which a kernel that panicked reboots: PID 1 is Docker, and when it cannot start
/// there is nobody left to do anything about it.
const REBOOT_AFTER_PANIC: &str = "10";

fn kernel_settings(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys
        .write("/proc/sys/kernel/panic", REBOOT_AFTER_PANIC)?;
    // A container is dozens of mounts and namespaces, each of which waits for the kernel's readers: it
    // asks them now instead of at the next tick, as other systems made for containers have it.
    boot.sys.write("/sys/kernel/rcu_expedited", "1")?;
    // The user's containers reach the network through this machine.
    boot.sys.write("/proc/sys/net/ipv4/ip_forward", "1")?;
    if boot.config.modules.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["-a", "-b"];
    arguments.extend(boot.config.modules.iter().map(String::as_str));
    boot.sys.run("/usr/sbin/modprobe", &arguments).map(drop)
}

fn keeper(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys
        .start(&format!("{}/init", crate::PROGRAMS), &["keeper"])
}

fn system_docker_arguments() -> Vec<&'static str> {
    vec![
        "--bridge=none",
        "--containerd=/run/containerd/containerd.sock",
        "--containerd-namespace=system",
        "--containerd-plugins-namespace=system-plugins",
        "--data-root=/var/lib/system-docker",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--exec-root=/run/system-docker",
        // Who may use sudo without a password may use it anyway; others may not.
        "--group=sudo",
        "--host=unix:///run/system-docker.sock",
        "--ip-forward=false",
        "--iptables=false",
        "--ip6tables=false",
        "--log-level=warn",
        "--log-opt=max-file=2",
        "--log-opt=max-size=25m",
        "--pidfile=/run/system-docker.pid",
        "--storage-driver=overlay2",
        "--userland-proxy=false",
    ]
}

#[cfg(test)]
#[path = "stages_tests.rs"]
mod tests;
