//! Writes the page cache to the disks and makes their file systems read-only.

use std::time::{Duration, Instant};

/// The timeout for the kernel to remount all file systems.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The interval of polling: the kernel sends no event.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The log level for the console: errors and worse (`console_loglevel` in syslog(2)).
const ONLY_ERRORS: &str = "4";

/// Makes all file systems on disks read-only.
///
/// # Errors
/// The kernel refuses, or some are still writable when the timeout expires; the error names them.
pub(crate) fn make_read_only() -> Result<(), String> {
    nix::unistd::sync();
    // The kernel's "Emergency Remount complete" would appear in the middle of our own last lines.
    let _ = std::fs::write("/proc/sys/kernel/printk", ONLY_ERRORS);
    // Remounts every file system read-only, even with open files ("Linux Magic System Request Key Hacks"
    // in the kernel's documentation). The kernel does it asynchronously.
    std::fs::write("/proc/sysrq-trigger", "u")
        .map_err(|error| format!("cannot make file systems read-only: {error}"))?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let left = writable(&mounts);
        if left.is_empty() {
            // A file system appears as read-only before the kernel has written the end of its journal.
            // sync(2) waits for the lock that the kernel holds until then.
            nix::unistd::sync();
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "timed out making file systems read-only: {}",
                left.join(", ")
            ));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The devices of writable file systems in proc_pid_mountinfo(5); the last field has the options of the
/// file system itself.
fn writable(mounts: &str) -> Vec<&str> {
    let mut devices: Vec<_> = mounts.lines().filter_map(writable_device).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

fn writable_device(line: &str) -> Option<&str> {
    let (_, file_system) = line.split_once(" - ")?;
    let mut fields = file_system.split_whitespace().skip(1);
    let (device, mut options) = (fields.next()?, fields.next()?.split(','));
    (device.starts_with("/dev/") && options.any(|option| option == "rw")).then_some(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_lists_each_disk_with_a_writable_file_system_once() {
        let mounts = "30 1 254:0 / /var rw,relatime shared:3 - ext4 /dev/vda rw\n\
            31 1 254:0 /home /home rw - ext4 /dev/vda rw,errors=continue\n\
            32 1 254:16 / /mnt rw - ext4 /dev/vdb ro\n\
            33 1 0:5 / /dev rw - devtmpfs devtmpfs rw\n\
            34 1 7:0 / / ro - squashfs /dev/loop0 ro\n";
        assert_eq!(writable(mounts), ["/dev/vda"]);
    }
}
