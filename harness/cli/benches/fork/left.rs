//! Inventories of resources before and after forks: processes, threads, ports, files, mappings.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base::wait::{Poll, wait_until};

use crate::common::Result;
use crate::leaks::Gone;
use crate::parent::Parent;

/// How long to wait for threads, which exit shortly after their work.
const GRACE: Duration = Duration::from_secs(20);
/// The names of a machine's threads.
const THREADS: [&str; 3] = ["forward", "qemu-owner", "ssh"];
/// One anonymous mapping is allowed per this many forks: memory that the allocator keeps.
const FORKS_A_MAPPING: usize = 10;

/// The inventory before the forks.
pub(crate) struct Before {
    children: Vec<String>,
    descriptors: Vec<String>,
    mappings: Mappings,
    checkpoint: Vec<String>,
}

/// Descriptions of the resources that were left.
pub(crate) struct Left {
    found: Vec<String>,
    seen: String,
}

impl Left {
    /// Their number.
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    pub(crate) fn count(&self) -> f64 {
        self.found.len() as f64
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.found {
            writeln!(f, "left: {found}")?;
        }
        f.write_str(&self.seen)
    }
}

impl Before {
    /// Takes an inventory.
    pub(crate) fn look(parent: &Parent) -> Result<Self> {
        Ok(Self {
            children: children()?,
            descriptors: descriptors()?,
            mappings: Mappings::look()?,
            checkpoint: listing(parent.folder())?,
        })
    }

    /// Compares repeatedly, until nothing is left or the time is over.
    pub(crate) async fn compare(&self, parent: &Parent, gone: &[Gone]) -> Result<Left> {
        let clean = wait_until("nothing left", GRACE, async || {
            match self.difference(parent, gone) {
                Err(error) => Poll::Failed(error.to_string()),
                Ok(left) if left.found.is_empty() => Poll::Ready(left),
                Ok(left) => Poll::NotYet(left.to_string()),
            }
        });
        match clean.await {
            Ok(left) => Ok(left),
            Err(_) => self.difference(parent, gone),
        }
    }

    fn difference(&self, parent: &Parent, gone: &[Gone]) -> Result<Left> {
        let mut found = Vec::new();
        let mut add = |what: &str, all: Vec<String>| {
            found.extend(all.into_iter().map(|one| format!("{what} {one}")));
        };
        let (children, descriptors) = (children()?, descriptors()?);
        let (mappings, checkpoint) = (Mappings::look()?, listing(parent.folder())?);
        add("child process", more(&children, &self.children));
        add("process on the checkpoint", users(parent.folder()));
        add("thread", threads()?);
        add("descriptor", more(&descriptors, &self.descriptors));
        add("mapping", more(&mappings.named, &self.mappings.named));
        add("port", listening(gone)?);
        add("file", more(&checkpoint, &self.checkpoint));
        let folders = gone.iter().filter(|gone| gone.folder.exists());
        add(
            "folder",
            folders
                .map(|gone| gone.folder.display().to_string())
                .collect(),
        );
        let nameless = mappings.nameless.saturating_sub(self.mappings.nameless);
        if nameless > gone.len() / FORKS_A_MAPPING {
            add("additional anonymous mappings:", vec![nameless.to_string()]);
        }
        let seen = format!(
            "{} descriptors (before {}), {} mappings (before {}), {} child processes (before {})",
            descriptors.len(),
            self.descriptors.len(),
            mappings.count(),
            self.mappings.count(),
            children.len(),
            self.children.len(),
        );
        Ok(Left { found, seen })
    }
}

/// The elements that `now` has more often than `before`.
fn more(now: &[String], before: &[String]) -> Vec<String> {
    let mut known: BTreeMap<&String, usize> = BTreeMap::new();
    for one in before {
        *known.entry(one).or_default() += 1;
    }
    let new = now.iter().filter(|one| match known.get_mut(one) {
        Some(count @ 1..) => {
            *count -= 1;
            false
        }
        _ => true,
    });
    new.cloned().collect()
}

/// The child processes of this process, including zombies.
fn children() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for task in fs::read_dir("/proc/self/task")?.flatten() {
        let listed = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(listed.split_whitespace().map(str::to_owned));
    }
    Ok(all)
}

/// All processes with the checkpoint in their command line or mappings.
fn users(checkpoint: &Path) -> Vec<String> {
    let checkpoint = checkpoint.to_string_lossy();
    let uses = |process: &Path| {
        let read = |name| fs::read(process.join(name)).unwrap_or_default();
        let has = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(checkpoint.as_ref());
        has(read("cmdline")) || has(read("maps"))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = all.map(|entry| entry.path()).filter(|path| uses(path));
    found.map(|path| path.display().to_string()).collect()
}

/// The threads of this process that belong to a machine.
fn threads() -> Result<Vec<String>> {
    let tasks = fs::read_dir("/proc/self/task")?.flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let names = names.map(|name| name.trim().to_owned());
    Ok(names
        .filter(|name| THREADS.contains(&name.as_str()))
        .collect())
}

/// The open files of this process; sockets and pipes have a number.
fn descriptors() -> Result<Vec<String>> {
    let all = fs::read_dir("/proc/self/fd")?.flatten();
    let targets = all.filter_map(|entry| fs::read_link(entry.path()).ok());
    let targets = targets.map(|target| target.display().to_string());
    // The descriptor of this folder itself.
    Ok(targets
        .filter(|target| !target.contains("/proc/"))
        .collect())
}

/// The mappings of this process.
struct Mappings {
    named: Vec<String>,
    nameless: usize,
}

impl Mappings {
    fn look() -> Result<Self> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        let paths: Vec<_> = maps
            .lines()
            .map(|line| line.splitn(6, ' ').nth(5).unwrap_or_default().trim())
            .collect();
        let (named, nameless): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path| path.starts_with('/'));
        Ok(Self {
            named: named.into_iter().map(str::to_owned).collect(),
            nameless: nameless.len(),
        })
    }

    fn count(&self) -> usize {
        self.named.len() + self.nameless
    }
}

/// The ports of the forks that are still open.
fn listening(gone: &[Gone]) -> Result<Vec<String>> {
    /// `TCP_LISTEN`, see the kernel's `tcp_states.h`.
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp")?;
    let rows = table.lines().skip(1).map(|row| row.split_whitespace());
    let open: Vec<u16> = rows
        .filter_map(|mut row| {
            let (_, port) = row.nth(1)?.split_once(':')?;
            (row.nth(1)? == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
        })
        .collect();
    let left = gone.iter().filter(|gone| open.contains(&gone.port));
    Ok(left.map(|gone| gone.port.to_string()).collect())
}

/// The files of a folder with their length and modification time.
fn listing(folder: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        let (name, length, changed) = (entry.file_name(), about.len(), about.modified()?);
        all.push(format!("{} {length} {changed:?}", name.display()));
    }
    Ok(all)
}
