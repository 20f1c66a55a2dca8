//! Which shared libraries a program needs, read from its dynamic section as the loader does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};

use crate::{BuildError, Context, Result};

/// Where Debian's loader looks, and where systemd's programs name their own (by their run path).
const FOLDERS: [&str; 2] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/systemd",
];

/// The loader itself, which the System V ABI for x86-64 places in `/lib64`.
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// Paths, relative to `root`, of all libraries that `programs` need, directly or through others.
pub fn needed(root: &Path, programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = programs.to_vec();
    while let Some(program) = open.pop() {
        let path = root.join(&program);
        let content = std::fs::read(&path).context(|| format!("read {}", path.display()))?;
        if !content.starts_with(b"\x7fELF") {
            continue;
        }
        let names = direct(&content).context(|| format!("read {}", path.display()))?;
        if !names.is_empty() {
            found.insert(PathBuf::from(LOADER));
        }
        for name in names {
            let library = locate(root, &name).ok_or_else(|| {
                BuildError::new(
                    format!("find the libraries of {}", program.display()),
                    format!("{name} is in none of the packages"),
                )
            })?;
            if found.insert(library.clone()) {
                open.push(library);
            }
        }
    }
    Ok(found)
}

fn direct(content: &[u8]) -> object::Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(content)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, content)?;
    let Some((entries, strings)) = sections.dynamic(endian, content)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, content, strings)?;
    entries
        .iter()
        .filter(|entry| entry.tag32(endian) == Some(DT_NEEDED))
        .map(|entry| entry.string(endian, strings))
        .map(|name| Ok(String::from_utf8_lossy(name?).into_owned()))
        .collect()
}

fn locate(root: &Path, name: &str) -> Option<PathBuf> {
    let candidates = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    candidates.into_iter().find(|path| root.join(path).exists())
}

/// The target of each library's link, so that an image holds one file by the name the loader asks.
pub fn real(root: &Path, library: &Path) -> Result<PathBuf> {
    let path = root.join(library);
    path.canonicalize()
        .context(|| format!("read {}", path.display()))
}
