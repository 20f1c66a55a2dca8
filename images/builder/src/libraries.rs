//! Finds the shared libraries of a program by its dynamic section, as the loader does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RUNPATH, FileHeader64};
use object::read::elf::{Dyn, FileHeader};

use crate::{BuildError, Context, Result};

/// The folder that Debian's loader searches after a file's own run path.
const FOLDER: &str = "usr/lib/x86_64-linux-gnu";

/// The loader itself, which the System V ABI for x86-64 places in `/lib64`.
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// The libraries that `programs` need directly or indirectly, as paths relative to `root`.
pub(crate) fn needed(root: &Path, programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let no_folders = |program: &PathBuf| (program.clone(), Vec::new());
    let mut open: Vec<(PathBuf, Vec<PathBuf>)> = programs.iter().map(no_folders).collect();
    while let Some((program, inherited)) = open.pop() {
        let path = root.join(&program);
        let content = std::fs::read(&path).context(|| format!("read {}", path.display()))?;
        if !content.starts_with(b"\x7fELF") {
            continue;
        }
        let dynamic = Dynamic::of(&content).context(|| format!("read {}", path.display()))?;
        if !dynamic.needed.is_empty() {
            found.insert(PathBuf::from(LOADER));
        }
        let mut run_path = dynamic.run_path;
        // A library without a run path uses the one of the file that loads it, as in Samba.
        run_path.extend(inherited);
        for name in dynamic.needed {
            let library = locate(root, &run_path, &name).ok_or_else(|| {
                BuildError::new(
                    format!("find the libraries of {}", program.display()),
                    format!("no package contains {name}"),
                )
            })?;
            if found.insert(library.clone()) {
                open.push((library, run_path.clone()));
            }
        }
    }
    Ok(found)
}

/// The dynamic section of a file.
#[derive(Default)]
struct Dynamic {
    /// The names of the libraries.
    needed: Vec<String>,
    /// Folders that the loader searches first (`DT_RUNPATH` in ld.so(8)).
    run_path: Vec<PathBuf>,
}

impl Dynamic {
    fn of(content: &[u8]) -> object::Result<Self> {
        let header = FileHeader64::<Endianness>::parse(content)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, content)?;
        let mut dynamic = Self::default();
        let Some((entries, strings)) = sections.dynamic(endian, content)? else {
            return Ok(dynamic);
        };
        let strings = sections.strings(endian, content, strings)?;
        for entry in entries {
            let tag = entry.tag32(endian);
            if !matches!(tag, Some(DT_NEEDED | DT_RUNPATH)) {
                continue;
            }
            let text = String::from_utf8_lossy(entry.string(endian, strings)?).into_owned();
            if tag == Some(DT_NEEDED) {
                dynamic.needed.push(text);
            } else {
                let folders = text
                    .split(':')
                    .map(|one| one.trim_start_matches('/').into());
                dynamic.run_path.extend(folders);
            }
        }
        Ok(dynamic)
    }
}

fn locate(root: &Path, run_path: &[PathBuf], name: &str) -> Option<PathBuf> {
    let folders = run_path.iter().map(PathBuf::as_path);
    let folders = folders.chain([Path::new(FOLDER)]);
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates.find(|path| root.join(path).exists())
}

/// The target of a library's link. An image contains the file under the name that the loader looks up.
pub(crate) fn real(root: &Path, library: &Path) -> Result<PathBuf> {
    let path = root.join(library);
    path.canonicalize()
        .context(|| format!("read {}", path.display()))
}
