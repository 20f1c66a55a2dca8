//! Writes what is in memory to the disks and makes their file systems read-only.

use std::time::{Duration, Instant};

/// How long the kernel may take.
const LIMIT: Duration = Duration::from_secs(8);

/// How often it is looked: nobody tells of it.
const LOOK: Duration = Duration::from_millis(20);

/// What the kernel tells the console of: its errors and worse (`console_loglevel` in syslog(2)).
const ONLY_ERRORS: &str = "4";

/// Returns when it is done, or which file systems can still be written.
pub fn make_read_only() -> Result<(), String> {
    nix::unistd::sync();
    // It would go on with "Emergency Remount complete" in the middle of what we say when it is done.
    let _ = std::fs::write("/proc/sys/kernel/printk", ONLY_ERRORS);
    // Every file system at once, whoever has files open ("Linux Magic System Request Key Hacks" in the
    // kernel's documentation). The kernel does it in its own time.
    std::fs::write("/proc/sysrq-trigger", "u")
        .map_err(|error| format!("file systems cannot be made read-only: {error}"))?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let left = writable(&mounts);
        if left.is_empty() {
            // The kernel says so before it has written the last of it, the end of the journal. This waits
            // for the lock that it holds until then.
            nix::unistd::sync();
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("still written to: {}", left.join(", ")));
        }
        std::thread::sleep(LOOK);
    }
}

/// Devices whose file system can be written, from proc_pid_mountinfo(5): the last field is of the
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
    fn only_disks_that_can_be_written_are_waited_for() {
        let mounts = "30 1 254:0 / /var rw,relatime shared:3 - ext4 /dev/vda rw\n\
            31 1 254:0 /home /home rw - ext4 /dev/vda rw,errors=continue\n\
            32 1 254:16 / /mnt rw - ext4 /dev/vdb ro\n\
            33 1 0:5 / /dev rw - devtmpfs devtmpfs rw\n\
            34 1 7:0 / / ro - squashfs /dev/loop0 ro\n";
        assert_eq!(writable(mounts), ["/dev/vda"]);
    }
}
