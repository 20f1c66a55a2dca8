//! Builds Go programs of images: the folder `go/` of a definition, with Debian's compiler.
//!
//! The compiler is unpacked and run in place, so the host needs no Go. Modules come from where the user's Go
//! environment (`GOPROXY` and the like) says, and must match `go.sum`. The same sources and the same compiler
//! produce the same file: it contains no paths and no time.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, Key};
use crate::definition::Definition;
use crate::{Context, Layout, Result, packages, program};

/// The version of the code that builds programs; part of the cache key.
const VERSION: u32 = 1;

/// The name of the compiler's package set.
const COMPILER: &str = "go-compiler";

/// The compiler of Debian 13.
const PACKAGE: &str = "golang-1.24-go";

/// The root of the compiler below the root of its package.
const ROOT: &str = "usr/lib/go-1.24";

/// The files that the source folder must contain.
pub(crate) const FILES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// Builds the program of a definition, unless it is cached, and returns its path.
pub(crate) fn build(layout: &Layout, definition: &Definition) -> Result<PathBuf> {
    let compiler = packages::fetch_tool(layout, COMPILER, PACKAGE)?;
    let mut key = Key::new("go", VERSION);
    key.add(compiler.fingerprint())
        .add_folder(&definition.go_source())?;
    let prefix = format!("go-program-{}-", definition.name);
    let path = layout.cache.join(prefix.clone() + &key.finish());
    if path.is_file() {
        return Ok(path);
    }
    let scratch = tempfile::tempdir_in(&layout.cache).context(|| "create a folder".into())?;
    let step = format!("build the Go program of {}", definition.name);
    // The command runs in the source folder.
    let absolute = |path: &Path| std::path::absolute(path).context(|| step.clone());
    let (root, scratch_path) = (absolute(&compiler.root)?, absolute(scratch.path())?);
    let built = scratch_path.join("program");
    let mut command = command(&root.join(ROOT), &definition.go_source(), &scratch_path);
    program::output(&step, command.arg("-o").arg(&built).arg("."))?;
    std::fs::rename(&built, &path).context(|| format!("cache {}", path.display()))?;
    cache::remove_others(&layout.cache, &prefix, &path);
    Ok(path)
}

/// The command that builds a program, without its output. Modules and objects are kept in `scratch`.
fn command(root: &Path, source: &Path, scratch: &Path) -> Command {
    let mut command = Command::new(root.join("bin/go"));
    command
        .current_dir(source)
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false"])
        // Otherwise only root can remove the modules.
        .arg("-modcacherw")
        .args(["-ldflags", "-s -w"])
        .env("GOROOT", root)
        // The compiler must not replace itself by another version.
        .env("GOTOOLCHAIN", "local")
        .env("GOPATH", scratch.join("path"))
        .env("GOMODCACHE", scratch.join("modules"))
        .env("GOCACHE", scratch.join("objects"))
        .env("GOTMPDIR", scratch)
        // Settings of the user that would change the result.
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "on")
        .env("GOAMD64", "v1")
        .env("GOARCH", "amd64")
        .env("GOFLAGS", "-modcacherw")
        .env("GOOS", "linux")
        .env("GOWORK", "off")
        .env_remove("GOEXPERIMENT");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_keeps_the_proxy_of_the_user() {
        let command = command("/go".as_ref(), "/source".as_ref(), "/scratch".as_ref());
        let names: Vec<_> = command
            .get_envs()
            .map(|(name, _)| name.to_string_lossy())
            .collect();
        for kept in ["GOPROXY", "GONOSUMDB", "GOSUMDB", "GOENV", "HTTPS_PROXY"] {
            assert!(!names.iter().any(|name| name == kept), "{kept}");
        }
        assert_eq!(command.get_program(), "/go/bin/go");
    }
}
