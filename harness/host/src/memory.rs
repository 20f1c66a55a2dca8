//! The memory of this host in MiB: total, available, and used by machines.

use std::path::Path;

/// The mount point of cgroup v2.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The memory of this host, or of the control group that this process is confined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The total in MiB.
    pub total: u64,
    /// The memory that programs can allocate without swapping, in MiB.
    pub available: u64,
}

impl Memory {
    /// The current values; `None` if the kernel does not report them.
    pub fn of_host() -> Option<Self> {
        let read = |file: &Path| std::fs::read_to_string(file).unwrap_or_default();
        let host = Self::parse(&read(Path::new("/proc/meminfo")))?;
        let groups = read(Path::new("/proc/self/cgroup"));
        let group = Path::new(CGROUPS).join(own_group(&groups));
        let file = |name: &str| read(&group.join(name));
        Some(host.confined(&file("memory.max"), &file("memory.current")))
    }

    fn parse(meminfo: &str) -> Option<Self> {
        Some(Self {
            total: kib(meminfo, "MemTotal:")? >> 10,
            available: kib(meminfo, "MemAvailable:")? >> 10,
        })
    }

    /// Applies the limit of a control group, if it has one (`max` is none).
    fn confined(self, limit: &str, used: &str) -> Self {
        let bytes = |text: &str| text.trim().parse::<u64>().ok();
        match (bytes(limit), bytes(used)) {
            (Some(limit), Some(used)) => Self {
                total: self.total.min(limit >> 20),
                available: self.available.min(limit.saturating_sub(used) >> 20),
            },
            _ => self,
        }
    }
}

/// The path of the control group, of `0::/PATH`.
fn own_group(text: &str) -> &str {
    let unified = text.lines().find_map(|line| line.strip_prefix("0::/"));
    unified.unwrap_or_default()
}

/// A value of a file like `/proc/meminfo`, in KiB.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The private memory of the children of a process, in MiB. Pages mapped from files, like the memory of a
/// fork until it is written to, do not count: the kernel can reclaim them.
pub fn of_children(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            // A thread that just exited has no children.
            std::fs::read_to_string(thread.path().join("children")).ok()
        });
    let children = lists.flat_map(|list| {
        let numbers = list.split_whitespace().filter_map(|n| n.parse().ok());
        numbers.collect::<Vec<u32>>()
    });
    children.map(of_process).sum()
}

fn of_process(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = ["RssAnon:", "RssShmem:"].map(|name| kib(&status, name).unwrap_or(0));
    own.iter().sum::<u64>() >> 10
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str =
        "MemTotal:       8388608 kB\nMemFree:  1 kB\nMemAvailable:   4194304 kB\n";

    #[test]
    fn memory_is_parsed_from_meminfo() {
        let memory = Memory::parse(MEMINFO).unwrap();
        assert_eq!((memory.total, memory.available), (8192, 4096));
        assert_eq!(Memory::parse("MemTotal: 1 kB"), None);
        assert!(Memory::of_host().is_some_and(|memory| memory.total > 0));
    }

    #[test]
    fn control_group_can_only_reduce_the_memory() {
        let memory = Memory::parse(MEMINFO).unwrap();
        assert_eq!(memory.confined("max\n", "1048576\n"), memory);
        assert_eq!(memory.confined("", ""), memory);
        let confined = memory.confined("2147483648\n", "1610612736\n");
        assert_eq!((confined.total, confined.available), (2048, 512));
        assert_eq!(own_group("1:name=x:/y\n0::/user.slice/z\n"), "user.slice/z");
    }

    #[test]
    fn memory_of_children_counts_private_pages() {
        let before = of_children(std::process::id());
        // `tail` buffers its input until a newline, which never comes.
        let mut child = std::process::Command::new("tail")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .arg("-n1")
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, &vec![b'x'; 64 << 20]).unwrap();
        assert!(of_children(std::process::id()) >= before + 32);
        drop(input);
        child.wait().unwrap();
    }
}
