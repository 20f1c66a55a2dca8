//! Installs kernel modules with their dependencies and indexes.
//!
//! Modules are stored uncompressed, because the archive that contains them is compressed as a whole. That
//! is smaller, and the kernel needs no second decompressor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSection};

use crate::cache::files_below;
use crate::definition::Modules;
use crate::packages::Packages;
use crate::tree::{Node, Tree};
use crate::{BuildError, Context, Result, program};

/// The kernel of a package set.
pub(crate) struct Kernel {
    /// The release, as `uname -r` prints it.
    pub(crate) release: String,
    /// `vmlinuz`.
    pub(crate) image: PathBuf,
    busybox: PathBuf,
    modules: PathBuf,
    /// Paths below `modules` by module name.
    by_name: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Kernel {
    /// Finds the only kernel of the package set.
    pub(crate) fn find(packages: &Packages) -> Result<Self> {
        let step = "find the kernel";
        let all = packages.root.join("usr/lib/modules");
        let mut releases = std::fs::read_dir(&all).context(|| step.into())?.flatten();
        let (Some(only), None) = (releases.next(), releases.next()) else {
            return Err(BuildError::new(
                step,
                "the packages contain no kernel, or more than one",
            ));
        };
        let release = only.file_name().to_string_lossy().into_owned();
        let modules = only.path();
        let builtin = std::fs::read_to_string(modules.join("modules.builtin"))
            .context(|| "read modules.builtin".into())?;
        let by_name = files_below(&modules)?
            .into_iter()
            .filter_map(|path| Some((module_name(&path)?, path)))
            .collect();
        Ok(Self {
            image: packages.root.join(format!("boot/vmlinuz-{release}")),
            busybox: packages.root.join("usr/bin/busybox"),
            builtin: builtin
                .lines()
                .filter_map(|line| module_name(Path::new(line)))
                .collect(),
            release,
            modules,
            by_name,
        })
    }

    /// Modules with their contents, each after its dependencies.
    pub(crate) fn in_order(&self, names: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut ordered = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.visit(&normal(name), &mut seen, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn visit(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
        ordered: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        if self.builtin.contains(name) || !seen.insert(name.into()) {
            return Ok(());
        }
        let step = || format!("install kernel module `{name}`");
        let path = self.by_name.get(name).ok_or_else(|| {
            BuildError::new(step(), format!("{} has no such module", self.release))
        })?;
        let compressed = std::fs::read(self.modules.join(path)).context(step)?;
        let mut content = Vec::new();
        lzma_rs::xz_decompress(&mut compressed.as_slice(), &mut content)
            .map_err(|error| BuildError::new(step(), format!("{error:?}")))?;
        for dependency in depends(&content).context(step)? {
            self.visit(&dependency, seen, ordered)?;
        }
        ordered.push((name.into(), content));
        Ok(())
    }

    /// Adds modules and their indexes (`modules.dep` and others) to the tree of a root.
    pub(crate) fn install(&self, modules: &Modules, tree: &mut Tree) -> Result<()> {
        let names: Vec<String> = modules.early.iter().chain(&modules.root).cloned().collect();
        let staging = tempfile::tempdir().context(|| "create a folder for modules".into())?;
        let below = Path::new("lib/modules").join(&self.release);
        let folder = staging.path().join(&below);
        std::fs::create_dir_all(&folder).context(|| "create a folder for modules".into())?;
        let mut nodes = String::new();
        for (name, content) in self.in_order(&names)? {
            let file = format!("{name}.ko");
            std::fs::write(folder.join(&file), &content).context(|| format!("write {file}"))?;
            if let Some(node) = static_node(&content).context(|| format!("read {file}"))? {
                nodes += &format!("{name} {node}\n");
            }
        }
        std::fs::write(folder.join(STATIC_NODES), nodes)
            .context(|| format!("write {STATIC_NODES}"))?;
        for index in [
            "modules.builtin",
            "modules.builtin.modinfo",
            "modules.order",
        ] {
            std::fs::copy(self.modules.join(index), folder.join(index))
                .context(|| format!("copy {index}"))?;
        }
        // The machine reads the indexes with the same busybox.
        let mut depmod = Command::new(&self.busybox);
        // It does not write `modules.devname`, which is written above.
        depmod
            .args(["depmod", "-b"])
            .arg(staging.path())
            .arg(&self.release);
        program::output("index the kernel modules", &mut depmod)?;
        for file in files_below(&folder)? {
            let content = std::fs::read(folder.join(&file)).context(|| "read modules".into())?;
            tree.insert(
                Path::new("usr").join(&below).join(file),
                Node::Bytes(content, 0o644),
            );
        }
        Ok(())
    }
}

/// The name of a module by its path: `net/bridge/br_netfilter.ko.xz` is `br_netfilter`.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(normal(
        name.strip_suffix(".ko.xz")
            .or_else(|| name.strip_suffix(".ko"))?,
    ))
}

/// Normalizes a module name: the kernel treats `-` and `_` alike.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The list of device nodes whose first use loads a module, in the format of kmod's depmod:
/// `MODULE NAME TYPEMAJOR:MINOR`.
const STATIC_NODES: &str = "modules.devname";

/// The values of a key in the `.modinfo` section of a module.
fn modinfo(content: &[u8], key: &str) -> object::Result<Vec<String>> {
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(content)?;
    let Some(section) = file.section_by_name(".modinfo") else {
        return Ok(Vec::new());
    };
    let entries = section.data()?.split(|byte| *byte == 0);
    let values = entries.filter_map(|entry| {
        let entry = std::str::from_utf8(entry).ok()?;
        Some(entry.strip_prefix(key)?.strip_prefix('=')?.to_owned())
    });
    Ok(values.collect())
}

/// The modules that a module depends on.
fn depends(content: &[u8]) -> object::Result<Vec<String>> {
    let lists = modinfo(content, "depends")?;
    let names = lists.iter().flat_map(|list| list.split(','));
    Ok(names.filter(|name| !name.is_empty()).map(normal).collect())
}

/// The device node that exists before the module is loaded, as `NAME TYPEMAJOR:MINOR`.
fn static_node(content: &[u8]) -> object::Result<Option<String>> {
    Ok(node_of_aliases(&modinfo(content, "alias")?))
}

/// The device node in a module's aliases. Both the name, `devname:net/tun`, and the number,
/// `char-major-10-200`, are required.
fn node_of_aliases(aliases: &[String]) -> Option<String> {
    let name = aliases
        .iter()
        .find_map(|one| one.strip_prefix("devname:"))?;
    let number = aliases.iter().find_map(|alias| {
        let (kind, numbers) = match alias.strip_prefix("char-major-") {
            Some(numbers) => ('c', numbers),
            None => ('b', alias.strip_prefix("block-major-")?),
        };
        let (major, minor) = numbers.split_once('-')?;
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        Some(format!("{kind}{major}:{minor}"))
    })?;
    Some(format!("{name} {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_name_uses_underscores() {
        assert_eq!(
            module_name(Path::new("a/virtio-blk.ko.xz")).as_deref(),
            Some("virtio_blk")
        );
        assert_eq!(module_name(Path::new("modules.dep")), None);
    }

    #[test]
    fn static_node_needs_a_name_and_one_number() {
        let node = |aliases: &[&str]| {
            let aliases: Vec<_> = aliases.iter().map(|&alias| alias.to_owned()).collect();
            node_of_aliases(&aliases)
        };
        let tun = node(&["devname:net/tun", "char-major-10-200"]);
        assert_eq!(tun.as_deref(), Some("net/tun c10:200"));
        // `block-major-7-*` is for all loop devices, not for the control device.
        let loops = node(&[
            "block-major-7-*",
            "char-major-10-237",
            "devname:loop-control",
        ]);
        assert_eq!(loops.as_deref(), Some("loop-control c10:237"));
        assert_eq!(node(&["char-major-10-200"]), None);
        assert_eq!(node(&["devname:x", "block-major-7-*"]), None);
    }
}
