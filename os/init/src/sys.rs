//! The seam between the boot and the kernel: what the stages do to the machine goes through [`Sys`],
//! so that their order is a unit test.

mod bounded;
mod content;
mod signals;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::resource::Resource;

pub use content::{Content, Extent};

use crate::log;
use crate::uevents::{self, Came};

/// Text that says what failed.
pub type Result<T> = std::result::Result<T, String>;

/// One mount.
#[derive(Debug, Clone, Copy)]
pub struct Mount<'a> {
    /// Device, folder or name.
    pub source: &'a str,
    /// Where.
    pub target: &'a str,
    /// File system; empty for binds, moves and changes of propagation.
    pub kind: &'a str,
    /// Flags of mount(2).
    pub flags: MsFlags,
    /// Options of the file system.
    pub data: &'a str,
}

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Whether it is a block device.
    pub block: bool,
    /// The major and the minor number.
    pub number: (u64, u64),
    /// Permission bits.
    pub mode: u32,
    /// The group that owns it.
    pub group: u32,
}

/// How a program ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; -1 for a signal.
    pub status: i32,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

impl Ended {
    /// Its standard output, where it ended well.
    ///
    /// # Errors
    /// What it said, and its status.
    pub fn well(self, program: &str, arguments: &[&str]) -> Result<String> {
        match self.status {
            0 => Ok(self.output),
            status => Err(format!(
                "{program} {}: exit status {status}: {}",
                arguments.join(" "),
                self.errors.trim()
            )),
        }
    }
}

/// How a program that may take long is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// It is killed then.
    pub limit: Duration,
    /// How often it is told that it still runs.
    pub tell: Duration,
}

/// What became of a program that was not waited for without end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ended by itself.
    Ended(Ended),
    /// It took too long, was killed, and is gone.
    Killed,
    /// It was killed and is still there: the kernel does something for it that does not end.
    Hangs,
}

/// What a file system has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// For what is in files.
    pub octets: u64,
    /// How many files more; `None` where their number has no bound of its own.
    pub files: Option<u64>,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            status: output.status.code().unwrap_or(-1),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }
}

/// What the stages of the early boot do to the machine.
pub trait Sys {
    /// Makes a folder and those above it.
    fn make_folder(&mut self, path: &str) -> Result<()>;
    /// Makes a symbolic link.
    fn link(&mut self, target: &str, path: &str) -> Result<()>;
    /// Makes a device node, unless something of that name is there.
    fn make_node(&mut self, path: &str, node: Node) -> Result<()>;
    /// Sets limits of this process, which those that it starts inherit: soft and hard.
    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> Result<()>;
    /// mount(2).
    fn mount(&mut self, mount: Mount<'_>) -> Result<()>;
    /// Loads the kernel module in a file.
    fn load_module(&mut self, path: &str) -> Result<()>;
    /// Makes a read-only loop device of a file; returns its path.
    fn attach_loop(&mut self, file: &str) -> Result<String>;
    /// Makes `path` the working folder.
    fn enter(&mut self, path: &str) -> Result<()>;
    /// Makes `path` the root, and the working folder.
    fn change_root(&mut self, path: &str) -> Result<()>;
    /// Sets the machine's name.
    fn set_hostname(&mut self, name: &str) -> Result<()>;
    /// Reads a small file.
    fn read(&mut self, path: &str) -> Result<String>;
    /// Writes a small file.
    fn write(&mut self, path: &str, content: &str) -> Result<()>;
    /// Removes a file that may not be there.
    fn remove_file(&mut self, path: &str) -> Result<()>;
    /// Names in a folder, sorted.
    fn list(&mut self, path: &str) -> Result<Vec<String>>;
    /// What is free where a folder lies.
    fn free(&mut self, path: &str) -> Result<Free>;
    /// Copies a file into the place of another one, which stays the same file.
    fn copy_file(&mut self, from: &str, to: &str) -> Result<()>;
    /// Copies a folder's content.
    fn copy_folder(&mut self, from: &str, to: &str) -> Result<()>;
    /// Runs a program to its end; returns its standard output.
    fn run(&mut self, program: &str, arguments: &[&str]) -> Result<String>;
    /// Runs a program whose exit status says more than that it failed; when it takes longer it is
    /// ended, and has failed.
    fn ask_within(&mut self, program: &str, arguments: &[&str], limit: Duration) -> Result<Ended>;
    /// The same of one that may take long, with a word now and then for how long it has run.
    fn ask_patiently(
        &mut self,
        program: &str,
        arguments: &[&str],
        patience: Patience,
        tell: &mut dyn FnMut(Duration),
    ) -> Result<Outcome>;
    /// Keeps what the kernel tells of devices from now on, for `device_came`.
    fn watch_devices(&mut self) -> Result<()>;
    /// What came next; none when nothing did for so long.
    fn device_came(&mut self, limit: Duration) -> Result<Option<Came>>;
    /// What is on a block device.
    fn content(&mut self, device: &str, extent: Extent) -> Result<Content>;
    /// Starts a program that goes on by itself.
    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<()>;
    /// Becomes another program, whose output goes to a log; returns only when that fails.
    fn become_program(&mut self, program: &str, arguments: &[&str], log: &str) -> String;
}

/// The kernel itself.
#[derive(Debug, Default)]
pub struct Linux {
    devices: Option<OwnedFd>,
}

fn at<E: std::fmt::Display>(path: &str) -> impl Fn(E) -> String {
    move |error| format!("{path}: {error}")
}

/// A program that is found where those of the system are, and reads nothing.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", crate::SEARCH_PATH);
    command.stdin(Stdio::null());
    command
}

impl Sys for Linux {
    fn make_folder(&mut self, path: &str) -> Result<()> {
        std::fs::create_dir_all(path).map_err(at(path))
    }

    fn link(&mut self, target: &str, path: &str) -> Result<()> {
        std::os::unix::fs::symlink(target, path).map_err(at(path))
    }

    fn make_node(&mut self, path: &str, node: Node) -> Result<()> {
        make_node(path, node).map_err(at(path))
    }

    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> Result<()> {
        let failed = |error| format!("{resource:?}: {error}");
        nix::sys::resource::setrlimit(resource, soft, hard).map_err(failed)
    }

    fn mount(&mut self, m: Mount<'_>) -> Result<()> {
        let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
        mount(
            given(m.source),
            m.target,
            given(m.kind),
            m.flags,
            given(m.data),
        )
        .map_err(|error| format!("mount {} on {}: {error}", m.source, m.target))
    }

    fn load_module(&mut self, path: &str) -> Result<()> {
        let file = std::fs::File::open(path).map_err(at(path))?;
        match finit_module(file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    fn attach_loop(&mut self, file: &str) -> Result<String> {
        attach_loop(file).map_err(at(file))
    }

    fn enter(&mut self, path: &str) -> Result<()> {
        std::env::set_current_dir(path).map_err(at(path))
    }

    fn change_root(&mut self, path: &str) -> Result<()> {
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
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path)(error)),
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

    fn free(&mut self, path: &str) -> Result<Free> {
        let found = nix::sys::statvfs::statvfs(path).map_err(at(path))?;
        Ok(Free {
            octets: found.blocks_free() * found.fragment_size(),
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
        let ended: Ended = output.map_err(at(program))?.into();
        ended.well(program, arguments)
    }

    fn ask_within(&mut self, program: &str, arguments: &[&str], limit: Duration) -> Result<Ended> {
        bounded::output(command(program, arguments), limit).map_err(at(program))
    }

    fn ask_patiently(
        &mut self,
        program: &str,
        arguments: &[&str],
        patience: Patience,
        tell: &mut dyn FnMut(Duration),
    ) -> Result<Outcome> {
        bounded::outcome(command(program, arguments), patience, tell).map_err(at(program))
    }

    fn watch_devices(&mut self) -> Result<()> {
        self.devices = Some(uevents::open().map_err(at("uevents"))?);
        Ok(())
    }

    fn device_came(&mut self, limit: Duration) -> Result<Option<Came>> {
        match &self.devices {
            Some(socket) => uevents::next(socket, limit).map_err(at("uevents")),
            None => Err("nobody watches for devices".into()),
        }
    }

    fn content(&mut self, device: &str, extent: Extent) -> Result<Content> {
        use std::os::unix::fs::FileTypeExt as _;
        let file = std::fs::File::open(device).map_err(at(device))?;
        let kind = file.metadata().map_err(at(device))?.file_type();
        if !kind.is_block_device() {
            return Err(format!("{device} is no disk"));
        }
        content::of(file, extent).map_err(at(device))
    }

    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        // The kernel gave this process no console to hand on: the initrd has no /dev at first.
        let console = OpenOptions::new()
            .write(true)
            .open("/dev/console")
            .map_err(at("/dev/console"))?;
        let errors = console.try_clone().map_err(at("/dev/console"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PATH", crate::SEARCH_PATH)
            .stdin(Stdio::null());
        command
            .stdout(console)
            .stderr(errors)
            .spawn()
            .map(drop)
            .map_err(at(program))
    }

    fn become_program(&mut self, program: &str, arguments: &[&str], log: &str) -> String {
        let both = log::open(log.as_ref()).and_then(|out| Ok((out.try_clone()?, out)));
        let (out, err) = match both {
            Ok(both) => both,
            Err(error) => return at(log)(error),
        };
        // Without it the program is only easier to end.
        if let Err(error) = signals::ignore_as_pid_1() {
            let _ = writeln!(&err, "rancher: signals of PID 1: {error}");
        }
        let error = std::os::unix::process::CommandExt::exec(
            Command::new(program)
                .args(arguments)
                .env_clear()
                .env("PATH", crate::SEARCH_PATH)
                .env("HOME", "/root")
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(err),
        );
        format!("{program}: {error}")
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

fn make_node(path: &str, node: Node) -> nix::Result<()> {
    use nix::errno::Errno;
    use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknod};
    use nix::unistd::{Gid, chown};
    let kind = if node.block {
        SFlag::S_IFBLK
    } else {
        SFlag::S_IFCHR
    };
    let mode = Mode::from_bits_truncate(node.mode);
    match mknod(path, kind, mode, makedev(node.number.0, node.number.1)) {
        Ok(()) => (),
        // The driver is there already, and so is its node.
        Err(Errno::EEXIST) => return Ok(()),
        Err(error) => return Err(error),
    }
    chown(path, None, Some(Gid::from_raw(node.group)))?;
    // mknod(2) goes by the umask.
    let here = nix::fcntl::AT_FDCWD;
    fchmodat(here, path, mode, FchmodatFlags::FollowSymlink)
}

fn attach_loop(file: &str) -> nix::Result<String> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::stat::Mode;
    let access = |path: &str, flags| -> nix::Result<OwnedFd> {
        open(path, flags | OFlag::O_CLOEXEC, Mode::empty())
    };
    let control = access("/dev/loop-control", OFlag::O_RDWR)?;
    let backing = access(file, OFlag::O_RDONLY)?;
    let number = ioctl::get_free(&control)?;
    let path = format!("/dev/loop{number}");
    let device = access(&path, OFlag::O_RDONLY)?;
    ioctl::set_backing(&device, backing.as_raw_fd())?;
    Ok(path)
}

/// The two requests of the loop driver (`linux/loop.h`) for which there is no safe wrapper.
#[allow(unsafe_code, reason = "ioctl(2) has no safe form")]
mod ioctl {
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};

    mod raw {
        const LOOP_SET_FD: u32 = 0x4C00;
        const LOOP_CTL_GET_FREE: u32 = 0x4C82;
        nix::ioctl_none_bad!(loop_ctl_get_free, LOOP_CTL_GET_FREE);
        nix::ioctl_write_int_bad!(loop_set_fd, LOOP_SET_FD);
    }

    pub fn get_free(control: &OwnedFd) -> nix::Result<i32> {
        // SAFETY: the descriptor is open; the request takes no argument and touches no memory.
        unsafe { raw::loop_ctl_get_free(control.as_raw_fd()) }
    }

    pub fn set_backing(device: &OwnedFd, file: RawFd) -> nix::Result<()> {
        // SAFETY: both descriptors are open; the request takes a number and touches no memory.
        unsafe { raw::loop_set_fd(device.as_raw_fd(), file) }.map(drop)
    }
}
