//! Fetches and unpacks Debian packages without running their maintainer scripts.
//!
//! `mmdebstrap` resolves the dependencies, verifies the archive's signatures and selects a mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{self, Key};
use crate::{BuildError, Context, Layout, Package, Progress, Result, program};

/// The Debian release of all packages.
pub(crate) const SUITE: &str = "trixie";

/// The version of the code that unpacks packages; part of the cache key.
const VERSION: u32 = 1;

/// The name prefix of cached keyrings.
const KEYRING: &str = "keyring-";

/// The name prefix of cached package sets of single images.
const OWN: &str = "own-";

/// The folder of a package set with its index.
const INDEX: &str = ".packages";

/// Folders that are not unpacked, because no image uses them.
const EXCLUDED: [&str; 6] = [
    "dev/",
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/info/",
    "var/cache/",
];

/// A hook that mmdebstrap runs while the downloaded packages are in apt's cache. It writes the version and
/// the file list of each package into the tree.
const INDEX_HOOK: &str = r#"
set -e
mkdir -p "$1/.packages"
for deb in "$1"/var/cache/apt/archives/*.deb; do
    name=$(dpkg-deb --field "$deb" Package)
    dpkg-deb --show --showformat '${Package}\t${Version}\n' "$deb" >> "$1/.packages/versions"
    dpkg-deb --fsys-tarfile "$deb" | tar -t > "$1/.packages/$name.list"
done
"#;

/// An unpacked package set.
#[derive(Debug)]
pub(crate) struct Packages {
    /// The root of the unpacked files.
    pub(crate) root: PathBuf,
    /// Versions by package.
    versions: BTreeMap<String, String>,
    /// Packages by file, without a leading slash.
    owners: BTreeMap<PathBuf, String>,
}

impl Packages {
    /// The package of a file.
    pub(crate) fn owner(&self, path: &Path) -> Option<Package> {
        self.by_name(self.owners.get(path)?)
    }

    /// A package of the set.
    pub(crate) fn by_name(&self, name: &str) -> Option<Package> {
        Some(Package {
            name: name.into(),
            version: self.versions.get(name)?.clone(),
        })
    }

    /// All names and versions as one text, for a cache key.
    pub(crate) fn fingerprint(&self) -> String {
        self.versions
            .iter()
            .map(|(name, version)| format!("{name}={version}\n"))
            .collect()
    }

    fn open(root: PathBuf) -> Result<Self> {
        let mut versions = BTreeMap::new();
        let mut owners = BTreeMap::new();
        for line in self::versions(&root)?.lines() {
            let Some((name, version)) = line.split_once('\t') else {
                continue;
            };
            versions.insert(name.to_owned(), version.to_owned());
            for file in index(&root, &format!("{name}.list"))?.lines() {
                owners.insert(file.trim_start_matches("./").into(), name.to_owned());
            }
        }
        Ok(Self {
            root,
            versions,
            owners,
        })
    }
}

/// The packages of an unpacked set with their versions, one per line.
pub(crate) fn versions(root: &Path) -> Result<String> {
    index(root, "versions")
}

fn index(root: &Path, name: &str) -> Result<String> {
    let path = root.join(INDEX).join(name);
    std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))
}

/// Fetches the packages of the OS, unless they are cached.
pub(crate) fn fetch<'a>(
    layout: &Layout,
    names: impl Iterator<Item = &'a String>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Packages> {
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    fetch_as("packages", layout, &names, progress)
}

/// Fetches a package with the keys of an archive, which is not part of the OS.
pub(crate) fn fetch_keyring(layout: &Layout, of: &str, package: &str) -> Result<Packages> {
    let packages = BTreeSet::from([package]);
    fetch_as(&format!("{KEYRING}{of}"), layout, &packages, &mut |_| ())
}

/// Fetches the packages of an image that is not part of the OS.
pub(crate) fn fetch_own(layout: &Layout, of: &str, packages: &[String]) -> Result<Packages> {
    let packages = packages.iter().map(String::as_str).collect();
    fetch_as(&format!("{OWN}{of}"), layout, &packages, &mut |_| ())
}

/// Fetches a build tool, which runs where it is unpacked and is part of no image.
pub(crate) fn fetch_tool(layout: &Layout, name: &str, package: &str) -> Result<Packages> {
    fetch_as(name, layout, &BTreeSet::from([package]), &mut |_| ())
}

/// Fetches a package set, unless it is cached. An earlier set with the same name is removed.
fn fetch_as(
    name: &str,
    layout: &Layout,
    packages: &BTreeSet<&str>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Packages> {
    let mut key = Key::new("packages", VERSION);
    key.add(SUITE).add(INDEX_HOOK);
    for package in packages {
        key.add(package);
    }
    let folder = layout.cache.join(format!("{name}-{}", key.finish()));
    if folder.is_dir() {
        progress(Progress::Cached(name));
        return Packages::open(folder);
    }
    progress(Progress::Started(name));
    let fresh =
        tempfile::tempdir_in(&layout.cache).context(|| "create a folder for packages".into())?;
    unpack_set(packages, fresh.path())?;
    std::fs::rename(fresh.keep(), &folder).context(|| format!("cache {}", folder.display()))?;
    cache::remove_others(&layout.cache, &format!("{name}-"), &folder);
    progress(Progress::Finished(name));
    Packages::open(folder)
}

/// Unpacks packages and their dependencies into a folder.
pub(crate) fn unpack_set(names: &BTreeSet<&str>, to: &Path) -> Result<()> {
    let step = "fetch Debian packages";
    let include: Vec<&str> = names.iter().copied().collect();
    let mut command = Command::new("mmdebstrap");
    command
        // No unpacked program runs, so neither root nor a user namespace is needed.
        .args(["--variant=extract", "--mode=chrootless", "--format=tar"])
        .arg(format!("--include={}", include.join(",")))
        .arg(format!("--extract-hook={INDEX_HOOK}"))
        .args([SUITE, "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| program::start_error(step, &command, &error))?;
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(BuildError::new(step, "no pipe to mmdebstrap"));
    };
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        // If the pipe breaks, the exit status below shows it.
        let _ = stderr.read_to_end(&mut text);
        text
    });
    let unpacked = unpack(stdout, to);
    if unpacked.is_err() {
        // The process would block forever on the rest of its output.
        let _ = child.kill();
    }
    let status = child.wait().context(|| step.into())?;
    let errors = errors.join().unwrap_or_default();
    unpacked.context(|| "unpack Debian packages".into())?;
    if status.success() {
        Ok(())
    } else {
        Err(program::exit_error(step, &command, status, &errors))
    }
}

fn unpack(from: impl Read, to: &Path) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(false);
    archive.set_preserve_ownerships(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry
            .path()?
            .strip_prefix("./")
            .map(Path::to_path_buf)
            .unwrap_or_default();
        let is_excluded = EXCLUDED.iter().any(|prefix| path.starts_with(prefix));
        if !is_excluded && !entry.header().entry_type().is_character_special() {
            entry.unpack_in(to)?;
        }
    }
    Ok(())
}
