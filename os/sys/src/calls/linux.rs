//! [`Sys`] on the running kernel.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::mount;
use nix::sys::resource::{Resource, setrlimit};

use super::program::{outcome, output};
use super::{
    Content, Extent, FreeSpace, Mount, Node, Outcome, ProgramOutput, Progress, Result, Sys,
    content, nodes, signals,
};
use crate::uevents::{DeviceEvent, Uevents};
use crate::{SEARCH_PATH, log};

const CONSOLE: &str = "/dev/console";

/// The kernel itself.
#[derive(Debug, Default)]
pub struct Linux {
    devices: Option<Uevents>,
}

/// Puts a path or a name before an error.
fn at<E: Display>(path: &str) -> impl Fn(E) -> String {
    move |error| format!("{path}: {error}")
}

/// A program that is looked up in the machine's own folders and has no input.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", SEARCH_PATH);
    command.stdin(Stdio::null());
    command
}

impl Sys for Linux {
    fn create_dir(&mut self, path: &str) -> Result<()> {
        std::fs::create_dir_all(path).map_err(at(path))
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<()> {
        std::os::unix::fs::symlink(target, path).map_err(at(path))
    }

    fn create_node(&mut self, path: &str, node: Node) -> Result<()> {
        nodes::create(path, node).map_err(at(path))
    }

    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> Result<()> {
        setrlimit(resource, soft, hard).map_err(|error| format!("{resource:?}: {error}"))
    }

    fn mount(&mut self, m: Mount<'_>) -> Result<()> {
        let optional = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let (source, kind, data) = (optional(m.source), optional(m.kind), optional(m.data));
        mount(source, m.target, kind, m.flags, data)
            .map_err(|error| format!("mount {} on {}: {error}", m.source, m.target))
    }

    fn load_module(&mut self, path: &str) -> Result<()> {
        let file = std::fs::File::open(path).map_err(at(path))?;
        match finit_module(file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(at(path)(error)),
        }
    }

    fn attach_loop(&mut self, file: &str) -> Result<String> {
        nodes::attach_loop(file).map_err(at(file))
    }

    fn set_current_dir(&mut self, path: &str) -> Result<()> {
        std::env::set_current_dir(path).map_err(at(path))
    }

    fn chroot(&mut self, path: &str) -> Result<()> {
        nix::unistd::chroot(path).map_err(at(path))?;
        std::env::set_current_dir("/").map_err(at("/"))
    }

    fn set_hostname(&mut self, name: &str) -> Result<()> {
        nix::unistd::sethostname(name).map_err(at(name))
    }

    fn read(&mut self, path: &str) -> Result<String> {
        std::fs::read_to_string(path).map_err(at(path))
    }

    fn write(&mut self, path: &str, content: &str) -> Result<()> {
        std::fs::write(path, content).map_err(at(path))
    }

    fn remove_file(&mut self, path: &str) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path)(error)),
            _ => Ok(()),
        }
    }

    fn list(&mut self, path: &str) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(path).map_err(at(path))?.flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    fn free_space(&mut self, path: &str) -> Result<FreeSpace> {
        let found = nix::sys::statvfs::statvfs(path).map_err(at(path))?;
        Ok(FreeSpace {
            bytes: found.blocks_free() * found.fragment_size(),
            files: (found.files() > 0).then(|| found.files_free()),
        })
    }

    fn copy_file(&mut self, from: &str, to: &str) -> Result<()> {
        std::fs::copy(from, to).map(drop).map_err(at(from))
    }

    fn copy_folder(&mut self, from: &str, to: &str) -> Result<()> {
        copy_folder(from.as_ref(), to.as_ref()).map_err(at(from))
    }

    fn run(&mut self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = command(program, arguments).output();
        let output: ProgramOutput = output.map_err(at(program))?.into();
        output.success(program, arguments)
    }

    fn run_with_timeout(
        &mut self,
        program: &str,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<ProgramOutput> {
        output(command(program, arguments), timeout).map_err(at(program))
    }

    fn run_with_progress(
        &mut self,
        program: &str,
        arguments: &[&str],
        progress: Progress,
        on_progress: &mut dyn FnMut(Duration),
    ) -> Result<Outcome> {
        outcome(command(program, arguments), progress, on_progress).map_err(at(program))
    }

    fn watch_devices(&mut self) -> Result<()> {
        self.devices = Some(Uevents::open().map_err(at("uevents"))?);
        Ok(())
    }

    fn next_device(&mut self, timeout: Duration) -> Result<Option<DeviceEvent>> {
        match &self.devices {
            Some(devices) => devices.next_device(timeout).map_err(at("uevents")),
            None => Err("device events are not watched".into()),
        }
    }

    fn content(&mut self, device: &str, extent: Extent) -> Result<Content> {
        let file = std::fs::File::open(device).map_err(at(device))?;
        let kind = file.metadata().map_err(at(device))?.file_type();
        if !kind.is_block_device() {
            return Err(format!("{device} is not a block device"));
        }
        content::of(file, extent).map_err(at(device))
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        // The kernel gave this process no console that a child could inherit: the initrd has no /dev
        // at first.
        let console = OpenOptions::new().write(true).open(CONSOLE);
        let console = console.map_err(at(CONSOLE))?;
        let errors = console.try_clone().map_err(at(CONSOLE))?;
        command(program, arguments)
            .stdout(console)
            .stderr(errors)
            .spawn()
            .map(drop)
            .map_err(at(program))
    }

    fn exec(&mut self, program: &str, arguments: &[&str], log: &str) -> String {
        let both = log::open(log.as_ref()).and_then(|out| Ok((out.try_clone()?, out)));
        let (out, err) = match both {
            Ok(both) => both,
            Err(error) => return at(log)(error),
        };
        // Without the filter the program runs as well, but a signal can end it.
        if let Err(error) = signals::ignore_as_pid_1() {
            let _ = writeln!(&err, "rancher: signals of PID 1: {error}");
        }
        let error = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .exec();
        at(program)(error)
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
        } else {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
