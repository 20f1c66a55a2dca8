//! The system calls and programs that the OS uses to change the machine, as a trait.

use std::time::Duration;

use nix::mount::MsFlags;
use nix::sys::resource::Resource;

use super::{Content, Extent, Outcome, ProgramOutput, Progress};
use crate::uevents::DeviceEvent;

/// A result whose error is a text that names what failed and the cause.
pub type Result<T> = std::result::Result<T, String>;

/// The arguments of mount(2).
#[derive(Debug, Clone, Copy)]
pub struct Mount<'a> {
    /// A device, a folder or a name.
    pub source: &'a str,
    /// The mount point.
    pub target: &'a str,
    /// The type of the file system; empty for bind mounts, moves and changes of propagation.
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

/// The free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Free bytes.
    pub bytes: u64,
    /// How many files can be created; `None` if the file system has no such limit.
    pub files: Option<u64>,
}

/// What the OS does to the machine; [`super::Linux`] does it in earnest.
pub trait Sys {
    /// Creates a folder and its parents.
    fn create_dir(&mut self, path: &str) -> Result<()>;
    /// Creates a symbolic link.
    fn symlink(&mut self, target: &str, path: &str) -> Result<()>;
    /// Creates a device node, unless the path exists.
    fn create_node(&mut self, path: &str, node: Node) -> Result<()>;
    /// Sets the soft and the hard limit of a resource, for this process and those that it starts.
    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> Result<()>;
    /// mount(2).
    fn mount(&mut self, mount: Mount<'_>) -> Result<()>;
    /// Loads the kernel module in a file.
    fn load_module(&mut self, path: &str) -> Result<()>;
    /// Attaches a file to a read-only loop device; returns the device's path.
    fn attach_loop(&mut self, file: &str) -> Result<String>;
    /// Changes the working folder.
    fn set_current_dir(&mut self, path: &str) -> Result<()>;
    /// chroot(2), and changes the working folder to the new root.
    fn chroot(&mut self, path: &str) -> Result<()>;
    /// Sets the host name.
    fn set_hostname(&mut self, name: &str) -> Result<()>;
    /// Reads a text file.
    fn read(&mut self, path: &str) -> Result<String>;
    /// Writes a text file.
    fn write(&mut self, path: &str, content: &str) -> Result<()>;
    /// Removes a file, if it exists.
    fn remove_file(&mut self, path: &str) -> Result<()>;
    /// The names in a folder, sorted.
    fn list(&mut self, path: &str) -> Result<Vec<String>>;
    /// The free space of the file system that a folder is on.
    fn free_space(&mut self, path: &str) -> Result<FreeSpace>;
    /// Copies the content of a file; the target keeps its inode, if it exists.
    fn copy_file(&mut self, from: &str, to: &str) -> Result<()>;
    /// Copies a folder with its content.
    fn copy_folder(&mut self, from: &str, to: &str) -> Result<()>;
    /// Runs a program to its end; returns its standard output. An exit status other than 0 is an error.
    fn run(&mut self, program: &str, arguments: &[&str]) -> Result<String>;
    /// Runs a program and returns its output and exit status; kills it after the timeout, which is an
    /// error.
    fn run_with_timeout(
        &mut self,
        program: &str,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<ProgramOutput>;
    /// Runs a program that may take long; calls `on_progress` at intervals with the time that has passed.
    fn run_with_progress(
        &mut self,
        program: &str,
        arguments: &[&str],
        progress: Progress,
        on_progress: &mut dyn FnMut(Duration),
    ) -> Result<Outcome>;
    /// Starts to queue device events for [`Sys::next_device`].
    fn watch_devices(&mut self) -> Result<()>;
    /// Waits for the next device; `None` when none appeared before the timeout.
    fn next_device(&mut self, timeout: Duration) -> Result<Option<DeviceEvent>>;
    /// Reads a block device to find out whether it is blank.
    fn content(&mut self, device: &str, extent: Extent) -> Result<Content>;
    /// Starts a program and does not wait for it.
    fn spawn(&mut self, program: &str, arguments: &[&str]) -> Result<()>;
    /// Replaces this process by a program whose output goes to a log; returns the error if that fails.
    fn exec(&mut self, program: &str, arguments: &[&str], log: &str) -> String;
}
